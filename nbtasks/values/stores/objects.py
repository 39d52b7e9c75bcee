"""Objects of a store, each named by the hash of its bytes, as this process and workers have them.

The runner takes this module along by value to where nbtasks need not be installed. So it imports
nothing but Python's own library, and fsspec and cloudpickle where it needs them. What a worker
has is used by its name: the codec, if nbtasks is there.

    <store>/<home>/values/<2 digits>/<hash>    large values
    <store>/<home>/outcomes/<run>/<hash>       what tasks have given, until it is recorded
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib
import os
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = [
    "Lost", "Refused", "decode", "digest", "fetch", "give", "keep", "leave", "leave_reply",
    "open_store", "path_of", "read", "take", "write",
]  # fmt: skip

#: Values above this size go into the store.
_LEAST_BYTES = 1 << 20
_PIECE_BYTES = 4 << 20
_HASH_BYTES = 20
_THREADS = 4
_LIBRARIES = ("numpy", "pandas", "polars", "pyarrow")


class Refused(Exception):  # noqa: N818 - told to the process that sent the call
    """The store cannot be reached, or refuses."""

    nbtasks_outcome = "unstored"


class Lost(Exception):  # noqa: N818 - as above
    """An object is not there, or is a different one."""

    nbtasks_outcome = "lost"


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a store and the path in it.

    Raises:
        Refused: fsspec, or the library for such URLs, is missing; or the URL is none.
    """
    try:
        import fsspec.core
    except ImportError:
        raise Refused("fsspec is not installed: pip install 'nbtasks[remote]'") from None
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise Refused(_first_line(error)) from None
    return fs, str(path).rstrip("/")


def path_of(folder: str, name: str) -> str:
    """Return the path of a value below the folder of a home."""
    return f"{folder}/values/{name[:2]}/{name}"


def digest(data: Any) -> str:
    """Return the hash of bytes, as blobs are named: that of the hashes of each 4 MiB."""
    hashing = _Hashing(None)
    hashing.write(data)
    return hashing.hexdigest()


class _Hashing:
    """File that hashes what is written through it, in threads beside the writing.

    Args:
        file: The file that receives the bytes; None to compute the hash only.
    """

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self._whole: list[bytes] = []
        self._rest = bytearray()

    def write(self, data: Any) -> int:
        """Write bytes and return their number."""
        view = memoryview(data).cast("B")
        if len(view) < _PIECE_BYTES:
            if self._file is not None:
                self._file.write(view)
            self._add(view)
            return len(view)
        thread = threading.Thread(target=self._add, args=(view,))
        thread.start()
        try:
            if self._file is not None:
                self._file.write(view)
        finally:
            thread.join()
        return len(view)

    def flush(self) -> None:
        """Do nothing, since no bytes are buffered."""

    def _add(self, view: memoryview) -> None:
        if self._rest:
            missing = _PIECE_BYTES - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
        if len(self._rest) == _PIECE_BYTES and len(view):  # the last piece may be whole
            self._whole.append(_hash(self._rest))
            self._rest = bytearray()
        if not self._rest:
            ends = range(_PIECE_BYTES, len(view), _PIECE_BYTES)
            pieces = [view[end - _PIECE_BYTES : end] for end in ends]
            if len(pieces) > 1:
                with ThreadPoolExecutor(_THREADS) as pool:
                    self._whole += pool.map(_hash, pieces)
            else:
                self._whole += map(_hash, pieces)
            self._rest += view[len(pieces) * _PIECE_BYTES :]

    def hexdigest(self) -> str:
        """Return the hash of all bytes written."""
        pieces = [*self._whole, _hash(self._rest)]
        return (pieces[0] if len(pieces) == 1 else _hash(b"".join(pieces))).hex()


