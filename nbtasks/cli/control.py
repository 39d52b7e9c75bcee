"""The commands that do something with runs."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nbtasks.cli.job_loader import load
from nbtasks.cli.options import Files, Home, RunId, chosen, needs_home, use
from nbtasks.errors import InvalidOptionError
from nbtasks.io import answers
from nbtasks.io.ask import check_names
from nbtasks.jobs import claims, events
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import get_run, kit
from nbtasks.journal.events import SOURCE

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for name, command in (
        ("resume", _resume), ("rerun", _rerun), ("cancel", _cancel), ("send", _send),
        ("answer", _answer),
    ):  # fmt: skip
        app.command(name)(command)


def _resume(run: RunId = None, files: Files = None, home: Home = None) -> None:
    """Goes on with a run where it was. Its job has to be in one of the files."""
    needs_home(home)
    load(files or [])
    (row,) = kit.journal.runs(run_id=get_run(chosen(run)).id)
    start = kit.starter(row, claims.payload_of(row))
    _say(lambda: start(claims.to_rerun(row)), row.run_id)


def _rerun(
    run: RunId = None,
    path: Annotated[
        str | None, typer.Option("--path", help="From this task on; by default everything.")
    ] = None,
    files: Files = None,
    home: Home = None,
) -> None:
    """Runs a run again, or a task of it and all that first started after that."""
    needs_home(home)
    load(files or [])
    held = get_run(chosen(run))
    _say(lambda: held.rerun(path), held.id)


def _say(execute: Any, run_id: str) -> None:
    """Executes a run, and tells by the exit status what came of it."""
    try:
        run: Run = execute()
    except Exception:
        ended = get_run(run_id)
        if ended.status != "FAILED" or ended.error is None:
            raise
        print(f"run {run_id}: FAILED, {ended.error.type}: {ended.error.message}")
        raise typer.Exit(1) from None
    print(f"run {run.id}: {run.status}")


def _cancel(run: RunId = None, home: Home = None) -> None:
    """Cancels a run, whatever process executes it."""
    needs_home(home)
    held = get_run(chosen(run))
    held.cancel()
    print(f"run {held.id}: it is asked to end, if it goes on")


def _answer(
    run: Annotated[str, typer.Argument(help="The id of the run.")],
    path: Annotated[str, typer.Argument(help="The path of the task that waits.")],
    said: Annotated[str, typer.Argument(metavar="JSON", help="The answer.")],
    home: Home = None,
) -> None:
    """Answers a task that waits for a person, or for a request."""
    needs_home(home)
    value = _loads(said)
    held = get_run(run)
    for row in kit.journal.find("task", run_id=held.id, path=path):
        check_names(row.awaits, value)
    first = answers.give(kit.journal, held.id, path, value, "command")
    print(f"task {path} of run {held.id}: {'answered' if first else 'it was answered before'}")


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidOptionError(
            f"{text!r} is no JSON: {error}. A text stands in quotes: '\"hello\"'."
        ) from None


def _send(  # noqa: PLR0913, PLR0917 - the options of the command
    name: Annotated[str, typer.Argument(help="The event's name.")],
    payload: Annotated[str, typer.Argument(help="What it says, as JSON.")] = "null",
    id_: Annotated[str | None, typer.Option("--id", help="Its id; it is delivered once.")] = None,
    source: Annotated[str, typer.Option(help="Whose it is.")] = SOURCE,
    after: Annotated[
        float | None, typer.Option(help="In how many seconds a worker delivers it.")
    ] = None,
    files: Files = None,
    home: Home = None,
) -> None:
    """Sends an event: workers run the jobs that they know, and this command those in its files."""
    use(home)
    load(files or [])
    said = _loads(payload)
    event = events.send_event(name, said, id=id_, source=source, deliver_after=after)
    print(f"event {event.id}: {'delivered' if event.delivered_at else 'to be delivered'}")
    for run in event.runs:
        print(f"run {run.id} of job {run.job}: {run.status}")
