"""Previews of a call's arguments and of a log line's data, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType
from typing import Any

import orjson

from nbtasks.values.redaction import REDACTED, SECRET, hide_secrets

__all__ = ["describe", "hide_named", "log_data", "to_display_json"]

_SHOWN_BYTES = 2000
_SHOWN_ITEMS = 1000
_SAFE_INT = 1 << 53
_PLAIN = frozenset({int, float, bool, str, type(None)})
_MOST_KNOWN = 1000
#: Positions of the parameters named like secrets, by the id of the function's code. The code is
#: kept alive in the entry, so that its id stays unique. It is no key itself, since hashing a code
#: object hashes everything in it.
_places: dict[int, tuple[CodeType, tuple[int, ...]]] = {}


def describe(
    args: tuple[Any, ...], fn: Any = None, kwargs: Mapping[str, Any] | None = None
) -> str | None:
    """Return a preview of a function's arguments as JSON; keyword arguments end it, as an object.

    Small plain data is shown completely, any other value by its type; a value whose name says that
    it is a secret is hidden.

    >>> describe((1, [2]), kwargs={"columns": ["a"], "token": "x"})
    '[1,[2],{"columns":["a"],"token":"[REDACTED]"}]'
    """
    if kwargs:
        named = {name: REDACTED if SECRET.search(name) else _describe_one(value)
                 for name, value in kwargs.items()}  # fmt: skip
        return orjson.dumps([*map(_describe_one, hide_named(fn, args)), named]).decode()
    if not args:
        return None
    args = hide_named(fn, args)
    if _PLAIN.issuperset(map(type, args)):  # a shortcut: most arguments are plain
        try:
            data = orjson.dumps(args, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:
            data = None  # an int above 53 bits, a lone surrogate
        if data is not None and len(data) <= _SHOWN_ITEMS:
            return data.decode()
    return orjson.dumps([_describe_one(arg) for arg in args]).decode()


def hide_named(fn: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call, hiding those whose parameters are named like secrets.

    >>> hide_named(lambda user, api_key: None, ("ada", "1"))
    ('ada', '[REDACTED]')
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        return args
    entry = _places.get(id(code))
    places = entry[1] if entry is not None and entry[0] is code else _find_secret_places(code)
    if not places:
        return args
    skipped = hasattr(fn, "__self__")
    return tuple(REDACTED if place + skipped in places else arg for place, arg in enumerate(args))


def _find_secret_places(code: CodeType) -> tuple[int, ...]:
    names = code.co_varnames[: code.co_argcount]
    places = tuple(place for place, name in enumerate(names) if SECRET.search(name))
    if len(_places) >= _MOST_KNOWN:
        _places.clear()
    _places[id(code)] = code, places
    return places


def _describe_one(arg: object) -> object:
    if type(arg) in (int, bool, float, type(None)):
        return arg if type(arg) is not int or -_SAFE_INT < arg < _SAFE_INT else str(arg)
    if type(arg) in (str, list, dict) and len(arg) <= _SHOWN_ITEMS:  # type: ignore[arg-type]  # sized, as just checked
        try:
            if len(data := orjson.dumps(arg)) <= _SHOWN_BYTES:
                hidden = SECRET.search(data.decode()) is not None
                return hide_secrets(arg) if hidden else orjson.Fragment(data)
        except (orjson.JSONEncodeError, RecursionError):
            pass
    return f"<{type(arg).__qualname__}>"


def log_data(data: dict[str, Any]) -> str | None:
    """Return the data of a log line as JSON, without values whose names say they are secrets.

    Values that JSON lacks are represented by their `repr`.
    """
    return to_display_json(hide_secrets(data)) if data else None


def to_display_json(value: object) -> str:
    """Return a value for display as JSON; values that JSON lacks as their `repr`."""
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # an int above 64 bits, a lone surrogate, a structure that contains itself
        if not isinstance(value, dict):
            return orjson.dumps(ascii(value)).decode()
        return orjson.dumps({str(key): ascii(item) for key, item in value.items()}).decode()