def _hash(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()


def write(url: str, content: Any) -> str:
    """Write a value into a store, if it is not there, and return its name.

    Args:
        url: The folder of the home in the store.
        content: Its bytes, or something that writes them.

    Raises:
        Refused: The store cannot be written.
    """
    fs, folder = open_store(url)
    try:
        if _is_local(fs):
            return _write_file(folder, content)
        data = bytes(content)
        path = path_of(folder, name := digest(data))
        if not fs.exists(path) or fs.size(path) != len(data):
            fs.pipe_file(path, data)  # an object has its name when all of it has arrived
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise Refused(_first_line(error)) from None
    return name


def _write_file(folder: str, content: Any) -> str:
    draft = f"{folder}/values/{uuid.uuid4().hex}.part"  # noqa: TID251 - nothing of nbtasks is there
    os.makedirs(f"{folder}/values", exist_ok=True)  # noqa: PTH103 - a text of fsspec's
    try:
        with open(draft, "xb") as file:  # noqa: PTH123 - as above
            hashing = _Hashing(file)
            write = getattr(content, "write", None)
            hashing.write(content) if write is None else write(hashing)
            path = path_of(folder, name := hashing.hexdigest())
            file.flush()
            os.fsync(file.fileno())
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - as above
        os.replace(draft, path)  # noqa: PTH105 - as above
        _sync_names(path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)  # noqa: PTH108 - as above
    return name


def _sync_names(path: str) -> None:
    """Make the name of a value durable, with those of the folders that lead to it."""
    for _ in ("<2 digits>", "values", "<home>", "<store>"):
        path = os.path.dirname(path)  # noqa: PTH120 - as above
        fd = os.open(path, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system that syncs no folders
            os.fsync(fd)
        os.close(fd)


def _put(fs: Any, path: str, data: Any) -> None:
    """Write a small file that has its name once it is whole."""
    if not _is_local(fs):
        fs.pipe_file(path, data)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - text of fsspec
    draft = f"{path}.{uuid.uuid4().hex}.part"  # noqa: TID251 - nothing of nbtasks is there
    try:
        with open(draft, "xb") as file:  # noqa: PTH123 - as above
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # noqa: PTH105 - as above
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)  # noqa: PTH108 - as above


def read(url: str, name: str) -> Any:
    """Return the bytes of a value, which are not checked yet.

    Raises:
        Lost: It is not there.
        Refused: The store cannot be read.
    """
    fs, folder = open_store(url)
    path = path_of(folder, name)
    try:
        if not _is_local(fs):
            return fs.cat_file(path)
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            data = bytearray(os.fstat(file.fileno()).st_size)  # which an array can be made of
            return data if file.readinto(data) == len(data) else data[:0]
    except FileNotFoundError:
        raise Lost(f"{name} is not there any more") from None
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise Refused(_first_line(error)) from None


def _is_local(fs: Any) -> bool:
    protocol = fs.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(os.linesep)[0]}"


# -- values of workers -----------------------------------------------------------------------------


def keep(url: str, value: Any) -> dict[str, Any] | bytes:
    """Write a value into a store if it is large.

    Returns:
        Facts about it; or the pickle of a small one.

    Raises:
        Refused: The store cannot be written.
        Exception: The value cannot be pickled.
    """
    import cloudpickle

    kind, size, data = _encode(value)
    if data is None:
        kind, data = "pickle", cloudpickle.dumps(value, protocol=5)
        if (size := len(data)) <= _LEAST_BYTES:
            return bytes(data)
    name = write(url, data)
    return {"kind": kind, "digest": name, "nbytes": size, "shape": describe(value)}


def give(store: dict[str, str] | None, value: Any) -> tuple[str, Any]:
    """Return the outcome of a call that has returned a value; without a store, its pickle.

    Raises:
        Exception: The value cannot be pickled.
    """
    import cloudpickle

    if store is None:
        return "value", cloudpickle.dumps(value)
    try:
        kept = keep(store["url"], value)
    except Refused as error:
        return "unstored", str(error)
    return ("value", kept) if isinstance(kept, bytes) else ("stored", {**kept, "url": store["url"]})


