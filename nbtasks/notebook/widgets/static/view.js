// View of the tree in one place of the page: its head, its rows, and the keys and clicks it handles.

const TICK = 500; // milliseconds between two updates of running times
const CALM = 250; // milliseconds between two reorderings of the rows
const AGES = 60; // ticks between two updates of what is "2 min ago" in a run that has ended

class View {
  constructor(store, choices, part, parent) {
    this.store = store;
    this.choices = choices;
    this.part = part; // callbacks of the widget: save, choose, unfollow, attempts, interrupt
    this.id = `nbtasks-tree-${++trees}`;
    this.cursor = -1;
    this.rowsAre = [];
    this.gone = new AbortController();
    this.node = element("div", "nbtasks-tree nbtasks-widget", parent);
    const run = element("details", "nbt-run", this.node);
    run.open = store.head.noun === "run"; // it says what can be done here
    this.head = element("summary", "nbt-head", run);
    this.facts = element("div", "nbt-facts", run);
    this.counts = element("div", "nbt-facts", this.node);
    this.error = element("div", "nbt-error", this.node);
    this.bar = element("div", "nbt-bar", this.node);
    this.bar.ariaHidden = "true";
    this.title = element("b", "", this.head);
    this.beside = element("small", "", this.head);
    this.state = element("span", "", this.head);
    this.state.setAttribute("role", "status");
    this.progress = element("em", "", this.head);
    this.took = element("time", "", this.head);
    this.above = element("div", "nbt-above", this.node);
    this.rows = new Rows(this, this.node);
    this._listen();
    this.draw(null);
    this.rows.box.scrollTop = choices.top;
    this.ticks = 0;
    this.ticker = setInterval(() => {
      if (this.store.underWay || ++this.ticks % AGES === 0) this.redraw();
    }, TICK);
  }

  dispose() {
    this.gone.abort();
    clearInterval(this.ticker);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    this.sized.disconnect();
    this.node.remove();
  }

