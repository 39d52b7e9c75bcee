"""JupyterLab and Notebook in a real browser, driven from a test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

#: What makes a browser that is driven start in a container, and ask nobody for anything.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_SETTINGS = {
    "notebook-extension:tracker": {"windowingMode": "none"},
    "apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
#: The notebook that is open, in the page's own terms.
_NOTEBOOK = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext && w.content?.model)"


def chromium() -> str | None:
    """The browser of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def wait_for(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true thing that `look` gives."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return found


class Server:
    """A Jupyter server with JupyterLab and Notebook, for the notebooks in a folder.

    Args:
        folder: The folder.
        options: Further options of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        (folder / "overrides.json").write_text(
            json.dumps({f"@jupyterlab/{name}": held for name, held in _SETTINGS.items()})
        )
        own = {
            name: str(folder / f".{name.lower()}")
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
                         "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
        }  # fmt: skip
        self._log = (folder / "server.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             "--expose-app-in-browser", "--JupyterNotebookApp.expose_app_in_browser=True",
             "--ServerApp.ip=127.0.0.1",
             f"--ServerApp.port={self.url.rpartition(':')[2]}", "--ServerApp.port_retries=0",
             "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
             f"--ServerApp.root_dir={folder}", f"--LabApp.app_settings_dir={folder}", *options],
            stdout=self._log, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, **own, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        wait_for("the server answers", self._answers, 60)

    def put(self, name: str, cells: Sequence[str]) -> None:
        """Writes a notebook with these cells of code."""
        import nbformat  # takes seconds to load

        made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, self.folder / name)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "server.log").read_text()[-3000:])
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api/status"):
            return True
        return False

    def stop(self) -> None:
        """With its kernels."""
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            for process in [*own.children(recursive=True), own]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait(30)
        self._log.close()


class Notebook:
    """A notebook that is open in a page.

    Args:
        page: The page, of Playwright.
        server: Where it is served.
        path: Its name there.
        app: "lab" or "notebook"; or "tab", in a page where `open_lab` has opened JupyterLab.
        idle: Whether no cell runs.
    """

    def __init__(
        self, page: Any, server: Server, path: str, app: str, *, idle: bool = True
    ) -> None:
        self.page = page
        self.file = server.folder / path
        self.errors: list[str] = []
        page.on("pageerror", self._page_error)
        page.on("console", self._console)
        name = path.removesuffix(".ipynb").replace("/", "-")
        match app:
            case "tab":
                opens = "jupyterapp.commands.execute('docmanager:open', {path})"
                page.evaluate(f"async path => {{ await {opens} }}", path)
            case "lab":
                open_lab(page, server, f"{name}/tree/{path}")
            case _:
                page.goto(f"{server.url}/notebooks/{path}", wait_until="domcontentloaded")
        self.wait_until_open(idle=idle)
        self.errors.clear()  # those of the front end itself, before any cell has run

    def close(self) -> None:
        """Closes it and ends its kernel; the page stays, without it."""
        self.page.remove_listener("pageerror", self._page_error)
        self.page.remove_listener("console", self._console)
        self.js("await nb.sessionContext.shutdown(); nb.dispose()")

    def _page_error(self, error: Any) -> None:
        self.errors.append(str(error))

    def _console(self, message: Any) -> None:
        # Jupyter does not hand out its own fonts from below a hidden folder, as .venv is.
        if message.type == "error" and not message.location["url"].endswith(".woff2"):
            self.errors.append(f"{message.text} ({message.location['url']})")

    def js(self, body: str, argument: Any = None) -> Any:
        """Return what a function of the page returns; the notebook is `nb` in it."""
        return self.page.evaluate(
            f"async (arg) => {{ if (!globalThis.jupyterapp) return null; const nb = {_NOTEBOOK};"
            f" if (!nb) return null; {body} }}",
            argument,
        )

    def wait_until_open(self, *, idle: bool = True) -> None:
        """And its kernel is there, idle unless a cell runs."""
        ready = "return nb.content.widgets.length && nb.sessionContext.session?.kernel?.status"
        states = ("idle",) if idle else ("idle", "busy", "unknown")
        wait_for("the notebook is open", lambda: self.js(ready) in states, 60)

    def run(self, cell: int, *, wait: bool = True) -> None:
        """Executes a cell."""
        self.js(
            "nb.content.activeCellIndex = arg; nb.content.deselectAll();"
            "globalThis.running = (globalThis.running ?? 0) + 1;"
            "jupyterapp.commands.execute('notebook:run-cell').finally(() => { running--; })",
            cell,
        )
        if wait:
            self.wait()

    def wait(self, seconds: float = 30) -> None:
        """Until no cell is executed any more."""
        idle = "return !globalThis.running && nb.sessionContext.session?.kernel?.status === 'idle'"
        wait_for("the cells have ended", lambda: self.js(idle), seconds)

    def output(self, cell: int) -> Any:
        """Return the locator of a cell's outputs."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-Cell-outputArea")

    def rows(self, cell: int) -> list[str]:
        """The rows of the living tree that can be seen, from top to bottom."""
        found = self.output(cell).locator(".nbtasks-widget .nbt-row:visible")
        return found.evaluate_all(
            "rows => rows.map(row => [row.id.split('-').at(-1), row.innerText])"
            ".sort((a, b) => a[0] - b[0]).map(row => row[1].replace(/\\s+/g, ' ').trim())"
        )

    def row(self, cell: int, text: str | re.Pattern[str]) -> Any:
        """One of them: a locator."""
        return self.output(cell).locator(".nbtasks-widget .nbt-row:visible", has_text=text).first

    def button(self, cell: int, word: str) -> Any:
        """A button above or below the tree."""
        return self.output(cell).locator(f"button:has-text('{word}')").first

    def menu(self, cell: int, word: str) -> Any:
        """A button of the menu, which is opened for it."""
        found = self.button(cell, word)
        if not found.is_visible():
            self.button(cell, "⋯").click()
        return found

    def theme(self, name: str) -> None:
        """Light or Dark."""
        theme = f"{{theme: 'JupyterLab {name}'}}"
        self.js(f"await jupyterapp.commands.execute('apputils:change-theme', {theme})")

    def restart(self) -> None:
        """The kernel, with a new one."""
        self.js("await nb.sessionContext.session.kernel.restart()")
        self.wait()

    def reload(self, *, idle: bool = True) -> None:
        """The page; the kernel goes on, and is idle unless a cell runs."""
        before = list(self.errors)
        self.page.reload(wait_until="domcontentloaded")
        self.wait_until_open(idle=idle)
        self.errors[:] = before  # without those of the front end itself

    def save(self) -> Any:
        """Return the notebook as its file has it then."""
        import nbformat

        self.js("await nb.context.save()")
        return nbformat.read(self.file, as_version=4)


def open_lab(page: Any, server: Server, workspace: str) -> None:
    """Opens JupyterLab in a workspace of its own: else a second page would move to another one."""
    page.goto(f"{server.url}/lab/workspaces/{workspace}?reset", wait_until="domcontentloaded")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A browser, of Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield running
        finally:
            running.close()
