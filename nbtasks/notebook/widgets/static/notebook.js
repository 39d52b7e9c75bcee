// The notebook that is open in the page, where the front end lets a widget reach it: its outputs are
// what a file will hold.

const SETTLED = 800; // milliseconds until an update of a display has arrived

/** Yield {outputs, at, output, drawn} for each output of the notebook that holds a place. */
function* outputsAt(manager, place) {
  const cells = manager.context?.model?.cells;
  for (let n = 0; n < (cells?.length ?? 0); n++) {
    const { outputs } = cells.get(n);
    for (let at = 0; at < (outputs?.length ?? 0); at++) {
      const output = outputs.get(at).toJSON();
      const html = [output.data?.["text/html"] ?? []].flat().join("");
      const found = html.slice(0, 300).match(/^<div data-nbtasks-panel="([^"]*)" data-nbtasks-at="(\d+)"/);
      if (found?.[1] === place) yield { cell: cells.get(n), outputs, at, output, drawn: Number(found[2]) };
    }
  }
}

/** Ask for the static tree where the notebook's is old: in a page that was loaded again. */
class SavedOutputs {
  constructor(model) {
    this.model = model;
    this.place = model.get("place");
  }

  look() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      const saved = this.model.get("saved");
      for (const { drawn } of outputsAt(this.model.widget_manager, this.place)) {
        if (drawn < saved) {
          this.model.send({ type: "static" });
          return;
        }
      }
    }, SETTLED);
  }

  write(data) {
    for (const { outputs, at, output } of outputsAt(this.model.widget_manager, this.place)) {
      outputs.set(at, { ...output, data });
    }
  }

  dispose() {
    clearTimeout(this.timer);
  }
}
