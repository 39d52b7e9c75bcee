// State of the widget: the tasks of a run as columns, as `nbtasks.views.tree.snapshot` sends them.
//
// A task is identified by its index. Its parent precedes it, so one backward pass summarizes all
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
    const { code, size: n } = this;
    const counts = new Array(this.states.length).fill(0);
    const state = new Uint8Array(n);
    const reused = new Uint8Array(n);
    const failed = new Uint8Array(n);
    const active = new Uint8Array(n); // runs, waits or failed, or has a subtask that does
    const reusedKids = new Uint32Array(n); // answered from the journal
    const endedKids = new Uint32Array(n);
    const busy = this._table("failed", "running", "waiting", "interrupted");
    const ended = this._table("completed", "skipped", "failed", "canceled");
    let first = Infinity; // of the instants at which reused tasks were recorded
    let last = -Infinity;
    for (let i = 0; i < n; i++) {
      const above = this.parent[i];
      const isBelowReused = above >= 0 && reused[above];
      const isReused = this.flags[i] & REUSED;
      reused[i] = isBelowReused || isReused ? 1 : 0;
      state[i] = this.shown(i, isBelowReused);
      active[i] = busy[state[i]];
      if (state[i] === code.failed) failed[i] = 1;
      if (state[i] === code.reused && this.end[i] !== null) {
        if (this.end[i] < first) first = this.end[i];
        if (this.end[i] > last) last = this.end[i];
      }
      if (above >= 0) {
        if (isReused) reusedKids[above]++;
        endedKids[above] += ended[this.state[i]];
      }
      counts[state[i]]++;
    }
    for (let i = n - 1; i >= 0; i--) {
      const above = this.parent[i];
      if (above < 0) continue;
      if (failed[i]) failed[above] = 1;
      if (active[i]) active[above] = 1;
    }
    const recorded = first <= last ? [first, last] : null;
    const progress = this._progress(state, endedKids);
    this.summed = { version: this.version, counts, state, reused, failed, active, reusedKids, recorded, progress };
    return this.summed;
  }

  /** Return a table that is 1 for the codes of these states. */
  _table(...words) {
    const table = new Uint8Array(this.states.length);
    for (const word of words) table[this.code[word]] = 1;
    return table;
  }

  /** Return the progress of the run in tasks, as `run_progress` of `progress.py`. */
  _progress(state, endedKids) {
    const unreached = this.code["not reached"];
    const success = this._table("completed", "skipped");
    const complete = this.head.status === "completed";
    let done = 0;
    let known = 0;
    let toCome = 0;
    let isTotalKnown = !this.underWay;
    for (let i = 0; i < state.length; i++) {
      const isUnreached = state[i] === unreached;
      if (complete && isUnreached) continue;
      known++;
      if (isUnreached) isTotalKnown = true;
      if (success[this.state[i]]) done++;
      else if (this.total[i] !== null && this.done[i] !== null) {
        // The progress of a map counts its subtasks; that of another task does not.
        const kids = this.kids[i].length;
        if (!kids || kids > this.total[i] || endedKids[i] < this.done[i]) continue;
        toCome += this.total[i] - kids;
        isTotalKnown = true;
      }
    }
    return { done, total: isTotalKnown ? known + toCome : null, toCome };
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
