"""Signing key of the user, which tells the user's own pickles from all others.

A pickle runs code when it is loaded. Each pickle is therefore recorded with a signature made with
a key that never leaves the user's data folder. It is loaded only if the signature is right, or if
the user has trusted it.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["sign", "trust", "verify"]

_KEY_BYTES = 32
_TRUSTED = "trusted"


def sign(content_hash: str) -> str:
    """Return the signature of a content hash, made with this user's key."""
    # keyed BLAKE2 is a MAC, so no HMAC is needed (RFC 7693)
    return hashlib.blake2b(content_hash.encode(), key=_key(), digest_size=32).hexdigest()


def verify(content_hash: str, signature: str) -> bool:
    """Return True if this user's key made the signature, or if the user trusts the content."""
    import hmac  # lazily: few journals hold pickles

    expected = sign(content_hash).encode()
    if hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
        return True
    return content_hash in _trusted()


def trust(content_hashes: Iterable[str]) -> None:
    """Trust contents as if this user had signed them: list their hashes in a file by the key."""
    new = set(content_hashes) - _trusted()
    if new:
        path = _folder() / _TRUSTED
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "ab") as lines:
            # one write, so that lines that two processes add do not mix
            lines.write("".join(f"{name}\n" for name in sorted(new)).encode())


def _trusted() -> set[str]:
    try:
        return set((_folder() / _TRUSTED).read_text("ascii", "replace").split("\n")) - {""}
    except FileNotFoundError:
        return set()


def _folder() -> Path:
    import platformdirs  # lazily: a journal without pickles needs no key

    return Path(platformdirs.user_data_dir("nbtasks", appauthor=False))


@functools.cache
def _key() -> bytes:
    path = _folder() / "signing.key"
    try:
        return _read(path)
    except FileNotFoundError:
        return _create(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise FileNotFoundError(path)  # the first write was torn: create the key anew
    return key


def _create(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
