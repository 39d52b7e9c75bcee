"""The user's signing key: what tells one's own pickles from everybody else's.

A pickle runs code when it is loaded. Each one is therefore recorded with a signature made with
a key that never leaves the user's data folder, and is loaded only if the signature is right.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

__all__ = ["sign", "verify"]

_KEY_BYTES = 32


def sign(content_hash: str) -> str:
    """The signature of a content hash, by this user's key."""
    # BLAKE2 with a key is a MAC by itself (RFC 7693)
    return hashlib.blake2b(content_hash.encode(), key=_key(), digest_size=32).hexdigest()


def verify(content_hash: str, signature: str) -> bool:
    """Whether this user's key made `signature` for `content_hash`."""
    import hmac  # lazily: few journals hold pickles

    return hmac.compare_digest(sign(content_hash).encode(), signature.encode("utf-8", "replace"))


@functools.cache
def _key() -> bytes:
    # Lazily, so that a journal without pickles needs neither the folder nor the package.
    import platformdirs

    path = Path(platformdirs.user_data_dir("nbtasks", appauthor=False)) / "signing.key"
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
