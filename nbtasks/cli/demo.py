"""Demo: a kernel is killed in the middle of a notebook, and a new kernel resumes it.

The demo proves its claims from two sources: the journal, and a file to which each function in the
notebook writes a line whenever it is really called.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nbtasks.cli.demo_proof import WAITS, Proof, prove
from nbtasks.cli.output import colour_tree
from nbtasks.core import clock
from nbtasks.errors import NbtasksError
from nbtasks.jobs.runtime import configure
from nbtasks.views.history import tasks, tree

if TYPE_CHECKING:
    from nbtasks.views.frames import DataFrame

__all__ = ["demonstrate", "open_in_lab"]

NOTEBOOK = "00_first_job.ipynb"
CALLS = "calls.tsv"
CARRIERS = 16
KILL_AFTER = 5  # carriers: some are finished, two are in flight, many have not begun
_LOOK_SECONDS = 0.1
_CELL_SECONDS = 100
_WIDTH = 100  # columns, if the output is not a terminal
_NEXT = """\
Next, in your own notebook:

  %load_ext nbtasks       once, in the first cell
  %%task features         on top of a slow cell: after a restart its variables are there
  @nb.task                on top of a slow function, after import nbtasks as nb: called in a cell
                          that begins with %%job NAME, each call is recorded

The tutorial takes 15 minutes: docs/tutorial.md. To try this notebook yourself: nbtasks demo --lab
"""
_IN_LAB = """\
The notebook is in {folder}.
In JupyterLab: run all cells, restart the kernel in the middle, and run all cells again.
Ctrl-C here ends JupyterLab.
"""


class DemoError(NbtasksError):
    """A condition under which the demo cannot continue."""


def demonstrate(folder: Path | None = None) -> int:
    """Run the demo.

    Args:
        folder: Folder to work in; by default a new temporary folder.

    Returns:
        Exit status: 0 if every claim was confirmed.
    """
    wide = None if Console().is_terminal else _WIDTH
    console = Console(width=wide, highlight=False, soft_wrap=True)
    place = _Place.prepare(folder)
    start_us = clock.micros()
    configure(home=place.home)
    try:
        proof = asyncio.run(_Show(console, place).play())
    finally:
        configure(home=None)
    seconds = (clock.micros() - start_us) / 1e6
    if proof.holds:
        console.print(f"\n[bold green]The demo is done[/], in {seconds:.0f} s. See for yourself:\n")
    else:
        console.print(
            f"\n[bold red]The demo failed[/] after {seconds:.0f} s. See what it recorded:\n"
        )
    console.print(f"  the notebook    {escape(str(place.notebook))}")
    console.print(f"  its journal     {escape(str(place.home))}")
    console.print(f"  its calls       {escape(str(place.calls))}\n")
    if proof.holds:
        console.print(_NEXT, markup=False)
    return 0 if proof.holds else 1


def open_in_lab(folder: Path | None = None) -> int:
    """Open the notebook in JupyterLab, so that the user kills its kernel.

    Args:
        folder: Folder to work in; by default a new temporary folder.

    Returns:
        Exit status of JupyterLab.

    Raises:
        DemoError: JupyterLab is not installed, or the folder is not empty.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise DemoError(
            "JupyterLab is not installed here: pip install 'nbtasks[demo,lab]'. Without --lab, the "
            "demo needs no JupyterLab."
        )
    place = _Place.prepare(folder)
    print(_IN_LAB.format(folder=place.folder), flush=True)
    environment = {k: v for k, v in os.environ.items() if k != "NBTASKS_HOME"}
    command = [sys.executable, "-m", "jupyterlab", NOTEBOOK]
    return subprocess.call(command, cwd=place.folder, env=environment)  # noqa: S603 - this Python


# -- the folder -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Folder that the demo works in."""

    folder: Path
    home: Path
    notebook: Path
    calls: Path

    @classmethod
    def prepare(cls, folder: Path | None) -> _Place:
        """Make the folder, with the notebook and an empty home, which the kernels find by
        themselves."""
        source = _shipped_notebook()
        folder = (folder or Path(tempfile.mkdtemp(prefix="nbtasks-demo-"))).resolve()
        if folder.exists() and any(folder.iterdir()):
            raise DemoError(f"The demo starts in an empty folder, and {folder} is not.")
        place = cls(folder, folder / ".nbtasks", folder / NOTEBOOK, folder / CALLS)
        place.home.mkdir(parents=True)
        place.notebook.write_bytes(source.read_bytes())
        return place


