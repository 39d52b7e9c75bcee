"""Task keys and the paths they form.

A path joins the keys from the root to a task by `/`. The encoding is injective: two different
keys never have the same path segment.

>>> join("", "load")
'load'
>>> join("fit", ["AA", 1])
'fit/["AA",1]'
>>> join("fit", "a/b%")
'fit/a%2Fb%25'
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import orjson

from nbtasks.errors import InvalidKeyError

__all__ = [
    "Key",
    "KeyPath",
    "Numbered",
    "display",
    "join",
    "numbered",
    "parent",
    "parents",
    "path_of",
    "segment",
    "token",
]

type_key = str | Sequence[str | int]
#: A task's key: a non-empty string, or a list of strings and ints.
Key = type_key
#: A path, or the list of its keys.
KeyPath = str | Sequence[Key]

_PARTS = frozenset({str, int})
#: An empty key, or a '%' that `segment` would not have written.
_NO_PATH = re.compile(r"^/|//|/$|%(?!25|2F|5B)")


def segment(key: Key) -> str:
    """Return the path segment of one key.

    A string stands for itself, with `%` and `/` escaped; a list becomes compact JSON, escaped
    likewise. A string that reads like such a list has its first bracket escaped.

    Raises:
        InvalidKeyError: The key is empty, of another type, or not valid Unicode.

    >>> segment("a/b"), segment(["a", "b"]), segment('["a","b"]')
    ('a%2Fb', '["a","b"]', '%5B"a","b"]')
    """
    if type(key) is str:
        if not key:
            raise InvalidKeyError("A task key must not be empty. Give the task a name that lasts.")
        if key.isascii() and "%" not in key and "/" not in key and key[0] != "[":
            return key
        _refuse_surrogates(key)
        text = key.replace("%", "%25").replace("/", "%2F")
        return "%5B" + text[1:] if key[0] == "[" and _reads_as_list(key) else text
    if isinstance(key, (list, tuple)):  # a union would be created on each call
        return _list_segment(key)
    raise InvalidKeyError(
        f"{key!r} is {_article(key)}, which cannot be a task key: use a string, or a list of "
        "strings and ints."
    )


def _list_segment(key: Sequence[str | int]) -> str:
    if not key:
        raise InvalidKeyError("A task key must not be an empty list.")
    if not _PARTS.issuperset(map(type, key)):
        part = next(part for part in key if type(part) not in _PARTS)
        raise InvalidKeyError(
            f"{part!r} in the task key {key!r} is {_article(part)}: a list key holds strings "
            "and ints only."
        )
    try:
        text = orjson.dumps(key).decode()
    except TypeError:  # an int above 64 bits, or a lone surrogate
        text = json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))
        _refuse_surrogates(text)
    return text.replace("%", "%25").replace("/", "%2F") if "%" in text or "/" in text else text


def _reads_as_list(key: str) -> bool:
    try:
        parts = json.loads(key)
    except ValueError:
        return False
    return (
        isinstance(parts, list)
        and bool(parts)
        and all(type(part) in (str, int) for part in parts)
        and _list_segment(parts).replace("%2F", "/").replace("%25", "%") == key
    )


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(
            f"The task key {text!r} is not valid Unicode (it holds a lone surrogate)."
        ) from None


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def join(parent_path: str, key: Key) -> str:
    """Return the path of the task `key` below `parent_path` (empty for the root)."""
    return f"{parent_path}/{segment(key)}" if parent_path else segment(key)


def parent(path: str) -> str:
    """Return the path of the task's parent; empty at the top.

    >>> parent("fit/AA/train"), parent("load")
    ('fit/AA', '')
    """
    return path.rpartition("/")[0]


def parents(path: str) -> list[str]:
    """Return the paths of all tasks above a task, nearest first.

    >>> parents("fit/AA/train")
    ['fit/AA', 'fit']
    """
    paths = []
    while path := parent(path):
        paths.append(path)
    return paths


def display(path: str) -> str:
    """Return the last key of a path as the user wrote it.

    >>> display("fit/a%2Fb%25")
    'a/b%'
    """
    last = path.rpartition("/")[2]
    if "%" not in last:
        return last
    return last.replace("%2F", "/").replace("%5B", "[").replace("%25", "%")


def path_of(path: KeyPath) -> str:
    """Return a path argument of the public API as a path; it may also be a list of keys.

    Raises:
        InvalidKeyError: No task can have this path.

    >>> path_of("fit/AA"), path_of(["fit", "a/b"])
    ('fit/AA', 'fit/a%2Fb')
    """
    if isinstance(path, str):
        if not path or _NO_PATH.search(path):
            raise InvalidKeyError(
                f"{path!r} is not a task path. A path is the keys from the top, joined by '/'; "
                "a '/' or '%' within a key is '%2F' or '%25'. Or give the list of the keys."
            )
        return path
    if not isinstance(path, list | tuple) or not path:
        raise InvalidKeyError(
            f"{path!r} is not a task path: give a string like 'fit/AA', or a list of keys like "
            '["fit", "AA"].'
        )
    return "/".join(segment(key) for key in path)


class Numbered(str):
    """A repeatable key; see `numbered`. io counts its uses."""

    __slots__ = ()


def numbered(key: str) -> Numbered:
    """Return a key that can be used repeatedly among siblings.

    The first use is `key` itself, the next ones are `key#2`, `key#3` and so on. Uses are counted
    when
    io is called, separately in each parent, and from the start in each execution. So the n-th call
    gets the n-th answer: make the calls in the same order each time, as a loop does.

    Args:
        key: A non-empty string.

    Raises:
        InvalidKeyError: `key` is not a non-empty string.

    ```python
    import nbtasks as nb


    @nb.job("numbered-example")
    def body(io: nb.SyncIO) -> list[int]:
        answers = [3, 5, 8]
        return [io.run_task(nb.numbered("poll"), answers.pop) for _ in range(3)]


    run = body.run()
    assert run.tasks().path.tolist() == ["poll", "poll#2", "poll#3"]
    assert run["poll#3"] == 3
    ```
    """
    if type(key) is not str or not key:
        raise InvalidKeyError(f"nb.numbered takes a non-empty string, not {key!r}.")
    return Numbered(key)


def token(*parts: str) -> str:
    """Return a digest of strings that is the same in every process: 32 hex digits.

    >>> token("run", "path") == token("run", "path") != token("runp", "ath")
    True
    """
    joined = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()
