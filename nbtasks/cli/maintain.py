"""The commands that give runs to others, and keep the home in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbtasks.cli.options import AsJson, Home, chosen, needs_home, use
from nbtasks.cli.output import print_table
from nbtasks.jobs import maintenance, sharing
from nbtasks.jobs.runtime import get_run

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for name, command in (
        ("export", _export), ("import", _import), ("trust", _trust), ("gc", _gc),
        ("doctor", _doctor),
    ):  # fmt: skip
        app.command(name)(command)


def _export(
    file: Annotated[Path, typer.Argument(help="Where to; its name ends with .nbrun.")],
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Their ids; the latest one else.")
    ] = None,
    home: Home = None,
) -> None:
    """Writes runs to one file, to give to others. What is hidden does not go along."""
    needs_home(home)
    held = [get_run(run) for run in runs or [chosen(None)]]
    written = sharing.export_run(held, file)
    names = ", ".join(f"{run.id} of job {run.job}" for run in held)
    print(f"{written}: run {names}, {written.stat().st_size:,} bytes")


def _import(
    file: Annotated[Path, typer.Argument(help="A file that `nbtasks export` has written.")],
    home: Home = None,
) -> None:
    """Takes the runs of a shared file into the home. Nothing of it is executed."""
    use(home)
    for run in sharing.import_run(file):
        print(f"run {run.id} of job {run.job}: {run.status}")


def _trust(
    run: Annotated[str, typer.Argument(help="The id of the run.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Lets the pickles of a run be loaded, as if you had made them: whoever did can then run code
    here as you."""
    needs_home(home)
    print_table(sharing.trust_run(run, dry_run=dry_run), None, as_json=as_json)


def _gc(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Runs that ended so long ago, as 30d, 12h, 90m."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(help="But of each job the so many latest stay.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(help="And the oldest too, until the home has no more bytes.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them. Without this they are only shown.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Removes runs that have ended, and files that no run needs. Only shows them without --yes."""
    needs_home(home)
    gone = maintenance.gc(
        older_than=older_than, keep=keep, max_bytes=max_bytes, dry_run=not yes,
    )  # fmt: skip
    print_table(gone, None, as_json=as_json)
    if not as_json:
        said = gone.attrs
        done = "removed" if yes else "would go"
        print(
            f"{len(gone)} runs, {said['expired']} outputs whose ttl is over and "
            f"{said['spare_bytes']:,} bytes of files {done}; the home has {said['bytes']:,} bytes"
        )


def _doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Looks at all of the home. Exit status 1 says that something is wrong."""
    needs_home(home)
    found = maintenance.doctor(repair=repair)
    print_table(found, None, as_json=as_json)
    if "problem" in set(found.state):
        raise typer.Exit(1)
