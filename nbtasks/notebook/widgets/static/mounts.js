// Places in outputs where a panel draws itself over its static tree, as long as its kernel lives.
//
// The saved output is HTML that needs no kernel. While the kernel lives, the live panel takes its
// place: when the output is redrawn, in a page that is reloaded, in another view.

const PLACE = "data-nbtasks-panel";

/** Registry of all places in this page, with a single observer. */
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

/** Show a panel in a place. */
async function mount(manager, id, place) {
  if (place.classList.contains("nbt-alive")) return;
  place.classList.add("nbt-alive");
  const host = element("div", "nbt-mounted", place);
  try {
    const view = await manager.create_view(await manager.get_model(id));
    const widget = view.luminoWidget ?? view.pWidget;
    // Lumino's own attach, from the widget's class: it notifies the widget that it is in the page.
    widget.constructor.attach(widget, host);
  } catch (error) {
    console.warn("nbtasks: the live tree cannot be shown here.", error);
    host.remove();
    place.classList.remove("nbt-alive");
  }
}
