"""Validation of rows that somebody else has written."""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable
from typing import Any

import orjson

from nbtasks.core.model import Status, row_type
from nbtasks.journal.blobs import BLOB_NAME

__all__ = ["problem"]

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LARGEST = 1 << 63
_STATUSES = frozenset(Status)
_NOT_OF_A_RUN, _NOT_OF_A_TASK = {Status.SKIPPED}, {Status.INVALID}
_OF_AN_ATTEMPT = _STATUSES - {Status.WAITING, Status.SKIPPED, Status.INVALID}
#: Fields that must hold valid JSON, of any form.
_JSON = ("params", "metrics", "properties", "data", "modules", "awaits")
_ACTIONS, _STATES = ("set", "skip", "reset"), ("loading", "success", "failure")


def problem(kind: str, values: tuple[Any, ...]) -> str | None:
    """Return a description of the first invalid value of a row; None if all are valid."""
    fields = _fields(kind)
    if len(values) != len(fields):
        return f"a {kind} of {len(values)} values, not {len(fields)}"
    for (name, is_one), value in zip(fields, values, strict=True):
        if not is_one(value):
            return f"the {name} of a {kind} is {str(value)[:40]!r}"
    return None


@functools.cache
def _fields(kind: str) -> list[tuple[str, Callable[[Any], bool]]]:
    row_class = row_type(kind)
    hints = typing.get_type_hints(row_class)
    return [
        (field.name, _make_check(kind, field.name, hints[field.name]))
        for field in dataclasses.fields(row_class)
    ]


def _make_check(kind: str, name: str, hint: Any) -> Callable[[Any], bool]:
    condition = _CONDITIONS.get((kind, name)) or _CONDITIONS.get(("", name))
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if not {str, int, bool, types.NoneType}.issuperset(allowed):
        return _is_pairs

    def is_one(value: Any) -> bool:  # of 100,000 rows there are four million values
        kind = type(value)
        if kind not in allowed or (kind is int and not -_LARGEST <= value < _LARGEST):
            return False
        return condition is None or value is None or condition(value)

    return is_one


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_integer(value: Any) -> bool:
    return type(value) is int and -_LARGEST <= value < _LARGEST


def _is_pairs(value: Any) -> bool:
    """Return True if a value is a list of ranges."""
    return isinstance(value, list) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_integer, pair))  # noqa: PLR2004 - a pair
        for pair in value
    )


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _is_failure(text: str) -> bool:
    try:
        record = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(record, dict) and all(
        type(record.get(name)) is str for name in ("type", "module", "message")
    )


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _is_blob(text: str) -> bool:
    return BLOB_NAME.fullmatch(text) is not None


def _is_small(value: int) -> bool:
    return -(1 << 31) <= value < 1 << 31


#: Conditions on values besides their type, by kind and field, or by field alone.
_CONDITIONS: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("", "run_id"): _is_id,
    ("", "parent_run"): _is_id,
    ("", "blob"): _is_blob,
    ("", "error"): _is_failure,
    **dict.fromkeys([("", name) for name in _JSON], _is_json),
    **dict.fromkeys(
        [("", name) for name in ("executions", "execution", "attempts", "attempt", "failures",
                                 "number", "pid")],
        _is_small,
    ),
    ("run", "status"): (_STATUSES - _NOT_OF_A_RUN).__contains__,
    ("task", "status"): (_STATUSES - _NOT_OF_A_TASK).__contains__,
    ("attempt", "status"): _OF_AN_ATTEMPT.__contains__,
    ("status", "status"): _is_text,
    ("status", "state"): _STATES.__contains__,
    ("edit", "action"): _ACTIONS.__contains__,
}  # fmt: skip
