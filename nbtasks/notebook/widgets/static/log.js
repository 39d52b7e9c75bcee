// The log of a task in its details.

/** The log of a task, with a search field. */
class Log {
  constructor(parent) {
    this.node = element("div", "nbt-log", parent);
    this.node.hidden = true;
    const head = element("div", "nbt-actions", this.node);
    say(element("b", "", head), "Log");
    this.search = element("input", "", head);
    this.search.type = "search";
    this.search.placeholder = "search the log";
    this.search.ariaLabel = "Search the log";
    this.count = element("small", "", head);
    this.count.setAttribute("role", "status");
    this.box = element("pre", "", this.node);
    this.box.tabIndex = 0;
    ownsKeys(this.search);
    ownsKeys(this.box);
    this.box.setAttribute("role", "group");
    this.box.ariaLabel = "Lines of the log";
    this.lines = [];
    this.search.addEventListener("input", () => this._filter(0));
    this.follows = true; // the last line is in view
    this.box.addEventListener("scroll", () => {
      this.follows = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < ROW;
    });
    new ResizeObserver(() => this._follow()).observe(this.box); // lines may come while it is hidden
  }

  /** Draw lines of time, level and text; add only what is new. */
  draw(earlier, lines) {
    this.node.hidden = !lines.length;
    this.earlier = earlier;
    const { box } = this;
    const grows = this.lines.length && String(lines[0]) === String(this.lines[0]);
    if (!grows) box.replaceChildren();
    const known = grows ? this.lines.length : 0;
    if (lines.length === known && grows) return;
    for (const [ms, level, text] of lines.slice(known)) {
      const line = element("div", "", box);
      const time = element("time", "", line);
      say(time, clockTime(ms));
      time.title = exact(ms);
      line.append(` ${level.padEnd(7)} `);
      element("span", "", line).textContent = text;
    }
    this.lines = lines;
    this._filter(known);
    this._follow();
  }

  _follow() {
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
  }

  /** Show the lines that have the text of the search field, from one of them on. */
  _filter(from) {
    const wanted = this.search.value.trim().toLowerCase();
    let left = 0;
    [...this.box.children].forEach((line, at) => {
      if (at >= from) {
        line.hidden = Boolean(wanted) && !line.textContent.toLowerCase().includes(wanted);
        mark(line.lastChild, wanted);
      }
      if (!line.hidden) left++;
    });
    const all = plural(this.lines.length, "line");
    const words = wanted ? `${number(left)} of ${all}` : all;
    say(this.count, this.earlier ? `${words}, ${number(this.earlier)} earlier ones are in nb.logs` : words);
  }
}

/** Mark where a line has a text. */
function mark(node, wanted) {
  const text = node.textContent;
  const at = wanted ? text.toLowerCase().indexOf(wanted) : -1;
  if (at < 0) {
    if (node.children.length) node.textContent = text;
    return;
  }
  const found = element("mark", "");
  found.textContent = text.slice(at, at + wanted.length);
  node.replaceChildren(text.slice(0, at), found, text.slice(at + wanted.length));
}
