"""Records of a run that could execute code: pickles and displays; and trust in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.core.model import TaskRow
from nbtasks.values import codec, displays, pickles, signing
from nbtasks.values.content import content_hash
from nbtasks.values.stores.refs import refs_in

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.journal.protocol import Journal

__all__ = ["Pickled", "pickles_of", "trust"]


class Pickled(NamedTuple):
    """A pickle in the records of a run, or a display that a page could execute.

    Attributes:
        path: Path of the task with the pickle in its output, or with the display; None for the
            payload and the output of the run, and for what it has stored.
        bytes: Size in bytes.
        imports: Names that the pickle would import, as far as they are known without loading it; of
            a display its types.
        trusted: True if the pickle is loaded when its value is read, or the display is shown.
        hash: Hash of its content.
    """

    path: str | None
    bytes: int
    imports: str
    trusted: bool
    hash: str


def pickles_of(journal: Journal, run: RunRow) -> list[Pickled]:
    """Return the pickles and the active displays of a run, without loading or showing any.

    Raises:
        UnreadableValueError: A record is damaged.
    """
    result = []

    def read(name: str) -> memoryview:
        return journal.get_blob(name).data

    for path, kind, text, blob in _records(journal, run):
        data = None if blob is None else read(blob)
        for pickle, signature in codec.pickles_in(kind, text, data, read):
            name = content_hash(pickle)
            trusted = signing.verify(name, signature)
            imports = ", ".join(pickles.names(pickle))
            result.append(Pickled(path, memoryview(pickle).nbytes, imports, trusted, name))
        for ref in refs_in(kind, text, data):
            place = f"what is in {ref.url}, which is not read"
            result.append(Pickled(path, ref.nbytes, place, ref.is_trusted, ref.token))
    return result + list(_displayed(journal, run))


def _displayed(journal: Journal, run: RunRow) -> Iterator[Pickled]:
    for row in sorted(journal.find("display", run_id=run.run_id), key=lambda row: row.shown_us):
        record = row.output if row.blob is None else journal.get_blob(row.blob).data
        if record is None:  # where the task cleared its output
            continue
        display = displays.loads(record)
        active = sorted(display.data.keys() - displays.PASSIVE)
        if active:
            types = f"displays {', '.join(active)}"
            yield Pickled(row.path, len(record), types, display.trusted, display.hash)


def trust(entries: list[Pickled]) -> list[Pickled]:
    """Allow these to be loaded and shown from now on, and return them as trusted."""
    signing.trust(entry.hash for entry in entries if not entry.trusted)
    return [entry._replace(trusted=True) for entry in entries]


def _records(
    journal: Journal, run: RunRow
) -> Iterator[tuple[str | None, str, str | None, str | None]]:
    if run.payload_kind is not None:
        yield None, run.payload_kind, run.payload, None
    outputs: list[Any] = [run, *(TaskRow(*values) for values in journal.tasks(run.run_id))]
    for row in outputs:
        if row.output_kind is not None:
            path = row.path if isinstance(row, TaskRow) else None
            yield path, row.output_kind, row.output, row.blob
    for entry in journal.find("entry", scope=f"run:{run.run_id}"):
        if entry.value_kind is not None:
            yield None, entry.value_kind, entry.value, entry.blob