def _shipped_notebook() -> Path:
    """Return the notebook's path: in the package or, in a checkout, beside it."""
    package = Path(__file__).parents[1]
    for folder in (package / "_demo", package.parent / "notebooks"):
        if (folder / NOTEBOOK).is_file():
            return folder / NOTEBOOK
    raise DemoError(f"The notebook {NOTEBOOK} did not come with this installation of nbtasks.")


# -- the kernels ----------------------------------------------------------------------------------


class _Kernel:
    """Real kernel of this Python, and the notebook that it executes."""

    def __init__(self, place: _Place) -> None:
        try:
            import nbformat
            from jupyter_client.kernelspec import KernelSpecManager
            from jupyter_client.manager import AsyncKernelManager
            from nbclient import NotebookClient
        except ImportError as error:
            raise DemoError(
                f"The demo needs {error.name}: install nbtasks with its extra, nbtasks[demo]."
            ) from error
        self._place = place
        # No folders to search: an installed kernel may belong to another Python.
        specs = KernelSpecManager(kernel_dirs=[])
        self._manager: Any = AsyncKernelManager(kernel_spec_manager=specs)
        self._format: Any = nbformat  # its functions carry no types
        self._notebook: Any = self._format.read(place.notebook, as_version=4)
        self._client = NotebookClient(self._notebook, km=self._manager, timeout=_CELL_SECONDS)
        self._client.log.disabled = True  # here a dead kernel is expected
        self._client.on_notebook_start = _give_back_signals
        self.pid = 0
        self.executing: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> Self:
        environment = {k: v for k, v in os.environ.items() if k != "NBTASKS_HOME"}
        environment["IPYTHONDIR"] = str(self._place.folder / ".ipython")
        with (self._place.folder / "kernel.log").open("ab") as log:
            await self._manager.start_kernel(
                cwd=str(self._place.folder), env=environment, stdout=log, stderr=log
            )
        self.pid = self._manager.provisioner.pid
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.executing is not None:
            self.executing.cancel()
            await asyncio.gather(self.executing, return_exceptions=True)
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        if await self._manager.is_alive():
            await self._manager.shutdown_kernel(now=True)

    def execute(self) -> asyncio.Task[bool]:
        """Start to execute the notebook, and write it back if the kernel survives to its end."""
        self.executing = asyncio.create_task(self._execute())
        return self.executing

    async def _execute(self) -> bool:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        try:
            await self._client.async_execute()
        except CellExecutionError as error:
            raise DemoError(f"A cell of the notebook failed:\n{error}") from None
        except DeadKernelError:
            return False
        self._format.write(self._notebook, self._place.notebook)
        return True

    async def kill(self) -> None:
        """Kill the kernel, and wait until it is gone and its client has noticed."""
        os.kill(self.pid, signal.SIGKILL)
        await self._manager.provisioner.wait()
        if self.executing is not None:
            await self.executing


