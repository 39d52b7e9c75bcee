"""Which payloads of events are meant: the filters of Trigger.dev v2 (its `eventFilterMatches`).

A filter is a dict. Each of its keys must be right in the payload; its value is one of

- a list of strings, of numbers or of booleans: the payload has one of them there;
- a list of conditions, as `{"$gt": 20}`: what the payload has there meets all of them;
- another filter, for what is below. Where that is a list, one of its elements has to match.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from nbtasks.errors import InvalidOptionError

__all__ = ["Filter", "check", "matches"]

Filter = Mapping[str, Any]

_ABSENT: Final = object()
_KINDS: Final = (str, bool, (int, float))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(value: object, other: object) -> bool:
    """Equal, and both or neither a boolean: True is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _is_one_of(value: object, others: list[Any]) -> bool:
    return any(_same(value, other) for other in others)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _is_not(value: object, other: object) -> bool:
    if isinstance(value, list):
        return not _is_one_of(other, value)
    return isinstance(value, str | bool | int | float) and not _same(value, other)


#: Each condition: whether a value meets it, given what it says.
_CONDITIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$startsWith": lambda value, said: isinstance(value, str) and value.startswith(said),
    "$endsWith": lambda value, said: isinstance(value, str) and value.endswith(said),
    "$ignoreCaseEquals": lambda value, said: (
        isinstance(value, str) and _folded(value) == _folded(said)
    ),
    "$exists": lambda value, said: (value is not _ABSENT) == said,
    "$isNull": lambda value, said: (value is None) == said,
    "$anythingBut": lambda value, said: (
        not _is_one_of(value, said if isinstance(said, list) else [said])
    ),
    "$gt": lambda value, said: _is_number(value) and value > said,
    "$gte": lambda value, said: _is_number(value) and value >= said,
    "$lt": lambda value, said: _is_number(value) and value < said,
    "$lte": lambda value, said: _is_number(value) and value <= said,
    "$between": lambda value, said: _is_number(value) and said[0] <= value <= said[1],
    "$includes": lambda value, said: isinstance(value, list) and _is_one_of(said, value),
    "$not": _is_not,
}


def _is_scalar(said: object) -> bool:
    return said is None or isinstance(said, str | bool | int | float)


#: What each condition may say, where that is not just a scalar.
_SAYINGS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    **dict.fromkeys(
        ("$startsWith", "$endsWith", "$ignoreCaseEquals"),
        ("a string", lambda said: isinstance(said, str)),
    ),
    **dict.fromkeys(("$exists", "$isNull"), ("a bool", lambda said: isinstance(said, bool))),
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), ("a number", _is_number)),
    "$anythingBut": (
        "a value, or a list of values",
        lambda said: all(map(_is_scalar, said)) if isinstance(said, list) else _is_scalar(said),
    ),
    "$between": (
        "two numbers, as [low, high]",
        lambda said: isinstance(said, list) and len(said) == 2 and all(map(_is_number, said)),  # noqa: PLR2004 - the two
    ),
}


def matches(payload: object, wanted: Filter) -> bool:
    """Whether a payload is one that a filter means.

    >>> matches({"age": 30, "tags": ["a"]}, {"age": [{"$gt": 20}], "tags": [{"$includes": "a"}]})
    True
    >>> matches({"user": [{"name": "Jo"}, {"name": "Al"}]}, {"user": {"name": ["Al"]}})
    True
    >>> matches(None, {"name": ["Jo"]})
    False
    """
    if not wanted:
        return True
    fields = _fields(payload)
    return fields is not None and all(
        _right(fields.get(key, _ABSENT), said) for key, said in wanted.items()
    )


def _right(value: object, said: Any) -> bool:
    value = list(value) if isinstance(value, tuple) else value
    if isinstance(said, Mapping):
        if isinstance(value, list):
            return any(matches(element, said) for element in value)
        return matches(None if value is _ABSENT else value, said)
    if said and isinstance(said[0], Mapping):
        return all(
            _CONDITIONS[name](value, asked)
            for condition in said
            for name, asked in condition.items()
        )
    return not said or _is_one_of(value, said)


def _fields(payload: object) -> Mapping[str, Any] | None:
    """What a payload has by name, if it has names."""
    if isinstance(payload, Mapping):
        return payload
    if hasattr(payload, "model_dump"):  # of pydantic, which need not be imported to find that out
        fields: Mapping[str, Any] = payload.model_dump()
        return fields
    if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
        return dataclasses.asdict(payload)
    return None


def check(wanted: object, where: str = "filter") -> None:
    """Refuses what is no filter, so that a slip does not just never match.

    Raises:
        InvalidOptionError: It is none; the place in it is named.
    """
    if not isinstance(wanted, Mapping):
        raise InvalidOptionError(f"{where} is a dict, not {wanted!r}.")
    for key, said in wanted.items():
        place = f"{where}[{key!r}]"
        if isinstance(said, Mapping):
            if any(str(name).startswith("$") for name in said):
                raise InvalidOptionError(f"{place}: conditions stand in a list, as [{said!r}].")
            check(said, place)
        elif isinstance(said, list):
            _check_list(said, place)
        else:
            raise InvalidOptionError(f"{place} is a list of what it may be, as [{said!r}].")


def _check_list(said: list[Any], place: str) -> None:
    if any(isinstance(one, Mapping) for one in said):
        for condition in said:
            _check_condition(condition, place)
    elif not any(all(_is_of(one, kind) for one in said) for kind in _KINDS):
        raise InvalidOptionError(
            f"{place} is a list of strings, of numbers, of booleans or of conditions, not {said!r}."
        )


def _is_of(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _check_condition(condition: Any, place: str) -> None:
    if not isinstance(condition, Mapping) or len(condition) != 1:
        raise InvalidOptionError(f"{place}: a condition is a dict of one entry, not {condition!r}.")
    ((name, said),) = condition.items()
    if name not in _CONDITIONS:
        known = ", ".join(_CONDITIONS)
        raise InvalidOptionError(f"{place}: there is no condition {name!r}. There are {known}.")
    kind, fits = _SAYINGS.get(name, ("a value", _is_scalar))
    if not fits(said):
        raise InvalidOptionError(f"{place}: {name} says {kind}, not {said!r}.")
