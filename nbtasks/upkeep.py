"""A home that is kept in order: what is old goes, and what is wrong is found."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks import clock, environment, frames, spans
from nbtasks.errors import (
    InvalidOptionError,
    JournalDamaged,
    JournalError,
    UnreadableValueError,
)
from nbtasks.journal.checkup import Finding
from nbtasks.kit import kit
from nbtasks.pickled import pickles_of
from nbtasks.settings import config

if TYPE_CHECKING:
    from nbtasks.frames import DataFrame
    from nbtasks.journal.clearing import Candidate
    from nbtasks.journal.home import HomeJournal

__all__ = ["doctor", "gc", "size_of"]


def gc(
    *,
    older_than: timedelta | float | str | None = None,
    keep: int | None = None,
    max_bytes: int | None = None,
    dry_run: bool = True,
) -> DataFrame:
    """Removes runs that have ended, with all that is recorded of them; outputs of tasks whose `ttl`
    is over, which would be computed anew; and the files that no run needs any more. Without
    `dry_run=False` it only shows what would go.

    What runs or waits is never touched, nor a run that was begun by one that stays. The journal's
    file becomes as small as what is left. A process that dies in the middle has lost nothing:
    either the runs are gone, or they are all there.

    Args:
        older_than: Of runs that ended longer ago than this: "30d", a timedelta, or seconds.
        keep: But of each job the so many latest stay.
        max_bytes: And of what would stay, the oldest too, until the home has no more bytes than
            this.
        dry_run: Only show it.

    Returns:
        A row for each run that goes: `run_id`, `job`, `status`, `finished_at`, `bytes` of its
        outputs. Its `attrs` say how many `bytes` the home has, how many bytes of files go that no
        run needs, `spare_bytes`, and how many outputs are `expired`.

    Raises:
        JournalLockedError: Another program has the journal's file open. Nothing has changed.
        InvalidOptionError: An option is none.

    ```python
    from datetime import timedelta

    import nbtasks as nb


    @nb.job("gc-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("work", abs, payload)


    for day in range(3):
        body.run(day)
    old = nb.gc(older_than=timedelta(0), keep=1)
    assert (len(old), len(nb.runs())) == (2, 3)  # only shown
    nb.gc(older_than=timedelta(0), keep=1, dry_run=False)
    assert len(nb.runs()) == 1
    ```
    """
    from nbtasks.journal import clearing

    _check(older_than, keep, max_bytes)
    journal = _home()
    ended, expired = clearing.candidates(journal), clearing.expired(journal)
    size = size_of(journal.home)
    going = _chosen(ended, older_than, keep, 0 if max_bytes is None else size - max_bytes)
    if not dry_run:
        if going or expired:
            gone = set(clearing.remove_runs(journal, [one.run_id for one in going]))
            going = [one for one in going if one.run_id in gone]
        spare = clearing.remove_blobs(journal)
    else:
        spare = sum(found for _, found in clearing.unused_blobs(journal))
    frame = frames.ended(going)
    frame.attrs = {"bytes": size_of(journal.home), "spare_bytes": spare, "expired": expired}
    return frame


def doctor(*, repair: bool = False) -> DataFrame:
    """Looks at all of the home: its segments, its DuckDB file and what is in there beside
    nbtasks' own tables, the files of large values, whose the pickles are, and what processes that
    died have left.

    Args:
        repair: Also mend what can be. What is replaced is kept beside it, and it says so.

    Returns:
        A row for each thing that was looked at: `what`, its `state` ("ok", "problem", or "mended"),
        the `detail`, and the `remedy`.

    ```python
    import nbtasks as nb


    @nb.job("doctor-example")
    def body(io: nb.SyncIO) -> None: ...


    body.run()
    assert set(nb.doctor().state) == {"ok"}
    ```
    """
    from nbtasks.journal import checkup

    journal = _home()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalDamaged)  # it says that itself
        found = list(checkup.repair(journal)) if repair else []
        found += checkup.look(journal)
        if all(one.state != "problem" for one in found):
            found += _signatures(journal)
    found.append(Finding("versions", "ok", _versions()))
    return frames.findings(found)


def _signatures(journal: HomeJournal) -> Iterator[Finding]:
    """Whose the pickles are. None is loaded."""
    from nbtasks.journal import checkup

    held = 0
    strange: list[str] = []
    holders = checkup.pickled_runs(journal)
    for run in (run for run in journal.runs() if run.run_id in holders):
        try:
            found = pickles_of(journal, run)
        except UnreadableValueError as error:
            remedy = "find its task by run.tasks(), and reset it"
            yield Finding(f"run {run.run_id}", "problem", str(error), remedy)
            continue
        held += len(found)
        strange += [run.run_id] * any(not one.trusted for one in found)
    said = f"{held} pickles"
    if not strange:
        yield Finding("signatures", "ok", f"{said}, all of them yours" if held else said)
        return
    more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
    yield Finding(
        "signatures",
        "ok",
        f"{said}; some of run {strange[0]}{more} were made by others, and are not loaded",
        "nb.trust(run) lets them be loaded",
    )


def _versions() -> str:
    here = environment.versions()
    names = ("nbtasks", "duckdb", "pandas", "pyarrow", "numpy")
    found = [f"{name} {here.get(name) or environment.installed(name)}" for name in names]
    return ", ".join([f"Python {environment.python()}", *found])


def _home() -> HomeJournal:
    from nbtasks.journal.home import HomeJournal

    journal = kit.journal
    if not isinstance(journal, HomeJournal):
        raise JournalError(
            f"{config.home} is no home, and nothing can be kept in order there. Choose one "
            "with nb.configure(home=...)."
        )
    return journal


def _check(older_than: object, keep: object, max_bytes: object) -> None:
    if older_than is not None:
        _seconds(older_than)
    for name, value in (("keep", keep), ("max_bytes", max_bytes)):
        if value is not None and (type(value) is not int or value < 0):
            raise InvalidOptionError(f"nb.gc: {name} is a number from 0 on, not {value!r}.")


def _seconds(age: object) -> float:
    if isinstance(age, timedelta):
        return age.total_seconds()
    found: Any = spans.seconds(age) if isinstance(age, str) else age
    if type(found) not in (int, float) or not 0 <= found < float("inf"):
        raise InvalidOptionError(
            'nb.gc: older_than is a time as "30d", a timedelta, or a number of seconds, not '
            f"{age!r}."
        )
    return float(found)


def _chosen(
    ended: Sequence[Candidate],
    older_than: timedelta | float | str | None,
    keep: int | None,
    excess: int,
) -> list[Candidate]:
    """Those that go, the one that ended first first."""
    staying = _latest(ended, keep or 0)
    free = [one for one in ended if one.run_id not in staying]
    going: list[Candidate] = []
    if older_than is not None or keep is not None:
        age = 0.0 if older_than is None else _seconds(older_than)
        latest = clock.micros() - age * 1e6
        going = [one for one in free if one.ended_us <= latest]
    freed = sum(one.bytes for one in going)
    for one in free[len(going) :]:  # those that ended after them
        if freed >= excess:
            break
        going.append(one)
        freed += one.bytes
    return _without_children(going)


def _latest(ended: Sequence[Candidate], keep: int) -> Collection[str]:
    by_job: dict[str, list[str]] = {}
    for one in ended:
        by_job.setdefault(one.job, []).append(one.run_id)
    return {run_id for runs in by_job.values() for run_id in (runs[-keep:] if keep else ())}


def _without_children(going: list[Candidate]) -> list[Candidate]:
    """Those whose parents go, too, or are gone."""
    there = {run.run_id for run in kit.journal.runs()}
    while True:
        staying = there.difference(one.run_id for one in going)
        left = [one for one in going if one.parent_run not in staying]
        if len(left) == len(going):
            return left
        going = left


def size_of(home: Path) -> int:
    """How many bytes a home, or a shared file, takes."""
    files = [home] if home.is_file() else home.rglob("*")
    return sum(path.lstat().st_size for path in files if path.is_file())
