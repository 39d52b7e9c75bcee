"""Parameters of a callable: what a call passes to each of them."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple, TypeVar

__all__ = [
    "MARK",
    "Parameters",
    "Passed",
    "definition_of",
    "function_name",
    "is_default",
    "nearest_name",
    "to_python",
    "unknown_keyword",
    "unknown_option",
    "unwrapped",
    "with_nearest_option",
]

#: Attribute by which a task function holds its definition.
MARK: Final = "__nbtasks__"
#: Module that makes task functions.
_HOME: Final = "nbtasks.io.task_function"
_EMPTY: Final = inspect.Parameter.empty
#: How alike two names are of which one was meant: `retries` is `retry`, and not `resources`.
_CLOSE: Final = 0.65
_CalledT = TypeVar("_CalledT", bound=Callable[..., Any])
_SCALARS = (str, int, float, bool, date, PurePath)


def definition_of(fn: Any) -> Any:
    """Return the definition of a task function; None for anything else.

    Not for a function that a decorator has put around a task function, and given its attributes.
    """
    if type(fn) is not FunctionType or (definition := fn.__dict__.get(MARK)) is None:
        return None
    return definition if fn.__globals__.get("__name__") == _HOME else None


def unwrapped(fn: Any) -> Any:
    """Return the plain function of a task function, of a method or partial of one; else `fn`."""
    if type(fn) is FunctionType:
        definition = definition_of(fn)
        return fn if definition is None else definition.fn
    if type(fn) is MethodType and (inner := unwrapped(fn.__func__)) is not fn.__func__:
        return MethodType(inner, fn.__self__)
    if type(fn) is partial and (inner := unwrapped(fn.func)) is not fn.func:
        return partial(inner, *fn.args, **fn.keywords)
    return fn


class Passed(NamedTuple):
    """Value that a call passes.

    Attributes:
        name: The name to show with it: that of a parameter with a default, or of an extra keyword.
        value: The value.
        default: The parameter's default; `inspect.Parameter.empty` if it has none.
    """

    name: str | None
    value: Any
    default: Any


class Parameters:
    """Parameters of a callable.

    Args:
        signature: The signature of the callable.

    Attributes:
        keywords: The names that a call may use as keywords.
        takes_any: Whether any other keyword may be used, too.
        positional: The names of the parameters that take one positional argument each.
        rest: The name of the parameter that takes all further ones; None if there is none.
    """

    def __init__(self, signature: inspect.Signature) -> None:
        self._signature = signature
        parameters = signature.parameters.values()
        self._positional = [one for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
        self.keywords = tuple(
            one.name
            for one in parameters
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        )
        self.positional = tuple(one.name for one in self._positional)
        rest = (one.name for one in parameters if one.kind is one.VAR_POSITIONAL)
        self.rest = next(rest, None)
        self.takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
        # What a call needs to be bound by position alone.
        self._least = sum(one.default is _EMPTY for one in self._positional)
        if any(one.kind is one.KEYWORD_ONLY and one.default is _EMPTY for one in parameters):
            self._least = len(self._positional) + 1

    def keywords_after(self, count: int) -> tuple[str, ...]:
        """Return the names that a call may use as keywords beside `count` positional arguments."""
        given = {one.name for one in self._positional[:count]}
        return tuple(name for name in self.keywords if name not in given)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parameters."""
        return tuple(self._signature.parameters)

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> Parameters | None:
        """Return the parameters of a callable; None if it does not tell them, as some of C."""
        try:
            known = _known.get(fn)
        except TypeError:  # no weak reference, or no hash
            return _read(fn)
        if known is None and (known := _read(fn)) is not None:
            _known[fn] = known
        return known

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise a TypeError if a call does not fit the signature."""
        if kwargs or not self._least <= len(args) <= len(self._positional):
            self.bind(args, kwargs)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Return the arguments of a call by the names of their parameters.

        Raises:
            TypeError: The call does not fit the signature.
        """
        return self._signature.bind(*args, **kwargs)

    def passed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Passed]:
        """Return what a call passes, in the order of the signature; extra keywords by name.

        Raises:
            TypeError: The call does not fit the signature.
        """
        if not kwargs and self._least <= len(args) <= len(self._positional):
            return [
                Passed(None if one.default is _EMPTY else one.name, value, one.default)
                for one, value in zip(self._positional, args, strict=False)
            ]
        found = []
        bound = self.bind(args, kwargs).arguments
        for name, value in bound.items():
            one = self._signature.parameters[name]
            if one.kind is one.VAR_POSITIONAL:
                found += [Passed(None, item, _EMPTY) for item in value]
            elif one.kind is one.VAR_KEYWORD:
                found += [Passed(extra, value[extra], _EMPTY) for extra in sorted(value)]
            else:
                found.append(Passed(None if one.default is _EMPTY else name, value, one.default))
        return found

    def canonical(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
        """Return the arguments of a call as any other call writes them that passes the same: by
        position as far as possible, and without those that are their parameter's default.

        Raises:
            TypeError: The call does not fit the signature.
        """
        if not kwargs and self._least <= len(args) <= len(self._positional):
            count = len(args)
            while count and is_default(args[count - 1], self._positional[count - 1].default):
                count -= 1
            return args[:count], None
        bound = self.bind(args, kwargs)
        for name, value in list(bound.arguments.items()):
            if is_default(value, self._signature.parameters[name].default):
                del bound.arguments[name]
        return bound.args, bound.kwargs or None

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every parameter in a call, with defaults; extra keywords, too.

        Raises:
            TypeError: The call does not fit the signature.
        """
        bound = self.bind(args, kwargs)
        bound.apply_defaults()
        values = bound.arguments
        for one in self._signature.parameters.values():
            if one.kind is one.VAR_KEYWORD:
                values = {**values[one.name], **values}
        return values


_known: weakref.WeakKeyDictionary[Any, Parameters] = weakref.WeakKeyDictionary()


def _read(fn: Callable[..., Any]) -> Parameters | None:
    try:
        return Parameters(inspect.signature(fn))
    except (TypeError, ValueError):
        return None


def to_python(value: Any) -> Any:
    """Return a scalar of NumPy as Python's own; other values as they are."""
    kind = type(value)
    if kind.__module__ != "numpy" or not hasattr(kind, "dtype") or hasattr(kind, "__setitem__"):
        return value  # an array has items to set
    own = value.item()
    return own if isinstance(own, str | int | float) and value.dtype.kind in "biufU" else value


def is_default(value: Any, default: Any) -> bool:
    """Return True if a value is the default of its parameter, or a scalar that equals it.

    >>> is_default(1, 1.0), is_default(True, 1), is_default([1], [1])
    (True, False, False)
    """
    if default is _EMPTY or value is default:
        return value is default
    value, default = to_python(value), to_python(default)
    if not isinstance(value, _SCALARS) or not isinstance(default, _SCALARS):
        return False
    if isinstance(value, Enum) or isinstance(default, Enum):
        return False  # a member is identical to itself
    return isinstance(value, bool) is isinstance(default, bool) and bool(value == default)


def function_name(fn: Any) -> str:
    """Return the name of a function as a call would write it; `fn` if it has none."""
    name = getattr(fn.func if type(fn) is partial else fn, "__name__", "fn")
    return "fn" if name == "<lambda>" else str(name)


def nearest_name(given: str, known: Sequence[str]) -> str | None:
    """Return the name that one was likely meant to be; None if none is near."""
    import difflib  # lazily: calls seldom need it

    near = difflib.get_close_matches(given, known, n=3, cutoff=_CLOSE)
    near = near or [name for name in known if len(given) > 1 and name.startswith(given)]
    return min(near, key=lambda name: name[0] != given[:1], default=None)  # else the nearest


def unknown_option(call: str, given: str, options: Sequence[str]) -> TypeError:
    """Return the error for an option that a call does not have."""
    nearest = nearest_name(given, options)
    hint = f"Is it {nearest}=?" if nearest else f"Its options are: {', '.join(options)}."
    return TypeError(f"{call}(...) has no option {given}=. {hint}")


def with_nearest_option(call: str) -> Callable[[_CalledT], _CalledT]:
    """Return a decorator for a function or a class, whose calls answer a slip in the name of an
    option with the nearest one.

    Args:
        call: The call as users write it, as in "nb.job".
    """

    def decorate(called: Any) -> Any:
        fn: Any = vars(called)["__init__"] if isinstance(called, type) else called
        names = fn.__code__.co_varnames[: fn.__code__.co_argcount + fn.__code__.co_kwonlyargcount]
        known = frozenset(names)

        @functools.wraps(fn)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if not known.issuperset(kwargs):
                given = next(name for name in kwargs if name not in known)
                raise unknown_option(call, given, [name for name in names if name != "self"])
            return fn(*args, **kwargs)

        if isinstance(called, type):
            setattr(called, "__init__", checked)  # noqa: B010 - of a type that mypy does not know
            return called
        return checked

    return decorate


def unknown_keyword(  # noqa: PLR0913, PLR0917 - the parts of a call
    call: str,
    key: object,
    fn: Any,
    given: Mapping[str, Any],
    options: Sequence[str],
    elsewhere: Mapping[str, str],
    parameters: Sequence[str] | None = None,
) -> TypeError:
    """Return the error for keyword arguments that a call cannot take.

    Args:
        call: The call, as in "io.map".
        key: Its key.
        fn: Its function.
        given: The keyword arguments.
        options: The options that the call has.
        elsewhere: What to write for others.
        parameters: The parameters of the function, if the call passes them on and they are known.
    """
    name, value = next(iter(given.items()))
    called = function_name(fn)
    text = f"{call}({key!r}, {called}, ...) has no option {name}="
    text += "." if parameters is None else f", and {called} has no parameter of that name."
    if nearest := nearest_name(name, [*(parameters or ()), *options, *elsewhere]):
        here = nearest in options or nearest in (parameters or ())
        text += f" Is it {nearest}=?" if here else f" Is it {elsewhere[nearest]}?"
    elif parameters is not None:
        text += f" Its parameters are: {', '.join(parameters) or 'none'}."
    if parameters is None:
        text += (
            " A keyword argument of the function goes through functools.partial or a lambda: "
            f"functools.partial({called}, {name}={value!r:.40})."
        )
    return TypeError(text)
