// The widget: one store, one set of choices, and any number of views.

const ATTEMPTS = 1 + COLUMNS.indexOf("attempts"); // in a patch, after the task's index

export default () => {
  // In the closure: `initialize` and `render` receive different proxies of the model.
  const store = new Store();
  const views = new Set();
  const announcer = new Announcer(store);
  let choices = null;
  let kernel = null;
  let saving = null;
  let asked = 0;
  let again = false;
  let asking = null;

  const redraw = () => {
    choices.version++;
    for (const view of views) view.redraw();
  };

  function initialize({ model, signal }) {
    kernel = model.widget_manager?.kernel;
    choices = new Choices(model.get("kept"));
    choices.version = 0;
    const load = () => store.load(model.get("snap"));
    const filter = () => {
      choices.text = model.get("filter_text");
      choices.state = store.states[model.get("filter_state") - 1] ?? "";
      redraw();
    };
    const fold = () => {
      choices.all = [null, true, false][model.get("folding")];
    };
    const all = () => {
      fold();
      choices.open.clear();
      redraw();
    };
    const follow = () => {
      choices.follow = model.get("follow");
      redraw();
    };
    const show = () => {
      for (const view of views) view.setTimeline(model.get("timeline"));
    };
    const more = () => {
      for (const view of views) view.setMore(model.get("more"));
    };
    const notify = async () => {
      announcer.notifies = await askForNotifications(model.get("notify"));
      if (announcer.notifies || !model.get("notify")) return;
      model.set("notify", false); // the browser refuses
      model.save_changes();
    };
    const hear = (message) => {
      if (message.type === "patch") {
        if (!store.patch(message)) resync();
        if (message.tasks.some((cells) => cells[ATTEMPTS] > 1)) attempts();
      } else if (message.type === "attempts") {
        for (const view of views) {
          if (view.timeline) view.timeline.attempts = new Map(message.attempts);
          view.redraw();
        }
      }
    };
    // The kernel sends earlier attempts only on request.
    const attempts = () => {
      if (![...views].some((view) => view.timeline)) return;
      asking ??= setTimeout(() => {
        asking = null;
        model.send({ type: "attempts" });
      }, 1000);
    };
    const resync = () => {
      if (asked) {
        again = true;
        return;
      }
      model.send({ type: "resync" });
      asked = setTimeout(() => {
        asked = 0;
        if (again) resync();
        again = false;
      }, 1000);
    };
    load();
    filter();
    fold();
    choices.follow = model.get("follow");
    model.on("change:snap", load);
    model.on("change:filter_text", filter);
    model.on("change:filter_state", filter);
    model.on("change:folding", all);
    model.on("change:follow", follow);
    model.on("change:timeline", show);
    model.on("change:more", more);
    model.on("change:details", () => {
      for (const view of views) view.details.receive(model.get("details"));
    });
    announcer.notifies = wantsNotifications();
    if (announcer.notifies) {
      model.set("notify", true);
      model.save_changes();
    }
    model.on("change:notify", notify);
    model.on("msg:custom", hear);
    model.send({ type: "hello" });
    if (model.get("place")) cover(model, signal);
  }

  /** Draw the panel over its static trees, as long as its kernel lives. */
  function cover(model, signal) {
    const manager = model.widget_manager;
    const place = model.get("place");
    const saved = new SavedOutputs(model);
    const notices = new Set();
    const say = () => {
      for (const notice of notices) notice.textContent = presenceWords(presence, store);
    };
    const drawn = (draw) => ({
      async draw(host) {
        const notice = element("div", "nbt-notice", host);
        notice.setAttribute("role", "status");
        notices.add(notice);
        say();
        await draw(host);
      },
    });
    const panel = drawn((host) => drawWidget(manager, model.get("panel"), host));
    const last = drawn(async (host) => {
      const still = { save() {}, unfollow() {}, attempts() {} };
      const view = new View(store, choices, still, element("div", "nbtasks-panel", host));
      views.add(view);
      store.listeners.add((changed) => view.draw(changed));
    });
    const presence = new Presence(model, (state) => {
      const follows = model.get("live");
      store.stopClock(state === "live" ? undefined : presence.news);
      if (state === "gone") {
        mounts().remove(place, panel);
        if (follows && model.get("own")) {
          store.interrupt();
          mounts().add(place, last);
        }
      }
      say();
    });
    mounts().add(place, panel);
    model.on("change:saved", () => saved.look());
    model.on("msg:custom", async (message) => {
      if (message.type === "static") saved.write(message.data);
      else if (message.type === "begin") saved.clearBelow(message.whole);
      else if (message.type === "end") {
        const adopted = message.whole && (await saved.adopt(message.output, message.result));
        model.send({ type: "ended", adopted });
      }
    });
    keepOutOfFiles(manager, model.get("panel"));
    saved.look();
    signal?.addEventListener("abort", () => {
      presence.dispose();
      saved.dispose();
      if (presence.state !== "gone") mounts().remove(place, panel);
    });
  }

  function render({ model, el, signal }) {
    const part = {
      save() {
        clearTimeout(saving);
        saving = setTimeout(() => {
          model.set("kept", choices.record());
          model.save_changes();
        }, 400);
      },
      manager: model.widget_manager,
      details() {
        return model.get("details");
      },
      open(task, place) {
        model.send({ type: "open", task, place });
      },
      close() {
        model.send({ type: "close" });
      },
      act(act) {
        model.send({ type: "act", act });
      },
      unfollow() {
        if (!model.get("follow")) return;
        model.set("follow", false);
        model.save_changes();
      },
      attempts() {
        model.send({ type: "attempts" });
      },
      // A kernel that a cell blocks hears of no click, but Jupyter's server can interrupt it.
      interrupt: kernel?.interrupt ? () => kernel.interrupt() : null,
    };
    const view = new View(store, choices, part, el);
    const listener = (changed) => view.draw(changed);
    views.add(view);
    store.listeners.add(listener);
    view.setTimeline(model.get("timeline"));
    view.setMore(model.get("more"));
    const end = () => {
      store.listeners.delete(listener);
      views.delete(view);
      view.dispose();
      if (!views.size) announcer.leave();
    };
    signal?.addEventListener("abort", end);
    return end;
  }

  return { initialize, render };
};
