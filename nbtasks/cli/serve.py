"""The commands that go on for long: the worker, a whole notebook, the demo."""

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
from nbtasks.core.settings import config
from nbtasks.errors import NbtasksError, NotFoundError
from nbtasks.jobs.runtime import configure, kit
from nbtasks.jobs.worker import worker

__all__ = ["register"]

_Given = Annotated[
    list[Path] | None, typer.Argument(help="Python files and notebooks that define the jobs.")
]
_Into = Annotated[
    Path | None, typer.Option("--into", help="Where to work: a new or empty folder of yours.")
]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for name, command in (("worker", _worker), ("run", _run), ("demo", _demo)):
        app.command(name)(command)


def _worker(
    files: _Given = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with all interrupted runs of these jobs, too.")
    ] = False,
    home: Home = None,
) -> None:
    """Works for jobs: delivers events, keeps schedules, goes on with runs that are due. Ctrl-C or
    SIGTERM lets tasks under way end, and then ends it."""
    use(home)
    load(files or [])
    if not kit.jobs:
        raise NotFoundError(
            "There is no job to work for. Name the Python files or notebooks that define some with "
            "@nb.job, as in: nbtasks worker jobs.py"
        )
    logging.basicConfig(format="%(message)s")
    print(f"working for {', '.join(sorted(kit.jobs))} in {config.home}", flush=True)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    worker.run(stopped, resume=resume)
    print("ended", flush=True)


def _run(
    notebook: Annotated[Path, typer.Argument(help="The notebook.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="Where to keep it with its outputs.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a cell may take.")] = 3600,
    replay: Annotated[
        str | None,
        typer.Option(metavar="only", help="only: nothing runs, and what is not recorded fails."),
    ] = None,
    home: Home = None,
) -> None:
    """Executes a notebook in a new kernel, in its own folder; its %%job cells go on where they
    were. Exit status 1 says that a cell failed. The file itself stays as it is.

    With a shared file as --home it is replayed from that."""
    use(home)
    configure(replay=replay)
    if not notebook.is_file():
        raise NotFoundError(f"There is no notebook {notebook}.")
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        raise NbtasksError(
            "Executing notebooks takes nbclient and ipykernel: pip install 'nbtasks[demo]'"
        ) from None
    _nbformat: Any = nbformat  # which has no types
    content = _nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content, timeout=timeout, resources={"metadata": {"path": str(notebook.parent)}}
    )
    failed = None
    try:
        client.execute(env=_environment())
    except CellExecutionError as error:
        failed = error
    if output is not None:
        _nbformat.write(content, output)
    if failed is not None:
        print(f"{notebook}: a cell failed: {failed.ename}: {failed.evalue}")
        raise typer.Exit(1)
    print(f"{notebook}: done")


def _environment() -> dict[str, str]:
    """What the kernel gets: the settings of this command, too."""
    found = {**os.environ, "NBTASKS_HOME": str(config.home)}
    return found if config.replay is None else found | {"NBTASKS_REPLAY": config.replay}


def _demo(into: _Into = None) -> None:
    """Kills the kernel of a notebook in the middle of its work, and lets a new one go on."""
    from nbtasks.cli.demo import demonstrate

    raise typer.Exit(demonstrate(into))
