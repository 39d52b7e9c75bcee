"""Maintenance of a home: removal of old runs, checks with repair, publication of its history."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.core import clock, disk
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.parameters import with_nearest_option
from nbtasks.core.settings import config
from nbtasks.errors import (
    InvalidOptionError,
    JournalDamaged,
    JournalError,
    UnreadableValueError,
)
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import outputs
from nbtasks.journal.bundle.trust import pickles_of
from nbtasks.journal.home.doctor import Finding
from nbtasks.views import frames

if TYPE_CHECKING:
    from nbtasks.journal.home.gc import Candidate
    from nbtasks.journal.home.home_journal import HomeJournal
    from nbtasks.views.frames import DataFrame

__all__ = ["doctor", "gc", "publish", "size_of"]


@with_nearest_option("nb.gc")
def gc(
    *,
    older_than: Duration | None = None,
    keep: int | None = None,
    max_bytes: int | None = None,
    dry_run: bool = True,
) -> DataFrame:
    """Remove old runs, expired outputs and unused files. By default only show what would go.

    It removes ended runs with everything that is recorded of them, outputs of tasks whose `ttl` is
    over, which a later execution would compute again, and files that no run needs any more,
    including those of this home in the store that `nb.configure(store=)` names.

    Running and waiting runs are never removed, nor is a run whose parent run stays. The journal's
    file shrinks to the size of its content. A process that dies in the middle loses nothing:
    either all chosen runs are removed, or none.

    Args:
        older_than: Remove runs that ended longer ago than this: seconds, a timedelta, or text such
            as "30d".
        keep: Keep this number of the latest ended runs of each job.
        max_bytes: Remove the oldest of the remaining runs, too, until the home has at most this
            many bytes.
        dry_run: Only show the runs that would be removed.

    Returns:
        A row for each removed run: `run_id`, `job`, `status`, `finished_at`, and `bytes`, the size
        of its outputs. The frame's `attrs` hold `bytes`, the size of the home; `spare_bytes`, the
        size of the removed files that no run needs; and `expired`, the number of expired outputs.

    Raises:
        JournalLockedError: Another program has the journal's file open. Nothing has changed.
        JournalWriteError: The home cannot be written. Nothing has changed.
        StoreError: The store cannot be read or written; the home is done.
        InvalidOptionError: An option has no valid value.

    ```python
    from datetime import timedelta

    import nbtasks as nb


    @nb.job("gc-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("work", abs, payload)


    for day in range(3):
        body.run(day)
    old = nb.gc(older_than=timedelta(0), keep=1)
    assert (len(old), len(nb.runs())) == (2, 3)  # a dry run
    nb.gc(older_than=timedelta(0), keep=1, dry_run=False)
    assert len(nb.runs()) == 1
    ```
    """
    from nbtasks.journal.home import gc, store_folder

    age = None if older_than is None else to_seconds("nb.gc: older_than", older_than, least=0)
    _check_counts(keep=keep, max_bytes=max_bytes)
    journal = _require_home()
    ended, expired = gc.candidates(journal), gc.expired(journal)
    size = size_of(journal.home)
    runs = _select(ended, age, keep, 0 if max_bytes is None else size - max_bytes)
    if not dry_run:
        if runs or expired:
            removed = set(gc.remove_runs(journal, [run.run_id for run in runs]))
            runs = [run for run in runs if run.run_id in removed]
        spare = gc.remove_blobs(journal) + store_folder.remove_unused(journal)
    else:
        unused = gc.unused_blobs(journal) + store_folder.unused(journal)
        spare = sum(size_of_one for _, size_of_one in unused)
    frame = frames.ended(runs)
    frame.attrs = {"bytes": size_of(journal.home), "spare_bytes": spare, "expired": expired}
    return frame


@with_nearest_option("nb.doctor")
def doctor(*, repair: bool = False, release: str | None = None) -> DataFrame:
    """Check the whole home, and optionally repair it.

    The check covers the write-ahead segments, the DuckDB file and foreign objects in it, the files
    of large values, the signatures of pickles, and leftovers of processes that died.

    Args:
        repair: Also repair what can be repaired. A replaced file is kept beside the new one, and
            the result names it.
        release: Name of another machine that is gone, as `RunBusyError` gives it: the runs that its
            processes were executing are INTERRUPTED from now on, and can be resumed here.

    Returns:
        A row for each check: `what` was checked, its `state` ("ok", "problem", or "repaired"), the
        `detail`, and the `remedy`.

    ```python
    import nbtasks as nb


    @nb.job("doctor-example")
    def body(io: nb.SyncIO) -> None: ...


    body.run()
    assert set(nb.doctor().state) == {"ok"}
    ```
    """
    from nbtasks.journal.home import doctor

    journal = _require_home()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalDamaged)  # the findings report the damage
        findings = [] if release is None else list(doctor.release_host(journal, release))
        findings += doctor.repair(journal) if repair else []
        findings += doctor.check_home(journal)
        if all(finding.state != "problem" for finding in findings):
            findings += _check_signatures(journal)
    findings.append(Finding("versions", "ok", _versions()))
    return frames.findings(findings)


def publish(place: str | os.PathLike[str]) -> DataFrame:
    """Publish the runs, tasks and logs of the home for a team, as Parquet files.

    The files hold what the frames show: hidden values stay hidden, and values that are not JSON are
    left out. `nb.runs`, `nb.tasks`, `nb.logs` and `nb.sql` read them with `over=`, for all homes
    that have published at the same place; so can any program that reads Parquet.

    Only months whose runs have changed are written again. A reader sees either the old month or the
    new one. Runs that were removed from the home disappear when it is next published. A run that
    several homes have counts once, as it has gone furthest or was published last.

    Args:
        place: A folder, or its URL, such as `s3://team/nbtasks`. fsspec opens URLs:
            `pip install 'nbtasks[remote]'`, and for s3:// also s3fs.

    Returns:
        A row for each month in which runs of the home began: `month`, its `state` ("written",
        "unchanged", or "removed"), and the numbers of its `runs`, `tasks` and `logs`. The frame's
        `attrs` hold `home`, the name of the home there.

    Raises:
        JournalWriteError: The place cannot be written. What was there before stays.
        InvalidOptionError: No library here opens such a URL.

    ```python
    import nbtasks as nb


    @nb.job("publish-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    body.run()
    assert nb.publish("team").state.tolist() == ["written"]
    assert nb.publish("team").state.tolist() == ["unchanged"]
    assert nb.tasks(over="team").output.tolist() == ["42"]
    nb.sql("select home, count(*) from runs group by home", over="team")
    ```
    """
    from nbtasks.journal.bundle import published

    target = disk.place_of(place)
    journal = _require_home()
    name, months = published.publish(journal, target)
    frame = frames.published(months)
    frame.attrs = {"home": name}
    return frame


def _check_signatures(journal: HomeJournal) -> Iterator[Finding]:
    """Yield the findings on the signatures of pickles. No pickle is loaded."""
    from nbtasks.journal.home import doctor

    count = 0
    untrusted: list[str] = []
    pickled = doctor.pickled_runs(journal)
    for run in (run for run in journal.runs() if run.run_id in pickled):
        try:
            pickles = pickles_of(journal, run)
        except UnreadableValueError as error:
            remedy = "find its task with run.tasks(), and reset it"
            yield Finding(f"run {run.run_id}", "problem", str(error), remedy)
            continue
        count += len(pickles)
        untrusted += [run.run_id] * any(not pickle.trusted for pickle in pickles)
    label = f"{count} pickles"
    if not untrusted:
        yield Finding("signatures", "ok", f"{label}, all of them yours" if count else label)
        return
    more = f" and {len(untrusted) - 1} more" if len(untrusted) > 1 else ""
    yield Finding(
        "signatures",
        "ok",
        f"{label}; some of run {untrusted[0]}{more} were made by others, and are not loaded",
        "nb.trust(run) lets them be loaded",
    )


def _versions() -> str:
    loaded = outputs.versions()
    names = ("nbtasks", "duckdb", "pandas", "pyarrow", "numpy")
    versions = [f"{name} {loaded.get(name) or outputs.installed(name)}" for name in names]
    return ", ".join([f"Python {outputs.python()}", *versions])


def _require_home() -> HomeJournal:
    from nbtasks.journal.home.home_journal import HomeJournal

    journal = runtime.journal
    if not isinstance(journal, HomeJournal):
        raise JournalError(
            f"{config.home} is not a home, so there is nothing to maintain. Choose a home with "
            "nb.configure(home=...)."
        )
    return journal


def _check_counts(**counts: object) -> None:
    for name, value in counts.items():
        if value is not None and (type(value) is not int or value < 0):
            raise InvalidOptionError(
                f"nb.gc: {name} is a whole number of at least 0, not {value!r}."
            )


def _select(
    ended: Sequence[Candidate],
    age: float | None,
    keep: int | None,
    excess: int,
) -> list[Candidate]:
    """Return the runs to remove, in the order in which they ended."""
    latest_ids = _latest_of_each_job(ended, keep or 0)
    removable = [run for run in ended if run.run_id not in latest_ids]
    selected: list[Candidate] = []
    if age is not None or keep is not None:
        latest = clock.micros() - (age or 0) * 1e6
        selected = [run for run in removable if run.ended_us <= latest]
    freed = sum(run.bytes for run in selected)
    for run in removable[len(selected) :]:  # the runs that ended later
        if freed >= excess:
            break
        selected.append(run)
        freed += run.bytes
    return _without_children(selected)


def _latest_of_each_job(ended: Sequence[Candidate], keep: int) -> Collection[str]:
    by_job: dict[str, list[str]] = {}
    for run in sorted(ended, key=lambda run: (run.number, run.run_id)):
        by_job.setdefault(run.job, []).append(run.run_id)
    return {run_id for ids in by_job.values() for run_id in (ids[-keep:] if keep else ())}


def _without_children(selected: list[Candidate]) -> list[Candidate]:
    """Return the selected runs whose parents are selected, too, or are missing."""
    existing = {run.run_id for run in runtime.journal.runs()}
    while True:
        remaining = existing.difference(run.run_id for run in selected)
        orphans = [run for run in selected if run.parent_run not in remaining]
        if len(orphans) == len(selected):
            return orphans
        selected = orphans


def size_of(home: Path) -> int:
    """Return the size of a home, or of a shared file, in bytes."""
    files = [home] if home.is_file() else home.rglob("*")
    return sum(path.lstat().st_size for path in files if path.is_file())
