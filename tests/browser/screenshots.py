"""Makes the pictures of docs/images anew: python -m tests.browser.screenshots"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from pathlib import Path

from tests.browser.page import Notebook, Server, browser, wait_for

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CELLS = {
    "first": """%load_ext nbtasks
import asyncio, random, pandas as pd
import nbtasks as nb
nb.configure(home=HOME)
CARRIERS = ["9E", "AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN"]
steady = random.Random(2013)
later = False""",
    "delays": """%%job delays --version 1.0.0
flights = await io.run_task("load", load_flights, name="Flights of 2013")
flights = await io.run_task("clean", asyncio.sleep, 0.2, flights)
models = await io.run_task("fit", fit_all, flights)
await io.wait("cool down", 3)
summary = await io.run_task("summary", summarize, models)
summary""",
    "functions": """async def load_flights():
    await asyncio.sleep(0.3)
    return pd.DataFrame({"carrier": CARRIERS, "flights": range(1200, 10200, 1000), "delay": 7.5})

@nb.task(retry=nb.Retry(5, min_delay=0.3, factor=1))
async def train(name):
    io = nb.current_io()
    io.logger.info("training", carrier=name)
    if name == "DL" and nb.current_task().attempt < 3:
        raise ConnectionError("the model server does not answer")
    await asyncio.sleep(0.4 + steady.random())
    return {"carrier": name, "slope": round(steady.random(), 3)}

async def fit_all(flights):
    io = nb.current_io()
    return await asyncio.gather(*(io.run_task(name, train, name) for name in CARRIERS))

async def summarize(models):
    if not later:
        raise ValueError("carrier '9E' has no flights in February")
    return len(models)""",
    "big": """%%job simulation
async def simulate(n):
    await asyncio.sleep(0.01)
    if n in (11, 1203):
        raise ArithmeticError(f"trial {n} does not converge")
    return n
await io.map("trials", simulate, range(5000), max_failures=10, concurrency=20)""",
    "plots": """%%job plots
import matplotlib.pyplot as plt

def look(carriers):
    print(f"{len(carriers)} carriers")
    display(pd.DataFrame({"carrier": carriers, "delay": range(len(carriers))}).head(3))
    plt.figure(figsize=(4, 1.8))
    plt.bar(carriers, range(len(carriers)))
    plt.title("mean delay, in minutes")

io.run_task("look", look, CARRIERS)""",
    "nightly": """import contextlib, threading, time

@nb.job("nightly", name="Nightly report")
def nightly(payload, io):
    io.run_task("load", time.sleep, payload["seconds"])
    if payload["month"] == 5:
        raise ValueError("no flights in month 5")

@nb.job("sweep")
def sweep(io):
    io.map("fit", lambda carrier: time.sleep(1.5), CARRIERS, concurrency=1)

for month, seconds in enumerate([0.2, 0.3, 0.2, 0.4, 0.5, 0.9], 1):
    with contextlib.suppress(ValueError):
        nightly.run({"month": month, "seconds": seconds}, tree=False)
threading.Thread(target=lambda: sweep.run(tree=False)).start()""",
    "watch": "nb.watch()",
}


def shoot(page: Notebook, cell: int, name: str) -> None:
    """The output of a cell."""
    page.output(cell).scroll_into_view_if_needed()
    page.page.mouse.move(0, 0)
    time.sleep(0.7)  # until what moves has come to rest
    page.output(cell).screenshot(path=IMAGES / f"{name}.png")


def take(page: Notebook) -> None:
    """All of them, from the beginning."""
    delays, big = 2, 3
    page.run(0)
    page.run(1)
    page.run(delays)
    shoot(page, delays, "failure")
    page.js("nb.content.widgets[0].model.sharedModel.setSource('later = True')")
    page.run(0)
    page.run(delays)
    wait_for("it is done", lambda: any("✔ summary" in row for row in page.rows(delays)))
    shoot(page, delays, "light")
    page.js(
        "await jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    shoot(page, delays, "dark")
    page.js(
        "await jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"
    )
    page.menu(delays, "Timeline").click()
    shoot(page, delays, "timeline")
    page.menu(delays, "Timeline").click()
    page.button(delays, "⋯").click()
    page.row(delays, "DL").click()
    wait_for("its card", lambda: page.output(delays).locator(".nbt-card > div").count())
    shoot(page, delays, "details")
    page.page.keyboard.press("Escape")
    page.save()
    page.run(big, wait=False)
    wait_for("some are done", lambda: page.output(big).locator(".nbt-fold").count())
    time.sleep(1.5)
    shoot(page, big, "map")
    page.wait(90)


def take_zoomed(page: Notebook) -> None:
    """Picture of the first tree in a page at 200 %, which is half as wide: of 600 pixels."""
    page.js("await jupyterapp.commands.execute('application:toggle-left-area')")
    wait_for("the tree", lambda: any("summary" in row for row in page.rows(2)))
    shoot(page, 2, "zoomed")


def take_reused(page: Notebook) -> None:
    """Picture of the output of a reused task, after a restart."""
    for _ in range(2):
        page.run(0)
        page.run(1)
        page.restart()
    page.run(0)
    page.run(1)
    page.output(1).locator(".nbtasks-echo summary").first.click()
    shoot(page, 1, "reused")


def take_watch(page: Notebook) -> None:
    """All runs of a home, one of them under way."""
    page.run(0)
    page.run(1)
    page.run(2)
    wait_for("some are done", lambda: "4 of 10" in page.output(2).inner_text())
    shoot(page, 2, "watch")


def take_without_kernel(page: Notebook) -> None:
    """The page after its kernel was killed in mid-run."""
    page.run(0)
    page.run(1)
    page.run(2, wait=False)
    wait_for(
        "five are done", lambda: re.search(r"\b([5-9]|1\d) done\b", page.output(2).inner_text())
    )
    os.kill(int(page.output(0).inner_text().split()[-1]), signal.SIGKILL)
    wait_for("it says so", lambda: "The kernel is gone" in page.output(2).inner_text())
    wait_for("the front end says so, too", page.page.locator(".jp-Dialog").count)
    page.page.keyboard.press("Enter")
    shoot(page, 2, "gone")


def main() -> None:
    """Makes them."""
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        server = Server(Path(folder))

        def open_new(name: str, *cells: str, first: str = "") -> Notebook:
            home = repr(str(Path(folder) / f"home of {name}"))
            sources = [CELLS["first"].replace("HOME", home) + first]
            server.put(f"{name}.ipynb", [*sources, *(CELLS[cell] for cell in cells)])
            page = running.new_page(viewport={"width": 1150, "height": 1200})
            return Notebook(page, server, f"{name}.ipynb", "lab")

        try:
            take(open_new("pictures", "functions", "delays", "big"))
            size = {"width": 600, "height": 700}
            page = running.new_page(viewport=size, device_scale_factor=2)
            take_zoomed(Notebook(page, server, "pictures.ipynb", "lab"))
            take_reused(open_new("reused", "plots"))
            take_watch(open_new("watch", "nightly", "watch"))
            own_id = "\nimport os\nprint(os.getpid())"
            take_without_kernel(open_new("gone", "functions", "delays", first=own_id))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
