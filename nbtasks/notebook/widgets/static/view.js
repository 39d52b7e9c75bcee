// View of the tree in one place of the page: its head, its rows, and the keys and clicks it handles.

const TICK = 500; // milliseconds between two updates of running times
const CALM = 250; // milliseconds between two reorderings of the rows
const AGES = 60; // ticks between two updates of what is "2 min ago" in a run that has ended

class View {
  constructor(store, choices, part, parent) {
    this.store = store;
    this.choices = choices;
    this.part = part; // callbacks of the widget: save, open, close, act, unfollow, attempts, interrupt
    this.id = `nbtasks-tree-${++trees}`;
    this.cursor = -1;
    this.rowsAre = [];
    this.top = choices.top;
    this.gone = new AbortController();
    this.node = element("div", "nbtasks-tree nbtasks-widget", parent);
    this.node.classList.toggle("nbt-runs", store.head.noun === "run");
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
    this.filters = store.head.noun === "run" ? new RunFilters(this, this.node) : null;
    this.rows = new Rows(this, this.node);
    this.details = new Details(this, this.rows.box);
    this.keys = new Keys(this);
    this._listen();
    this.draw(null);
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
    this.controls?.dispose();
    this.keys.dispose();
    this.details.dispose();
    this.node.remove();
  }

  /** Draw before the next frame: all rows (null), or only those `changed`. */
  draw(changed) {
    if (changed === null) this.pending = null;
    else if (this.pending !== null) this.pending = new Set([...(this.pending ?? []), ...changed]);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const { box } = this.rows;
      if (!box.clientHeight) {
        this._wait();
        return;
      }
      const moved = this.placed && box.scrollTop !== this.top; // as a list that left the page has
      const { pending } = this;
      this.pending = undefined;
      this.waits = false;
      this._draw(pending);
      if (!moved) return;
      box.scrollTop = this.top;
      this.top = box.scrollTop; // fewer rows may be there now
    });
  }

  /** Draw all of it once it can be seen: of a list without a height nothing can be measured. */
  _wait() {
    this.pending = null;
    if (this.waits) return; // until its size changes
    this.waits = true;
    this.redraw(); // hidden between two frames only, as in a change of theme, it has kept its size
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
      const stops = event.target.closest(".nbtasks-interrupts");
      if (stops?.closest(".nbtasks-panel") === panel) this.part.interrupt();
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
    const { gap } = this.details;
    this.details.draw(this.rowsAre);
    if (this.details.gap.at !== gap.at || this.details.gap.height !== gap.height) changed = null;
    this.rows.draw(this.rowsAre, changed && new Set(changed));
    set(this.rows.space, "aria-activedescendant", this.rows.drawn.has(this.cursor) ? `${this.id}-${this.cursor}` : null);
    if (this.choices.follow && store.underWay) this._follow();
    this.details.showFailure();
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
    say(this.facts, runs ? "Choose a run to see its tasks below it; Esc or another click closes it." : head.facts);
    const now = store.base + store.now();
    const remark = head.resume === null ? head.error
      : `resumes ${local(store.base + head.resume, now)} (${dueIn(head.resume - store.now())})`;
    say(this.error, remark ?? "");
    set(this.error, "title", head.resume === null ? null : exact(store.base + head.resume));
    this.error.className = head.resume === null ? "nbt-error" : "nbt-facts";
    set(this.rows.space, "aria-label", `${head.noun === "run" ? "Runs" : "Tasks"} of ${head.title}`);
    this.filters?.draw();
    this.bar.replaceChildren();
    counts.forEach((count, code) => {
      if (!count) return;
      const part = element("i", `nbt-${store.states[code].replace(" ", "-")}`, this.bar);
      part.style.flexGrow = count;
    });
  }

  _listen() {
    const { box, space } = this.rows;
    box.addEventListener("scroll", () => {
      if (!box.clientHeight) return; // hidden
      this.top = box.scrollTop;
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
    space.addEventListener("focus", () => {
      if (this.cursor >= 0 || !space.matches(":focus-visible")) return;
      this.cursor = 0; // who comes by keys sees, and hears, where they are
      this.redraw();
    });
    space.addEventListener("click", (event) => {
      const node = event.target.closest(".nbt-row");
      const row = [...this.rows.drawn.values()].find((drawn) => drawn.node === node);
      space.focus({ preventScroll: true }); // otherwise Notebook takes the focus
      if (!row) return;
      const task = this.rowsAre[row.at];
      this.choose(row.at);
      if (task.i === undefined || event.target.classList.contains("nbt-twist") || event.detail === 2) this.toggle(task);
      else this.details.toggle(task.i);
    });
    // The view may be created before it is in the page, when it has no height yet.
    this.sized = new ResizeObserver(() => {
      if (!this.placed && box.clientHeight) {
        this.placed = true;
        this.setMore(this.more);
        this._listenToStop();
        const panel = this.node.closest(".nbtasks-panel");
        if (panel) this.controls = new Controls(panel, this.store.head.title);
      }
      this.redraw();
    });
    this.sized.observe(box);
  }

  /** Move the cursor to a row. */
  choose(at) {
    const row = this.rowsAre[at];
    if (!row) return;
    this.cursor = at;
    this.rows.reveal(at);
    if (row.i !== undefined) this.choices.chosen = this.store.path[row.i];
    this.redraw();
    this.part.save();
  }

  /** Open or close what is below a row. */
  toggle(row) {
    const { store, choices } = this;
    if (row.i === undefined) choices.pages.set(row.fold, (choices.pages.get(row.fold) ?? 0) + 1);
    else if (store.kids[row.i].length) choices.open.set(store.path[row.i], !row.open);
    choices.version++;
    this.redraw();
    this.part.save();
  }
}
