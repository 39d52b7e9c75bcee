// Where a person who looks elsewhere sees how a run goes: the title of the tab, and a notification.

const LONG_RUN = 60_000; // milliseconds; the end of a shorter run is not announced
const KEPT = "nbtasks-notify"; // name in the browser's storage
const PACE = 1000; // milliseconds between two titles

/** Title of the tab, with the latest of the runs under way before the front end's own title. */
class TabTitle {
  constructor() {
    this.runs = new Map(); // words by run
    this.mark = "";
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      for (const [run, { ended }] of this.runs) if (ended) this.runs.delete(run);
      this.draw();
    });
  }

  /** Show words for a run; without words, none. Those of a run that has ended stay until the tab is seen. */
  set(run, words, ended = false) {
    if (words && !(ended && !document.hidden)) this.runs.set(run, { words, ended });
    else this.runs.delete(run);
    this.draw();
  }

  draw() {
    const { title } = document;
    const own = this.mark && title.startsWith(this.mark) ? title.slice(this.mark.length) : title;
    const latest = [...this.runs.values()].at(-1);
    this.mark = latest ? `${latest.words} – ` : "";
    if (title !== this.mark + own) document.title = this.mark + own;
  }
}

function tabTitle() {
  return (globalThis.__nbtasksTitle ??= new TabTitle());
}

/** What is said of one run outside its tree. A hidden page draws no frames, so it does not wait for one. */
class Announcer {
  constructor(store) {
    this.store = store;
    this.ran = false;
    this.notifies = false;
    store.listeners.add(() => this.hear());
  }

  hear() {
    const { head } = this.store;
    if (!head.title || head.noun === "run") return;
    if (this.store.underWay) {
      this.ran = true;
      this.later ??= setTimeout(() => this._progress(), PACE);
    } else if (this.ran) {
      this.ran = false;
      tabTitle().set(this, `${this._shape()} ${head.title}`, true);
      this._notify();
    }
  }

  /** Say nothing more of the run: the page does not show it any more. */
  leave() {
    clearTimeout(this.later);
    this.later = null;
    tabTitle().set(this, "");
  }

  _progress() {
    const { store } = this;
    this.later = null;
    if (!store.underWay) return;
    const progress = progressWords(store, store.summary().progress);
    tabTitle().set(this, [this._shape(), progress, store.head.title].filter(Boolean).join(" "));
  }

  _shape() {
    return this.store.shapes[this.store.code[this.store.head.status]];
  }

  _notify() {
    const { store } = this;
    const { head } = store;
    const took = (head.finished ?? store.now()) - head.execution;
    if (!this.notifies || took < LONG_RUN || globalThis.Notification?.permission !== "granted") return;
    const body = [progressWords(store, store.summary().progress), age(took), head.error].filter(Boolean).join(" · ");
    new Notification(`${head.title} ${head.status}`, { body, tag: `nbtasks ${head.facts}` });
  }
}

/** Return whether this browser's user has asked for notifications. */
function wantsNotifications() {
  return globalThis.Notification?.permission === "granted" && localStorage.getItem(KEPT) === "yes";
}

/** Remember whether to notify; ask the browser for its permission. Return whether it is given. */
async function askForNotifications(on) {
  localStorage.setItem(KEPT, on ? "yes" : "no");
  if (!on || !globalThis.Notification) return false;
  return (await Notification.requestPermission()) === "granted";
}
