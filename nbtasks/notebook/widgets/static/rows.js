// The visible rows, and only those: their elements are recycled.

const ROW = 22; // pixels, as in tree.css
const SPARE = 6; // rows drawn above and below the visible ones
let trees = 0;

function element(name, className, parent) {
  const made = document.createElement(name);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

/** Set a text only if it has changed: most of a row stays the same. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Keep the keys that an element hears from Notebook and JupyterLab, which look at it only. */
function ownsKeys(node) {
  node.dataset.lmSuppressShortcuts = "true";
}

function set(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== `${value}`) node.setAttribute(name, value);
}

/** Return what a row is called: a task by its key, a run by its job. */
function labelOf(store, i) {
  return store.extra[i]?.label ?? store.key[i];
}

class Row {
  constructor() {
    this.node = element("div", "nbt-row");
    this.node.setAttribute("role", "treeitem");
    this.label = element("div", "nbt-label", this.node);
    this.twist = element("span", "nbt-twist", this.label);
    this.shape = element("i", "", this.label);
    this.twist.ariaHidden = this.shape.ariaHidden = "true";
    this.key = element("code", "", this.label);
    this.name = element("small", "", this.label);
    this.bar = element("span", "nbt-progress", this.node);
    this.done = element("span", "", this.bar);
    this.notes = element("em", "", this.node);
    this.lane = element("div", "nbt-lane", this.node);
    this.lane.ariaHidden = "true";
    this.word = element("span", "nbt-word", this.node);
    this.time = element("time", "", this.node);
  }

  /** Show a task or a fold. */
  draw(view, row, at) {
    const { store, choices } = view;
    this.at = at;
    this.node.style.transform = `translateY(${view.rows.top(at)}px)`;
    this.label.style.paddingLeft = `${4 + Math.min(row.depth, 12) * 16}px`;
    set(this.node, "id", `${view.id}-${at}`);
    set(this.node, "aria-level", row.depth + 1);
    if (row.i === undefined) this._drawFold(store, row);
    else this._drawTask(view, row);
    const chosen = at === view.cursor;
    this.node.classList.toggle("nbt-chosen", chosen);
    set(this.node, "aria-details", at === view.details.gap.at ? view.details.node.id : null);
    set(this.node, "aria-selected", row.i !== undefined && choices.chosen === store.path[row.i]);
  }

  _drawTask(view, row) {
    const { store } = view;
    const { i } = row;
    const shown = store.states[store.summary().state[i]];
    const reached = shown !== "not reached";
    const state = reached ? shown : store.states[store.state[i]];
    const extra = store.extra[i] ?? {};
    const progress = progressOf(store, i);
    const notes = notesOf(store, i, shown, row.open);
    if (progress) notes.unshift(progress.words);
    this._look(state);
    this.node.classList.toggle("nbt-dim", !reached);
    say(this.twist, store.kids[i].length ? (row.open ? "▾" : "▸") : "");
    say(this.shape, store.shapes[store.code[state]]);
    say(this.key, labelOf(store, i));
    say(this.name, extra.beside ?? `${extra.icon ?? ""}${store.name[i] ?? ""}`);
    this.bar.hidden = !progress || progress.share === null || Boolean(extra.error);
    if (!this.bar.hidden) this.done.style.width = `${progress.share * 100}%`;
    const runs = store.head.noun === "run"; // of a run, also when it failed
    say(this.notes, runs ? [...notes, extra.error].filter(Boolean).join(" · ") : extra.error ?? notes.join(" · "));
    this.notes.classList.toggle("nbt-error", Boolean(extra.error));
    set(this.node, "title", titleOf(store, i, state, [extra.error, ...notes]));
    say(this.word, state);
    say(this.time, timeOf(store, i));
    set(this.node, "aria-setsize", row.of);
    set(this.node, "aria-posinset", row.place);
    set(this.node, "aria-expanded", store.kids[i].length ? row.open : null);
    if (view.timeline) view.timeline.bars(this.lane, i, state);
  }

  _drawFold(store, row) {
    this._look("fold");
    say(this.twist, "▸");
    say(this.shape, "");
    say(this.key, foldLabel(store, row.counts));
    this.node.classList.remove("nbt-dim");
    for (const node of [this.name, this.notes, this.word, this.time]) say(node, "");
    this.bar.hidden = true;
    this.lane.replaceChildren();
    for (const name of ["aria-setsize", "aria-posinset", "title"]) set(this.node, name, null);
    set(this.node, "aria-expanded", false);
  }

  _look(state) {
    const look = `nbt-${state.replace(" ", "-")}`;
    if (this.seen === look) return;
    if (this.seen) this.node.classList.remove(this.seen);
    this.node.classList.add(look);
    this.seen = look;
  }
}

/** Return what pointing at a row shows: its error and notes in full, and its exact times. */
function titleOf(store, i, state, lines) {
  const [since, end] = [store.since[i], store.end[i]].map((ms) => (ms === null ? null : exact(store.base + ms)));
  const verb = state === "reused" ? "recorded" : "ended";
  return [...lines, since && `started ${since}`, end && `${verb} ${end}`].filter(Boolean).join("\n") || null;
}

/** The scrolling list of rows. */
class Rows {
  constructor(view, parent) {
    this.view = view;
    this.box = element("div", "nbt-scroll", parent);
    this.space = element("div", "nbt-space", this.box);
    this.space.tabIndex = 0;
    this.space.setAttribute("role", "tree");
    ownsKeys(this.space);
    this.free = [];
    this.drawn = new Map();
    this.gap = { at: -1, height: 0 }; // for details below a row
  }

  /** Return where a row is, in pixels from the top of the list. */
  top(at) {
    const { gap } = this;
    return at * ROW + (gap.at >= 0 && at > gap.at ? gap.height : 0);
  }

  /** Return the number of whole rows above a place in the list. */
  above(y) {
    const { gap } = this;
    const below = (gap.at + 1) * ROW;
    return Math.floor((gap.at >= 0 && y > below ? Math.max(below, y - gap.height) : y) / ROW);
  }

  /** Draw the visible rows: all of them, or only those `changed`. */
  draw(rows, changed) {
    const height = `${this.top(rows.length)}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    const first = Math.max(0, this.above(this.box.scrollTop) - SPARE);
    const last = Math.min(rows.length, this.above(this.box.scrollTop + this.box.clientHeight) + 1 + SPARE);
    for (const [at, row] of this.drawn) {
      if (at >= first && at < last) continue;
      row.node.remove();
      this.free.push(row);
      this.drawn.delete(at);
    }
    for (let at = first; at < last; at++) {
      let row = this.drawn.get(at);
      if (row && changed && !changed.has(rows[at].i)) continue;
      if (!row) {
        row = this.free.pop() ?? new Row();
        this.drawn.set(at, row);
      }
      row.draw(this.view, rows[at], at);
    }
    this._sort(first, last);
  }

  /** Put the elements in the order of the rows, in which a screen reader goes through them. */
  _sort(first, last) {
    let below = null;
    for (let at = last - 1; at >= first; at--) {
      const { node } = this.drawn.get(at);
      if (node.parentNode !== this.space || node.nextSibling !== below) this.space.insertBefore(node, below);
      below = node;
    }
  }

  /** Scroll a row into view. */
  reveal(at) {
    const { box } = this;
    const top = this.top(at);
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
  }
}
