// Places in outputs where a panel draws itself over its static twin, as long as its kernel lives.
//
// What is saved is HTML that needs no kernel. While one is there, the living panel stands in its
// place: when the output is drawn anew, in a page that is loaded again, in another view.

const PLACE = "data-nbtasks-panel";

/** All places of this page, watched once. */
class Mounts {
  constructor() {
    this.panels = new Map();
    this.observer = new MutationObserver((mutations) => {
      for (const mutation of mutations) for (const node of mutation.addedNodes) this.look(node);
    });
    this.observer.observe(document.body, { childList: true, subtree: true });
  }

  look(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.hasAttribute(PLACE)) this.fill(node);
    for (const place of node.querySelectorAll(`[${PLACE}]`)) this.fill(place);
  }

  fill(place) {
    this.panels.get(place.getAttribute(PLACE))?.(place);
  }

  add(id, fill) {
    this.panels.set(id, fill);
    for (const place of document.querySelectorAll(`[${PLACE}="${CSS.escape(id)}"]`)) fill(place);
  }

  remove(id) {
    this.panels.delete(id);
    for (const place of document.querySelectorAll(`[${PLACE}="${CSS.escape(id)}"]`)) {
      place.querySelector(":scope > .nbt-mounted")?.remove();
      place.classList.remove("nbt-alive");
    }
  }
}

function mounts() {
  return (globalThis.__nbtasksMounts ??= new Mounts());
}

/** Shows a panel in a place. */
async function mount(manager, id, place) {
  if (place.classList.contains("nbt-alive")) return;
  place.classList.add("nbt-alive");
  const host = element("div", "nbt-mounted", place);
  try {
    const view = await manager.create_view(await manager.get_model(id));
    const widget = view.luminoWidget ?? view.pWidget;
    // Lumino's own attach, from the class at hand: the widget must hear that it is in the page.
    widget.constructor.attach(widget, host);
  } catch (error) {
    console.warn("nbtasks: the live tree cannot be shown here.", error);
    host.remove();
    place.classList.remove("nbt-alive");
  }
}
