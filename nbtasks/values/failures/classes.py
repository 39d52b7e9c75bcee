"""Classes that are both `TaskFailed` and the class of the original error."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from nbtasks.errors import TaskFailed

__all__ = ["Constructor", "find", "get_attribute", "instantiate"]

#: Attributes of `TaskFailed`, which mean the same whatever the class of the original calls so.
_FIELDS = ("path", "type", "message", "traceback", "attempts", "run_id")

#: Class methods in C that make an exception from data, of pydantic. A record may be a stranger's.
_METHODS = ("from_exception_data",)


def find(names: Iterable[tuple[str, str]]) -> Any:
    """Return the first class of these modules and names that is there, if it is an `Exception`."""
    # Only among loaded modules: code that catches the class has imported it, and importing for a
    # stranger's record would run code.
    for module, qualname in names:
        target: Any = sys.modules.get(module)
        for name in qualname.split("."):
            target = getattr(target, name, None)
        if isinstance(target, type) and issubclass(target, Exception) and target is not Exception:
            return None if issubclass(target, TaskFailed) else target
    return None


@dataclass(frozen=True, slots=True)
class Constructor:
    """Way in which a class in C makes an instance from arguments.

    Attributes:
        module: Module of the class.
        name: Qualified name of the class.
        method: Name of the class method that makes it; empty for the class itself.
        args: The arguments.
    """

    module: str
    name: str
    method: str
    args: tuple[Any, ...]

    def make(self, native: Any, mixed: Any) -> Any:
        """Return an instance of `mixed`, a subclass of `native`."""
        if (native.__module__, native.__qualname__) != (self.module, self.name):
            return native.__new__(mixed)
        if self.method in _METHODS:
            return getattr(mixed, self.method)(*self.args)
        return native.__new__(mixed, *self.args)


def instantiate(original: type[Exception], constructor: Constructor) -> TaskFailed:
    """Return an instance of `TaskFailed` and `original`, or of its nearest base that allows it.

    Neither its class's `__new__` nor its `__init__` is called, as their arguments are not known.
    """
    for base in original.__mro__:
        if base is Exception:
            break
        kind: Any = base  # mypy doubts that classes of exceptions can be hashed
        mixed = _mix(kind) if issubclass(base, Exception) else None
        if mixed is None:
            continue
        for native in _natives(base):
            try:
                error = constructor.make(native, mixed)
            except Exception:  # noqa: BLE001, S112 - not the base that decides on the layout
                continue
            if isinstance(error, TaskFailed):
                return error
    return TaskFailed.__new__(TaskFailed)


def _natives(base: type) -> Iterator[Any]:
    """Yield the bases whose instances C code makes."""
    return (
        kind for kind in base.__mro__
        if isinstance(vars(kind).get("__new__"), types.BuiltinFunctionType)
    )  # fmt: skip


@functools.cache  # by the class, not by its name: a cell may define the class again
def _mix(base: type[Exception]) -> Any:
    """Return a subclass of `TaskFailed` and `base`, named as `base`; None if it is final."""
    names: dict[str, Any] = {"__module__": base.__module__, "__qualname__": base.__qualname__}
    for field in _FIELDS:
        if inspect.isdatadescriptor(inspect.getattr_static(base, field, None)):
            names[field] = _own(field)
    if issubclass(base, BaseExceptionGroup):
        names["message"], names["derive"] = base.message, _derive
    if next(_natives(base)).__module__ == "builtins":
        names["__new__"] = lambda _, *args, **fields: base(*args, **fields)  # of `type(error)(...)`
    else:
        names["__init__"] = _do_nothing  # its class methods call the class
    if hasattr(base, "__del__"):
        names["__del__"] = _do_nothing  # it would close what the original had open
    names["__getattribute__"] = get_attribute
    try:
        return type(base.__name__, (TaskFailed, base), names)
    except Exception:  # noqa: BLE001 - a final class, or a metaclass of its own
        return None


def _own(field: str) -> property:
    """Return a property for a field that the original's class has another use for."""

    def write(error: TaskFailed, value: object) -> None:
        vars(error)[field] = value

    return property(lambda error: vars(error)[field], write)


def get_attribute(error: Any, name: str) -> Any:
    """Return an attribute, unless it is one that is not kept: a class may have a default for it."""
    if name in object.__getattribute__(error, "__dict__").get("_lost", ()):
        raise AttributeError(name)  # `TaskFailed.__getattr__` explains it
    return super(TaskFailed, error).__getattribute__(name)


def _derive(group: Any, members: Any) -> Any:
    """Return a part of a group, for `except*` and `split`: it is the failure of the same task."""
    part = BaseExceptionGroup.__new__(type(group), group.message, members)
    vars(part).update({k: v for k, v in vars(group).items() if k != "__notes__"})
    return part


def _do_nothing(error: object, *_: object) -> None:
    """Do nothing."""
