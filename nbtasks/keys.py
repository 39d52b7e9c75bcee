"""What a task key may be, and how keys make a path.

A path is the keys from the root to a task, joined by `/`. The encoding is injective: two
different keys never give the same path segment.

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
#: A path, or the list of the keys that make it.
KeyPath = str | Sequence[Key]

_PARTS = frozenset({str, int})
#: An empty key, or a '%' that `segment` would not have written.
_NO_PATH = re.compile(r"^/|//|/$|%(?!25|2F|5B)")


def segment(key: Key) -> str:
    """The path segment of one key.

    A string stands for itself, with `%` and `/` escaped; a list is its compact JSON, escaped
    likewise. A string that reads like such a list has its first bracket escaped.

    Raises:
        InvalidKeyError: The key is empty, of another type, or no valid Unicode.

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
    if isinstance(key, (list, tuple)):  # no union, which would be made anew each time
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
    """The path of the task `key` below `parent_path` (empty for the root)."""
    return f"{parent_path}/{segment(key)}" if parent_path else segment(key)


def parent(path: str) -> str:
    """The path of the task's parent; empty at the top.

    >>> parent("fit/AA/train"), parent("load")
    ('fit/AA', '')
    """
    return path.rpartition("/")[0]


def parents(path: str) -> list[str]:
    """The paths of all tasks above a task, the nearest first.

    >>> parents("fit/AA/train")
    ['fit/AA', 'fit']
    """
    found = []
    while path := parent(path):
        found.append(path)
    return found


def display(path: str) -> str:
    """The last key of a path as a person wrote it.

    >>> display("fit/a%2Fb%25")
    'a/b%'
    """
    last = path.rpartition("/")[2]
    if "%" not in last:
        return last
    return last.replace("%2F", "/").replace("%5B", "[").replace("%25", "%")


def path_of(path: KeyPath) -> str:
    """A path argument of the public API, which may be the list of its keys.

    Raises:
        InvalidKeyError: It can be the path of no task.

    >>> path_of("fit/AA"), path_of(["fit", "a/b"])
    ('fit/AA', 'fit/a%2Fb')
    """
    if isinstance(path, str):
        if not path or _NO_PATH.search(path):
            raise InvalidKeyError(
                f"{path!r} is no path of a task. A path is the keys from the top, joined by '/'; "
                "a '/' or '%' within a key is '%2F' or '%25'. Or give the list of the keys."
            )
        return path
    if not isinstance(path, list | tuple) or not path:
        raise InvalidKeyError(
            f"{path!r} is no path of a task: give a string like 'fit/AA', or a list of keys like "
            '["fit", "AA"].'
        )
    return "/".join(segment(key) for key in path)


class Numbered(str):
    """A key that says which use of it this is; see `numbered`. io counts the uses."""

    __slots__ = ()


def numbered(key: str) -> Numbered:
    """A key that may be used again among siblings: the first time it is `key` itself, then
    `key#2`, `key#3` and so on.

    It counts when io is called with it, in each parent by itself, and from the beginning in each
    execution. So the n-th call gets the n-th answer: what calls it should do so in the same order
    each time, as a loop does.

    Args:
        key: A non-empty string.

    Raises:
        InvalidKeyError: It is none.

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
    """A short digest of strings, stable over processes: 32 hex digits.

    >>> token("run", "path") == token("run", "path") != token("runp", "ath")
    True
    """
    joined = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()
