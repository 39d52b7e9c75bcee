"""The user's signing key: what tells one's own pickles from everybody else's.

A pickle runs code when it is loaded. Each one is therefore recorded with a signature made with
a key that never leaves the user's data folder, and is loaded only if the signature is right, or
the user has said that it may.
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
    """The signature of a content hash, by this user's key."""
    # BLAKE2 with a key is a MAC by itself (RFC 7693)
    return hashlib.blake2b(content_hash.encode(), key=_key(), digest_size=32).hexdigest()


def verify(content_hash: str, signature: str) -> bool:
    """Whether this user's key made `signature` for `content_hash`, or the user trusts that."""
    import hmac  # lazily: few journals hold pickles

    made = sign(content_hash).encode()
    if hmac.compare_digest(made, signature.encode("utf-8", "replace")):
        return True
    return content_hash in _trusted()


def trust(content_hashes: Iterable[str]) -> None:
    """Takes contents as if this user had signed them: by a list of their hashes beside the key."""
    new = set(content_hashes) - _trusted()
    if new:
        path = _folder() / _TRUSTED
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "ab") as lines:
            # in one write, so that what two processes add does not mix
            lines.write("".join(f"{name}\n" for name in sorted(new)).encode())


def _trusted() -> set[str]:
    try:
        return set((_folder() / _TRUSTED).read_text("ascii", "replace").split("\n")) - {""}
    except FileNotFoundError:
        return set()


def _folder() -> Path:
    import platformdirs  # lazily: a journal without pickles needs neither it nor the folder

    return Path(platformdirs.user_data_dir("nbtasks", appauthor=False))


@functools.cache
def _key() -> bytes:
    path = _folder() / "signing.key"
    try:
        return _read(path)
    except FileNotFoundError:
        return _make(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise FileNotFoundError(path)  # a torn first write: made anew
    return key


def _make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # link, not replace: of two processes that start together both must get the same key
        os.link(draft, path)
    except FileExistsError:
        if path.stat().st_size != _KEY_BYTES:
            draft.replace(path)
    except OSError:
        draft.replace(path)  # a file system without hard links
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()
