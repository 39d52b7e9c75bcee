"""Inspection of a call: its function, its arguments, and what is bound to the function."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from nbtasks.engine.fingerprint import arguments, introspection, references
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.engine.fingerprint.function import Fingerprint, fingerprint

__all__ = [
    "Before", "Examined", "Inspection", "before", "equate", "inspect", "is_equal", "members",
    "refer_to",
]  # fmt: skip

#: Types of arguments that a call cannot change.
_CONSTANT = frozenset(
    [type(None), bool, int, float, str, bytes, complex, range, FunctionType, ModuleType, type]
)
_MEMBER_DEPTH = 2
_MOST_MEMBERS = 1000
_MOST_EQUAL = 1000


class Examined(NamedTuple):
    """Code and inputs of a call that no function and arguments stand for.

    Attributes:
        code: The code.
        inputs: The digest of the inputs.
        explain: Function that returns which inputs differ from those recorded, for people; an empty
            text if it cannot tell.
    """

    code: Fingerprint
    inputs: Digest
    explain: Callable[[], str]


class Inspection(NamedTuple):
    """Function and arguments of a call, as far as they decide whether its task is stale.

    Attributes:
        code: The fingerprint of the function.
        digest: The digest of the arguments.
        args: The arguments, with those bound to the function before them.
        kwargs: The keyword arguments; None if there are none.
        bound: The number of those that are bound.
    """

    code: Fingerprint
    digest: Digest
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] | None
    bound: int

    @property
    def values(self) -> tuple[Any, ...]:
        """All arguments, in an order that only depends on their names."""
        named = self.kwargs or {}
        return (*self.args, *(named[name] for name in sorted(named)))


class Before(NamedTuple):
    """Arguments of a call that is under way, as they were before it.

    Attributes:
        mutable: The arguments that may change, each with its name for people.
        digests: The digest of each.
        given: All arguments, and the keyword arguments.
        recorded: The recorded digest of the call.
    """

    mutable: list[tuple[str, Any]]
    digests: list[Digest]
    given: tuple[tuple[Any, ...], Mapping[str, Any] | None]
    recorded: str


def inspect(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> Inspection:
    """Return the fingerprint of a call's function, and the digest of its arguments."""
    if type(fn) is FunctionType:
        return Inspection(fingerprint(fn), arguments.examine(args, kwargs), args, kwargs, 0)
    bound = _bound_arguments(fn)
    ignored = _list_assigned(fn)
    args = (*bound, *args)
    digest = arguments.examine(args, kwargs, bound=len(bound), ignored=ignored)
    return Inspection(fingerprint(fn), digest, args, kwargs, len(bound))


def _list_assigned(fn: Any) -> frozenset[str]:
    """Return the fields that a method or a callable object assigns itself: no inputs."""
    if type(fn) is MethodType:
        return references.list_assigned(fn.__func__, type(fn.__self__))
    call = introspection.member(type(fn), "__call__")
    return references.list_assigned(call, type(fn))


def _bound_arguments(fn: Any) -> tuple[Any, ...]:
    """Return what is bound to a callable: the arguments of a partial, the object of a method, or
    the callable itself, if it is an object with a state."""
    kind = type(fn)
    if issubclass(kind, functools.partial):
        return (*_bound_arguments(fn.func), fn.args, fn.keywords)
    if issubclass(kind, (MethodType, BuiltinFunctionType)):
        is_plain = issubclass(type(fn.__self__), ModuleType)
        return () if is_plain else (fn.__self__,)
    if issubclass(kind, arguments.CODE) or kind.__module__.startswith("nbtasks."):
        return ()
    return (fn,)


def before(call: Inspection) -> Before | None:
    """Return the arguments of a call that it may change; None if there are none."""
    args, kwargs, bound = call.args, call.kwargs, call.bound
    if _CONSTANT.issuperset(map(type, args)) and not kwargs:
        return None
    names = [f"argument {number}" if number > 0 else "the object of its function"
             for number in range(1 - bound, len(args) + 1 - bound)]  # fmt: skip
    named = [*zip(names, args, strict=True),
             *((f"argument {name}", value) for name, value in (kwargs or {}).items())]  # fmt: skip
    mutable = [(name, arg) for name, arg in named if type(arg) not in _CONSTANT]
    if not mutable:
        return None
    if len(args) == 1 and not bound and not kwargs:
        return Before(mutable, [call.digest], (args, None), call.digest.text)
    digests = [arguments.examine((arg,)) for _, arg in mutable]
    return Before(mutable, digests, (args, kwargs), call.digest.text)


def members(output: Any) -> frozenset[int]:
    """Return the ids of an output and of what it holds."""
    if type(output) in _CONSTANT:
        return frozenset([id(output)])
    found, todo = set(), [(output, _MEMBER_DEPTH)]
    while todo:
        value, depth = todo.pop()
        found.add(id(value))
        if depth and len(found) < _MOST_MEMBERS:
            kind = type(value)
            inner = (
                value
                if kind in (list, tuple, set)
                else vars(value).values()
                if hasattr(value, "__dict__") and not isinstance(value, type)
                else ()
            )
            inner = value.values() if kind is dict else inner
            todo += [(member, depth - 1) for member in itertools.islice(inner, _MOST_MEMBERS)]
    return frozenset(found)


def is_equal(recorded: str | None, call: Inspection) -> bool:
    """Return True if the digest of arguments is the recorded one, in one way or another."""
    if arguments.match(recorded, call.digest.text):
        return True
    return _are_equated(call.values, call.digest.text, recorded or "")


# -- arguments that are given back ----------------------------------------------------------------

#: Digests of calls whose arguments were changed in place and given back: the recorded one, the
#: arguments, and their digest since.
_equal: dict[str, tuple[list[Callable[[], Any]], str]] = {}


def equate(args: tuple[Any, ...], since: str, recorded: str) -> None:
    """Note that arguments were changed in place by their own task, which gave them back.

    In the same process the next execution gives the changed ones to the task: nothing has changed.

    Args:
        args: The arguments.
        since: Their digest since.
        recorded: Their digest before, which is recorded.
    """
    while len(_equal) >= _MOST_EQUAL:
        del _equal[next(iter(_equal))]
    _equal[recorded] = [refer_to(arg) for arg in args], since


def refer_to(value: Any) -> Callable[[], Any]:
    """Return a function that returns a value; one that may end does not stay alive for it."""
    return weakref.ref(value) if type(value).__weakrefoffset__ else functools.partial(_give, value)


def _give(value: Any) -> Any:
    return value


def _are_equated(args: tuple[Any, ...], now: str, recorded: str) -> bool:
    """Return True if arguments are what their own task has made of those that are recorded."""
    if (known := _equal.get(recorded)) is None or len(known[0]) != len(args):
        return False
    same = all(refer() is arg for refer, arg in zip(known[0], args, strict=True))
    return same and arguments.match(known[1], now)
