"""Attributes that a cell sets on functions, classes and members of enums, and defaults it changes.

A reused cell executes its definitions again, which gives them their first state. So what differs
from that at the end of the cell is recorded, methods as well as data, and so is what it sets on
functions and classes of other cells, or deletes there. What it changes in place in those is found
as an input of the cell.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum, EnumMeta
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments, introspection, tables, user_code
from nbtasks.notebook.objects.members import CONTAINERS, SCALARS

__all__ = ["Attributes", "delete", "holder", "path_of", "put"]

#: Beginning of the names under which attributes are recorded.
_LABEL: Final = "attribute "
#: Attributes with the defaults of parameters.
_DEFAULTS: Final = ("__defaults__", "__kwdefaults__")
#: Attributes of functions that Python itself gives them, and that may be set.
_OF_FUNCTIONS: Final = ("__name__", "__doc__", *_DEFAULTS)
_CODE: Final = (
    FunctionType, BuiltinFunctionType, type, property, classmethod, staticmethod, functools.partial,
    functools.partialmethod, functools.cached_property,
)  # fmt: skip
_MISSING: Any = object()
_MOST_WRAPPED: Final = 10


class Attributes:
    """Attributes of functions and classes, as they were when they were noted."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[Any, dict[str, tuple[Any, str]]]] = {}

    def note(self, names: Iterable[str], namespace: Mapping[str, Any], *, new: bool) -> None:
        """Note the attributes of functions and classes.

        Args:
            names: Their names.
            namespace: Names of the notebook.
            new: Whether they have just been defined, so that they are defined again.
        """
        known = {id(found) for found, _ in self._noted.values()}
        for path, found in _holders(names, namespace):
            if id(found) in known:  # by another name
                continue
            known.add(id(found))
            own = _attributes(found).items()
            self._noted[path] = (
                found,
                {name: (_copy(name, value), _digest(value) if new else "") for name, value in own},
            )

    def changed(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes that have changed since, under names to record them by."""
        return {
            f"{_LABEL}{path}.{name}": value
            for path, found, before in self._still(namespace)
            for name, value in _attributes(found).items()
            if _has_changed(name, value, *before.get(name, (_MISSING, "")))
        }

    def deleted(self, namespace: Mapping[str, Any]) -> list[str]:
        """Return the attributes that are gone since, under such names."""
        return [
            f"{_LABEL}{path}.{name}"
            for path, found, before in self._still(namespace)
            for name in before.keys() - _attributes(found).keys()
        ]

    def _still(self, namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield the functions and classes that still have their names, with what was noted."""
        now = dict(_holders({path.partition(".")[0] for path in self._noted}, namespace))
        for path, (found, before) in self._noted.items():
            if now.get(path) is found:
                yield path, found, before


def _copy(name: str, value: Any) -> Any:
    return dict(value) if name == "__kwdefaults__" and value else value


def _has_changed(name: str, value: Any, before: Any, digest: str) -> bool:
    if name == "__kwdefaults__" and value and before:
        differs = value.keys() != before.keys() or any(value[k] is not before[k] for k in value)
    else:
        differs = value is not before
    return differs or bool(digest and _digest(value) != digest)


def _digest(value: Any) -> str:
    """Return a digest of what may change in place; empty for other values."""
    if type(value) in SCALARS or isinstance(value, _CODE) or not _is_data(value):
        return ""
    return arguments.examine((value,)).text


def _holders(names: Iterable[str], namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the user's functions and classes among some names, also those behind decorators, the
    classes of objects, and members of enums."""
    for name in sorted(names):
        path, value = name, namespace.get(name)
        for _ in range(_MOST_WRAPPED):
            if _is_holder(value):
                yield path, value
            if isinstance(value, EnumMeta) and user_code.is_users_class(value):
                members: Mapping[str, Any] = value.__members__
                yield from ((f"{path}.{member}", each) for member, each in members.items())
            path, value = f"{path}.__wrapped__", introspection.attributes(value).get("__wrapped__")
        kind = type(namespace.get(name))
        if user_code.is_users_class(kind) and not issubclass(kind, Enum):
            yield f"{name}.__class__", kind


def _is_holder(value: Any) -> bool:
    if issubclass(type(value), type | Enum):
        return user_code.is_users_class(value if issubclass(type(value), type) else type(value))
    inner = introspection.attributes(value).get("__wrapped__")  # of an `lru_cache`
    return any(introspection.is_users_function(each) for each in (value, inner))


def _attributes(found: Any) -> dict[str, Any]:
    """Return the attributes of a function, a class or a member that a cell may set, and mutable
    defaults; of private ones only data and code, since libraries keep their own there."""
    own = {
        name: value
        for name, value in vars(found).items()
        if name[:1] != "_" or (name[:2] != "__" and name[-1:] != "_" and _is_plain(value))
    }
    if type(found) is FunctionType:
        own |= {name: getattr(found, name) for name in _OF_FUNCTIONS}
    elif isinstance(found, type):
        own |= {name: value for name, value in vars(found).items() if _is_special(name, value)}
        own["__doc__"] = found.__doc__
    return own


def _is_special(name: str, value: Any) -> bool:
    """Return True for a method such as `__len__`."""
    return name[:2] == name[-2:] == "__" and introspection.is_users_function(value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _CODE) or _is_data(value)


def _is_data(value: Any) -> bool:
    """Return True for plain values, tables and objects of the user's classes; what libraries keep
    in a class is their own."""
    kind = type(value)
    if kind in SCALARS or tables.is_pandas(value) or tables.is_array(value):
        return True
    if isinstance(value, CONTAINERS):
        return kind.__module__ in ("builtins", "collections")
    return user_code.is_users_class(kind) and not (callable(value) or hasattr(kind, "__get__"))


def path_of(label: str) -> str | None:
    """Return the path of the attribute that is recorded under a name; None if none is."""
    return label.removeprefix(_LABEL) if label.startswith(_LABEL) else None


def holder(label: str) -> str | None:
    """Return the name of the function or class whose attribute is recorded under a name; None if
    none is."""
    path = path_of(label)
    return path and path.partition(".")[0]


def put(label: str, value: Any, namespace: Mapping[str, Any], names: Collection[str]) -> None:
    """Set a recorded attribute, if its function or class is among some names."""
    is_code = introspection.is_users_function(value)  # which only one's own records have
    _change(
        label, namespace, names, lambda found, name: setattr(found, name, value), is_code=is_code
    )


def delete(label: str, namespace: Mapping[str, Any], names: Collection[str]) -> None:
    """Delete an attribute, if its function or class is among some names."""
    _change(label, namespace, names, delattr)


def _change(
    label: str,
    namespace: Mapping[str, Any],
    names: Collection[str],
    change: Callable[[Any, str], None],
    *,
    is_code: bool = False,
) -> None:
    path, _, attribute = label.removeprefix(_LABEL).rpartition(".")
    is_plain = attribute[:2] != "__" or attribute in _OF_FUNCTIONS
    for each, found in _holders({path.partition(".")[0]} & {*names}, namespace):
        if each == path and (is_plain or (is_code and isinstance(found, type))):
            with contextlib.suppress(TypeError, AttributeError):  # of a record that is damaged
                change(found, attribute)
