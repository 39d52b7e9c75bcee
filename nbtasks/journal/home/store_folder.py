"""Folder of a home in the store of large values: what is in it, and what no row refers to.

Several homes may share a store, so each has a folder of its own, under an id that the home keeps.
A home that was copied, or moved to another machine, gets another id: nobody removes what another
home refers to.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from nbtasks.core import clock, disk
from nbtasks.core.model import UNDER_WAY
from nbtasks.core.settings import config, is_shared
from nbtasks.errors import JournalWriteError, StoreError, UnreadableValueError
from nbtasks.values import codec
from nbtasks.values.stores import objects, refs

if TYPE_CHECKING:
    from nbtasks.journal.home.home_journal import HomeJournal
    from nbtasks.journal.protocol import Journal

__all__ = ["check", "folder", "remove_unused", "unused", "used"]

_FILE: Final = "store.json"
#: Values of which no row is there yet may be on their way from a worker for so long.
_GRACE_SECONDS: Final = 3600
_VALUE: Final = re.compile(r"/values/[0-9a-f]{2}/([0-9a-f]{40})$")
_OUTCOME: Final = re.compile(r"/outcomes/([^/]+)/[0-9a-f]+$")
_DIGEST: Final = re.compile(rb"[0-9a-f]{40}")
_REF: Final = b'"$ref"'
_IN_PICKLE: Final = refs.__name__.encode()
#: Columns whose values may hold references, each with its kind and its blob.
_COLUMNS: Final = (
    ("run", "output", "output_kind", "blob"), ("run", "payload", "payload_kind", "null"),
    ("task", "output", "output_kind", "blob"), ("entry", "value", "value_kind", "blob"),
    ("event", "payload", "payload_kind", "null"), ("answer", "value", "value_kind", "null"),
)  # fmt: skip
#: Kinds of values that may name references.
_KINDS: Final = ("tagged", "parts", "bindings", "pickle")


def folder(journal: Journal) -> str | None:
    """Return the URL of the folder of a journal's home in the store; None without a store.

    Raises:
        JournalWriteError: The home cannot keep the id of its folder.
    """
    if (store := config.store) is None:
        return None
    home: Path | None = getattr(journal, "home", None)  # not in the protocol
    name = _memory() if home is None or is_shared(home) else _id_of(home)
    return f"{store.rstrip('/')}/{name}"


@functools.cache
def _memory() -> str:
    return clock.new_id()


@functools.cache
def _id_of(home: Path) -> str:
    path = home / _FILE
    draft = path.with_name(f"{_FILE}.{os.getpid()}.new")
    try:
        home.mkdir(parents=True, exist_ok=True)
        known, own = _read(path), _place(home)
        if known is not None and _is_same(known, own):
            id_ = str(known["id"])
            if known != {"id": id_, **own}:  # it is called something else by now
                with contextlib.suppress(OSError):  # else it may not be known after the next change
                    draft.write_bytes(orjson.dumps({"id": id_, **own}))
                    draft.replace(path)
            return id_
        draft.write_bytes(orjson.dumps({"id": clock.new_id(), **own}))
        if known is not None:
            path.unlink(missing_ok=True)  # of a home that was copied, or moved to another machine
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
    except OSError as error:
        raise JournalWriteError(
            f"{path} could not be written: {error.strerror}. {disk.remedy(error)}, then execute "
            "the run again."
        ) from error
    finally:
        disk.discard(draft)
    return str(orjson.loads(path.read_bytes())["id"])


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a home knows of its folder; None if there is no file."""
    try:
        known = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return known if isinstance(known, dict) and "id" in known else {}


def _place(home: Path) -> dict[str, Any]:
    """Return where a home is: by the names of machine and folder, and by what the kernel knows."""
    found = home.stat()
    return {
        "host": socket.gethostname(), "home": str(home.resolve()),
        "boot_id": clock.boot_id(), "inode": [found.st_dev, found.st_ino],
    }  # fmt: skip


def _is_same(known: dict[str, Any], own: dict[str, Any]) -> bool:
    """Return True if two places are one: a restarted container has another host name, and a machine
    that was restarted another boot id. A copy of a home has neither in common."""
    by_name = all(known.get(name) == own[name] for name in ("host", "home"))
    by_kernel = all(known.get(name) == own[name] for name in ("boot_id", "inode"))
    return by_name or (by_kernel and own["boot_id"] is not None)


