"""Long-running commands: the worker, a whole notebook, the demo."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from nbtasks.cli.job_loader import load
from nbtasks.cli.options import Home, use
from nbtasks.core.durations import to_seconds
from nbtasks.core.front_end import NOTEBOOK_VARIABLE
from nbtasks.core.settings import config
from nbtasks.errors import NbtasksError, NotFoundError
from nbtasks.jobs.runtime import configure, runtime
from nbtasks.jobs.worker import worker

__all__ = ["register"]

_JobFiles = Annotated[
    list[Path] | None, typer.Argument(help="Python files and notebooks that define the jobs.")
]
_Into = Annotated[
    Path | None, typer.Option("--into", help="Folder to work in: a new or empty one.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for name, command in (("worker", _worker), ("run", _run), ("demo", _demo)):
        app.command(name)(command)


def _worker(
    files: _JobFiles = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Also resume all interrupted runs of these jobs.")
    ] = False,
    home: Home = None,
) -> None:
    """Work for jobs: deliver events, keep schedules, resume runs that are due.

    Ctrl-C or SIGTERM lets running tasks finish, then ends the worker."""
    use(home)
    load(files or [])
    configure(echo="hide")  # nobody has seen what its runs printed before
    if not runtime.jobs:
        raise NotFoundError(
            "There is no job to work for. Name the Python files or notebooks that define some with "
            "@nb.job, as in: nbtasks worker jobs.py"
        )
    logging.basicConfig(format="%(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    worker.listen()
    # From here on a caller may send events, and end this process.
    print(f"working for {', '.join(sorted(runtime.jobs))} in {config.home}", flush=True)
    worker.run(stopped, resume=resume)
    print("ended", flush=True)


def _run(
    notebook: Annotated[Path, typer.Argument(help="The notebook.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File to write the notebook to, with its outputs."),
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="T", help="Longest time that a cell may take: 90s, 5m, 1h.")
    ] = "1h",
    replay: Annotated[
        str | None,
        typer.Option(metavar="only", help="only: no task runs; a task that is not recorded fails."),
    ] = None,
    home: Home = None,
) -> None:
    """Execute a notebook in a new kernel; its %%job cells resume where they stopped.

    The kernel runs in the notebook's folder, with the home that JupyterLab would find. Exit status
    1 means that a cell failed. The file itself is not changed.

    With a shared file as --home, the notebook is replayed from that file."""
    seconds = to_seconds("--timeout", timeout)
    use(home)
    configure(replay=replay)
    if not notebook.is_file():
        raise NotFoundError(f"There is no notebook {notebook}.")
    config.look_from(notebook.parent)
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        raise NbtasksError(
            "Executing notebooks needs nbclient and ipykernel: pip install 'nbtasks[demo]'"
        ) from None
    _make_folder_of(output)
    _nbformat: Any = nbformat  # which has no types
    content = _nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content, timeout=seconds, resources={"metadata": {"path": str(notebook.parent)}}
    )
    failed = None
    if origin := config.take_origin():
        print(f"home {config.home} ({origin})", flush=True)
    try:
        client.execute(env=_environment(notebook))
    except CellExecutionError as error:
        failed = error
    if output is not None:
        _nbformat.write(content, output)
    if failed is not None:
        print(f"{notebook}: a cell failed: {failed.ename}: {failed.evalue}")
        raise typer.Exit(1)
    print(f"{notebook}: done")


def _make_folder_of(output: Path | None) -> None:
    """Make the folder of the notebook that is written at the end: later it would be too late."""
    if output is None:
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NbtasksError(
            f"Nothing was executed, since {output.parent} cannot be made: {error.strerror}. Choose "
            "another --output."
        ) from None


def _environment(notebook: Path) -> dict[str, str]:
    """Return the environment of the kernel: the settings of this command, and the notebook's name,
    as Jupyter tells it."""
    env = {
        **os.environ,
        "NBTASKS_HOME": str(config.home),
        NOTEBOOK_VARIABLE: str(notebook.absolute()),
    }
    return env if config.replay is None else env | {"NBTASKS_REPLAY": config.replay}


def _demo(
    into: _Into = None,
    lab: Annotated[
        bool, typer.Option("--lab", help="Open the notebook in JupyterLab instead.")
    ] = False,
) -> None:
    """Kill the kernel of a notebook in the middle of its work, and resume in a new one."""
    from nbtasks.cli.demo import demonstrate, open_in_lab

    raise typer.Exit(open_in_lab(into) if lab else demonstrate(into))
