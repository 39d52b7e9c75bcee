"""Benchmarks of the live tree in a real page: time to its first rows, and cost of an update.

A job of 10,000 tasks is executed in JupyterLab. When it is executed again, they are reused, and
twenty more tasks a second keep changing the tree for ten seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Figure, at_least, at_most
from tests.browser.page import Notebook, Server, browser, chromium, wait_for

_TASKS, _UPDATES = 10_000, 200
_SETUP = """%load_ext nbtasks
import asyncio, json, time
import nbtasks as nb
nb.configure(home=HOME)
more = False"""
_JOB = f"""%%job wide OPTIONS
await io.map("trials", int, range({_TASKS}), concurrency=500)
if more:
    await asyncio.sleep(1)
    began, cpu = time.perf_counter(), time.process_time()
    for n in range({_UPDATES}):
        await io.run_task([more, n], asyncio.sleep, 0.05)
    NAME = (time.process_time() - cpu) / (time.perf_counter() - began)"""
#: Script that records when the output arrived, when its first rows were painted, and the times of
#: all frames from then on, in milliseconds.
_METER = """
const area = nb.content.widgets[arg].node.querySelector('.jp-Cell-outputArea');
globalThis.meter = { frames: [] };
const frame = now => { meter.frames.push(now); requestAnimationFrame(frame); };
new MutationObserver(() => {
  meter.arrived ??= area.querySelector('.jp-OutputArea-output') && performance.now();
  if (!meter.painted && area.querySelector('.nbt-row')) {
    requestAnimationFrame(() => requestAnimationFrame(now => {
      if (!meter.painted) { meter.painted = now; requestAnimationFrame(frame); }
    }));
  }
}).observe(area, { childList: true, subtree: true });
"""


def living(folder: Path) -> Iterator[Figure]:
    """Yield the figures; none without a browser."""
    if chromium() is None:
        return
    jupyter_folder = folder / "jupyter"
    jupyter_folder.mkdir()
    server = Server(jupyter_folder)
    try:
        with browser() as running:
            yield from _measure(running, server, folder / "tree-home")
    finally:
        server.stop()


def _measure(running: Any, server: Server, home: Path) -> Iterator[Figure]:
    seen_job = _JOB.replace("OPTIONS", "").replace("NAME", "seen")
    bare_job = _JOB.replace("OPTIONS", "--no-tree").replace("NAME", "bare")
    cells = [
        _SETUP.replace("HOME", repr(str(home))),
        seen_job, "more = 'seen'", "more = 'bare'", bare_job, "print(json.dumps([seen, bare]))",
    ]  # fmt: skip
    server.put("wide.ipynb", cells)
    sizes: list[int] = []
    page = running.new_page()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda it: _note(sizes, it)))
    notebook = Notebook(page, server, "wide.ipynb", "lab")
    for cell in (0, 1, 2):
        notebook.run(cell)
    notebook.js(_METER, 1)
    sizes.clear()
    notebook.run(1, wait=False)
    # Playwright delivers the frames only while the page evaluates something.
    wait_for("updates", lambda: notebook.js("return true") and len(sizes) > _UPDATES // 2)
    seen = notebook.js("return meter")
    notebook.wait(60)
    for cell in (3, 4, 5):
        notebook.run(cell)
    with_tree, without = json.loads(notebook.output(5).inner_text())
    frames = seen["frames"]
    rate = (len(frames) - 1) / (frames[-1] - frames[0]) * 1000
    first = seen["painted"] - seen["arrived"]
    yield at_most(f"tree of {_TASKS:,}, from the output to its first rows", first, 300, "{:.0f} ms")
    yield at_most("  an update of one task, as it is sent", median(sizes), 1000, "{:.0f} B")
    shares = f"{with_tree:.1%} with the tree, {without:.1%} without, for the tasks themselves"
    share = 100 * (with_tree - without)
    yield at_most("  20 updates a second: CPU of the kernel", share, 5, "{:.1f} %", shares)
    yield at_least("  frames a second meanwhile, in the page", rate, 50, "{:.0f}")


def _note(sizes: list[int], frame: Any) -> None:
    data = frame if isinstance(frame, bytes) else frame.encode()
    if b'"type": "patch"' in data or b'"type":"patch"' in data:
        sizes.append(len(data))
