"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbtasks.core.settings import config, is_shared
from nbtasks.errors import NotFoundError
from nbtasks.jobs.runtime import configure, last_run
from nbtasks.views.history import runs

__all__ = ["AsJson", "Files", "Home", "Job", "RunId", "chosen", "needs_home", "use"]


def _complete_runs(incomplete: str) -> list[tuple[str, str]]:
    frame = runs().iloc[::-1]
    return [
        (run_id, f"{job} {status}")
        for run_id, job, status in zip(frame.run_id, frame.job, frame.status, strict=True)
        if run_id.startswith(incomplete)
    ]


def _complete_jobs(incomplete: str) -> list[str]:
    return sorted(job for job in set(runs().job) if job.startswith(incomplete))


Home = Annotated[
    Path | None, typer.Option("--home", help="The folder of the journal; else as in a notebook.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]", help="Its id; the latest run else.", autocompletion=_complete_runs
    ),
]
Job = Annotated[
    str | None, typer.Option("--job", help="Of this job only.", autocompletion=_complete_jobs)
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        help="Python files and notebooks that define the jobs; may be given several times.",
    ),
]


def use(home: Path | None) -> None:
    """Chooses the home that a command is about."""
    if home is not None:
        configure(home=home)


def needs_home(home: Path | None = None) -> None:
    """As `use`, for a command that reads what is there.

    Raises:
        NotFoundError: There is nothing.
    """
    use(home)
    if is_shared(config.home) and config.home.is_file():
        return
    if not (config.home / "journal.duckdb").exists() and not (config.home / "wal").is_dir():
        raise NotFoundError(
            f"There is no journal in {config.home}. Execute a %%job cell there first, or give its "
            "folder with --home."
        )


def chosen(run: str | None) -> str:
    """The id of the run that is meant: the latest one else."""
    return run or last_run().id
