"""Previews of a call's arguments and of a log line's data, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from inspect import CO_VARARGS
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from nbtasks.core.parameters import Parameters
from nbtasks.values.redaction import REDACTED, SECRET, hide_secrets

__all__ = ["describe", "hide_named", "log_data", "to_display_json"]

_SHOWN_BYTES = 2000
_SHOWN_ITEMS = 1000
_SAFE_INT = 1 << 53
_PLAIN = frozenset({int, float, bool, str, type(None)})
_AS_TEXT = frozenset({date, datetime, time, timedelta, Decimal, UUID})
_SIZED = frozenset({list, tuple, dict, set, frozenset, str, bytes, bytearray})
_FUNCTIONS = frozenset({FunctionType, BuiltinFunctionType, MethodType})
#: Libraries whose values have a `shape` that costs nothing to read.
_SHAPED = frozenset({"pandas", "numpy", "polars", "pyarrow", "scipy", "torch", "xarray"})
_MOST_KNOWN = 1000


class _Names(NamedTuple):
    """Names of the parameters that the positional arguments of a call are for.

    Attributes:
        fixed: The names, each of one argument.
        rest: The name of the parameter that takes all further ones; None if there is none.
        has_secrets: Whether a name may be that of a secret.
    """

    fixed: tuple[str, ...]
    rest: str | None
    has_secrets: bool


#: Names by the id of the function's code, for it and for a bound method of it. The code is kept
#: alive in the entry, so that its id stays unique. It is no key itself, since hashing a code object
#: hashes everything in it.
_known: dict[int, tuple[CodeType, _Names, _Names]] = {}


def describe(
    args: tuple[Any, ...], fn: Any = None, kwargs: Mapping[str, Any] | None = None
) -> str | None:
    """Return a preview of a call's arguments as a JSON object, by the names of its parameters.

    Small plain data is shown completely, any other value by its type and its size; a value whose
    name says that it is a secret is hidden. Where a name is not known, a number replaces it.

    >>> describe((1, [2]), lambda alpha, rows, **more: None, {"columns": ["a"], "token": "x"})
    '{"alpha":1,"rows":[2],"columns":["a"],"token":"[REDACTED]"}'
    >>> describe((1, {2, 3}))
    '{"argument 1":1,"argument 2":"<set of 2>"}'
    """
    if not args and not kwargs:
        return None
    named = _by_name(args, fn, kwargs)
    if _PLAIN.issuperset(map(type, named.values())):  # a shortcut: most arguments are plain
        try:
            data = orjson.dumps(named, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:
            data = None  # an int above 53 bits, a lone surrogate
        if data is not None and len(data) <= _SHOWN_ITEMS:
            return data.decode()
    shown = {name: _describe_one(value) for name, value in named.items()}
    try:
        return orjson.dumps(shown).decode()
    except TypeError:  # a lone surrogate in an extra keyword
        return orjson.dumps({ascii(name): value for name, value in shown.items()}).decode()


def hide_named(fn: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call, hiding those whose parameters are named like secrets.

    >>> hide_named(lambda user, api_key: None, ("ada", "1"))
    ('ada', '[REDACTED]')
    """
    fixed, rest, has_secrets = _names_of(fn, len(args))
    if not has_secrets:
        return args
    hides_rest = rest is not None and SECRET.search(rest)
    hidden = [bool(SECRET.search(name)) for name in fixed] + [bool(hides_rest)] * len(args)
    return tuple(
        REDACTED if is_hidden else arg for arg, is_hidden in zip(args, hidden, strict=False)
    )


def _by_name(args: tuple[Any, ...], fn: Any, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a call by name, without the values of secrets."""
    fixed, rest, has_secrets = _names_of(fn, len(args))
    named = dict(zip(fixed, args, strict=False))
    if rest is not None and len(args) > len(fixed):
        named[f"*{rest}"] = list(args[len(fixed) :])
    if kwargs:
        for name in kwargs.keys() & named.keys():  # positional only, beside an extra keyword
            named[f"{name} (by position)"] = named.pop(name)
        named.update(kwargs)
    if has_secrets or kwargs:
        return {name: REDACTED if SECRET.search(name) else value for name, value in named.items()}
    return named


def _names_of(fn: Any, count: int) -> _Names:
    """Return the names of the parameters that `count` positional arguments are for."""
    is_method = type(fn) is MethodType
    plain = fn.__func__ if is_method else fn
    if type(plain) is FunctionType:
        code = plain.__code__
        entry = _known.get(id(code))
        if entry is None or entry[0] is not code:
            entry = _read(code)
        names = entry[2] if is_method else entry[1]
        if count <= len(names.fixed) and names.rest is None:
            return names
    parameters = Parameters.of(fn)  # also through `functools.wraps`
    fixed, rest = ((), None) if parameters is None else (parameters.positional, parameters.rest)
    if rest is None:
        fixed += tuple(f"argument {number}" for number in range(len(fixed) + 1, count + 1))
    return _Names(fixed, rest, has_secrets=True)


def _read(code: CodeType) -> tuple[CodeType, _Names, _Names]:
    names = code.co_varnames[: code.co_argcount]
    rest = "..." if code.co_flags & CO_VARARGS else None  # a wrapper's tell little
    has_secrets = any(map(SECRET.search, names))
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    entry = code, _Names(names, rest, has_secrets), _Names(names[1:], rest, has_secrets)
    _known[id(code)] = entry
    return entry


def _describe_one(arg: object) -> object:
    kind = type(arg)
    if kind in (int, bool, float, type(None)):
        return arg if type(arg) is not int or -_SAFE_INT < arg < _SAFE_INT else str(arg)
    if kind in (str, list, dict, tuple) and len(arg) <= _SHOWN_ITEMS:  # type: ignore[arg-type]  # sized, as just checked
        try:
            if len(data := orjson.dumps(arg)) <= _SHOWN_BYTES:
                hidden = SECRET.search(data.decode()) is not None
                return hide_secrets(arg) if hidden else orjson.Fragment(data)
        except (orjson.JSONEncodeError, RecursionError):
            pass
    return str(arg) if kind in _AS_TEXT else f"<{_kind_of(arg)}>"


def _kind_of(value: Any) -> str:
    """Return the type of a value and its size, as far as that is known without calling its code."""
    kind = type(value)
    if kind in _FUNCTIONS:
        return f"function {value.__name__}"
    if kind in _SIZED:
        return f"{kind.__name__} of {len(value):,}"
    name = kind.__qualname__
    if kind.__module__ == "nbtasks.values.stores.refs":
        return repr(value)[1:-1]
    if name == "Future" and kind.__module__ == "distributed.client":
        return f"{name}: {value.key}"  # its value is on a cluster
    if kind.__module__.partition(".")[0] in _SHAPED and (shape := _shape_of(value)):
        return f"{name} {shape}"
    return name


def _shape_of(value: Any) -> str:
    """Return the shape of a frame or an array, as in `336,776 x 19`; empty if it has none."""
    try:
        shape = value.shape
        return " x ".join(f"{int(size):,}" for size in shape) if type(shape) is tuple else ""
    except Exception:  # noqa: BLE001 - a preview is not worth an error
        return ""


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
