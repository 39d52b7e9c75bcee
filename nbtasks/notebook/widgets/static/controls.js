// Controls above a tree: what assistive technology hears of those that ipywidgets draws, and the
// filters of a list of runs, which are the page's own.

/** The controls of one panel: a toggle says its state, an icon says nothing. */
class Controls {
  constructor(panel, title) {
    this.panel = panel;
    this.title = title;
    this.seen = new WeakSet();
    this.observer = new MutationObserver(() => this.describe());
    this.observer.observe(panel, { childList: true }); // the front end may draw the controls after the tree
    this.describe();
  }

  describe() {
    for (const bar of this.panel.querySelectorAll(":scope > .nbtasks-bar")) {
      if (!this.seen.has(bar)) {
        this.seen.add(bar);
        this.observer.observe(bar, { childList: true, subtree: true, attributeFilter: ["class", "title"] });
        set(bar, "role", "group");
        set(bar, "aria-label", `Controls of ${this.title}`);
      }
      // Each has an empty label of its own, which would be its name.
      for (const field of bar.querySelectorAll("input[title], select[title]")) set(field, "aria-label", field.title);
      for (const icon of bar.querySelectorAll("button > i")) set(icon, "aria-hidden", "true");
      for (const toggle of bar.querySelectorAll("button.widget-toggle-button")) {
        const isOn = toggle.classList.contains("mod-active");
        if (toggle.classList.contains("nbtasks-more")) {
          set(toggle, "aria-expanded", isOn);
          set(toggle, "aria-label", "More controls");
        } else set(toggle, "aria-pressed", isOn);
      }
    }
  }

  dispose() {
    this.observer.disconnect();
  }
}

const SEVERAL = 10; // runs from which on there are filters

/** Filters of a list of runs, by job and by state; they need no kernel. */
class RunFilters {
  constructor(view, parent) {
    this.view = view;
    this.node = element("div", "nbt-actions nbt-filters", parent);
    this.job = this._select("job", "job");
    this.state = this._select("state", "state");
  }

  /** Offer the jobs and the states that there are, each with its number of runs. */
  draw() {
    const { store, choices } = this.view;
    this.node.hidden = store.size < SEVERAL && !choices.job && !choices.state;
    if (this.node.hidden || this.drawnFor === store.version) return;
    this.drawnFor = store.version;
    const jobs = new Map();
    for (const { job, label } of store.extra) {
      const known = jobs.get(job) ?? { label, count: 0 };
      jobs.set(job, { label, count: known.count + 1 });
    }
    const byName = [...jobs].sort((a, b) => a[1].label.localeCompare(b[1].label));
    const { counts } = store.summary();
    const states = store.states.map((word, code) => [word, { label: word, count: counts[code] }]);
    this._offer(this.job, "all jobs", byName, choices.job);
    this._offer(this.state, "any state", states.filter(([word, { count }]) => count || word === choices.state), choices.state);
  }

  _select(name, choice) {
    const label = element("label", "", this.node);
    label.append(`${name} `);
    const select = element("select", "", label);
    ownsKeys(select);
    select.addEventListener("change", () => {
      this.view.choices[choice] = select.value;
      this.view.choices.version++;
      this.view.redraw();
    });
    return select;
  }

  _offer(select, all, offered, chosen) {
    const options = [["", all], ...offered.map(([value, { label, count }]) => [value, `${label} (${number(count)})`])];
    while (select.options.length > options.length) select.lastChild.remove();
    options.forEach(([value, words], at) => {
      const option = select.options[at] ?? element("option", "", select);
      set(option, "value", value);
      say(option, words);
    });
    select.value = chosen;
  }
}
