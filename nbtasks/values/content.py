r"""Lazy bytes of large values: their size, and a function that writes them.

A frame of a gigabyte is written from its own memory to a file, and is never in memory a second
time. Several parts, with the JSON of the value they belong to, are joined in one file:

    \0nbtasks    8 bytes, with which no JSON begins
    parts        each at a multiple of 64 bytes from the beginning
    footer       JSON: {"value": ..., "parts": [[offset, length], ...]}
    12 00 ...    the length of the footer, 8 bytes, little-endian
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import orjson

from nbtasks.errors import UnreadableValueError

__all__ = [
    "Find",
    "Hashing",
    "LazyBytes",
    "NotTaggable",
    "Secret",
    "Tag",
    "Untag",
    "VerifiedBytes",
    "content_hash",
    "join",
    "rebuilding",
    "split",
]

_MAGIC = b"\0nbtasks"
_ALIGN = 64
_PIECE_BYTES = 4 << 20
_MOST_THREADS = 4


#: Function that writes an inner value as JSON with tags.
Tag = Callable[[Any], Any]
#: Function that reads such JSON.
Untag = Callable[[Any], Any]
#: Function that returns the bytes of a content for its placeholder in a tag.
Find = Callable[[Any], memoryview]


@contextlib.contextmanager
def rebuilding() -> Iterator[None]:
    """Turn what goes wrong while a value is built from its record into an error about the record.

    Raises:
        UnreadableValueError: The value cannot be built.
    """
    try:
        yield
    except UnreadableValueError:
        raise
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded value cannot be rebuilt: {type(error).__name__}: {error}."
        ) from error


class NotTaggable(Exception):  # noqa: N818 - a signal to the codec, not an error for a user
    """Signal that only a pickle can represent a value exactly."""


class Secret:
    """Placeholder in tagged JSON for a tag that only the record itself may contain.

    Args:
        whole: The complete tag, with the secret.
    """

    __slots__ = ("tag",)

    def __init__(self, whole: Any) -> None:
        self.tag = whole


class _Sink(Protocol):
    def write(self, data: Any, /) -> Any: ...


class LazyBytes:
    """Lazy bytes, to be written later.

    This is no dataclass, because orjson would serialize one as JSON.

    Args:
        size: The number of bytes; for a table, the number before compression.
        write: Function that writes the bytes to a file.

    >>> LazyBytes.of(b"abc").size
    3
    """

    __slots__ = ("size", "write")

    def __init__(self, size: int, write: Callable[[_Sink], object]) -> None:
        self.size = size
        self.write = write

    @classmethod
    def of(cls, data: bytes | memoryview) -> LazyBytes:
        """Return lazy bytes for bytes in memory."""
        return cls(memoryview(data).nbytes, lambda file: file.write(data))

    def __bytes__(self) -> bytes:
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()

    def hash(self) -> str:
        """Return the hash of the bytes, 40 hex digits, which names their file.

        >>> LazyBytes.of(b"").hash()
        '3345524abf6bbe1809449224b5972c41790b6cf2'
        """
        file = Hashing()
        self.write(file)
        return file.hexdigest()


class Hashing:
    """File that counts and hashes the bytes written through it.

    Up to 4 MiB, the hash is that of the bytes. Above, it is the hash of the hashes of each 4 MiB,
    so that several threads can compute it on reading.

    Args:
        file: The file that receives the bytes; None to compute the hash only.
    """

    closed = False

    def __init__(self, file: _Sink | None = None) -> None:
        self.size = 0
        self._file = file
        self._whole: list[bytes] = []  # the hashes of the complete pieces
        self._piece = _hash()
        self._space_left = _PIECE_BYTES

    def write(self, data: Any) -> int:
        """Write bytes and return their number."""
        if self._file is not None:
            self._file.write(data)
        view = memoryview(data).cast("B")
        at = 0
        while len(view) - at > self._space_left:
            self._piece.update(view[at : at + self._space_left])
            at += self._space_left
            self._whole.append(self._piece.digest())
            self._piece, self._space_left = _hash(), _PIECE_BYTES
        self._piece.update(view[at:])
        self._space_left -= len(view) - at
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        """Do nothing, since no bytes are buffered."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes written."""
        return _combine_hashes([*self._whole, self._piece.digest()])


def content_hash(data: bytes | memoryview) -> str:
    """Return the hash of all bytes at once, 40 hex digits; signatures of pickles sign it.

    >>> content_hash(b"")
    '3345524abf6bbe1809449224b5972c41790b6cf2'
    """
    return str(_hash(data).hexdigest())


def _hash(data: bytes | memoryview = b"") -> Any:
    return hashlib.blake2b(data, digest_size=20)


def _combine_hashes(pieces: list[bytes]) -> str:
    return pieces[0].hex() if len(pieces) == 1 else content_hash(b"".join(pieces))


class VerifiedBytes:
    """Verified bytes: bytes stored under their hash, with a check that they still match it.

    Threads compute the hash of large bytes in the background, since it takes as long as creating
    a frame from them.

    Args:
        name: The expected hash.
        data: The bytes.
        changed: Function that returns the error to raise if the hash differs.

    Attributes:
        unchecked: The bytes, before they are checked.
    """

    def __init__(self, name: str, data: memoryview, changed: Callable[[], Exception]) -> None:
        self._name = name
        self._changed = changed
        self.unchecked = data
        starts = range(0, max(1, data.nbytes), _PIECE_BYTES)
        self._pieces: list[bytes] = [b""] * len(starts)
        threads = min(len(starts), _MOST_THREADS) if len(starts) > 1 else 0
        self._threads = [
            threading.Thread(target=self._hash_pieces, args=(first, threads), daemon=True)
            for first in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def data(self) -> memoryview:
        """The bytes, after checking them."""
        self.check()
        return self.unchecked

    def check(self) -> None:
        """Raise the error if the bytes are not those that were stored."""
        for thread in self._threads:
            thread.join()
        if not self._threads:
            self._hash_pieces(0, 1)
        if _combine_hashes(self._pieces) != self._name:
            raise self._changed()

    def _hash_pieces(self, first: int, step: int) -> None:
        for place in range(first, len(self._pieces), step):
            start = place * _PIECE_BYTES
            piece = self.unchecked[start : start + _PIECE_BYTES]
            self._pieces[place] = _hash(piece).digest()


def join(value: bytes, parts: Sequence[LazyBytes]) -> LazyBytes:
    """Join JSON and the parts to which it refers by number as one content."""

    def write(file: _Sink) -> None:
        joined = Hashing(file)
        joined.write(_MAGIC)
        places = []
        for part in parts:
            joined.write(bytes(-joined.size % _ALIGN))
            start = joined.size
            part.write(joined)
            places.append([start, joined.size - start])
        footer = orjson.dumps({"value": orjson.Fragment(value), "parts": places})
        joined.write(footer)
        joined.write(len(footer).to_bytes(8, "little"))

    return LazyBytes(len(value) + sum(part.size for part in parts), write)


def split(data: memoryview) -> tuple[Any, list[memoryview]] | None:
    """Split a joined file into the value of its JSON and the parts; None for other files.

    Raises:
        ValueError: The file is damaged.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        return None
    end = len(data) - 8
    start = end - int.from_bytes(data[end:], "little")
    if start < len(_MAGIC):
        raise ValueError("its end is missing")
    footer = orjson.loads(data[start:end])
    parts = []
    for offset, size in footer["parts"]:
        if not 0 <= offset <= offset + size <= start:
            raise ValueError("a part of it is missing")
        parts.append(data[offset : offset + size])
    return footer["value"], parts
