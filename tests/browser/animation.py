"""Makes the animated picture of docs/images anew: python -m tests.browser.animation

In a real JupyterLab a cell runs, its kernel is restarted in mid-run, and the cell is run again.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.browser.page import Notebook, Server, browser, wait_for

TARGET = Path(__file__).parents[2] / "docs" / "images" / "resume.gif"
CELLS = [
    """%load_ext nbtasks
import time
import nbtasks as nb
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL",
            "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]

@nb.task
def fit(carrier):
    time.sleep(2)
    return len(carrier)""",
    """%%job delays
models = await fit.map(CARRIERS, key_of=str, concurrency=2)
len(models)""",
]
WIDTH, HEIGHT = 900, 760
SHOWN = 640  # width of the picture
COLOURS = 64
JOB = 1


class Film:
    """Pictures of a page, each shown until the next one differs."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._frames: list[tuple[float, bytes]] = []

    def roll(self, seconds: float) -> None:
        """Takes pictures for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take()

    def until(self, what: str, look: Any) -> None:
        """Takes pictures until something is seen."""

        def seen() -> Any:
            self.take()
            return look()

        wait_for(what, seen)

    def take(self) -> None:
        picture = self._page.screenshot()
        if not self._frames or self._frames[-1][1] != picture:
            self._frames.append((time.monotonic(), picture))

    def save(self, path: Path, *, still: float) -> None:
        """Writes the pictures; the last one stands still for so many seconds."""
        from PIL import Image

        times = [moment for moment, _ in self._frames]
        ends = [*times[1:], times[-1] + still]
        lasting = [round(1000 * (end - start)) for start, end in zip(times, ends, strict=True)]
        size = SHOWN, HEIGHT * SHOWN // WIDTH
        pictures = [
            Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.LANCZOS)
            for _, data in self._frames
        ]
        palette = pictures[len(pictures) // 2].quantize(COLOURS)
        flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        flat[0].save(
            path, save_all=True, append_images=flat[1:], duration=lasting, loop=0, optimize=True
        )


def play(notebook: Notebook) -> Film:
    """Runs the cell, restarts the kernel after nine of sixteen tasks, and runs it again."""
    page = notebook.page
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    notebook.js("await jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run(0)
    notebook.output(JOB).scroll_into_view_if_needed()
    film = Film(page)
    film.roll(1)
    notebook.run(JOB, wait=False)
    film.until("nine are done", lambda: _done(notebook) >= 9)
    page.locator(
        "[data-command='notebook:restart-kernel'] button, "
        "jp-button[data-command='notebook:restart-kernel']"
    ).first.click()
    film.roll(1.5)
    page.locator(".jp-Dialog .jp-mod-accept").click()
    film.roll(1)
    notebook.wait()
    film.roll(1)
    notebook.run(0)
    notebook.run(JOB, wait=False)
    film.until("all are done", lambda: _is_over(notebook))
    notebook.wait()
    film.roll(1)
    return film


def _done(notebook: Notebook) -> int:
    """Return the number that the row of the map says."""
    found = re.search(r"(\d+) of 16", notebook.output(JOB).inner_text())
    return int(found[1]) if found else 0


def _is_over(notebook: Notebook) -> bool:
    return "✔ completed" in notebook.output(JOB).inner_text()


def main() -> None:
    """Makes it."""
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        server = Server(Path(folder))
        try:
            server.put("delays.ipynb", CELLS)
            page = running.new_page()
            play(Notebook(page, server, "delays.ipynb", "lab")).save(TARGET, still=4)
        finally:
            server.stop()
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
