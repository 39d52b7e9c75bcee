"""Notes of the values that the definitions of a cell read, as they were when it was executed.

A reused cell executes its definitions again. What they read then is what they have read before, not
what the names stand for at the end of the cell: in `n = 3`, `class A: size = n`, `n = 4` that is 3,
and a registry does not have what a decorator is about to put in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from nbtasks.engine.fingerprint import arguments, tables
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.notebook.objects.members import TYPES
from nbtasks.notebook.task_cells.inputs import MISSING

__all__ = ["BEFORE", "CHANGED", "OWN", "Notes", "label", "name_of"]

#: Kinds of what a definition has read: a value from before the cell, one that the cell has changed
#: since, and one that its name does not stand for any more.
BEFORE: Final = "before"
CHANGED: Final = "changed"
OWN: Final = "own"

_SCALARS: Final = (str, bytes, int, float, complex, bool, type(None), range)
_CODE: Final = (FunctionType, ModuleType, type, type(len), *TYPES)
_MOST_TO_COPY: Final = 1000


class _Note(NamedTuple):
    value: Any
    digest: str | None
    copied: Any


def label(key: str, name: str) -> str:
    """Return the name under which a value stands that a definition has read."""
    return f"{key}: {name}"


def name_of(recorded: str) -> str:
    """Return the variable that a recorded name stands for."""
    return recorded.rpartition(": ")[2]


class Notes:
    """Notes of one execution of a cell."""

    def __init__(self) -> None:
        self._noted: dict[str, dict[str, _Note]] = {}

    def clear(self) -> None:
        """Forget all, for another execution."""
        self._noted.clear()

    def take(self, key: str, reads: Iterable[str], namespace: Mapping[str, Any]) -> None:
        """Note the values that a definition is about to read.

        Most calls that are assigned define nothing. So of what they read nothing is compared.
        """
        is_call = key.startswith("call ")
        self._noted[key] = {
            name: _note(namespace[name], is_call=is_call)
            for name in reads
            if name in namespace and not issubclass(type(namespace[name]), _CODE)
        }

    def choose(
        self,
        keys: Iterable[str],
        recorded: Mapping[str, Any],
        inputs: Mapping[str, Digest],
        before: Mapping[str, Any],
        now: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """Return the values to record for definitions, and what else they read, by labels.

        Args:
            keys: Definitions that a reused cell executes.
            recorded: Values of names that are recorded anyway.
            inputs: Digests of the inputs of the cell.
            before: Names of the notebook before the cell.
            now: Names of the notebook after the cell.
        """
        values: dict[str, Any] = {}
        facts: dict[str, list[Any]] = {}
        for key in keys:
            for name, note in self._noted.get(key, {}).items():
                is_same = now.get(name, MISSING) is note.value
                is_whole = note.digest is None or _digest(note.value) == note.digest
                is_old = note.value is before.get(name, MISSING)
                if is_old and _is_as_before(note, inputs.get(name)):
                    facts[label(key, name)] = [BEFORE, None]
                elif is_whole and not (is_same and name in recorded):
                    values[label(key, name)] = note.value
                    facts[label(key, name)] = [OWN, note.digest]
                elif not is_whole and note.copied is not MISSING:
                    values[label(key, name)] = note.copied
                    facts[label(key, name)] = [CHANGED if is_same else OWN, note.digest]
        return values, facts


def _is_as_before(note: _Note, before: Digest | None) -> bool:
    """Return True if a definition has read an input, as it was before the cell."""
    return before is not None and arguments.match(before.text, note.digest or _digest(note.value))


def _note(value: Any, *, is_call: bool) -> _Note:
    if is_call or type(value) in _SCALARS:
        return _Note(value, None, MISSING)
    return _Note(value, _digest(value), _copy(value))


def _digest(value: Any) -> str:
    return arguments.examine((value,)).text.split()[-1]


def _copy(value: Any) -> Any:
    """Return a copy of a small value that may be changed later, such as a registry."""
    if tables.is_pandas(value) or tables.is_array(value):
        return MISSING
    memo: dict[int, Any] = _Memo()
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - an odd object, or a large one
        return MISSING


class _Memo(dict[int, Any]):
    """Memo of a copy that gives up when there is too much to copy."""

    def __setitem__(self, key: int, value: Any) -> None:
        if len(self) > _MOST_TO_COPY or tables.is_pandas(value) or tables.is_array(value):
            raise OverflowError
        super().__setitem__(key, value)
