"""The history of a team: runs, tasks and logs of many homes, published as Parquet files.

    runs/home=<home>/month=2026-11/<stamp>-<digest>.parquet
    tasks/home=<home>/month=2026-11/<stamp>-<digest>.parquet
    logs/home=<home>/month=2026-11/<stamp>-<digest>.parquet

A month holds the runs that began in it, with all their tasks and log lines. It is written again if
its content, of which the name holds a digest, has changed. The file of `runs` is written last: a
reader takes, for each home and month, the files with the greatest stamp among those of `runs`, so
it sees all of what was published or all of what was there before, and never both. Files with
smaller stamps are removed afterwards; a reader that still looked for one lists them again.

A run that several homes have, since one is a copy of the other or the run has moved, counts once:
as the home has it where it was executed most often, and among equals as it was published last.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.core import disk
from nbtasks.core.disk import RemotePath
from nbtasks.errors import JournalError, JournalWriteError, NotFoundError
from nbtasks.journal.bundle import home_names
from nbtasks.journal.database import dataset
from nbtasks.journal.database.dataset import PUBLISHED

if TYPE_CHECKING:
    from nbtasks.journal.home.home_journal import HomeJournal
    from nbtasks.journal.protocol import Journal

__all__ = ["Month", "PublishedRuns", "publish"]

_FILE = re.compile(r"(runs|tasks|logs)/home=([^/]+)/month=([^/]+)/([0-9a-z]+)-([0-9a-f]+)\.parquet")
_ATTEMPTS = 5  # of a reader whose files another process removes
#: The month of each run, in UTC.
_MONTHS = "(select run_id, strftime(started_at, '%Y-%m') as month from runs)"


class Month(NamedTuple):
    """A month of a home, as it was published.

    Attributes:
        month: The month, as 2026-11.
        state: `written`, `unchanged`, or `removed` since all of its runs were removed.
        runs: Number of runs that began in it.
        tasks: Number of their tasks.
        logs: Number of their log lines.
    """

    month: str
    state: str
    runs: int = 0
    tasks: int = 0
    logs: int = 0


class _File(NamedTuple):
    """A published file; files of one month with the same stamp and digest belong together."""

    view: str
    home: str
    month: str
    stamp: str
    digest: str

    @property
    def path(self) -> str:
        """Path below the place."""
        name = f"{self.stamp}-{self.digest}.parquet"
        return f"{self.view}/home={self.home}/month={self.month}/{name}"


def publish(journal: HomeJournal, place: Path | RemotePath) -> tuple[str, list[Month]]:
    """Publish the runs of a home; see the head of this module.

    Returns:
        The name of the home there, and its months.

    Raises:
        JournalWriteError: A file cannot be written.
    """
    files = _listed(place)
    try:
        # Before the journal is read: what is read later is newer.
        home, stamp = home_names.claim(journal.home, lambda name: _newest_stamp(files, name))
    except OSError as error:
        raise _not_written(journal.home, error) from error
    contents = _contents(journal)
    try:
        published = _newest(files, home)
        months = [Month(month, "removed") for month in published if month not in contents]
        for month, (digest, counts) in contents.items():
            if month in published and published[month].digest == digest:
                months.append(Month(month, "unchanged", *counts))
            else:
                file = _File("runs", home, month, stamp, digest)
                months.append(Month(month, "written", *_write(journal, place, file)))
        _remove_old(place, home, {*contents})
    except OSError as error:
        raise _not_written(place, error) from error
    return home, sorted(months)


def _listed(place: Path | RemotePath) -> list[_File]:
    try:
        return _files(place)
    except OSError as error:
        raise _not_written(place, error) from error


def _newest_stamp(files: Iterable[_File], home: str) -> str:
    return max((file.stamp for file in files if file.home == home), default="")


def _not_written(place: Path | RemotePath, error: OSError) -> JournalWriteError:
    return JournalWriteError(
        f"{place} could not be written: {error.strerror or error}. {disk.remedy(error, place)}, "
        "and publish again: what was published before is still there."
    )


def _contents(journal: Journal) -> dict[str, tuple[str, list[int]]]:
    """Return, for each month, a digest of its content and the number of rows of each view."""
    parts = []
    for view in PUBLISHED:
        rows = journal.query(
            "select month, sum(hash(one))::varchar as digest, count(*) as rows "  # noqa: S608 - fixed names
            f"from {view} as one join {_MONTHS} as began using (run_id) group by month"
        )
        parts.append({row["month"]: (row["digest"], row["rows"]) for row in rows.to_pylist()})
    found = {}
    for month in parts[0]:
        sums, counts = zip(*(part.get(month, ("", 0)) for part in parts), strict=True)
        text = f"{PUBLISHED} {sums} {counts}"
        found[month] = hashlib.sha256(text.encode()).hexdigest()[:16], list(counts)
    return found


def _query(view: str, columns: str) -> str:
    return (
        f"select {columns} from {view} join {_MONTHS} as began using (run_id) "  # noqa: S608 - fixed names
        "where month = $month"
    )


def _write(journal: Journal, place: Path | RemotePath, file: _File) -> list[int]:
    """Write the files of a month, that of the runs last. Return the number of rows of each view."""
    counts: dict[str, int] = {}
    for view, (columns, order) in reversed(PUBLISHED.items()):
        query = f"{_query(view, f'{view}.{columns}')} order by {order}"
        rows = journal.query(query, {"month": file.month})
        counts[view] = rows.num_rows
        with tempfile.TemporaryDirectory(prefix="nbtasks-") as folder:
            draft = Path(folder) / "part.parquet"
            dataset.write_file(rows, draft)
            _put(place, file._replace(view=view).path, draft)
    return [counts[view] for view in PUBLISHED]


def _put(place: Path | RemotePath, path: str, draft: Path) -> None:
    """Move a file to its path below a place: it is there as a whole or not at all."""
    if isinstance(place, RemotePath):
        (place / path).upload(draft)
        return
    target = place / path
    disk.make_folder(target.parent, durable=True, within=place / path.partition("/")[0])
    part = target.with_name(f".{target.name}.part")  # the draft may be on another file system
    try:
        shutil.copyfile(draft, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
        with contextlib.suppress(OSError):  # a folder that may not be read
            disk.sync_folder(target.parent)
    finally:
        disk.discard(part)


def _files(place: Path | RemotePath) -> list[_File]:
    """Return all published files below a place, whoever has published them.

    Raises:
        OSError: They cannot be listed.
    """
    if isinstance(place, RemotePath):
        paths: Iterable[str] = place.files()
    else:
        paths = [path.as_posix() for path in place.rglob("*.parquet")]
    found = (_FILE.search(path) for path in paths)
    return [_File(*match.groups()) for match in found if match]


def _newest(files: Iterable[_File], home: str | None = None) -> dict[str, _File]:
    """Return the newest file of runs of each month of a home."""
    newest: dict[str, _File] = {}
    for file in sorted(files, key=lambda file: file.stamp):
        if file.view == "runs" and file.home == home:
            newest[file.month] = file
    return newest


def _remove_old(place: Path | RemotePath, home: str, months: Collection[str]) -> None:
    """Remove the files of a home that newer ones replace, and those of all other months.

    A newer file that is not complete yet is of another process, which publishes now.
    """
    files = [file for file in _files(place) if file.home == home]
    newest = _newest(files, home)
    for file in sorted(files, key=lambda file: file.view):  # of runs before those of tasks
        kept = newest.get(file.month)
        if file.month not in months or (kept is not None and file.stamp < kept.stamp):
            if isinstance(place, RemotePath):
                place.remove(file.path)
            else:
                disk.discard(place / file.path)


class PublishedRuns:
    """The runs of a team's homes: what `query` of a `Journal` is asked for, over published files.

    Args:
        place: Where they were published.

    Raises:
        NotFoundError: Nobody has published anything there.
    """

    def __init__(self, place: Path | RemotePath) -> None:
        self.place = place
        self._chosen = self._choose()
        if not self._chosen:
            raise NotFoundError(
                f"There are no published runs in {place}. nb.publish({str(place)!r}) publishes "
                "those of this home."
            )

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Return the result of one SQL query over `runs`, `tasks` and `logs`, as a pyarrow Table.

        Each view has the columns of the home's own, and a last one, `home`.

        Raises:
            JournalError: `sql` is not a single query, DuckDB refuses it, or the files cannot be
                read.
        """
        file_system = self.place.fs if isinstance(self.place, RemotePath) else None
        for attempt in itertools.count(1):
            paths = {
                view: [self._locate(file._replace(view=view).path) for file in self._chosen]
                for view in PUBLISHED
            }
            try:
                return dataset.query_files(paths, file_system, sql, params, frames)
            except OSError as error:
                before, self._chosen = self._chosen, self._choose()
                is_removed = isinstance(error, FileNotFoundError) and self._chosen != before
                if not is_removed or attempt == _ATTEMPTS:
                    raise self._refusal(error) from None
        raise AssertionError("unreachable")

    def _choose(self) -> list[_File]:
        """Return, for each month of each home, the newest file of runs."""
        try:
            files = _files(self.place)
        except OSError as error:
            raise self._refusal(error) from None
        homes = {file.home for file in files}
        return [file for home in sorted(homes) for file in _newest(files, home).values()]

    def _locate(self, path: str) -> str:
        """Return the full path of a file, as DuckDB takes it."""
        if isinstance(self.place, RemotePath):
            return self.place.locate(path)
        return str(self.place.absolute() / path)

    def _refusal(self, error: OSError) -> JournalError:
        return JournalError(
            f"The published runs in {self.place} cannot be read: {error.strerror or error}."
        )
