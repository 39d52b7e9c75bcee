r"""Bytes that are not there yet: how many they will be, and how they are written.

A frame of a gigabyte goes from its own memory into a file, and never stands in memory a second
time. Several of them, with the JSON that says what they are parts of, make one file:

    \0nbtasks    8 bytes, which no JSON begins with
    parts        each at a multiple of 64 bytes from the beginning
    footer       JSON: {"value": ..., "parts": [[offset, length], ...]}
    12 00 ...    the length of the footer, 8 bytes, the least first
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

__all__ = [
    "Blob",
    "Content",
    "Find",
    "Hashing",
    "Secret",
    "Tag",
    "Untag",
    "Untagged",
    "content_hash",
    "join",
    "split",
]

_MAGIC = b"\0nbtasks"
_ALIGN = 64
_PIECE_BYTES = 4 << 20
_MOST_THREADS = 4


#: Writes a value that stands inside of another one, as JSON with tags.
Tag = Callable[[Any], Any]
#: Reads it again.
Untag = Callable[[Any], Any]
#: The bytes of a content that stood in a tag, by what stands there now.
Find = Callable[[Any], memoryview]


class Untagged(Exception):  # noqa: N818 - a signal to the codec, not an error for a user
    """There is no exact way to keep a value, but as a pickle."""


class Secret:
    """Stands in tagged JSON for what only the record itself may hold.

    Args:
        whole: The tag of it.
    """

    __slots__ = ("whole",)

    def __init__(self, whole: Any) -> None:
        self.whole = whole


class _Sink(Protocol):
    def write(self, data: Any, /) -> Any: ...


class Content:
    """Bytes to be written.

    No dataclass, since orjson would take one for JSON.

    Args:
        size: How many they are. Of a table, how many they would be if they were not compressed
            on the way.
        write: Writes them to a file.

    >>> Content.of(b"abc").size
    3
    """

    __slots__ = ("size", "write")

    def __init__(self, size: int, write: Callable[[_Sink], object]) -> None:
        self.size = size
        self.write = write

    @classmethod
    def of(cls, data: bytes | memoryview) -> Content:
        """Bytes that are there."""
        return cls(memoryview(data).nbytes, lambda file: file.write(data))

    def __bytes__(self) -> bytes:
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()

    def hash(self) -> str:
        """The name of a content: 40 hex digits.

        >>> Content.of(b"").hash()
        '3345524abf6bbe1809449224b5972c41790b6cf2'
        """
        file = Hashing()
        self.write(file)
        return file.hexdigest()


class Hashing:
    """A file that counts and hashes what goes through it.

    The hash is that of the bytes, up to 4 MiB. Of more, it is that of the hashes of each 4 MiB, so
    that several threads can see to it when it is read.

    Args:
        file: Where it goes; None, where only the hash is wanted.
    """

    closed = False

    def __init__(self, file: _Sink | None = None) -> None:
        self.size = 0
        self._file = file
        self._whole: list[bytes] = []  # the hashes of the pieces that are whole
        self._piece = _hash()
        self._left = _PIECE_BYTES

    def write(self, data: Any) -> int:
        """Takes bytes."""
        if self._file is not None:
            self._file.write(data)
        view = memoryview(data).cast("B")
        at = 0
        while len(view) - at > self._left:
            self._piece.update(view[at : at + self._left])
            at += self._left
            self._whole.append(self._piece.digest())
            self._piece, self._left = _hash(), _PIECE_BYTES
        self._piece.update(view[at:])
        self._left -= len(view) - at
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        """Nothing is held back."""

    def hexdigest(self) -> str:
        """The hash of all that was written."""
        return _joined([*self._whole, self._piece.digest()])


def content_hash(data: bytes | memoryview) -> str:
    """The hash of all bytes at once, 40 hex digits: what is signed of a pickle, for one.

    >>> content_hash(b"")
    '3345524abf6bbe1809449224b5972c41790b6cf2'
    """
    return str(_hash(data).hexdigest())


def _hash(data: bytes | memoryview = b"") -> Any:
    return hashlib.blake2b(data, digest_size=20)


def _joined(pieces: list[bytes]) -> str:
    return pieces[0].hex() if len(pieces) == 1 else content_hash(b"".join(pieces))


class Blob:
    """Bytes that were kept under the hash of what they are, and are seen to be it or not.

    The hash of large ones is computed meanwhile by threads, since that takes as long as to make a
    frame of them.

    Args:
        name: The hash that they should have.
        data: The bytes.
        changed: Makes the error, if they have another one.
    """

    def __init__(self, name: str, data: memoryview, changed: Callable[[], Exception]) -> None:
        self._name = name
        self._changed = changed
        self.unchecked = data
        starts = range(0, max(1, data.nbytes), _PIECE_BYTES)
        self._pieces: list[bytes] = [b""] * len(starts)
        threads = min(len(starts), _MOST_THREADS) if len(starts) > 1 else 0
        self._threads = [
            threading.Thread(target=self._look, args=(first, threads), daemon=True)
            for first in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def data(self) -> memoryview:
        """The bytes, when they are known to be the right ones."""
        self.check()
        return self.unchecked

    def check(self) -> None:
        """Raises the error, if they are not those that were kept."""
        for thread in self._threads:
            thread.join()
        if not self._threads:
            self._look(0, 1)
        # Up to format 2, the name was the hash of all bytes, however many they are.
        right = _joined(self._pieces) == self._name or (
            len(self._pieces) > 1 and content_hash(self.unchecked) == self._name
        )
        if not right:
            raise self._changed()

    def _look(self, first: int, step: int) -> None:
        for place in range(first, len(self._pieces), step):
            start = place * _PIECE_BYTES
            piece = self.unchecked[start : start + _PIECE_BYTES]
            self._pieces[place] = _hash(piece).digest()


def join(value: bytes, parts: Sequence[Content]) -> Content:
    """JSON and the parts that it refers to by their numbers, as one content."""

    def write(file: _Sink) -> None:
        whole = Hashing(file)
        whole.write(_MAGIC)
        places = []
        for part in parts:
            whole.write(bytes(-whole.size % _ALIGN))
            start = whole.size
            part.write(whole)
            places.append([start, whole.size - start])
        footer = orjson.dumps({"value": orjson.Fragment(value), "parts": places})
        whole.write(footer)
        whole.write(len(footer).to_bytes(8, "little"))

    return Content(len(value) + sum(part.size for part in parts), write)


def split(data: memoryview) -> tuple[Any, list[memoryview]] | None:
    """What was joined: the JSON's value and the parts. None, where it is something else.

    Raises:
        ValueError: It is damaged.
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
