// State of the widget: the tasks of a run as columns, as `nbtasks.views.tree.snapshot` sends them.
//
// A task is identified by its index. Its parent precedes it, so one backward pass summarises all
// branches.

const REACHED = 1;
const REUSED = 2;
const COLUMNS = [
  "parent", "key", "name", "state", "flags", "since", "end", "due", "attempts", "done", "total",
  "extra",
];

class Store {
  constructor() {
    this.listeners = new Set();
    this.rev = -1;
    this.load({ rev: -1, states: [], shapes: [], unreached: [], head: {}, base: 0, columns: [] });
  }

  /** Load a complete snapshot. */
  load(snap) {
    this.states = snap.states;
    this.shapes = snap.shapes;
    this.code = Object.fromEntries(snap.states.map((word, code) => [word, code]));
    this.unreachedWords = snap.unreached;
    this.base = snap.base;
    this.rev = snap.rev;
    COLUMNS.forEach((name, at) => { this[name] = snap.columns[at] ?? []; });
    this.kids = [];
    this.roots = [];
    this.depth = [];
    this.path = [];
    for (let i = 0; i < this.parent.length; i++) this._hang(i);
    this._setHead(snap.head);
    this.version = (this.version ?? 0) + 1; // grows when rows are added, removed or moved
    this._tell(null);
  }

  /** Apply a patch. Return false if an earlier patch is missing. */
  patch(patch) {
    if (patch.rev <= this.rev) return true; // a newer snapshot already contains it
    if (patch.rev !== this.rev + 1) return false;
    this.rev = patch.rev;
    const changed = [];
    for (const [i, ...cells] of patch.tasks) {
      const known = i < this.parent.length;
      if (!known || this.state[i] !== cells[3] || this.flags[i] !== cells[4]) this.version++;
      COLUMNS.forEach((name, at) => { this[name][i] = cells[at] ?? null; });
      if (!known) this._hang(i);
      changed.push(i);
    }
    if (patch.head) {
      this._setHead(patch.head);
      this.version++;
    }
    this._tell(changed);
    return true;
  }

  get size() {
    return this.parent.length;
  }

  get underWay() {
    return this.head.status === "running" || this.head.status === "waiting";
  }

  /** Return the words for a task that the latest execution did not reach. */
  get unreached() {
    return this.unreachedWords[this.underWay ? 0 : 1];
  }

  /** Return true if a task has a recorded output. */
  isSuccess(i) {
    return this.state[i] === this.code.completed || this.state[i] === this.code.skipped;
  }

  /** Return the kernel's current time, in milliseconds since the run began. */
  now() {
    return (this.stopped ?? Date.now()) - this.skew - this.base;
  }

  /** Stop the clock at an instant: the kernel is silent. Without one, let it go on. */
  stopClock(ms) {
    this.stopped = ms;
    this._tell(null);
  }

  /** Show what ran as interrupted: the kernel is gone, and nothing runs any more. */
  interrupt() {
    this.interrupted = true;
    this.head = { ...this.head, status: "interrupted", finished: this.now(), resume: null };
    this.version++;
    this._tell(null);
  }

  /** Return the code of the state to show; `reused` is true if an ancestor was reused. */
  shown(i, reused) {
    let state = this.state[i];
    if (this.interrupted && state === this.code.running) state = this.code.interrupted;
    if (reused || this.flags[i] & REUSED) return state === this.code.completed ? this.code.reused : state;
    return this.flags[i] & REACHED ? state : this.code["not reached"];
  }

  /** Return the summary of each branch and of the run; recompute it if anything has changed. */
  summary() {
    if (this.summed?.version === this.version) return this.summed;
    const n = this.size;
    const counts = new Array(this.states.length).fill(0);
    const state = new Uint8Array(n);
    const reused = new Uint8Array(n);
    const failed = new Uint8Array(n);
    const active = new Uint8Array(n); // runs, waits or failed, or has a subtask that does
    const busy = ["failed", "running", "waiting", "interrupted"].map((word) => this.code[word]);
    let recorded = null;
    for (let i = 0; i < n; i++) {
      const above = this.parent[i] >= 0 && reused[this.parent[i]];
      reused[i] = above || this.flags[i] & REUSED ? 1 : 0;
      state[i] = this.shown(i, above);
      if (busy.includes(state[i])) active[i] = 1;
      if (state[i] === this.code.reused && this.end[i] !== null) {
        recorded = recorded === null ? [this.end[i], this.end[i]]
          : [Math.min(recorded[0], this.end[i]), Math.max(recorded[1], this.end[i])];
      }
      if (this.head.noun !== "run" || this.parent[i] >= 0) counts[state[i]]++; // not the jobs
    }
    for (let i = n - 1; i >= 0; i--) {
      if (state[i] === this.code.failed) failed[i] = 1;
      if (failed[i] && this.parent[i] >= 0) failed[this.parent[i]] = 1;
      if (active[i] && this.parent[i] >= 0) active[this.parent[i]] = 1;
    }
    const progress = this._progress(state);
    this.summed = { version: this.version, counts, state, reused, failed, active, recorded, progress };
    return this.summed;
  }

  /** Return the progress of the run in tasks, as `run_progress` of `progress.py`. */
  _progress(state) {
    const unreached = this.code["not reached"];
    const complete = this.head.status === "completed";
    let done = 0;
    let known = 0;
    let toCome = 0;
    let isTotalKnown = !this.underWay;
    for (let i = 0; i < this.size; i++) {
      if (complete && state[i] === unreached) continue;
      known++;
      if (this.isSuccess(i)) done++;
      else if (this.total[i] !== null && this._countsSubtasks(i)) {
        toCome += this.total[i] - this.kids[i].length;
        isTotalKnown = true;
      }
      if (state[i] === unreached) isTotalKnown = true;
    }
    return { done, total: isTotalKnown ? known + toCome : null, toCome };
  }

  /** Return true if the progress of a task counts its subtasks, as that of a map does. */
  _countsSubtasks(i) {
    const kids = this.kids[i];
    if (this.done[i] === null || !kids.length || kids.length > this.total[i]) return false;
    const { failed, canceled } = this.code;
    let ended = 0;
    for (const kid of kids) if (this.isSuccess(kid) || this.state[kid] === failed || this.state[kid] === canceled) ended++;
    return ended >= this.done[i];
  }

  _hang(i) {
    const parent = this.parent[i];
    this.kids[i] = [];
    this.depth[i] = parent < 0 ? 0 : this.depth[parent] + 1;
    this.path[i] = (parent < 0 ? "" : `${this.path[parent]}\u001f`) + this.key[i];
    (parent < 0 ? this.roots : this.kids[parent]).push(i);
  }

  _setHead(head) {
    this.head = head;
    // The browser's clock may differ from the kernel's. The message's delay is too short to matter.
    if (head.now !== undefined) this.skew = Date.now() - head.now;
  }

  _tell(changed) {
    for (const listener of this.listeners) listener(changed);
  }
}
