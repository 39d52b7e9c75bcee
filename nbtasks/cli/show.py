"""The commands that read the journal."""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import Annotated

import typer

from nbtasks import errors
from nbtasks.cli.live_view import follow
from nbtasks.cli.options import AsJson, Home, Job, RunId, chosen, needs_home
from nbtasks.cli.output import print_table, print_tree
from nbtasks.jobs import events
from nbtasks.jobs.runtime import get_run
from nbtasks.views import history

__all__ = ["register"]

_RUNS = ["run_id", "job", "key", "status", "executions", "tasks", "failed", "started_at", "seconds"]
_TASKS = ["path", "status", "attempts", "reused", "started_at", "seconds", "error_message"]
_LOGS = ["logged_at", "level", "path", "message", "data"]
_EVENTS = ["id", "name", "source", "created_at", "delivered_at", "cancelled_at", "runs"]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for name, command in (
        ("runs", _runs), ("show", _show), ("tasks", _tasks), ("logs", _logs), ("tree", _tree),
        ("due", _due), ("events", _events), ("sql", _sql), ("ui", _ui), ("explain", _explain),
    ):  # fmt: skip
        app.command(name)(command)


def _runs(job: Job = None, as_json: AsJson = False, home: Home = None) -> None:
    """Lists the runs of the home, oldest first."""
    needs_home(home)
    print_table(history.runs(job), _RUNS, as_json=as_json)


def _show(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """Shows all that is known of a run."""
    needs_home(home)
    held = get_run(chosen(run))
    record = history.runs().query("run_id == @held.id").drop(columns="duration")
    if as_json:
        print_table(record, None, as_json=True)
        return
    for name, value in record.iloc[0].dropna().items():
        print(f"{name:<14} {value}")
    if held.error is not None and held.error.traceback:
        print(f"\n{held.error.traceback}")


def _tasks(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """Lists the tasks of a run."""
    needs_home(home)
    print_table(history.tasks(chosen(run)), _TASKS, as_json=as_json)


def _logs(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """Lists what a run and its tasks logged and printed."""
    needs_home(home)
    print_table(history.logs(chosen(run)), _LOGS, as_json=as_json)


def _tree(
    run: RunId = None,
    html: Annotated[Path | None, typer.Option(help="Write it as a page to this file.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write when what ran to this file, for Perfetto.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Draws the tasks of a run as a tree."""
    needs_home(home)
    if as_json:
        print_table(history.tasks(chosen(run)), None, as_json=True)
        return
    tree = history.tree(run)
    if html is not None:
        tree.to_html(html)
    if trace is not None:
        tree.to_trace(trace)
    if html is None and trace is None:
        print_tree(tree)


def _due(as_json: AsJson = False, home: Home = None) -> None:
    """Lists the suspended runs that can go on now."""
    needs_home(home)
    print_table(history.due(), None, as_json=as_json)


def _events(as_json: AsJson = False, home: Home = None) -> None:
    """Lists the events, oldest first."""
    needs_home(home)
    print_table(events.events(), _EVENTS, as_json=as_json)


def _sql(
    query: Annotated[str, typer.Argument(help="A SELECT in DuckDB's SQL.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Queries the views runs, tasks, attempts, logs, events, statuses, edits and due."""
    needs_home(home)
    frame = history.sql(query)
    if as_json:
        print_table(frame, None, as_json=True)
    else:
        print_table(frame, list(frame.columns), as_json=False)


def _explain(
    name: Annotated[str, typer.Argument(help="Of the error, as RunBusyError.")],
) -> None:
    """Tells more of an error, with an example."""
    if name not in errors.__all__:
        close = difflib.get_close_matches(name, errors.__all__, n=1)
        hint = f"Is it {close[0]}?" if close else f"There are {', '.join(errors.__all__)}."
        raise errors.NotFoundError(f"nbtasks has no error {name!r}. {hint}")
    print(f"{name}\n{inspect.getdoc(getattr(errors, name))}")
    print(f"\nIn the documentation: errors.html#nbtasks.{name}")


def _ui(
    run: RunId = None,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    home: Home = None,
) -> None:
    """Follows the runs of the home in the terminal, or the tree of one. Ctrl-C ends it."""
    needs_home(home)
    follow(run, once=once)
