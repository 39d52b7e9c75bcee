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
