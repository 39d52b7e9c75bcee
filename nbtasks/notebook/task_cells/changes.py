"""Changes that a `%%task` cell makes to the data of the notebook, by a comparison with before."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments, calls, introspection
from nbtasks.engine.fingerprint.watch import MISSING as EMPTY
from nbtasks.engine.fingerprint.watch import cell_contents
from nbtasks.notebook.objects import process_settings
from nbtasks.notebook.objects.places import Snapshot
from nbtasks.notebook.task_cells import inputs as cell_inputs
from nbtasks.notebook.task_cells import randomness
from nbtasks.notebook.task_cells.inputs import ABSENT, MISSING, Inputs
from nbtasks.notebook.task_cells.names import Names
from nbtasks.notebook.task_cells.reach import Reach

__all__ = ["Before", "find_executed", "is_variable", "list_others"]

#: Names in which IPython keeps what cells gave.
_HISTORY: Final = frozenset({"In", "Out"})


class Before:
    """Notebook before a cell runs: its names, and the state of the data that the cell may change.

    Args:
        namespace: Names of the notebook.
        inputs: Inputs of the cell.
        names: Names of the cell, by its syntax.
    """

    def __init__(self, namespace: Mapping[str, Any], inputs: Inputs, names: Names) -> None:
        self._inputs = inputs
        self._names = names
        self._labels = [name for name in inputs.values if not name.isidentifier()]
        held = {label: inputs.values[label] for label in self._labels}
        self.namespace: dict[str, Any] = {**namespace, **held}
        self.random = randomness.snapshot()
        self.settings = process_settings.snapshot()
        data = self._data(self.namespace)
        self._states = randomness.hidden_states(data)
        self.given = calls.members([*data.values()])
        self._cells = {
            label: (cell, cell_contents(cell))
            for label, cell in Reach(names.read, namespace).cells.items()
        }
        self.snapshot = Snapshot({name: data[name] for name in data if name in self.namespace})

    def _data(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data that the cell may have changed, by name."""
        identifiers = filter(str.isidentifier, self._inputs.data)
        names = (*identifiers, *self._labels, *self._inputs.assigned)
        return {name: namespace.get(name, MISSING) for name in names}

    def with_held(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names of the notebook, with the data that functions and classes hold."""
        if not self._labels:
            return dict(namespace)
        return {**namespace, **Reach(self._names.read, namespace).held}

    def bound_in_cells(self) -> dict[str, Any]:
        """Return what closures have bound since by `nonlocal`, by the labels of their cells."""
        found = {}
        for label, (cell, old) in self._cells.items():
            now = cell_contents(cell)
            is_same = now is old or (introspection.constant(now) or "") == introspection.constant(
                old
            )
            if not is_same and now is not EMPTY:
                found[label] = now
        return found

    def changes(self, namespace: Mapping[str, Any]) -> tuple[set[str], set[str]]:
        """Return the names of inputs that have changed since, and those among them whose object is
        still the same one."""
        changed, mutated = set(), set()
        data = self._data(namespace)
        after = cell_inputs.digests(data)
        states = randomness.hidden_states(data)
        for name, value in data.items():
            old = self.namespace.get(name, MISSING)
            before = self._inputs.data.get(name)
            is_same = value is old
            if is_same and value is MISSING:
                continue  # it has never been there
            if name in self._inputs.assigned and before is None:
                differs = not is_same
            else:
                differs = not is_same or not arguments.match(
                    (before or ABSENT).text, after[name].text
                )
            if differs or states.get(name) != self._states.get(name):
                changed.add(name)
                if is_same:
                    mutated.add(name)
        return changed, mutated


def find_executed(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    hidden: Mapping[str, Any],
    modules: Iterable[str | None],
) -> Iterator[str]:
    """Yield the names that have been bound, so also those that no statement binds: by `exec`,
    `%run`, `globals()`, or a function that binds names of its caller.

    Args:
        before: Names of the notebook before a cell.
        now: Names of the notebook.
        hidden: Names among them that IPython has put there.
        modules: Names of modules from which a statement imports all.
    """
    others = [hidden, *(vars(sys.modules.get(name or "", sys)) for name in modules)]
    for name, value in now.items():
        is_counted = name.isidentifier() and name[:1] != "_"
        if (
            is_counted
            and before.get(name, MISSING) is not value
            and all(other.get(name, MISSING) is not value for other in others)
        ):
            yield name


def list_others(namespace: Mapping[str, Any], names: Container[str]) -> list[Any]:
    """Return the values of the variables of the notebook that are not among some names."""
    return [value for name, value in namespace.items() if name not in names and is_variable(name)]


def is_variable(name: str) -> bool:
    """Return True for a name that may be a variable of the notebook, which is not private."""
    return name.isidentifier() and name[:1] != "_" and name not in _HISTORY