  /** Draw before the next frame: all rows (null), or only those `changed`. */
  draw(changed) {
    if (changed === null) this.pending = null;
    else if (this.pending !== null) this.pending = new Set([...(this.pending ?? []), ...changed]);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const { pending } = this;
      this.pending = undefined;
      this._draw(pending);
    });
  }

  redraw() {
    this.draw(null);
  }

  setTimeline(on) {
    if (on === Boolean(this.timeline)) return;
    this.node.classList.toggle("nbt-timeline", on);
    this.above.replaceChildren();
    this.timeline = on ? new Timeline(this, this.above) : null;
    if (on) this.part.attempts();
    this.redraw();
  }

  /** Show or hide the menu, which is a widget of its own in the same panel. */
  setMore(on) {
    this.more = on;
    this.node.closest(".nbtasks-panel")?.classList.toggle("nbt-more", on);
  }

  /** Carry out the panel's Stop in the page, where the kernel is blocked. */
  _listenToStop() {
    const panel = this.node.closest(".nbtasks-panel");
    if (!panel || !this.part.interrupt) return;
    panel.classList.add("nbt-can-interrupt");
    panel.addEventListener("click", (event) => {
      if (event.target.closest(".nbtasks-interrupts")) this.part.interrupt();
    }, { signal: this.gone.signal });
  }

  _draw(changed) {
    const { store } = this;
    const now = performance.now();
    // A run of thousands of tasks is reordered all the time: the reader needs it to hold still.
    const due = store.size < 200 || now - (this.ordered ?? 0) >= CALM;
    if (this.orderedFor !== store.version || this.choicesFor !== this.choices.version) {
      if (due || this.choicesFor !== this.choices.version) {
        this.rowsAre = outline(store, this.choices);
        this.ordered = now;
        this.orderedFor = store.version;
        this.choicesFor = this.choices.version;
        changed = null;
        this._place();
        this._drawHead();
      } else this.later ??= setTimeout(() => { this.later = null; this.redraw(); }, CALM);
    } else if (changed === null) this._drawHead();
    if (this.timeline && changed === null) this.timeline.drawAxis();
    this.rows.draw(this.rowsAre, changed && new Set(changed));
    set(this.rows.box, "aria-activedescendant", this.cursor < 0 ? null : `${this.id}-${this.cursor}`);
    if (this.choices.follow && store.underWay) this._follow();
    this._showFailure();
  }

  /** Bring the first task that failed into sight, once, unless a person has chosen another. */
  _showFailure() {
    const { store, choices } = this;
    if (!this.placed || store.head.status !== "failed" || this.failureShown === store.head.finished) return;
    this.failureShown = store.head.finished;
    if (choices.chosen !== null || choices.top) return;
    const { failed, state } = store.summary();
    const own = (i) => state[i] === store.code.failed && !store.kids[i].some((kid) => failed[kid]);
    const at = this.rowsAre.findIndex((row) => row.i !== undefined && own(row.i));
    const before = this.rows.box.scrollTop;
    if (at >= 0) this.rows.reveal(at);
    this.scrolls = this.rows.box.scrollTop !== before; // by itself, so this is no choice of a person
  }

  /** Move the cursor to the chosen task, which may have moved. */
  _place() {
    const { store, choices } = this;
    const at = this.rowsAre.findIndex((row) => row.i !== undefined && store.path[row.i] === choices.chosen);
    if (at >= 0) this.cursor = at;
    else this.cursor = Math.min(this.cursor, this.rowsAre.length - 1);
  }

  _follow() {
    const { state } = this.store.summary();
    const running = this.rowsAre.findLastIndex((row) => row.i !== undefined && state[row.i] === this.store.code.running);
    if (running >= 0) this.rows.reveal(running);
  }

  _drawHead() {
    const { store } = this;
    const { head } = store;
    const summary = store.summary();
    const { counts } = summary;
    if (!head.title) return;
    this.head.className = `nbt-head nbt-${head.status}`;
    say(this.title, head.title);
    say(this.beside, head.beside);
    const runs = head.noun === "run";
    say(this.state, runs ? "live" : `${store.shapes[store.code[head.status]]} ${head.status}`);
    say(this.progress, runs ? "" : progressWords(store, summary.progress));
    const end = store.underWay ? store.now() : head.finished;
    const took = store.underWay ? soFar : age;
    say(this.took, end === null || runs ? "" : took(end - head.execution));
    const [line, instants] = countsLine(store, summary);
    say(this.counts, line);
    set(this.counts, "title", instants);
    say(this.facts, runs ? "Open a job, and choose a run to see its tasks." : head.facts);
    const now = store.base + store.now();
    const remark = head.resume === null ? head.error
      : `resumes ${local(store.base + head.resume, now)} (${dueIn(head.resume - store.now())})`;
    say(this.error, remark ?? "");
    set(this.error, "title", head.resume === null ? null : exact(store.base + head.resume));
    this.error.className = head.resume === null ? "nbt-error" : "nbt-facts";
    set(this.rows.box, "aria-label", `${head.noun === "run" ? "Runs" : "Tasks"} of ${head.title}`);
    this.bar.replaceChildren();
    counts.forEach((count, code) => {
      if (!count) return;
      const part = element("i", `nbt-${store.states[code].replace(" ", "-")}`, this.bar);
      part.style.flexGrow = count;
    });
  }

  _listen() {
    const { box } = this.rows;
    box.addEventListener("scroll", () => {
      this.redraw();
      if (this.scrolls) {
        this.scrolls = false;
        return;
      }
      this.choices.top = box.scrollTop;
      this.part.save();
    });
    for (const name of ["wheel", "pointerdown"]) box.addEventListener(name, () => this.part.unfollow(), { passive: true });
    box.addEventListener("wheel", (event) => {
      if (this.timeline && event.ctrlKey) this.timeline.wheel(event);
    }, { passive: false });
    box.addEventListener("keydown", (event) => this._key(event));
    box.addEventListener("click", (event) => {
      const node = event.target.closest(".nbt-row");
      const row = [...this.rows.drawn.values()].find((drawn) => drawn.node === node);
      box.focus({ preventScroll: true }); // otherwise Notebook takes the focus
      if (!row) return;
      const task = this.rowsAre[row.at];
      this._choose(row.at);
      if (task.i === undefined || event.target.classList.contains("nbt-twist") || event.detail === 2) this._toggle(task);
    });
    // The view may be created before it is in the page, when it has no height yet.
    this.sized = new ResizeObserver(() => {
      if (!this.placed && box.clientHeight) {
        this.placed = true;
        this.setMore(this.more);
        this._listenToStop();
        box.scrollTop = this.choices.top;
      }
      this.redraw();
    });
    this.sized.observe(box);
  }

  _key(event) {
    if (event.altKey || event.metaKey || (event.ctrlKey && event.key !== "Home" && event.key !== "End")) return;
    if (!(this.timeline?.key(event) || this._move(event.key))) return;
    event.preventDefault();
    event.stopPropagation();
    this.part.unfollow();
  }

  _move(key) {
    const rows = this.rowsAre;
    const row = rows[this.cursor];
    const page = Math.max(1, Math.floor(this.rows.box.clientHeight / ROW) - 1);
    const steps = {
      ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length,
    };
    if (key in steps) this._choose(Math.max(0, Math.min(rows.length - 1, this.cursor + steps[key])));
    else if (key === "Enter" || key === " ") row && this._toggle(row);
    else if (key === "ArrowRight") {
      if (row?.open === false || row?.fold !== undefined) this._toggle(row);
      else if (row?.open) this._choose(this.cursor + 1);
    } else if (key === "ArrowLeft") {
      if (row?.open) this._toggle(row);
      else if (row) this._choose(Math.max(0, rows.findLastIndex((other, at) => at < this.cursor && other.depth < row.depth)));
    } else return false;
    return true;
  }

  _choose(at) {
    const row = this.rowsAre[at];
    if (!row) return;
    this.cursor = at;
    this.rows.reveal(at);
    if (row.i !== undefined) {
      this.choices.chosen = this.store.path[row.i];
      this.part.choose(row.i);
    }
    this.redraw();
    this.part.save();
  }

  _toggle(row) {
    const { store, choices } = this;
    if (row.i === undefined) choices.pages.set(row.fold, (choices.pages.get(row.fold) ?? 0) + 1);
    else if (store.kids[row.i].length) choices.open.set(store.path[row.i], !row.open);
    choices.version++;
    this.redraw();
    this.part.save();
  }
}
