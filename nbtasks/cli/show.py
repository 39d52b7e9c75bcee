"""Commands that read the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbtasks.cli.live_view import follow
from nbtasks.cli.options import AsJson, Home, Job, RunId, needs_home, resolve_run_id
from nbtasks.cli.output import print_table, print_tree
from nbtasks.jobs import events
from nbtasks.jobs.runtime import get_run
from nbtasks.views import history
from nbtasks.views.explanations import explain

__all__ = ["register"]

_RUNS = ["run_id", "job", "key", "status", "executions", "tasks", "failed", "started_at", "seconds"]
_TASKS = ["path", "status", "attempts", "reused", "started_at", "seconds", "error_message"]
_LOGS = ["logged_at", "level", "path", "message", "data"]
_EVENTS = ["id", "name", "source", "created_at", "delivered_at", "cancelled_at", "runs"]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for name, command in (
        ("runs", _runs), ("show", _show), ("tasks", _tasks), ("logs", _logs), ("tree", _tree),
        ("due", _due), ("events", _events), ("sql", _sql), ("ui", _ui), ("explain", _explain),
    ):  # fmt: skip
        app.command(name)(command)


def _runs(job: Job = None, as_json: AsJson = False, home: Home = None) -> None:
    """List the runs of the home, newest first."""
    needs_home(home)
    print_table(history.runs(job), _RUNS, as_json=as_json)


def _show(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """Show everything recorded about a run."""
    needs_home(home)
    target = get_run(resolve_run_id(run))
    record = history.runs().query("run_id == @target.id").drop(columns="duration")
    if as_json:
        print_table(record, None, as_json=True)
        return
    for name, value in record.iloc[0].dropna().items():
        print(f"{name:<14} {value}")
    if target.error is not None and target.error.traceback:
        print(f"\n{target.error.traceback}")


def _tasks(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """List the tasks of a run."""
    needs_home(home)
    print_table(history.tasks(resolve_run_id(run)), _TASKS, as_json=as_json)


def _logs(run: RunId = None, as_json: AsJson = False, home: Home = None) -> None:
    """List what a run and its tasks logged and printed."""
    needs_home(home)
    print_table(history.logs(resolve_run_id(run)), _LOGS, as_json=as_json)


def _tree(
    run: RunId = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the tree as a page to this file.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write the times of the tasks to this file, for Perfetto.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Draw the tasks of a run as a tree."""
    needs_home(home)
    if as_json:
        print_table(history.tasks(resolve_run_id(run)), None, as_json=True)
        return
    tree = history.tree(run)
    if html is not None:
        tree.to_html(html)
    if trace is not None:
        tree.to_trace(trace)
    if html is None and trace is None:
        print_tree(tree)


def _due(as_json: AsJson = False, home: Home = None) -> None:
    """List the suspended runs that can be resumed now."""
    needs_home(home)
    print_table(history.due(), None, as_json=as_json)


def _events(as_json: AsJson = False, home: Home = None) -> None:
    """List the events, oldest first."""
    needs_home(home)
    print_table(events.events(), _EVENTS, as_json=as_json)


def _sql(
    query: Annotated[str, typer.Argument(help="SELECT statement in DuckDB's SQL.")],
    over: Annotated[
        str | None, typer.Option(help="Query what a team has published there, not the home.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Query the views runs, tasks, attempts, logs, events, statuses, edits and due."""
    if over is None:
        needs_home(home)
    frame = history.sql(query, over=over)
    if as_json:
        print_table(frame, None, as_json=True)
    else:
        print_table(frame, list(frame.columns), as_json=False)


def _explain(
    name: Annotated[str, typer.Argument(help="Name of the error, such as RunBusyError.")],
) -> None:
    """Explain an error, with an example."""
    print(explain(name))


def _ui(
    run: RunId = None,
    once: Annotated[bool, typer.Option("--once", help="Show it once, then exit.")] = False,
    home: Home = None,
) -> None:
    """Follow the runs of the home in the terminal, or the tree of one run. Ctrl-C ends it."""
    needs_home(home)
    follow(run, once=once)
