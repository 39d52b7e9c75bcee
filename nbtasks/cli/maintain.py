"""Commands that share runs and maintain the home."""

from __future__ import annotations

from typing import Annotated

import typer

from nbtasks.cli.options import AsJson, Home, needs_home, resolve_run_id, use
from nbtasks.cli.output import print_table
from nbtasks.jobs import maintenance, sharing
from nbtasks.jobs.runtime import get_run

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for name, command in (
        ("export", _export), ("import", _import), ("trust", _trust), ("gc", _gc),
        ("doctor", _doctor), ("publish", _publish),
    ):  # fmt: skip
        app.command(name)(command)


def _export(
    file: Annotated[
        str, typer.Argument(help="File to write, or its URL; its name ends with .nbrun.")
    ],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Ids of runs, or of jobs for their latest; by default the latest run of all.",
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Write runs to one file, to share with others. Hidden values are not included."""
    needs_home(home)
    targets = [get_run(run) for run in runs or [resolve_run_id(None)]]
    path, summary = sharing.write_export(targets, file)
    names = ", ".join(f"{run.id} of job {run.job}" for run in targets)
    print(f"{path}: run {names}, {summary}")


def _import(
    file: Annotated[str, typer.Argument(help="File written by `nbtasks export`, or its URL.")],
    home: Home = None,
) -> None:
    """Import the runs of a shared file into the home, or continue those that are there.

    Nothing in it is executed."""
    use(home)
    for run, what in sharing.read_import(file):
        print(f"run {run.id} of job {run.job}: {what}")


def _trust(
    run: Annotated[str, typer.Argument(help="Id of the run, or of a job for its latest.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the pickles.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Trust the pickles of a run as your own, so that they can be loaded.

    Whoever made them can then run code here as you."""
    needs_home(home)
    print_table(sharing.trust_run(run, dry_run=dry_run), None, as_json=as_json)


def _gc(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove runs that ended longer ago: 30d, 12h, 90m."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(help="Always keep this many of the latest runs of each job.")
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(help="Also remove the oldest runs until the home is at most this large."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them. Without this option they are only listed.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Remove runs that have ended, and files that no run needs. Without --yes, only list them."""
    needs_home(home)
    frame = maintenance.gc(
        older_than=older_than, keep=keep, max_bytes=max_bytes, dry_run=not yes,
    )  # fmt: skip
    print_table(frame, None, as_json=as_json)
    if not as_json:
        totals = frame.attrs
        verb = "removed" if yes else "would be removed"
        print(
            f"{len(frame)} runs, {totals['expired']} outputs whose ttl has expired and "
            f"{totals['spare_bytes']:,} bytes of files {verb}; the home has "
            f"{totals['bytes']:,} bytes"
        )


def _doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    release: Annotated[
        str | None, typer.Option(metavar="HOST", help="Count processes of a lost machine as dead.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Check all of the home. Exit status 1 means that it has a problem."""
    needs_home(home)
    frame = maintenance.doctor(repair=repair, release=release)
    print_table(frame, None, as_json=as_json)
    if "problem" in set(frame.state):
        raise typer.Exit(1)


def _publish(
    place: Annotated[str, typer.Argument(help="Folder of the team, or its URL.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Publish runs, tasks and logs of the home for a team, as Parquet files."""
    needs_home(home)
    print_table(maintenance.publish(place), None, as_json=as_json)