def _encode(value: Any) -> tuple[str, int, Any]:
    """Return kind, size and content of a large value as the codec encodes it, where nbtasks is, and
    where it needs no pickle, which only the user's own key can sign."""
    try:
        if not _is_data(value):
            return "", 0, None
        encode: Any = importlib.import_module("nbtasks.values.codec").encode_whole
    except (ImportError, AttributeError, RecursionError):
        return "", 0, None
    kind, content = encode(value)
    return ("", 0, None) if content is None else (kind, content.size, content)


def _is_data(value: Any) -> bool:
    kind = type(value)
    if kind in (list, tuple):
        return all(map(_is_data, value))
    if kind is dict:
        return all(type(key) is str and _is_data(one) for key, one in value.items())
    return (
        kind in (int, float, bool, str, bytes, type(None))
        or kind.__module__.partition(".")[0] in _LIBRARIES
    )


def describe(value: Any) -> str:
    """Return the type and the shape of a value.

    >>> describe([1, 2])
    'list of 2'
    """
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        return " ".join([kind, " x ".join(f"{size:,}" for size in shape)]).rstrip()
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{kind} of {len(value):,}"
    return kind


def fetch(url: str, name: str, kind: str) -> Any:
    """Return a value from a store.

    Raises:
        Lost: It is not there, or is a different one.
        Refused: The store cannot be read, or nbtasks is needed here.
    """
    data, found = read(url, name), list[str]()
    thread = threading.Thread(target=lambda: found.append(digest(data)))
    thread.start()
    if kind == "pickle":  # loading another one could do anything
        thread.join()
    value = decode(kind, data) if not found or found == [name] else None
    thread.join()
    if found != [name]:
        raise Lost(f"the bytes of {name} differ from those that were written")
    return value


def decode(kind: str, data: Any) -> Any:
    """Return a value from its bytes, which are known.

    Raises:
        Refused: nbtasks is needed here, and is missing.
    """
    if kind == "pickle":
        return pickle.loads(data)  # noqa: S301 - its hash is known
    try:
        decode_blob: Any = importlib.import_module("nbtasks.values.codec").decode_blob
    except ImportError:
        raise Refused("nbtasks is not installed here, and has written the value") from None
    return decode_blob(kind, None, data)


# -- outcomes --------------------------------------------------------------------------------------


def leave_reply(store: dict[str, str] | None, reply: dict[str, Any]) -> None:
    """Leave the reply to a call, if there is a store, for a process that has not got it."""
    if store is not None and reply["outcome"][0] in ("value", "stored", "error"):
        with contextlib.suppress(Refused):  # the reply itself is on its way
            leave(store["url"], store["place"], store["secret"], reply)


def leave(url: str, place: str, secret: str, reply: Any) -> None:
    """Leave what a task has given, unless the same attempt has left something already.

    Args:
        url: The folder of the home in the store.
        place: The place of the attempt in it.
        secret: What only the process that began the attempt knows, and this one.
        reply: The reply.

    Raises:
        Refused: The store cannot be written.
    """
    data = pickle.dumps(reply)
    fs, folder = open_store(url)
    path = f"{folder}/outcomes/{place}"
    try:
        if not fs.exists(path):
            _put(fs, path, _mac(secret, place, data) + data)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise Refused(_first_line(error)) from None


def take(fs: Any, path: str, place: str, secret: str) -> Any:
    """Return what a task has left; None if it is nothing that this user's process has begun."""
    try:
        data = bytes(fs.cat_file(path))
    except FileNotFoundError:
        return None
    size = hashlib.sha256().digest_size
    if not hmac.compare_digest(data[:size], _mac(secret, place, data[size:])):
        return None
    return pickle.loads(data[size:])  # noqa: S301 - only who has the secret has made it


def _mac(secret: str, place: str, data: bytes) -> bytes:
    return hmac.new(secret.encode(), place.encode() + b"\0" + data, hashlib.sha256).digest()
