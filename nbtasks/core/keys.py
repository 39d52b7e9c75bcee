"""Task keys and the paths they form.

A path joins the keys from the root to a task by `/`, and a key reads there as people would write
it. The encoding is injective, but for an int and its decimal text, which are the same key.

>>> join("", "load"), join("fit", 0), join("", ["fold", 2]), join("", ["fit", "AA", 3])
('load', 'fit/0', 'fold[2]', 'fit[AA,3]')
>>> join("fit", "a/b%")
'fit/a%2Fb%25'
"""

from __future__ import annotations

import hashlib
import operator
import re
import reprlib
from collections.abc import Sequence
from datetime import date
from enum import Enum
from typing import Self, SupportsIndex

from nbtasks.core.text import check
from nbtasks.errors import InvalidKeyError

__all__ = [
    "Key",
    "KeyPath",
    "Numbered",
    "display",
    "join",
    "name",
    "numbered",
    "parent",
    "parents",
    "path_of",
    "segment",
    "text_of",
    "token",
]

KeyPart = str | SupportsIndex | date
#: A task's key: a non-empty string, an int, a date, or a list of these.
Key = KeyPart | Sequence[KeyPart]
#: A path, or the list of its keys.
KeyPath = str | Sequence[Key]

_ESCAPES = {
    "%": "%25",
    "/": "%2F",
    "[": "%5B",
    "]": "%5D",
    ",": "%2C",
    "#": "%23",
}
_TRANSLATION = str.maketrans(_ESCAPES)
#: Searches for what an element of a key does not hold as it is; it is faster than `translate`.
_find_special = re.compile(r"[%/\[\],#\ud800-\udfff]").search
#: What an element of a key is written as.
_ELEMENT = r"(?:[^%/\[\],#]|%(?:25|2F|5B|5D|2C|23))+"
_REST = rf"(?:{_ELEMENT})?(?:,(?:{_ELEMENT})?)*"
_SEGMENT = rf"(?:{_ELEMENT}(?:#[1-9][0-9]*|\[{_REST}\])?|\[(?:{_ELEMENT})?\]|\[,{_REST}\])"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PRINTABLE = 1 << 64
_NUMPY_TIME = re.compile(r"(.+T)(\d\d)(:\d\d)?(:\d\d)?(?:\.(\d*?)0*)?")


def segment(key: Key) -> str:
    """Return the path segment of one key.

    A string or an int stands for itself. A list is its first element, with the others in brackets.
    What has a meaning in a path is percent-encoded within an element. Scalars of numpy and pandas
    count as what they hold, a date as its ISO text.

    Raises:
        InvalidKeyError: The key is empty, of another type, or not valid Unicode.

    >>> segment("a/b"), segment(["a", "b", 1]), segment("a[b,1]"), segment(["a"])
    ('a%2Fb', 'a[b,1]', 'a%5Bb%2C1%5D', '[a]')
    """
    if type(key) is str:
        return key if key and _find_special(key) is None else _element(key, key)
    if isinstance(key, (list, tuple)):  # a union would be created on each call
        return _list_segment(key)
    if type(key) is Numbered and key.number > 1:
        return f"{_element(str(key), key)}#{key.number}"
    return _element(key, key)


def _list_segment(key: Sequence[KeyPart]) -> str:
    if not key:
        raise InvalidKeyError("A task key must not be an empty list.")
    if len(key) == 2:  # noqa: PLR2004 - the usual list: a word and a number
        word, number = key
        if type(number) is int and type(word) is str and word and _find_special(word) is None:
            shown = number if -_PRINTABLE < number < _PRINTABLE else _decimal(number)
            return f"{word}[{shown}]"
    texts = [_element(part, key) for part in key]
    if len(texts) > 1 and texts[0]:
        return f"{texts[0]}[{','.join(texts[1:])}]"
    return f"[{','.join(texts)}]"  # a string never begins with a bracket


def _element(part: object, key: object) -> str:
    """Return what stands in a path for a key that is no list, or for one element of a list."""
    if type(part) is int:
        return str(part) if -_PRINTABLE < part < _PRINTABLE else _decimal(part)
    text = part if type(part) is str else text_of(part, key)
    if not text and part is key:
        raise InvalidKeyError("A task key must not be empty. Give the task a name that lasts.")
    if _find_special(text) is None:
        return text
    check("The task key", text, InvalidKeyError)
    return text.translate(_TRANSLATION)


def text_of(part: object, key: object = None) -> str:
    """Return the text of an element that is neither a plain string nor a plain int.

    Raises:
        InvalidKeyError: It is no element of a key.
    """
    kind = type(part)
    if isinstance(part, str):
        return str.__str__(part)
    library, name = kind.__module__.partition(".")[0], kind.__name__
    if isinstance(part, date) and name != "NaTType":
        return part.isoformat()
    if library == "numpy" and name == "datetime64" and str(part) != "NaT":
        return _iso(str(part))
    if library == "pandas" and name == "Period":
        return str(part)
    if not isinstance(part, bool) and hasattr(kind, "__index__"):
        try:
            return _decimal(operator.index(part))  # type: ignore[arg-type] # it has `__index__`
        except TypeError:  # a bool or an array of numpy
            pass
    raise InvalidKeyError(_refusal(part, key))