def used(journal: HomeJournal) -> set[str]:
    """Return the digests of all values in stores that rows refer to."""
    digests: set[str] = set()
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    with journal.reading() as con:
        for table, value, kind, blob in _COLUMNS:
            rows = con.execute(
                f"select {kind}, {value}, {blob} from {table} where {kind} in ({kinds})"  # noqa: S608 - fixed names
            ).fetchall()
            for found in rows:
                digests.update(_digests(journal, *found))
    return digests


def _digests(journal: Journal, kind: str, text: str | None, blob: str | None) -> Iterator[str]:
    """Yield the digests of references in a record, also of those in its parts and pickles."""

    def read(name: str) -> memoryview:
        return journal.get_blob(name).data

    with contextlib.suppress(UnreadableValueError):
        names = [blob] if kind == "pickle" else sorted(codec.files(kind, text, blob, read))
        contents = [bytes(read(name)) for name in names if name is not None]
        data = None if blob is None else read(blob)
        pickles = [bytes(pickle) for pickle, _ in codec.pickles_in(kind, text, data, read)]
        for content in ((text or "").encode(), *contents, *pickles):
            if _REF in content or _IN_PICKLE in content:
                yield from (found.decode() for found in _DIGEST.findall(content))


def unused(journal: HomeJournal) -> list[tuple[str, int]]:
    """Return the path and the size of each object of this home that no row needs.

    Values are those that no row refers to, but for such as may be on their way: those of the last
    hour, and those that came since a task has left its outcome in the store. Outcomes are those of
    runs that have ended, or are gone.

    Raises:
        StoreError: The store cannot be read.
    """
    url = folder(journal)
    if url is None:
        return []
    open_runs = {run.run_id for run in journal.runs() if run.status in UNDER_WAY}
    digests = used(journal)
    latest = clock.micros() / 1e6 - _GRACE_SECONDS
    values, result = [], []
    for path, size, changed in _objects(url):
        if (found := _OUTCOME.search(path)) is not None:
            if found.group(1) in open_runs:
                latest = min(latest, changed - _GRACE_SECONDS)
            elif changed < latest:
                result.append((path, size))
        elif (found := _VALUE.search(path)) is not None and found.group(1) not in digests:
            values.append((path, size, changed))
    return result + [(path, size) for path, size, changed in values if changed < latest]


def _objects(url: str) -> list[tuple[str, int, float]]:
    """Return the path, the size and the time of each object below a folder."""
    try:
        fs, path = objects.open_store(url)
        fs.invalidate_cache()
        found: dict[str, Any] = fs.find(path, detail=True)
        return [
            (name, int(info["size"] or 0), fs.modified(name).timestamp())
            for name, info in found.items()
        ]
    except FileNotFoundError:
        return []
    except objects.Refused as error:
        raise refs.refused(url, str(error)) from None
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise refs.refused(url, f"{type(error).__name__}: {error}") from None


def remove_unused(journal: HomeJournal) -> int:
    """Remove the objects of this home that no row needs, and return their size in bytes.

    Raises:
        StoreError: The store cannot be written.
    """
    url, freed = folder(journal), 0
    if url is None:
        return 0
    for path, size in unused(journal):
        try:
            fs, _ = objects.open_store(url)
            fs.rm_file(path)
        except FileNotFoundError:
            continue
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            raise refs.refused(url, f"{type(error).__name__}: {error}") from None
        freed += size
    return freed


def check(journal: HomeJournal) -> Iterator[tuple[str, str, str, str]]:
    """Yield the parts of a finding for each problem of the store, and one for its condition."""
    url = folder(journal)
    if url is None:
        return
    what = disk.without_password(url)
    try:
        found = {match.group(1) for path, *_ in _objects(url) if (match := _VALUE.search(path))}
        spare = unused(journal)
    except StoreError as error:
        yield what, "problem", str(error), "give access to it, or name another store"
        return
    for ref in _refs(journal):
        if ref.place == url and ref.digest not in found:
            yield what, "problem", str(ref.lost("it is not there any more")), "reset that task"
    count = f"{len(spare)} objects, {sum(size for _, size in spare):,} bytes"
    remedy = "nb.gc(dry_run=False) removes them" if spare else ""
    yield what, "ok", f"{len(found)} values; {count}, that no row needs", remedy


def _refs(journal: HomeJournal) -> Iterator[refs.Ref]:
    """Yield the references that are outputs of tasks."""
    with journal.reading() as con:
        rows = con.execute("select output from task where output_kind = 'tagged'").fetchall()
    for (text,) in rows:
        if text is not None and text.startswith('{"$ref"'):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                yield refs.Ref.of_record(orjson.loads(text)["$ref"])
