"""Filters on the payloads of events: those of Trigger.dev v2 (its `eventFilterMatches`).

A filter is a dict. Each of its keys names a field of the payload; its value is one of

- a list of strings, of numbers or of booleans: the field equals one of them;
- a list of conditions, such as `{"$gt": 20}`: the field meets all of them;
- another filter, for a nested field. If that field is a list, one of its elements has to match.
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


def _is_same(value: object, other: object) -> bool:
    """Return True if both are equal, and both or neither are booleans: True is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _is_one_of(value: object, others: list[Any]) -> bool:
    return any(_is_same(value, other) for other in others)


def _fold_case(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _is_not(value: object, other: object) -> bool:
    if isinstance(value, list):
        return not _is_one_of(other, value)
    return isinstance(value, str | bool | int | float) and not _is_same(value, other)


#: Conditions by name: functions of a value and the operand, True if the value meets the condition.
_CONDITIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$startsWith": lambda value, operand: isinstance(value, str) and value.startswith(operand),
    "$endsWith": lambda value, operand: isinstance(value, str) and value.endswith(operand),
    "$ignoreCaseEquals": lambda value, operand: (
        isinstance(value, str) and _fold_case(value) == _fold_case(operand)
    ),
    "$exists": lambda value, operand: (value is not _ABSENT) == operand,
    "$isNull": lambda value, operand: (value is None) == operand,
    "$anythingBut": lambda value, operand: (
        not _is_one_of(value, operand if isinstance(operand, list) else [operand])
    ),
    "$gt": lambda value, operand: _is_number(value) and value > operand,
    "$gte": lambda value, operand: _is_number(value) and value >= operand,
    "$lt": lambda value, operand: _is_number(value) and value < operand,
    "$lte": lambda value, operand: _is_number(value) and value <= operand,
    "$between": lambda value, operand: _is_number(value) and operand[0] <= value <= operand[1],
    "$includes": lambda value, operand: isinstance(value, list) and _is_one_of(operand, value),
    "$not": _is_not,
}


def _is_scalar(operand: object) -> bool:
    return operand is None or isinstance(operand, str | bool | int | float)


#: Kinds of operand that a condition takes, where any scalar is not right.
_OPERANDS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    **dict.fromkeys(
        ("$startsWith", "$endsWith", "$ignoreCaseEquals"),
        ("a string", lambda operand: isinstance(operand, str)),
    ),
    **dict.fromkeys(("$exists", "$isNull"), ("a bool", lambda operand: isinstance(operand, bool))),
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), ("a number", _is_number)),
    "$anythingBut": (
        "a value, or a list of values",
        lambda operand: (
            all(map(_is_scalar, operand)) if isinstance(operand, list) else _is_scalar(operand)
        ),
    ),
    "$between": (
        "two numbers, as [low, high]",
        lambda operand: (
            isinstance(operand, list)
            and len(operand) == 2  # noqa: PLR2004 - the two
            and all(map(_is_number, operand))
        ),
    ),
}


def matches(payload: object, filter_: Filter) -> bool:
    """Return True if a payload matches a filter.

    >>> matches({"age": 30, "tags": ["a"]}, {"age": [{"$gt": 20}], "tags": [{"$includes": "a"}]})
    True
    >>> matches({"user": [{"name": "Jo"}, {"name": "Al"}]}, {"user": {"name": ["Al"]}})
    True
    >>> matches(None, {"name": ["Jo"]})
    False
    """
    if not filter_:
        return True
    fields = _fields(payload)
    return fields is not None and all(
        _is_met(fields.get(key, _ABSENT), rule) for key, rule in filter_.items()
    )


def _is_met(value: object, rule: Any) -> bool:
    value = list(value) if isinstance(value, tuple) else value
    if isinstance(rule, Mapping):
        if isinstance(value, list):
            return any(matches(element, rule) for element in value)
        return matches(None if value is _ABSENT else value, rule)
    if rule and isinstance(rule[0], Mapping):
        return all(
            _CONDITIONS[name](value, operand)
            for condition in rule
            for name, operand in condition.items()
        )
    return not rule or _is_one_of(value, rule)


def _fields(payload: object) -> Mapping[str, Any] | None:
    """Return the fields of a payload by name, or None if it has no fields."""
    if isinstance(payload, Mapping):
        return payload
    if hasattr(payload, "model_dump"):  # a pydantic model, recognized without importing pydantic
        fields: Mapping[str, Any] = payload.model_dump()
        return fields
    if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
        return dataclasses.asdict(payload)
    return None


def check(filter_: object, place: str = "filter") -> None:
    """Refuse a malformed filter, which would otherwise silently never match.

    Raises:
        InvalidOptionError: The filter is malformed; the message names the place.
    """
    if not isinstance(filter_, Mapping):
        raise InvalidOptionError(f"{place} is a dict, not {filter_!r}.")
    for key, rule in filter_.items():
        below = f"{place}[{key!r}]"
        if isinstance(rule, Mapping):
            if any(str(name).startswith("$") for name in rule):
                raise InvalidOptionError(f"{below}: conditions go in a list, as in [{rule!r}].")
            check(rule, below)
        elif isinstance(rule, list):
            _check_list(rule, below)
        else:
            raise InvalidOptionError(f"{below} is a list of allowed values, such as [{rule!r}].")


def _check_list(rule: list[Any], place: str) -> None:
    if any(isinstance(element, Mapping) for element in rule):
        for condition in rule:
            _check_condition(condition, place)
    elif not any(all(_is_kind(element, kind) for element in rule) for kind in _KINDS):
        raise InvalidOptionError(
            f"{place} is a list of strings, of numbers, of booleans or of conditions, not {rule!r}."
        )


def _is_kind(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _check_condition(condition: Any, place: str) -> None:
    if not isinstance(condition, Mapping) or len(condition) != 1:
        raise InvalidOptionError(f"{place}: a condition is a dict of one entry, not {condition!r}.")
    ((name, operand),) = condition.items()
    if name not in _CONDITIONS:
        names = ", ".join(_CONDITIONS)
        raise InvalidOptionError(f"{place}: there is no condition {name!r}. There are {names}.")
    kind, fits = _OPERANDS.get(name, ("a value", _is_scalar))
    if not fits(operand):
        raise InvalidOptionError(f"{place}: {name} takes {kind}, not {operand!r}.")
