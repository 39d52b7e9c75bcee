"""The commands: `python -m nbtasks`, or `nbtasks`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nbtasks.errors import NbtasksError
from nbtasks.history import last_run, runs, sql, tasks, tree
from nbtasks.kit import configure

if TYPE_CHECKING:
    from nbtasks.frames import DataFrame

__all__ = ["app", "main"]

app = typer.Typer(
    help="Durable notebook cells: what their journal knows, and a demo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_RUNS = ["run_id", "job", "key", "status", "executions", "tasks", "failed", "started_at", "seconds"]
_TASKS = ["path", "status", "attempts", "reused", "started_at", "seconds", "error_message"]
_WIDEST = 60  # characters of a cell

RunId = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Its id; the latest run else.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="The folder of the journal; else as in a notebook.")
]
Into = Annotated[
    Path | None, typer.Option("--into", help="Where to work: a new or empty folder of yours.")
]


def main() -> None:
    """Runs the command line. What the user can mend is one line, without a traceback."""
    try:
        app()
    except NbtasksError as error:
        sys.exit(f"{type(error).__name__}: {error}")


@app.callback()
def _options(home: Home = None) -> None:
    if home is not None:
        configure(home=home)


@app.command("demo")
def _demo(into: Into = None) -> None:
    """Kills the kernel of a notebook in the middle of its work, and lets a new one go on."""
    from nbtasks.demo import demonstrate

    raise typer.Exit(demonstrate(into))


@app.command("runs")
def _runs() -> None:
    """Lists the runs of the home, oldest first."""
    _print(runs()[_RUNS])


@app.command("tasks")
def _tasks(run: RunId = None) -> None:
    """Lists the tasks of a run."""
    _print(tasks(run or last_run().id)[_TASKS])


@app.command("tree")
def _tree(run: RunId = None) -> None:
    """Draws the tasks of a run as a tree."""
    print(tree(run))


@app.command("sql")
def _sql(query: Annotated[str, typer.Argument(help="A SELECT in DuckDB's SQL.")]) -> None:
    """Queries the views runs, tasks, attempts and logs."""
    _print(sql(query))


def _print(frame: DataFrame) -> None:
    """All rows, a line each, and the columns that hold something; text stands at the left."""
    if frame.empty:
        print("(none)")
        return
    shown = frame.dropna(axis="columns", how="all")
    for name in shown.select_dtypes("datetimetz"):
        shown[name] = shown[name].dt.strftime("%Y-%m-%d %H:%M:%S")
    for name in shown.select_dtypes(exclude=["number", "bool", "timedelta"]):
        text = shown[name].astype("str").str.slice(0, _WIDEST).fillna("")
        shown[name] = text.str.ljust(text.str.len().max())
    print(shown.to_string(index=False, na_rep="", justify="left"))
