// Timeline: the tasks as bars over time, to see where it was spent and which tasks overlapped.

const MARKS = 7; // most marks of the axis
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30].map((s) => s * 1000),
  ...[1, 2, 5, 10, 15, 30].map((min) => min * 60_000),
  ...[1, 2, 3, 6, 12].map((h) => h * 3_600_000),
  ...[1, 2, 7, 14, 30, 90, 365].map((d) => d * 86_400_000),
]; // milliseconds

/** Return a round step and its multiples from `from` to `from + span`, at most `most` and one. */
function marksOf(from, span, most) {
  const longest = STEPS.at(-1);
  const step = STEPS.find((one) => span / one <= most) ?? longest * Math.ceil(span / most / longest);
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= from + span; at += step) marks.push(at);
  return { step, marks };
}

/** Format an instant of the axis, as time since the run began, to the precision of its step. */
function markLabel(ms, step) {
  if (step < S) return Math.abs(ms) < S ? `${ms} ms` : `${Number((ms / S).toFixed(3))} s`;
  const s = Math.round(ms / S);
  const parts = [[Math.trunc(s / DAY), "d"], [Math.trunc(s / HOUR) % 24, "h"], [Math.trunc(s / MIN) % 60, "min"], [s % 60, "s"]];
  return parts.filter(([many]) => many).map(([many, unit]) => `${many} ${unit}`).join(" ") || "0 s";
}

class Timeline {
  constructor(view, parent) {
    this.view = view;
    this.axis = element("div", "nbt-axis", parent);
    this.axis.title = "Zoom with the wheel here, or with + and -; 0 shows all; Shift with an arrow key moves.";
    this.from = 0;
    this.span = null; // null: the whole run
    this.attempts = new Map(); // by task: [[from, to, state, retry]] of all but the latest attempt
    this.axis.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Return the visible window, [start, length] in milliseconds. */
  window() {
    const { store } = this.view;
    if (this.span !== null) return [this.from, this.span];
    if (this.whole?.version === store.version && !store.underWay) return this.whole.window;
    let from = Infinity;
    let to = store.underWay ? store.now() : -Infinity;
    for (let i = 0; i < store.size; i++) {
      const begun = this.attempts.get(i)?.[0]?.[0] ?? store.since[i];
      if (begun === null) continue;
      if (begun < from) from = begun;
      if (store.end[i] !== null && store.end[i] > to) to = store.end[i];
    }
    if (from > 0 && from < (to - from) / 5) from = 0; // the axis begins with the run
    const window = from < to ? [from, (to - from) * 1.02] : [0, 1000];
    this.whole = { version: store.version, window };
    return window;
  }

  wheel(event) {
    event.preventDefault();
    const box = this.axis.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    this.zoom(Math.exp(event.deltaY / 300), share);
  }

  zoom(factor, share = 0.5) {
    const [from, span] = this.window();
    const wanted = Math.max(1, span * factor);
    this.from = from + (span - wanted) * share;
    this.span = wanted;
    this.view.redraw();
  }

  move(share) {
    const [from, span] = this.window();
    this.from = from + span * share;
    this.span = span;
    this.view.redraw();
  }

  all() {
    this.span = null;
    this.view.redraw();
  }

  /** Handle a key; return false if it is not one of the timeline's. */
  key(event) {
    const acts = {
      "+": () => this.zoom(0.7), "=": () => this.zoom(0.7), "-": () => this.zoom(1.4), "0": () => this.all(),
    };
    if (event.shiftKey && event.key === "ArrowLeft") this.move(-0.2);
    else if (event.shiftKey && event.key === "ArrowRight") this.move(0.2);
    else if (acts[event.key]) acts[event.key]();
    else return false;
    return true;
  }

  drawAxis() {
    const [from, span] = this.window();
    this.axis.replaceChildren();
    const { step, marks } = marksOf(from, span, MARKS);
    for (const at of marks) {
      const node = element("span", "", this.axis);
      node.style.left = `${((at - from) / span) * 100}%`;
      say(node, markLabel(at, step));
    }
  }

  /** Draw the attempts of a task and the waits between them. */
  bars(lane, i, state) {
    const { store } = this.view;
    const [from, span] = this.window();
    const earlier = this.attempts.get(i) ?? [];
    const parts = [];
    earlier.forEach(([begun, ended, how, retry], at) => {
      parts.push([begun, ended, how]);
      const next = earlier[at + 1]?.[0] ?? store.since[i];
      if (retry !== null && next > ended) parts.push([ended, next, "waiting"]);
    });
    if (store.since[i] !== null) {
      parts.push([store.since[i], store.end[i] ?? (store.underWay ? store.now() : store.since[i]), state]);
    }
    while (lane.children.length > parts.length) lane.lastChild.remove();
    while (lane.children.length < parts.length) element("b", "", lane);
    parts.forEach(([begun, ended, how], at) => {
      const bar = lane.children[at];
      const left = ((begun - from) / span) * 100;
      const right = ((ended - from) / span) * 100;
      bar.className = `nbt-${how.replace(" ", "-")}`;
      bar.hidden = right < 0 || left > 100;
      bar.style.left = `${Math.max(0, left)}%`;
      bar.style.width = `max(2px, ${Math.min(100, right) - Math.max(0, left)}%)`;
      set(bar, "title", `${how} ${age(ended - begun)}`);
    });
  }
}
