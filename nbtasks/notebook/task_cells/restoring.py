"""Restoring of what a recorded `%%task` cell left behind, in place of executing it."""

from __future__ import annotations

import importlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from random import Random
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments
from nbtasks.errors import UnreadableValueError
from nbtasks.notebook.task_cells import plots, randomness
from nbtasks.notebook.task_cells.definitions import ALWAYS, Definition
from nbtasks.notebook.task_cells.recording import RANDOM, VALUE
from nbtasks.notebook.task_cells.showing import shown_as
from nbtasks.values import displays
from nbtasks.values.libraries.bindings import Bindings

__all__ = ["Restorer", "Shown", "as_record"]

_MISSING: Any = object()
_NATIVE: Final = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: a class that is written in C


class Shown:
    """Last value of a recorded cell as it was displayed, where only that is recorded."""

    def __init__(self, record: str) -> None:
        self._data, self._metadata = shown_as(displays.loads(record))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._data, self._metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", "<no text>"))


def as_record(output: Any, definitions: Iterable[Definition]) -> Bindings:
    """Return the output of a cell's task as its record: one that was set by hand is a dict of
    values by name, or None."""
    if isinstance(output, Bindings):
        return output
    values = output if isinstance(output, Mapping) else {}
    facts: dict[str, Any] = {
        "definitions": [each.key for each in definitions if each.kind in ALWAYS],
        "modules": {}, "aliases": {}, "changed": [], "deleted": [], "value": None, "plots": None,
        "contents": {},
    }  # fmt: skip
    return Bindings([([name], value) for name, value in values.items()], facts, lambda value: value)


class Restorer:
    """Restorer of one record into a namespace.

    Args:
        record: The record.
        namespace: Names of the notebook.
        text: Code of the cell.
        explain: Function that returns an error about an unreadable value with what to do.
    """

    def __init__(
        self,
        record: Bindings,
        namespace: MutableMapping[str, Any],
        text: str,
        explain: Callable[[str, UnreadableValueError], UnreadableValueError],
    ) -> None:
        self._record = record
        self._namespace = namespace
        self._text = text
        self._explain = explain
        self._bound: set[str] = set()
        self._wanted = set(record.facts["definitions"])
        self._original = dict(namespace)

    def wants(self, key: str, reads: Iterable[str]) -> bool:
        """Return True if a definition is to be executed; what it reads is bound then."""
        wanted = key in self._wanted
        for name in reads if wanted else ():
            if name in self._record:
                self._bind(name)
        return wanted

    def finish(self) -> Any:
        """Bind all names, once the definitions are executed; return the last value."""
        facts, namespace = self._record.facts, self._namespace
        for name, module in facts["modules"].items():
            self._import(name, module)
        for name in self._record:
            if name.isidentifier():
                self._bind(name)
        for name, other in facts["aliases"].items():
            if other in namespace:
                namespace[name] = namespace[other]
        for name in facts["deleted"]:
            namespace.pop(name, None)
        if RANDOM in self._record:
            randomness.restore(self._read(RANDOM))
        return self._last_value()

    def _import(self, name: str, module: str) -> None:
        """Bind a name to a module that is loaded, or that the text of the cell names: the record
        may be somebody else's."""
        package = module.partition(".")[0]
        if package in sys.modules or re.search(rf"\b{re.escape(package)}\b", self._text):
            self._namespace[name] = importlib.import_module(module)

    def _last_value(self) -> Any:
        facts = self._record.facts
        if VALUE in self._record:
            return self._read(VALUE)
        if facts["value"] is not None:
            return self._namespace.get(facts["value"])
        return Shown(facts["shown"]) if "shown" in facts else None

    def _read(self, name: str) -> Any:
        try:
            with plots.kept_apart():
                return self._record[name]
        except UnreadableValueError as error:
            failure = self._explain(name, error)
        raise failure

    def _bind(self, name: str) -> None:
        if name in self._bound:
            return
        self._bound.add(name)
        value = self._read(name)
        facts, namespace = self._record.facts, self._namespace
        old = self._original.get(name, _MISSING)
        if name in facts["changed"] and old is not _MISSING and namespace.get(name) is old:
            if _change_in_place(old, value):
                value = old
            else:
                for other, found in self._original.items():  # its other names
                    if found is old and namespace.get(other) is old and other[:1] != "_":
                        namespace[other] = value
        namespace[name] = value
        arguments.recall(value, facts["contents"].get(name, []))


# -- changes in place -----------------------------------------------------------------------------


def _change_in_place(old: Any, new: Any) -> bool:
    """Give an object the content of another one of its type; return False if that cannot be."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    try:
        return _fill(old, new)
    except Exception:  # noqa: BLE001 - an odd object is bound anew instead
        return False


def _fill(old: Any, new: Any) -> bool:
    kind = type(old)
    module = kind.__module__.partition(".")[0]
    if kind in (list, bytearray):
        old[:] = new
    elif kind is deque:
        old.clear()
        old.extend(new)
    elif kind in (dict, set) or (isinstance(old, dict) and module == "collections"):
        old.clear()
        old.update(new)
    elif kind is Random:
        old.setstate(new.getstate())
    elif module == "pandas" and hasattr(old, "_update_inplace"):
        old._update_inplace(new)  # noqa: SLF001 - what its own `inplace=True` calls
        old.attrs = new.attrs
    elif module == "numpy":
        return _fill_array(old, new)
    elif _has_attributes_only(kind):
        vars(old).clear()
        vars(old).update(vars(new))
    else:
        return False
    return True


def _fill_array(old: Any, new: Any) -> bool:
    if hasattr(old, "bit_generator"):
        old.bit_generator.state = new.bit_generator.state
    elif hasattr(old, "set_state"):
        old.set_state(new.get_state())
    elif old.shape == new.shape and old.dtype == new.dtype:
        old[...] = new
    else:
        return False
    return True


def _has_attributes_only(kind: type) -> bool:
    """Return True if all of an instance's state is in its attributes: no base is written in C."""
    return all(base is object or not base.__flags__ & _NATIVE for base in kind.__mro__) and not any(
        vars(base).get("__slots__") for base in kind.__mro__
    )
