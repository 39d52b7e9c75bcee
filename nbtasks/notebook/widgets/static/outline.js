// Rows of the tree, from top to bottom: tasks, and folds in place of a parent's many subtasks.

const FEW = 10; // a tree of at most this many tasks folds nothing
const SMALL = 60; // a tree of at most this many tasks is expanded once the run has ended
const FAN = 40; // a parent with more subtasks than this has a fold
const FIRST = 20; // subtasks shown before the fold
const PAGE = 100; // further subtasks that each click on the fold shows

/**
 * View state of a person: rows opened and closed, the chosen task, filters. It outlives the view
 * and, through the kernel, the page, so it identifies tasks by path.
 */
class Choices {
  constructor(kept) {
    this.open = new Map(Object.entries(kept.open ?? {}));
    this.pages = new Map(Object.entries(kept.pages ?? {}));
    this.chosen = kept.chosen ?? null;
    this.opened = kept.opened ?? null; // the task whose details are open
    this.failure = kept.failure ?? null; // the end of the failed execution that opened them by itself
    this.failed = kept.failed ?? null; // the task that it opened
    this.top = kept.top ?? 0;
    this.text = "";
    this.state = "";
    this.job = ""; // of a list of runs
    this.all = null;
  }

  record() {
    return {
      open: Object.fromEntries(this.open),
      pages: Object.fromEntries(this.pages),
      chosen: this.chosen,
      opened: this.opened,
      failure: this.failure,
      failed: this.failed,
      top: Math.round(this.top),
    };
  }

  isOpen(store, i, { failed, active }) {
    const said = this.open.get(store.path[i]);
    if (said !== undefined) return said;
    if (this.all !== null) return this.all;
    if (store.size <= FEW) return true;
    if (foldsEnded(store)) return Boolean(active[i]);
    return store.size <= SMALL || store.depth[i] === 0 || Boolean(failed[i]);
  }
}

/** Return the tasks that pass the filter, with all their ancestors; null for all tasks. */
function matching(store, choices) {
  const text = choices.text.trim().toLowerCase();
  if (!text && !choices.state && !choices.job) return null;
  const { state } = store.summary();
  const left = new Uint8Array(store.size);
  for (let i = store.size - 1; i >= 0; i--) {
    const extra = store.extra[i] ?? {};
    const fits = (!choices.state || store.states[state[i]] === choices.state) && (!choices.job || extra.job === choices.job);
    const said = `${store.path[i].replaceAll("\u001f", "/")} ${store.name[i] ?? ""} ${extra.error ?? ""}`;
    if (fits && said.toLowerCase().includes(text)) left[i] = 1;
    if (left[i] && store.parent[i] >= 0) left[store.parent[i]] = 1;
  }
  return left;
}

/** Return true while branches that have ended are folded, so that what runs is in sight. */
function foldsEnded(store) {
  return store.underWay && store.size > FEW && store.head.noun !== "run";
}

/** Return the number of tasks in each state, of these tasks and all below them. */
function countAll(store, tasks, state) {
  const counts = new Array(store.states.length).fill(0);
  const add = (kids) => {
    for (const i of kids) {
      counts[state[i]]++;
      if (store.kids[i].length) add(store.kids[i]);
    }
  };
  add(tasks);
  return counts;
}

/** Return the rows: {i, depth, place, of, open} of a task; {fold, depth, counts} of a fold. */
function outline(store, choices) {
  const summary = store.summary();
  const { state, active } = summary;
  const left = matching(store, choices);
  const hidesEnded = foldsEnded(store) && !left && choices.all === null;
  const isRuns = store.head.noun === "run";
  const rows = [];
  const stack = [];
  const push = (above, kids, depth) => {
    let shown = left ? kids.filter((kid) => left[kid]) : kids;
    if (isRuns) shown = [...shown].reverse(); // the latest first
    const of = shown.length;
    const name = above < 0 ? "" : store.path[above];
    const fold = (key, tasks) => ({ fold: key, depth, counts: countAll(store, tasks, state) });
    let ended = null;
    let rest = null;
    if (hidesEnded && !choices.pages.get(endedOf(name))) {
      const done = shown.filter((kid) => !active[kid]);
      if (done.length > 1) {
        ended = fold(endedOf(name), done);
        shown = shown.filter((kid) => active[kid]);
      }
    }
    if (shown.length > FAN) {
      const room = FIRST + PAGE * (choices.pages.get(name) ?? 0);
      const isFirst = (kid) => (hidesEnded ? active[kid] : state[kid] === store.code.failed);
      const first = shown.filter(isFirst);
      if (first.length && !isRuns) shown = first.concat(shown.filter((kid) => !isFirst(kid)));
      if (shown.length > room) rest = fold(name, shown.slice(room));
      shown = shown.slice(0, room);
    }
    if (rest) stack.push(rest);
    for (let at = shown.length - 1; at >= 0; at--) stack.push({ i: shown[at], depth, place: at + 1, of });
    if (ended) stack.push(ended);
  };
  push(-1, store.roots, 0);
  while (stack.length) {
    const row = stack.pop();
    rows.push(row);
    if (row.i === undefined || !store.kids[row.i].length) continue;
    row.open = left ? choices.open.get(store.path[row.i]) ?? true : choices.isOpen(store, row.i, summary);
    if (row.open) push(row.i, store.kids[row.i], row.depth + 1);
  }
  return rows;
}

/** Return the name of the fold of a task's ended subtasks: no task has such a path. */
function endedOf(path) {
  return `${path}\u001f`;
}
