"""Restoring of what a recorded `%%task` cell left behind, in place of executing it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from itertools import chain
from typing import Any, Final

from nbtasks.core.parameters import nearest_name
from nbtasks.engine.fingerprint import arguments, calls
from nbtasks.errors import NbtasksError, UnreadableValueError
from nbtasks.notebook.task_cells import randomness, sharing, showing
from nbtasks.notebook.task_cells.definitions import ALWAYS, Definition
from nbtasks.notebook.task_cells.notes import BEFORE, CHANGED, label
from nbtasks.notebook.task_cells.recording import RANDOM, VALUE
from nbtasks.values import displays
from nbtasks.values.libraries.bindings import Bindings

__all__ = ["Restorer", "Shown", "as_record"]

_MISSING: Any = object()


class Shown:
    """Last value of a recorded cell as it was displayed, where only that is recorded."""

    def __init__(self, record: str) -> None:
        self._data, self._metadata = showing.shown_as(displays.loads(record))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._data, self._metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", "<no text>"))


def as_record(
    output: Any, key: str, names: Collection[str], definitions: Iterable[Definition]
) -> Bindings:
    """Return the output of a cell's task as its record.

    Args:
        output: The output; one that was set by hand is a dict of values by name, or None.
        key: Key of the cell.
        names: Names that the cell may bind or change.
        definitions: Definitions of the cell.

    Raises:
        UnreadableValueError: It is the record of no cell.
        NbtasksError: It was set by hand, and gives the names of the cell no values.
    """
    if isinstance(output, Bindings):
        if not _is_whole(output.facts):
            raise UnreadableValueError(
                f"The record of %%task {key} is damaged. To execute the cell again: "
                f"run.reset({key!r})."
            )
        return output
    values = {} if output is None else output
    if not isinstance(values, dict):
        raise NbtasksError(
            f"The output of %%task {key} was set to a value of type {type(output).__name__}. What "
            f"a cell leaves is a dict of values by name, or None: run.set({key!r}, "
            '{"name": value}). To execute the cell instead: '
            f"run.reset({key!r})."
        )
    for name in values:
        if name not in names:
            raise NbtasksError(_unknown_name(name, key, names))
    return Bindings(
        [([name], value) for name, value in values.items()],
        {**_NOTHING, "definitions": [each.key for each in definitions if each.kind in ALWAYS]},
        lambda value: value,
    )


def _unknown_name(name: Any, key: str, names: Collection[str]) -> str:
    nearest = nearest_name(name, [*names]) if isinstance(name, str) else None
    hint = f" Is it {nearest}?" if nearest else ""
    return (
        f"The output of %%task {key} was set by hand, with a value for {name!r}, which the cell "
        f"neither binds nor reads.{hint} Set it again: run.set({key!r}, {{name: value}})."
    )


#: Facts of a cell that has done nothing.
_NOTHING: Final[dict[str, Any]] = {
    "definitions": [], "reads": {}, "inputs": {}, "aliases": {}, "changed": [], "deleted": [],
    "value": None, "plots": None, "contents": {},
}  # fmt: skip


def _is_whole(facts: Any) -> bool:
    """Return True if facts, which anybody may have written, are those of a cell."""
    if type(facts) is not dict or not facts.keys() >= _NOTHING.keys():
        return False
    plain = {name: each for name, each in _NOTHING.items() if each is not None}
    if any(type(facts[name]) is not type(each) for name, each in plain.items()):
        return False
    names = chain(
        facts["definitions"], facts["changed"], facts["deleted"], facts["aliases"].values()
    )
    return (
        all(type(each) is str for each in (*names, facts.get("shown", "")))
        and all(type(each) is list for each in facts["contents"].values())
        and all(map(_is_read, facts["reads"].values()))
        and all(map(_is_place, facts["inputs"].values()))
        and isinstance(facts["value"], str | None)
        and isinstance(facts["plots"], int | None)
    )


def _is_read(fact: Any) -> bool:
    match fact:
        case [str(), str() | None]:
            return True
    return False


def _is_place(fact: Any) -> bool:
    match fact:
        case [str(), [*steps]]:
            return all(type(step) is list and len(step) == 2 for step in steps)  # noqa: PLR2004 - kind and name
    return False


class Restorer:
    """Restorer of one record into a namespace.

    The record may be somebody else's: it has a say in the names of the cell only.

    Args:
        record: The record.
        namespace: Names of the notebook.
        names: Names that the cell may bind or change.
        explain: Function that returns an error about an unreadable value with what to do.
        changed: Inputs that differ from the recorded ones.
        own: Inputs that are as the cell itself has left them.
    """

    def __init__(
        self,
        record: Bindings,
        namespace: MutableMapping[str, Any],
        names: Collection[str],
        explain: Callable[[str, UnreadableValueError], UnreadableValueError],
        changed: Collection[str] = (),
        own: Collection[str] = (),
    ) -> None:
        self._record = record
        self._namespace = namespace
        facts = record.facts
        self._names = [name for name in record if name in names]
        self._value = facts["value"] if facts["value"] in names else None
        self._aliases = {
            name: other
            for name, other in facts["aliases"].items()
            if name in names and other in names
        }
        self._deleted = [name for name in facts["deleted"] if name in names]
        self._explain = explain
        self._wanted = set(facts["definitions"])
        self._allowed = names
        self._changed = changed
        self._own = own
        self._given: dict[str, Any] = {}  # to definitions
        self._changed_later: set[str] = set()
        self._original = dict(namespace)

    def wants(self, key: str, reads: Iterable[str]) -> bool:
        """Return True if a definition is to be executed; its names stand for what it has read."""
        wanted = key in self._wanted
        for name in reads if wanted else ():
            if name in self._allowed:
                self._give(name, label(key, name))
        return wanted

    def _give(self, name: str, place: str) -> None:
        """Let a name stand for what a definition has read."""
        namespace = self._namespace
        kind, digest = self._record.facts["reads"].get(place, (None, None))
        if name in self._given and digest is not None:
            now = arguments.examine((namespace.get(name),))
            if arguments.match(digest, now.text):  # an earlier definition has it made so
                return
        if kind == BEFORE or name in self._aliases:
            value = self._original.get(self._aliases.get(name, name), _MISSING)
        elif place in self._record or name in self._names:
            value = self._read(place if place in self._record else name)
        else:
            return
        if value is not _MISSING:
            namespace[name] = self._given[name] = value
        if kind == CHANGED:
            self._changed_later.add(name)

    def _take_back(self) -> None:
        """Let names stand for what they stood for before definitions were executed."""
        for name, value in self._given.items():
            if self._namespace.get(name, _MISSING) is value:
                if name in self._original:
                    self._namespace[name] = self._original[name]
                else:
                    del self._namespace[name]

    def finish(self) -> Any:
        """Bind all names, once the definitions are executed; return the last value."""
        namespace = self._namespace
        self._take_back()
        for group in self._record.groups:
            self._bind(group)
        for name, other in self._aliases.items():
            if other in namespace:
                namespace[name] = namespace[other]
        for name in self._deleted:
            namespace.pop(name, None)
        if RANDOM in self._record:
            randomness.restore(self._read(RANDOM))
        return self._last_value()

    def _last_value(self) -> Any:
        facts = self._record.facts
        if VALUE in self._record:
            return self._read(VALUE)
        if self._value is not None:
            return self._namespace.get(self._value)
        return Shown(facts["shown"]) if "shown" in facts else None

    def _read(self, name: str) -> Any:
        try:
            with showing.kept_apart():
                return self._record[name]
        except UnreadableValueError as error:
            failure = self._explain(name, error)
        raise failure

    def _bind(self, group: list[str]) -> None:
        """Bind names that may share objects; those that a cell has changed in place are changed."""
        values = {name: self._read(name) for name in group if name in self._names}
        kept: list[tuple[Any, Any, bool]] = []
        for name, value in values.items():
            for old in self._living(name):
                if sharing.fill(old, value):
                    kept.append((value, old, True))
                else:
                    self._rename(old, value)
        for place in group if values else ():
            part = self._part(place)
            if part is not _MISSING and type(new := self._read(place)) is type(part):
                kept.append((new, part, False))
        if kept:
            values = sharing.replace(values, kept)
        given = calls.members([part for _, part, is_filled in kept if not is_filled])
        for name, value in values.items():
            self._namespace[name] = value
            arguments.recall(value, self._record.facts["contents"].get(name, []), given)

    def _living(self, name: str) -> Iterator[Any]:
        """Yield the object that stays the value of a name: the cell has changed it in place, or has
        left it there."""
        old = self._original.get(name, _MISSING)
        is_old = old is not _MISSING and self._namespace.get(name) is old
        if name in self._changed_later:
            yield self._given[name]
        elif is_old and (name in self._record.facts["changed"] or name in self._own):
            yield old

    def _rename(self, old: Any, value: Any) -> None:
        """Bind all names of an object anew."""
        for name, found in self._original.items():
            if found is old and self._namespace.get(name) is old and name[:1] != "_":
                self._namespace[name] = value

    def _part(self, place: str) -> Any:
        """Return the part of an unchanged input that a value shares."""
        name, path = self._record.facts["inputs"].get(place, (None, []))
        if name not in self._allowed or name in self._changed or name in self._own:
            return _MISSING
        try:
            return sharing.part_at(self._original[name], path)
        except (LookupError, TypeError):
            return _MISSING
