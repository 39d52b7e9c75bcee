"""Signing key of the user, which tells the user's own pickles from all others.

A pickle runs code when it is loaded. Each pickle is therefore recorded with a signature made with
a key that never leaves the user's data folder. It is loaded only if the signature is right, or if
the user has trusted it.

Where that folder cannot be made, as in a container without a home, the key is in a folder of the
user's beside the temporary files: a value is kept, though its signature may be lost with the key.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbtasks.core import disk
from nbtasks.errors import JournalWriteError, ValueNotKeptError

__all__ = ["sign", "trust", "verify"]

_KEY_BYTES = 32
_KEY = "signing.key"
_TRUSTED = "trusted"


def sign(content_hash: str) -> str:
    """Return the signature of a content hash, made with this user's key.

    Raises:
        ValueNotKeptError: There is no place for the key.
    """
    return _sign(content_hash, _key())


def verify(content_hash: str, signature: str) -> bool:
    """Return True if this user's key made the signature, or if the user trusts the content."""
    import hmac  # lazily: few journals hold pickles

    given = signature.encode("utf-8", "replace")
    for key in _all_keys():
        if hmac.compare_digest(_sign(content_hash, key).encode(), given):
            return True
    return content_hash in _trusted()


def trust(content_hashes: Iterable[str]) -> None:
    """Trust contents as if this user had signed them: list their hashes in a file by the key.

    Raises:
        JournalWriteError: There is no place for the list.
    """
    new = set(content_hashes) - _trusted()
    # one write, so that lines that two processes add do not mix
    lines = "".join(f"{name}\n" for name in sorted(new)).encode()
    problems = []
    for folder in _folders() if new else ():
        try:
            _make(folder)
            file = os.open(folder / _TRUSTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(file, "ab") as trusted:
                trusted.write(lines)
        except OSError as error:
            problems.append(error)
        else:
            return
    if problems:
        raise JournalWriteError(f"The run is not trusted: {_explain(problems)}") from problems[0]


def _sign(content_hash: str, key: bytes) -> str:
    # keyed BLAKE2 is a MAC, so no HMAC is needed (RFC 7693)
    return hashlib.blake2b(content_hash.encode(), key=key, digest_size=32).hexdigest()


def _trusted() -> set[str]:
    names: set[str] = set()
    for folder in _folders():
        with contextlib.suppress(OSError):
            _check(folder)
            names |= set((folder / _TRUSTED).read_text("ascii", "replace").split("\n"))
    return names - {""}


def _folders() -> list[Path]:
    """Return the user's data folder, and the folder that stands in where that cannot be made."""
    import platformdirs  # lazily: a journal without pickles needs no key

    spare = Path(os.environ.get("TMPDIR") or "/var/tmp") / f"nbtasks-{os.getuid()}"  # noqa: S108 - it is checked
    try:
        own = Path(platformdirs.user_data_dir("nbtasks", appauthor=False))
    except RuntimeError:  # a user without a home, and without an entry in the list of users
        own = Path("~")  # which `_make` refuses
    return [own, spare]


def _make(folder: Path) -> None:
    if not folder.is_absolute():  # it would be another one in each working directory
        raise FileNotFoundError(errno.ENOENT, "The user has no home", str(folder))
    disk.make_folder(folder, durable=True, within=folder, mode=0o700)
    _check(folder)


def _check(folder: Path) -> None:
    """Check that a folder beside temporary files is the user's own.

    Raises:
        FileNotFoundError: There is no such folder.
        PermissionError: Others could have made it, or can write to it.
    """
    if folder != _folders()[-1]:
        return
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "The folder is not yours alone", str(folder))


@functools.cache
def _key() -> bytes:
    problems: list[OSError] = []
    for folder in _folders():
        try:
            _make(folder)
            key = _read_or_create(folder / _KEY)
        except OSError as error:
            problems.append(error)
            continue
        with contextlib.suppress(OSError):  # whoever has made it, it must outlast what it signs
            disk.sync_folder(folder)
        if problems:
            _warn(folder, problems)
        return key
    raise ValueNotKeptError(
        f"The value needs a pickle, and the key that signs pickles cannot be kept: "
        f"{_explain(problems)}"
    ) from problems[0]


def _all_keys() -> Iterator[bytes]:
    with contextlib.suppress(ValueNotKeptError):
        yield _key()
    for folder in _folders():
        with contextlib.suppress(OSError):
            _check(folder)
            yield _read(folder / _KEY)


def _warn(folder: Path, problems: list[OSError]) -> None:
    warnings.warn(
        f"The key that signs pickles is in {folder} for now: {_explain(problems)} Where the key "
        "is lost, as with a container, nb.trust(run) makes what it has signed readable.",
        RuntimeWarning,
        stacklevel=2,
    )


def _explain(problems: list[OSError]) -> str:
    texts = "; ".join(f"{type(error).__name__}: {error}" for error in problems)
    return f"{texts}. Set XDG_DATA_HOME to a folder that stays and that you alone can write to."


def _read_or_create(path: Path) -> bytes:
    try:
        return _read(path)
    except FileNotFoundError:
        return _create(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise FileNotFoundError(path)  # the first write was torn: create the key again
    return key


def _create(path: Path) -> bytes:
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # link, not replace: two processes that start together must get the same key
        os.link(draft, path)
    except FileExistsError:
        if path.stat().st_size != _KEY_BYTES:
            draft.replace(path)
    except OSError:
        draft.replace(path)  # a file system without hard links
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()
