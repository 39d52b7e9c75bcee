// Details of one row, open in place: directly below it, in the list that scrolls with it.
//
// The kernel sends the card, the lines of the log and the code; a blocked kernel sends them later.

const BUSY = 800; // milliseconds without an answer until the page says that the kernel is busy

/** Copy a text to the clipboard; pages in an insecure context have no clipboard API. */
function copy(text) {
  if (navigator.clipboard) {
    navigator.clipboard.writeText(text);
    return;
  }
  const field = element("textarea", "", document.body);
  field.value = text;
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** Create a button that says what it does; one that copies says that it has. */
function button(parent, word, title, act) {
  const node = element("button", "", parent);
  node.type = "button";
  node.title = title;
  ownsKeys(node);
  say(node, word);
  node.addEventListener("click", () => act(node));
  return node;
}

class Details {
  constructor(view, parent) {
    this.view = view;
    this.gap = { at: -1, height: 0 }; // the row that they are below, and their height
    this.node = element("section", "nbt-details", parent);
    this.node.id = `${view.id}-details`;
    this.node.tabIndex = -1;
    ownsKeys(this.node);
    this.node.hidden = true;
    this.told = element("div", "nbt-unseen", view.node);
    this.told.setAttribute("role", "status");
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // no key is the notebook's
    });
    this.sized = new ResizeObserver(() => this._measure());
    this.sized.observe(this.node);
    this._clear();
  }

  dispose() {
    this.sized.disconnect();
    clearTimeout(this.busy);
    this._clear();
  }

  /** Open the details of a task, or close them. */
  toggle(i, { focus = false } = {}) {
    const { choices, store, part } = this.view;
    if (choices.opened === store.path[i]) this.close();
    else if (part.open) { // a page whose kernel is gone has none
      this._open(i);
      this.announce(`Details of ${labelOf(store, i)} are open below its row; Escape closes them`);
      if (focus) this.focuses = true;
    }
  }

  /** Close them; the focus goes back to their row. */
  close({ focus = true } = {}) {
    const { view } = this;
    const { choices } = view;
    const at = this._place(view.rowsAre);
    choices.opened = null;
    view.part.close();
    view.redraw();
    view.part.save();
    if (!focus) return;
    view.rows.space.focus({ preventScroll: true });
    if (at >= 0) view.choose(at);
    this.announce("Details closed");
  }

  /** Open those of the first task that failed, once, unless a person has chosen another. */
  showFailure() {
    const { view } = this;
    const { store, choices } = view;
    const isOver = store.underWay || (view.placed && store.head.status !== "failed");
    if (isOver && choices.failure !== null) { // the run goes on, or did so while no view was here
      if (choices.opened !== null && choices.opened === choices.failed) this.close({ focus: false });
      choices.failure = choices.failed = null;
    }
    if (!view.placed || store.head.status !== "failed" || choices.failure === store.head.finished) return;
    choices.failure = store.head.finished;
    if (!view.part.open || choices.chosen !== null || choices.opened !== null || choices.top) return;
    const { failed, state } = store.summary();
    const own = (i) => state[i] === store.code.failed && !store.kids[i].some((kid) => failed[kid]);
    const at = view.rowsAre.findIndex((row) => row.i !== undefined && own(row.i));
    if (at < 0) return;
    const { box } = view.rows;
    const before = box.scrollTop;
    view.rows.reveal(at);
    view.scrolls = box.scrollTop !== before; // by itself, so this is no choice of a person
    this._open(view.rowsAre[at].i);
    choices.failed = choices.opened;
  }

  _open(i) {
    const { view } = this;
    view.choices.opened = view.store.path[i];
    view.redraw(); // it asks the kernel
    view.part.save();
  }

  /** Return the number of the row that they belong to; -1 if it is not in the list. */
  _place(rows) {
    const { store, choices, part } = this.view;
    if (choices.opened === null || !part.open) return -1;
    return rows.findIndex((row) => row.i !== undefined && store.path[row.i] === choices.opened);
  }

  /** Place them below their row, if it is in the list. */
  draw(rows) {
    const { opened } = this.view.choices;
    const at = this._place(rows);
    if (this.shown !== opened) this._clear();
    if (at < 0) {
      this.node.hidden = true;
      this._setGap(-1, 0);
      return;
    }
    if (this.shown !== opened) {
      this.shown = opened;
      this._build(rows[at].i);
    }
    this.node.hidden = false;
    this._setGap(at, this.node.offsetHeight);
    this.node.style.transform = `translateY(${(at + 1) * ROW}px)`;
    this._title(rows[at].i);
    if (this.focuses) this.node.focus({ preventScroll: true });
    this.focuses = false;
  }

  /** Show what the kernel has sent, if it is about the row that is open. */
  receive(details) {
    if (this.shown === null || details.place !== this.shown) return;
    clearTimeout(this.busy);
    say(this.wait, "");
    if (details.widget) this._show(details.widget);
    else {
      this.path = details.path;
      this._drawCard(details.html);
      this.log.draw(details.earlier, details.log);
      say(this.code, details.code);
      this.code.parentElement.hidden = !details.code;
    }
  }

  announce(words) {
    say(this.told, words);
  }

  _clear() {
    clearTimeout(this.busy);
    this.shown = null;
    this.widget?.dispose();
    this.widget = null;
    this.parts = [];
    this.node.replaceChildren();
  }

  /** Make what is empty until the kernel answers. */
  _build(i) {
    const runs = this.view.store.head.noun === "run";
    this.node.classList.toggle("nbt-of-run", runs);
    const head = element("div", "nbt-actions", this.node);
    this.title = element("b", "", head);
    this.state = element("span", "", head);
    this.path = null;
    if (!runs) {
      button(head, "Run again from here", "Run this task and all that started after it again", () => this.view.part.act("from"));
      button(head, "Reset", "Run this task again at the next execution", () => this.view.part.act("reset"));
      button(head, "Copy path", "Copy the task's path", (node) => this._copy(node, this.path ?? this.title.textContent));
    }
    const close = button(head, "✕", "Close (Esc)", () => this.close());
    close.ariaLabel = "Close the details";
    this.wait = element("p", "nbt-facts", this.node);
    this.body = element("div", runs ? "" : "nbt-card", this.node);
    if (!runs) {
      this.log = new Log(this.node);
      const code = element("div", "nbt-code", this.node);
      code.hidden = true;
      this.code = element("code", "", code);
      button(code, "Copy", "Copy the code for its output", (node) => this._copy(node, this.code.textContent));
    }
    this._title(i);
    const sent = this.view.part.details();
    if (sent.place === this.shown) {
      this.receive(sent);
      return;
    }
    this.view.part.open(i, this.shown);
    const known = this.view.store.extra[i]?.error;
    say(this.wait, known ?? "");
    this.busy = setTimeout(() => say(this.wait, "The kernel is busy: the details come when it is free."), BUSY);
  }

  _title(i) {
    const { store } = this.view;
    const shown = store.states[store.summary().state[i]];
    const state = shown === "not reached" ? store.states[store.state[i]] : shown; // as its row says
    const path = this.path ?? store.path[i].replaceAll("\u001f", "/");
    const name = store.head.noun === "run" ? `run of ${labelOf(store, i)}` : path;
    say(this.title, store.head.noun === "run" ? "" : path);
    say(this.state, store.head.noun === "run" ? "" : `${store.shapes[store.code[state]]} ${state}`);
    this.state.className = `nbt-${state.replace(" ", "-")}`;
    set(this.node, "aria-label", `Details of ${name}, ${state}`);
  }

  /** Replace the parts of the card that have changed; what a person opened or scrolled stays so. */
  _drawCard(html) {
    const fresh = element("template", "");
    fresh.innerHTML = html;
    const parts = [...fresh.content.children];
    parts.forEach((part, at) => {
      const text = part.outerHTML;
      const old = this.body.children[at];
      if (this.parts[at] === text) return;
      this.parts[at] = text;
      for (const time of part.querySelectorAll("time[data-nbt-ms]")) {
        const ms = Number(time.dataset.nbtMs);
        say(time, `${local(ms, Date.now())}:${clockTime(ms).slice(6)}`);
      }
      for (const code of part.querySelectorAll("pre[data-nbt-copy]")) {
        const bar = element("div", "nbt-code");
        code.before(bar);
        button(bar, "Copy", "Copy this code", (node) => this._copy(node, code.textContent));
      }
      if (old) {
        const opened = [...old.querySelectorAll("details")].map((one) => one.open);
        part.querySelectorAll("details").forEach((one, n) => { one.open = opened[n] ?? false; });
        old.replaceWith(part);
      } else this.body.append(part);
    });
    this.parts.length = parts.length;
    while (this.body.children.length > this.parts.length) this.body.lastChild.remove();
  }

  /** Draw another widget, such as the panel of a run. */
  async _show(id) {
    if (this.body.dataset.nbtWidget === id) return;
    this.body.dataset.nbtWidget = id;
    this.widget?.dispose();
    this.body.replaceChildren();
    this.widget = await drawWidget(this.view.part.manager, id, this.body);
  }

  _copy(node, text) {
    copy(text);
    const word = node.textContent;
    say(node, "Copied");
    this.announce(`Copied: ${text}`);
    setTimeout(() => say(node, word), 1500);
  }

  _setGap(at, height) {
    if (this.gap.at === at && this.gap.height === height) return;
    this.gap = { at, height };
    this.view.rows.gap = this.gap;
    this.view.rows.box.style.setProperty("--nbt-gap", `${height}px`);
  }

  _measure() {
    if (!this.node.hidden && this.node.offsetHeight !== this.gap.height) this.view.redraw();
  }
}