def _decimal(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python writes no int of more than 4300 digits
        raise InvalidKeyError(
            f"An int of {number.bit_length()} bits is too long for a task key: use a digest of it."
        ) from None


def _iso(text: str) -> str:
    """Return the text of a numpy datetime as a datetime of Python would be written.

    >>> _iso("2020-01"), _iso("2020-01-31T05"), _iso("2020-01-31T05:06:07.500000000")
    ('2020-01', '2020-01-31T05:00:00', '2020-01-31T05:06:07.500000')
    """
    found = _NUMPY_TIME.fullmatch(text)
    if found is None:
        return text
    day, hour, minute, second, fraction = found.groups()
    whole = f"{day}{hour}{minute or ':00'}{second or ':00'}"
    return f"{whole}.{fraction.ljust(9 if fraction[6:] else 6, '0')}" if fraction else whole


def _refusal(part: object, key: object) -> str:
    """Say what an element is, and what to write instead."""
    shown = reprlib.repr(part)
    place = "" if part is key else f" in the task key {reprlib.repr(key)}"
    return (
        f"{shown}{place} is {_article(part)}, which cannot be a task key: {_advice(part)}. "
        "A key is a string, an int, a date, or a list of these."
    )


def _advice(part: object) -> str:
    """Return what to write instead of an element that is refused."""
    name, advice = type(part).__name__, "write str(...) of it, or of what makes it unique"
    if part is None or name in ("NAType", "NaTType"):
        advice = 'write a word for what is missing, such as "none"'
    elif isinstance(part, bool) or name in ("bool", "bool_"):
        advice = f'write str({part}), or a word such as "{"yes" if part else "no"}"'
    elif isinstance(part, float) or name.startswith("float"):
        whole = f"int({part!s}) or " if str(part).endswith(".0") else ""
        advice = f"write {whole}str({part!s})"
    elif isinstance(part, bytes | bytearray):
        advice = f"write {reprlib.repr(part)}.decode()"
    elif isinstance(part, tuple | list):
        advice = "write its elements into the list, with a star: [..., *elements]"
    elif isinstance(part, Enum):
        advice = f"write {name}.{part.name}.name"
    return advice


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
    for character, escape in reversed(_ESCAPES.items()):  # the percent sign last
        last = last.replace(escape, character)
    return last


def name(path: str) -> str:
    """Return what the last key of a path begins with, which is the same for all calls of a function
    and for all uses of a key.

    >>> name("report/fit[AA,alpha=0.1]"), name("now#2"), name("[,1]")
    ('fit', 'now', '[,1]')
    """
    last = path.rpartition("/")[2]
    return display(last.partition("[")[0].partition("#")[0] or last)


def path_of(path: KeyPath) -> str:
    """Return a path argument of the public API as a path; it may also be a list of keys.

    Raises:
        InvalidKeyError: No task can have this path.

    >>> path_of("fit/AA"), path_of(["fit", "a/b"]), path_of(["fit", ["fold", 2], 0])
    ('fit/AA', 'fit/a%2Fb', 'fit/fold[2]/0')
    """
    if isinstance(path, str):
        check("The task path", path, InvalidKeyError)
        if _PATH.fullmatch(path) is None:
            raise InvalidKeyError(
                f"{path!r} is not a task path. A path is the keys from the top, joined by '/', as "
                "in 'fit/AA', 'fit/0' or 'fold[2]'; / % [ ] , # within a key are written as "
                "'%2F', '%25', '%5B', '%5D', '%2C', '%23'. Or give the list of the keys."
            )
        return str(path)
    if not isinstance(path, list | tuple) or not path:
        raise InvalidKeyError(
            f"{path!r} is not a task path: give a string like 'fit/AA', or a list of keys like "
            '["fit", "AA"].'
        )
    return "/".join(segment(key) for key in path)


class Numbered(str):
    """A repeatable key; see `numbered`. io counts its uses.

    Attributes:
        number: The number of this use among its siblings, from 1.
    """

    __slots__ = ("number",)
    number: int

    def __new__(cls, key: str, number: int = 1) -> Self:
        """Make the key of the n-th use."""
        self = super().__new__(cls, key)
        self.number = number
        return self


def numbered(key: str) -> Numbered:
    """Return a key that can be used repeatedly among siblings.

    In paths, the first use is `key` itself, the next ones are `key#2`, `key#3` and so on. Uses are
    counted when io is called, separately in each parent, and from the start in each execution. So
    the n-th call gets the n-th answer: make the calls in the same order each time, as a loop does.

    Args:
        key: A non-empty string.

    Raises:
        InvalidKeyError: `key` is not a non-empty string.

    ```python
    import nbtasks as nb


    @nb.job("numbered-example")
    def body(io: nb.SyncIO) -> list[int]:
        answers = iter([8, 5, 3])
        return [io.run_task(nb.numbered("poll"), lambda: next(answers)) for _ in range(3)]


    run = body.run()
    assert run.tasks().path.tolist() == ["poll", "poll#2", "poll#3"]
    assert run["poll#3"] == 3
    ```
    """
    given: object = key
    if not isinstance(given, str) or not given:
        raise InvalidKeyError(f"nb.numbered takes a non-empty string, not {key!r}.")
    return Numbered(key)


def token(*parts: str) -> str:
    """Return a digest of strings that is the same in every process: 32 hex digits.

    >>> token("run", "path") == token("run", "path") != token("runp", "ath")
    True
    """
    joined = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()
