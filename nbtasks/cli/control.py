"""Commands that control runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from nbtasks.cli.job_loader import load
from nbtasks.cli.options import Files, Home, RunId, needs_home, resolve_run_id, use
from nbtasks.errors import InvalidOptionError
from nbtasks.io.ask import check_fields
from nbtasks.jobs import events
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import get_run, runtime
from nbtasks.journal.events import SOURCE, record_answer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for name, command in (
        ("resume", _resume), ("rerun", _rerun), ("cancel", _cancel), ("send", _send),
        ("answer", _answer),
    ):  # fmt: skip
        app.command(name)(command)


def _resume(run: RunId = None, files: Files = None, home: Home = None) -> None:
    """Resume a run where it stopped. Its job must be defined in one of the files."""
    needs_home(home)
    load(files or [])
    target = get_run(resolve_run_id(run))
    _execute(target.resume, target)


def _rerun(
    run: RunId = None,
    path: Annotated[
        str | None, typer.Option("--path", help="Start from this task; by default from the top.")
    ] = None,
    files: Files = None,
    home: Home = None,
) -> None:
    """Run a run again, or one of its tasks and every task that first started after it."""
    needs_home(home)
    load(files or [])
    target = get_run(resolve_run_id(run))
    _execute(lambda: target.rerun(path), target)


def _execute(start: Callable[[], Run], target: Run) -> None:
    """Execute a run and print its status; exit with status 1 if it failed."""
    before = target.executions
    try:
        run = start()
    except Exception:
        if target.executions == before or target.status != "FAILED" or target.error is None:
            raise
        print(f"run {target.id}: FAILED, {target.error.type}: {target.error.message}")
        raise typer.Exit(1) from None
    print(f"run {run.id}: {run.status}")


def _cancel(run: RunId = None, home: Home = None) -> None:
    """Cancel a run, whichever process executes it."""
    needs_home(home)
    target = get_run(resolve_run_id(run))
    target.cancel()
    print(f"run {target.id}: asked to end, if it is still running")


def _answer(
    run: Annotated[str, typer.Argument(help="Id of the run, or of a job for its latest.")],
    path: Annotated[str, typer.Argument(help="Path of the task that waits.")],
    answer: Annotated[str, typer.Argument(metavar="JSON", help="The answer.")],
    home: Home = None,
) -> None:
    """Answer a task that waits for a person or for a request."""
    needs_home(home)
    value = _loads(answer)
    target = get_run(run)
    for row in runtime.journal.find("task", run_id=target.id, path=path):
        check_fields(row.awaits, value)
    is_first = record_answer(runtime.journal, target.id, path, value, "command")
    print(f"task {path} of run {target.id}: {'answered' if is_first else 'already answered'}")


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidOptionError(
            f"{text!r} is not JSON: {error}. A string needs quotes: '\"hello\"'."
        ) from None


def _send(  # noqa: PLR0913, PLR0917 - the options of the command
    name: Annotated[str, typer.Argument(help="Name of the event.")],
    payload: Annotated[str, typer.Argument(help="Payload of the event, as JSON.")] = "null",
    id_: Annotated[
        str | None, typer.Option("--id", help="Id of the event; each id is delivered once.")
    ] = None,
    source: Annotated[str, typer.Option(help="Source of the event.")] = SOURCE,
    after: Annotated[
        float | None, typer.Option(help="Seconds after which a worker delivers it.")
    ] = None,
    files: Files = None,
    home: Home = None,
) -> None:
    """Send an event. Workers run the jobs that they know; this command runs those in its files."""
    use(home)
    load(files or [])
    value = _loads(payload)
    event = events.send_event(name, value, id=id_, source=source, deliver_after=after)
    print(f"event {event.id}: {'delivered' if event.delivered_at else 'to be delivered'}")
    for run in event.runs:
        print(f"run {run.id} of job {run.job}: {run.status}")
