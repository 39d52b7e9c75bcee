"""Contents of records, found without loading their values: files they refer to, and pickles."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.values.content import Find, split
from nbtasks.values.large import parts

__all__ = [
    "COMPOSED",
    "EXPIRED",
    "HIDDEN",
    "Pickle",
    "Read",
    "Record",
    "files",
    "from_base64",
    "parse",
    "part_from_base64",
    "pickles_in",
    "refuse_part",
    "split_file",
]

#: Kind of a value in a shared run that came with its redacted preview only.
HIDDEN = "hidden"
#: Kind of a value that was removed to free space after its time to live had passed.
EXPIRED = "expired"
#: Kinds of values that may refer to files of their large parts.
COMPOSED = frozenset({"parts", "bindings"})

#: Function that returns the bytes of a file by its name.
Read = Callable[[str], memoryview]
#: A pickle and its signature.
Pickle = tuple[bytes | memoryview, str]


def files(kind: str | None, text: str | None, blob: str | None, read: Read) -> set[str]:
    """Return the names of the files that a record refers to, and those of its parts.

    Raises:
        UnreadableValueError: The record is damaged, or the file of one with parts is missing.
    """
    names = set() if blob is None else {blob}
    if kind in COMPOSED and (blob is not None or parts.TAG in (text or "")):
        whole = Record(kind, text, None if blob is None else read(blob))
        names.update(part.blob for part in _iter_parts(whole, read))
    return names


class Record(NamedTuple):
    """Record with the bytes of its file, if it has one."""

    kind: str
    text: str | None
    data: memoryview | None

    def tagged(self) -> tuple[Any, Find]:
        """Return its tagged JSON, with the function that finds its byte contents."""
        joined = None if self.data is None else split_file(self.data)
        if joined is None:
            json = self.text or "null" if self.data is None else self.data
            return parse(json), part_from_base64
        return joined[0], joined[1].__getitem__

    def pickles(self) -> list[Pickle]:
        """Return the pickles in it, without those in its parts."""
        if self.kind in ("json", HIDDEN, EXPIRED):
            return []
        if self.kind == "pickle":
            signature, _, content = (self.text or "").partition(":")
            return [(from_base64(content) if self.data is None else self.data, signature)]
        tagged, find = self.tagged()
        return [(find(place), str(signature)) for signature, place in _iter_pickles(tagged)]


def _iter_parts(whole: Record, read: Read) -> Iterator[parts.Reference]:
    """Yield the parts of a record, and those of its parts; each file once."""
    seen: set[str] = set()
    todo = [whole]
    for record in todo:  # the list grows meanwhile
        if record.kind not in COMPOSED:
            continue
        for part in parts.references(record.tagged()[0]):
            if part.blob not in seen:
                seen.add(part.blob)
                yield part
                if part.kind in COMPOSED:
                    todo.append(Record(part.kind, part.signature, read(part.blob)))


def pickles_in(
    kind: str, text: str | None, data: memoryview | None, read: Read | None = None
) -> list[Pickle]:
    """Return the pickles in a record, without loading them.

    Args:
        kind: The kind of the record.
        text: The text of the row.
        data: The bytes of the file, if there is one.
        read: Function that returns the bytes of the file of a part by its name.

    Raises:
        UnreadableValueError: The record is damaged.
    """
    read = read or refuse_part
    whole = Record(kind, text, data)
    found = whole.pickles()
    for part in _iter_parts(whole, read):
        found += Record(part.kind, part.signature, read(part.blob)).pickles()
    return found


def _iter_pickles(tagged: Any) -> Iterator[list[Any]]:
    """Yield the signature and the place of each pickle in tagged JSON."""
    parts: Any = tagged if type(tagged) is list else ()
    if type(tagged) is dict:
        parts = tagged.values()
        for name, least in (("$pickle", 0), ("$figure", 1)):
            if type(content := tagged.get(name)) is list and content[least + 1 :]:
                yield content[least : least + 2]
    for part in parts:
        yield from _iter_pickles(part)


def parse(text: str | bytes | memoryview) -> Any:
    """Return the JSON of a record.

    Raises:
        UnreadableValueError: It is damaged.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def split_file(data: bytes | memoryview) -> tuple[Any, list[memoryview]] | None:
    """Split the file of a value into its JSON and its contents; None for a file of one JSON.

    Raises:
        UnreadableValueError: It is damaged.
    """
    try:
        return split(memoryview(data))
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableValueError(f"The file of a recorded value is damaged: {error}.") from None


def part_from_base64(part: Any) -> memoryview:
    """Return the byte content of a tag in the text of a row."""
    return memoryview(from_base64(part))


def from_base64(text: Any) -> bytes:
    """Return bytes from their text.

    Raises:
        UnreadableValueError: It is damaged.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def refuse_part(part: Any) -> memoryview:
    """Raise: the content of a tag, or the file of a part, is not here."""
    raise UnreadableValueError(f"Part {part!r} of the recorded value is missing.")
