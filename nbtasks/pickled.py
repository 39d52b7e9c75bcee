"""The pickles of a run, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks import codec, signing
from nbtasks.model import TaskRow
from nbtasks.values import pickles
from nbtasks.values.content import content_hash

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal
    from nbtasks.model import RunRow

__all__ = ["Pickled", "pickles_of", "trust"]


class Pickled(NamedTuple):
    """One pickle that a run holds.

    Attributes:
        path: Of the task whose output it is in; None for the payload and the output of the run.
        bytes: How many it has.
        imports: What it would import, as far as that can be told without loading it.
        trusted: Whether it is loaded when its value is asked for.
        hash: Of its bytes.
    """

    path: str | None
    bytes: int
    imports: str
    trusted: bool
    hash: str


def pickles_of(journal: Journal, run: RunRow) -> list[Pickled]:
    """The pickles of a run, of which none is loaded.

    Raises:
        UnreadableValueError: A record is damaged.
    """
    found = []
    for path, kind, text, blob in _records(journal, run):
        data = None if blob is None else journal.get_blob(blob).data
        for pickle, signature in codec.pickles_in(kind, text, data):
            name = content_hash(pickle)
            trusted = signing.verify(name, signature)
            imports = ", ".join(pickles.names(pickle))
            found.append(Pickled(path, memoryview(pickle).nbytes, imports, trusted, name))
    return found


def trust(found: list[Pickled]) -> list[Pickled]:
    """Lets these be loaded from now on, and gives them as they are then."""
    signing.trust(one.hash for one in found if not one.trusted)
    return [one._replace(trusted=True) for one in found]


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
