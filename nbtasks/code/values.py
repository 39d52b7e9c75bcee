"""Looks at values without asking any of their own code."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeGuard

from nbtasks.code import library
from nbtasks.code.watch import MISSING

__all__ = [
    "attributes",
    "constant",
    "home",
    "is_data",
    "is_users",
    "label",
    "member",
    "method",
    "methods",
    "module",
    "unwrapped",
    "wrapped",
]

_NAMED = (type(len), type(str.upper), type(str.__len__))
_CODE = (FunctionType, MethodType, ModuleType, type, functools.partial)
#: How the numbers of libraries, as NumPy's, are written: as Python's own.
_NUMBERS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (numbers.Integral, int),
    (numbers.Rational, lambda value: value),
    (numbers.Real, float),
    (numbers.Complex, complex),
    (numbers.Number, lambda value: value),
)


def constant(value: Any) -> str | None:
    """A number, a string, a boolean, None or a tuple of these, as text; None for anything else.

    >>> constant(("a", 1)), constant([1])
    ("('a', 1)", None)
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return repr(value)
    if kind is tuple:
        items = [constant(item) for item in value]
        if None in items:
            return None
        return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"
    for plain in (int, float, str):  # an enum's members, say, which show themselves in other ways
        if issubclass(kind, plain):
            return plain.__repr__(value)
    for abstract, made in _NUMBERS:
        if issubclass(kind, abstract):
            return repr(made(value))
    is_numpys = (kind.__module__, kind.__name__.rstrip("_")) == ("numpy", "bool")
    return repr(bool(value)) if is_numpys else None


def is_data(value: Any) -> bool:
    """Whether a value is neither a constant nor code: of it, only its type counts."""
    if issubclass(type(value), _CODE):
        return False
    return value is MISSING or (constant(value) is None and wrapped(value) is None)


def is_users(value: Any) -> TypeGuard[FunctionType]:
    """Whether a value is a function that was written by the user."""
    return type(value) is FunctionType and library.is_users_function(value)


def wrapped(value: Any) -> Any:
    """What an object wraps: a job's function, that of `functools.lru_cache`; None for others."""
    if (fn := method(value)) is not None and fn is not value:
        return fn
    held = attributes(value)
    inside = held.get("__wrapped__")
    if inside is None and str(type(value).__module__).startswith("nbtasks."):
        return held.get("fn")
    return inside


def attributes(value: Any) -> dict[str, Any]:
    """What an object holds itself."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def member(cls: type, name: str) -> Any:
    """What a class has under a name, itself or from a base; `MISSING` if nothing."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return MISSING


def method(value: Any) -> FunctionType | None:
    """The function that a member of a class is, or wraps."""
    kind = type(value)
    if kind is property:
        value = value.fget
    elif kind is functools.cached_property:
        value = value.func
    elif kind in (staticmethod, classmethod):
        value = value.__func__
    return value if type(value) is FunctionType else None


def methods(cls: type) -> tuple[list[FunctionType], list[Any]]:
    """The functions that the body of a class defines, and what else of code it holds.

    What a decorator of the class made, as `dataclass` does, is in neither.
    """
    own: list[FunctionType] = []
    others: list[Any] = []
    held = list(vars(cls).items())
    held += [(name, part) for name, value in held if type(value) is property
             for part in (value.fset, value.fdel)]  # fmt: skip
    for name, value in held:
        if name.startswith("__annotate"):  # what Python 3.14 makes of annotations
            continue
        fn = method(value)
        if fn is not None and fn.__code__.co_qualname.startswith(f"{cls.__qualname__}."):
            own.append(fn)
        elif not (name.startswith("__") or is_data(value)) and (
            fn is None or fn.__code__.co_filename[:1] != "<"
        ):
            others.append(value)
    return own, others


def module(fn: FunctionType) -> str:
    """The name of the module that a function stands in."""
    return str(fn.__globals__.get("__name__", "__main__"))


def label(value: Any) -> str:
    """The qualified name of a function or a class; of another object, that of its class.

    >>> label(len), label("".join), label(3)
    ('builtins.len', 'builtins.str.join', 'builtins.int')
    """
    kind = type(value)
    if kind is FunctionType:
        return f"{module(value)}.{value.__code__.co_qualname}"
    if kind is MethodType:
        return label(value.__func__)
    if issubclass(kind, functools.partial):
        return label(value.func)
    if kind is type(len) and not issubclass(type(value.__self__), ModuleType):
        own = value.__self__
        cls = own if issubclass(type(own), type) else type(own)
        return f"{cls.__module__}.{cls.__qualname__}.{value.__name__}"
    if kind in _NAMED:
        found = value.__module__ if kind is type(len) else value.__objclass__.__module__
        return f"{found}.{value.__qualname__}"
    named = value if issubclass(kind, type) else kind
    return f"{named.__module__}.{named.__qualname__}"


def unwrapped(value: Any) -> Any:
    """What something calls in the end: a function, a class, or an object."""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        if type(value) is MethodType:
            value = value.__func__
        elif issubclass(type(value), functools.partial):
            value = value.func
        elif (inside := wrapped(value)) is not None:
            value = inside
    return value


def home(value: Any) -> str:
    """The module of what something calls in the end."""
    end = unwrapped(value)
    if type(end) is FunctionType:
        return module(end)
    return str((end if issubclass(type(end), type) else type(end)).__module__)
