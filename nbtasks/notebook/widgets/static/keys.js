// Keys that a tree hears, as in the ARIA practices.

const TYPED = 1000; // milliseconds until the next letter begins another word

class Keys {
  constructor(view) {
    this.view = view;
    this.typed = "";
    view.rows.space.addEventListener("keydown", (event) => this.hear(event));
  }

  dispose() {
    clearTimeout(this.typing);
  }

  hear(event) {
    const { view } = this;
    if (event.altKey || event.metaKey || (event.ctrlKey && event.key !== "Home" && event.key !== "End")) return;
    if (!(view.timeline?.key(event) || this._move(event.key) || this._type(event))) return;
    event.preventDefault();
    event.stopPropagation();
    view.part.unfollow();
  }

  _move(key) {
    const { view } = this;
    const { cursor, details, rowsAre: rows } = view;
    const row = rows[cursor];
    const page = Math.max(1, Math.floor((view.rows.box.clientHeight - details.gap.height) / ROW) - 1);
    const steps = {
      ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length,
    };
    if (key in steps) view.choose(Math.max(0, Math.min(rows.length - 1, cursor + steps[key])));
    else if (key === "Escape" && view.choices.opened !== null) details.close();
    else if (key === "Enter" && row?.i !== undefined) details.toggle(row.i, { focus: true });
    else if (key === "Enter" || key === " ") row && view.toggle(row);
    else if (key === "ArrowRight") {
      if (row?.open === false || row?.fold !== undefined) view.toggle(row);
      else if (row?.open) view.choose(cursor + 1);
    } else if (key === "ArrowLeft") {
      if (row?.open) view.toggle(row);
      else if (row?.depth) view.choose(rows.findLastIndex((other, at) => at < cursor && other.depth < row.depth));
    } else if (key === "*") this._openSiblings();
    else return false;
    return true;
  }

  /** Open all tasks beside the current one, as `*` does in trees. */
  _openSiblings() {
    const { view } = this;
    const { store, choices } = view;
    const { i } = view.rowsAre[view.cursor] ?? {};
    if (i === undefined) return;
    const siblings = store.parent[i] < 0 ? store.roots : store.kids[store.parent[i]];
    for (const one of siblings) if (store.kids[one].length) choices.open.set(store.path[one], true);
    choices.version++;
    view.redraw();
    view.part.save();
  }

  /** Go to the next row whose key begins with what is being typed. */
  _type({ key, ctrlKey }) {
    if (key.length !== 1 || key === " " || ctrlKey) return false;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => { this.typed = ""; }, TYPED);
    this.typed += key.toLowerCase();
    const { store, cursor, rowsAre: rows } = this.view;
    const from = cursor + (this.typed.length > 1 ? 0 : 1);
    for (let n = 0; n < rows.length; n++) {
      const at = (Math.max(0, from) + n) % rows.length;
      const { i } = rows[at];
      if (i === undefined || !labelOf(store, i).toLowerCase().startsWith(this.typed)) continue;
      this.view.choose(at);
      break;
    }
    return true;
  }
}