def _give_back_signals(**_: object) -> None:
    """Remove the client's signal handlers: it would handle Ctrl-C itself, and then ignore it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)


# -- the steps ------------------------------------------------------------------------------------


class _Show:
    """Demo, step by step, with its output."""

    def __init__(self, console: Console, place: _Place) -> None:
        self._say = console.print
        self._place = place
        self._told: set[str] = set()

    async def play(self) -> Proof:
        """Run all steps, and return the proof."""
        self._say(
            f"\n[bold]{NOTEBOOK}[/] fits a model for each of {CARRIERS} carriers, on 336,776 "
            "flights.\nIts kernel will be killed in the middle of that.\n"
        )
        killed, at_kill = await self._first_half()
        successor = await self._second_half()
        final = tasks()
        self._say("[bold]3.[/] The tree of the run, as the notebook shows it now:\n")
        self._say(colour_tree(tree()), no_wrap=True, overflow="ellipsis", soft_wrap=False)
        self._say("\n[bold]4.[/] nb.tasks(), a pandas DataFrame:\n")
        self._say(_compact(final))
        proof = prove(_statuses(at_kill), _statuses(final), _read(self._place.calls), killed)
        self._tell(proof, killed, successor)
        return proof

    async def _first_half(self) -> tuple[int, DataFrame]:
        async with _Kernel(self._place) as kernel:
            self._say(
                f"[bold]1.[/] Kernel {kernel.pid} executes it. The journal, read live, without the "
                "subtasks:"
            )
            if await self._follow(kernel.execute(), until=KILL_AFTER):
                raise DemoError("The notebook ended before its kernel could be killed.")
            await kernel.kill()
        with warnings.catch_warnings(record=True) as damage:
            at_kill = tasks()
        self._list(_finished(at_kill))  # one may have finished since the last look
        self._say(
            f"   [bold red]kernel {kernel.pid} killed with SIGKILL after "
            f"{_carriers(_finished(at_kill))} of {CARRIERS} carriers[/]"
        )
        for warning in damage:  # about a write that the kill cut short
            self._say(f"   [yellow]{escape(str(warning.message))}[/]")
        counts = Counter(at_kill.status)
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        self._say(f"   It leaves in the journal: {summary} tasks\n")
        return kernel.pid, at_kill

    async def _second_half(self) -> int:
        async with _Kernel(self._place) as kernel:
            self._say(f"[bold]2.[/] Kernel {kernel.pid} is new. It executes the same notebook:")
            self._say("   [cyan]↺[/] finished tasks come from the journal, and then:")
            executing = kernel.execute()
            if not (await self._follow(executing) and executing.result()):
                raise DemoError("The new kernel died as well.")
            self._say("   all cells are done\n")
        return kernel.pid

    async def _follow(self, executing: asyncio.Task[bool], until: int = CARRIERS + 1) -> bool:
        """Report tasks as they finish, until `until` carriers or all cells are finished.

        Return True if all cells are.
        """
        while True:
            done = executing.done()  # asked first: the last poll must come after the end
            if done and executing.cancelled():
                raise DemoError("The demo was interrupted.")
            if done:
                executing.result()
            finished = _finished(await asyncio.to_thread(tasks))
            self._list(finished)
            if done or _carriers(finished) >= until:
                return done
            await asyncio.sleep(_LOOK_SECONDS)

    def _list(self, finished: Mapping[str, float]) -> None:
        """List the tasks that are not in the list yet."""
        for path, seconds in finished.items():
            if path not in self._told:
                self._say(f"   [green]✔[/] {path:<10} {seconds:5.2f} s")
        self._told |= finished.keys()

    def _tell(self, proof: Proof, killed: int, successor: int) -> None:
        functions = sum(count for count, _, _ in proof.counts.values())
        self._say(
            f"\n[bold]5.[/] The proof. Whenever a task's function was called, it wrote a line to "
            f"{CALLS}.\n{functions} tasks have one; {', '.join(WAITS)} is a wait:\n"
        )
        table = Table(box=SIMPLE)
        table.add_column("When the kernel was killed")
        for name in ("functions", f"calls in {killed}", f"calls in {successor}"):
            table.add_column(name, justify="right")
        for state, numbers in proof.counts.items():
            table.add_row(state, *map(str, numbers))
        self._say(table)
        for line in proof.objections:
            self._say(f"[bold red]✖[/] {escape(line)}")
        if proof.holds:
            self._say(
                "[bold green]✔[/] Every function that had finished when the kernel was killed was "
                "called exactly once.\n[bold green]✔[/] The tasks that were running ran again, "
                "the rest ran once, and the run is complete."
            )


def _finished(frame: DataFrame) -> dict[str, float]:
    """Return the finished tasks down to the carriers, with the seconds that each took."""
    done = frame[(frame.status == "COMPLETED") & (frame.depth <= 1)]
    done = done.sort_values("finished_at")
    return dict(zip(done.path, done.seconds, strict=True))


def _carriers(finished: Mapping[str, float]) -> int:
    return sum(path.startswith("fit/") for path in finished)


def _statuses(frame: DataFrame) -> dict[str, str]:
    return dict(zip(frame.path, frame.status.astype(str), strict=True))


def _compact(frame: DataFrame) -> str:
    columns = ["path", "status", "attempts", "reused", "seconds"]
    table = frame[columns].round({"seconds": 3})
    return f"{table.to_string(max_rows=20)}\n[{len(frame)} rows x {len(frame.columns)} columns]"


def _read(file: Path) -> list[tuple[str, int]]:
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    return [(path, int(pid)) for _run, path, pid in lines]
