// Places in outputs where a panel draws itself over its static tree, as long as its kernel lives.
//
// The saved output is HTML that needs no kernel. While the kernel lives, the live panel takes its
// place: when the output is redrawn, in a page that is reloaded, in another view.

const PLACE = "data-nbtasks-panel";

/** Return the element that holds a place: it stays when the front end draws the output again. */
function holderOf(place) {
  return place.closest(".jp-OutputArea-output")?.parentElement ?? place;
}

/** Registry of all places in this page, with a single observer. */
class Mounts {
  constructor() {
    this.panels = new Map(); // by the name of their place, the latest last
    this.filled = new WeakMap(); // by holder: the panel drawn there, and its element
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

  places(name) {
    return document.querySelectorAll(`[${PLACE}="${CSS.escape(name)}"]`);
  }

  /** Draw the latest panel of a place over it. */
  fill(place) {
    const panel = this.panels.get(place.getAttribute(PLACE))?.at(-1);
    const holder = holderOf(place);
    const there = this.filled.get(holder);
    if (there?.panel === panel && (!panel || there.host.isConnected)) return;
    this.clear(holder);
    if (!panel) return;
    const host = element("div", "nbt-mounted", holder);
    if (holder !== place) host.classList.add("jp-OutputArea-output");
    holder.classList.add("nbt-alive");
    this.filled.set(holder, { panel, host });
    panel.draw(host).catch((error) => {
      console.warn("nbtasks: the live tree cannot be shown here.", error);
      if (this.filled.get(holder)?.host === host) this.clear(holder);
    });
  }

  clear(holder) {
    this.filled.get(holder)?.host.remove();
    this.filled.delete(holder);
    holder.classList.remove("nbt-alive");
  }

  /** Let a panel draw itself at all places of a name, with `draw(host)`. */
  add(name, panel) {
    this.panels.set(name, [...(this.panels.get(name) ?? []).filter((one) => one !== panel), panel]);
    for (const place of this.places(name)) this.fill(place);
  }

  /** Uncover what the panel was drawn over; an earlier panel of the place comes back. */
  remove(name, panel) {
    this.panels.set(name, (this.panels.get(name) ?? []).filter((one) => one !== panel));
    for (const place of this.places(name)) this.fill(place);
  }
}

function mounts() {
  return (globalThis.__nbtasksMounts ??= new Mounts());
}

/** Create a view of a widget's model in an element. */
async function drawWidget(manager, id, host) {
  const view = await manager.create_view(await manager.get_model(id));
  const widget = view.luminoWidget ?? view.pWidget;
  // Lumino's own attach, from the widget's class: it notifies the widget that it is in the page.
  widget.constructor.attach(widget, host);
}

// Presence of the kernel: a page must not say that something runs when it cannot know that.

const SILENCE = 8000; // milliseconds without a sign of life; the kernel sends one every two seconds
const ENDED = new Set(["dead", "restarting", "autorestarting", "terminating"]);

function clockTime(ms) {
  return new Date(ms).toTimeString().slice(0, 8);
}

/** Presence of the kernel of one model: "live", "silent", "gone". `tell` is called at changes. */
class Presence {
  constructor(model, tell) {
    this.model = model;
    this.tell = tell;
    this.state = "live";
    this.news = Date.now(); // when the kernel was last heard
    const manager = model.widget_manager;
    const session = manager.context?.sessionContext;
    const source = session ?? manager.kernel;
    this.kernel = manager.kernel?.id;
    this.hear = () => this.heard();
    this.status = (_, status) => ENDED.has(status) && this.set("gone");
    this.link = (_, link) => link !== "connected" && this.expects && this.set("silent");
    this.swap = (_, { newValue }) => newValue?.id !== this.kernel && this.set("gone");
    this.signals = [
      [source?.statusChanged, this.status],
      [source?.connectionStatusChanged, this.link],
      [session?.kernelChanged, this.swap],
    ].filter(([signal]) => signal);
    for (const [signal, slot] of this.signals) signal.connect(slot);
    model.on("comm_live_update", () => this.set("gone"));
    for (const event of ["msg:custom", "change:snap", "change:saved"]) model.on(event, this.hear);
    this.timer = setInterval(() => {
      if (this.expects && Date.now() - this.news > SILENCE) this.set("silent");
    }, 1000);
  }

  /** Whether the kernel follows a run, so that it sends signs of life. */
  get expects() {
    return this.model.get("live");
  }

  heard() {
    this.news = Date.now();
    if (this.state === "silent") this.set("live");
  }

  set(state) {
    if (this.state === state || this.state === "gone") return;
    this.state = state;
    this.tell(state);
  }

  dispose() {
    clearInterval(this.timer);
    for (const [signal, slot] of this.signals) signal.disconnect(slot);
  }
}

/** Return how many tasks are kept, and how the run is resumed. */
function keptWords(store) {
  const kept = store.state.filter((code) => ["completed", "skipped"].includes(store.states[code])).length;
  const are = kept === 1 ? "is" : "are";
  if (!kept) return "no task is kept yet; run the cell again";
  const known = store.size + store.summary().progress.toCome;
  if (kept === known) return `${plural(kept, "task")} ${are} kept; run the cell to resume`;
  return `${kept.toLocaleString("en")} of ${plural(known, "task")} ${are} kept; run the cell to resume`;
}

/** Return what to say in place of the clock and the controls; empty while the kernel is heard. */
function presenceWords(presence, store) {
  const words = keptWords(store);
  if (presence.state === "gone") return `The kernel is gone. ${words[0].toUpperCase()}${words.slice(1)}.`;
  if (presence.state === "silent") {
    return `No news from the kernel since ${clockTime(presence.news)}. If it is gone, ${words}.`;
  }
  return "";
}
