"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbtasks.core.settings import config, is_shared
from nbtasks.errors import NotFoundError
from nbtasks.jobs.runtime import configure, last_run
from nbtasks.views.history import runs

__all__ = ["AsJson", "Files", "Home", "Job", "RunId", "needs_home", "resolve_run_id", "use"]


def _complete_runs(incomplete: str) -> list[tuple[str, str]]:
    frame = runs()
    return [
        (run_id, f"{job} {status}")
        for run_id, job, status in zip(frame.run_id, frame.job, frame.status, strict=True)
        if run_id.startswith(incomplete)
    ]


def _complete_jobs(incomplete: str) -> list[str]:
    return sorted(job for job in set(runs().job) if job.startswith(incomplete))


Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of the journal; by default as in a notebook.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="Id of the run, or of a job for its latest; by default the latest of all.",
        autocompletion=_complete_runs,
    ),
]
Job = Annotated[
    str | None, typer.Option("--job", help="Only runs of this job.", autocompletion=_complete_jobs)
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        help="Python files and notebooks that define the jobs; may be given several times.",
    ),
]


def use(home: Path | None) -> None:
    """Choose the home that a command works on."""
    if home is not None:
        configure(home=home)


def needs_home(home: Path | None = None) -> None:
    """Choose the home of a command that reads an existing journal.

    Raises:
        NotFoundError: The home has no journal.
    """
    use(home)
    if is_shared(config.home) and config.home.is_file():
        return
    if not (config.home / "journal.duckdb").exists() and not (config.home / "wal").is_dir():
        below = sorted(str(one) for one in Path().glob("*/.nbtasks") if one.is_dir())
        hint = f" Below are {', '.join(below)}." if below else ""
        raise NotFoundError(
            f"There is no journal in {config.home}. Execute a %%job cell there first, or give its "
            f"folder with --home.{hint}"
        )


def resolve_run_id(run: str | None) -> str:
    """Return the id of the named run, or of the latest run if none is named."""
    return run or last_run().id
