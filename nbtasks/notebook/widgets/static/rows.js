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

function set(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== `${value}`) node.setAttribute(name, value);
}

class Row {
  constructor(parent) {
    this.node = element("div", "nbt-row", parent);
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
    this.node.style.transform = `translateY(${at * ROW}px)`;
    this.label.style.paddingLeft = `${4 + Math.min(row.depth, 12) * 16}px`;
    set(this.node, "id", `${view.id}-${at}`);
    set(this.node, "aria-level", row.depth + 1);
    if (row.i === undefined) this._drawFold(store, row);
    else this._drawTask(view, row);
    const chosen = at === view.cursor;
    this.node.classList.toggle("nbt-chosen", chosen);
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
    say(this.key, store.key[i]);
    say(this.name, `${extra.icon ?? ""}${store.name[i] ?? ""}`);
    this.bar.hidden = !progress || progress.share === null || Boolean(extra.error);
    if (!this.bar.hidden) this.done.style.width = `${progress.share * 100}%`;
    say(this.notes, extra.error ?? notes.join(" · "));
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
    this.space.setAttribute("role", "none");
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "tree");
    // Otherwise Notebook and JupyterLab would handle the keys.
    this.box.dataset.lmSuppressShortcuts = "true";
    this.free = [];
    this.drawn = new Map();
  }

  /** Draw the visible rows: all of them, or only those `changed`. */
  draw(rows, changed) {
    const height = `${rows.length * ROW}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + SPARE);
    for (const [at, row] of this.drawn) {
      if (at >= first && at < last) continue;
      row.node.hidden = true;
      this.free.push(row);
      this.drawn.delete(at);
    }
    for (let at = first; at < last; at++) {
      let row = this.drawn.get(at);
      if (row && changed && !changed.has(rows[at].i)) continue;
      if (!row) {
        row = this.free.pop() ?? new Row(this.space);
        row.node.hidden = false;
        this.drawn.set(at, row);
      }
      row.draw(this.view, rows[at], at);
    }
  }

  /** Scroll a row into view. */
  reveal(at) {
    const { box } = this;
    if (at * ROW < box.scrollTop) box.scrollTop = at * ROW;
    else if ((at + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (at + 1) * ROW - box.clientHeight;
  }
}
