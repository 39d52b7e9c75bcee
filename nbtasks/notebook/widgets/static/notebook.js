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

  /** Yield the outputs that the running cell displayed, not those where `nb.tree()` is the Out. */
  *displayed() {
    for (const found of outputsAt(this.model.widget_manager, this.place)) {
      if (found.output.output_type === "display_data") yield found;
    }
  }

  /** Remove what an earlier execution left below the tree: all of a cell's own, else its errors. */
  clearBelow(whole) {
    for (const { cell, outputs, at } of this.displayed()) {
      for (let n = outputs.length - 1; n > at; n--) {
        if (whole || outputs.get(n).type === "error") cell.sharedModel.updateOutputs(n, n + 1, []);
      }
    }
  }

  /** Make what a button's execution displayed the outputs of the cell; return false if there is none. */
  async adopt(id, result) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED / 2)); // the last ones are on their way
    const own = (await this.model.widget_manager.get_model(id)).get("outputs");
    let adopted = false;
    for (const { cell, outputs } of this.displayed()) {
      const end = outputs.length;
      const out = result
        ? [{ output_type: "execute_result", execution_count: cell.executionCount, ...result }]
        : [];
      cell.sharedModel.updateOutputs(end, end, [...own, ...out]);
      adopted = true;
    }
    return adopted;
  }

  dispose() {
    clearTimeout(this.timer);
  }
}

/** Leave a panel's models out of the widget state that JupyterLab may save: nothing displays them. */
function keepOutOfFiles(manager, id) {
  manager.nbtasksPanels ??= new Set();
  manager.nbtasksPanels.add(id);
  if (manager.nbtasksState || !manager.get_state_sync) return;
  manager.nbtasksState = manager.get_state_sync;
  manager.get_state_sync = (options) => {
    const all = manager.nbtasksState(options);
    const texts = new Map(Object.entries(all.state).map(([key, model]) => [key, JSON.stringify(model)]));
    const own = new Set(manager.nbtasksPanels);
    for (let before = -1; before !== own.size;) {
      before = own.size;
      for (const [key, text] of texts) {
        const refers = [...text.matchAll(/IPY_MODEL_([\w-]+)/g)].map((match) => match[1]);
        if (own.has(key)) refers.forEach((other) => own.add(other)); // its parts
        else if (refers.some((other) => own.has(other))) own.add(key); // links between them
      }
    }
    const state = Object.fromEntries(Object.entries(all.state).filter(([key]) => !own.has(key)));
    return { ...all, state };
  };
}
