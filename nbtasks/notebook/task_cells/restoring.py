"""Restoring of what a recorded `%%task` cell left behind, in place of executing it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nbtasks.core.parameters import nearest_name
from nbtasks.engine.fingerprint import arguments, calls
from nbtasks.errors import NbtasksError, UnreadableValueError
from nbtasks.notebook.objects import attributes, members, places, positions, process_settings
from nbtasks.notebook.objects.linking import Links
from nbtasks.notebook.task_cells import changes, randomness, showing
from nbtasks.notebook.task_cells.definitions import ALWAYS, Definition
from nbtasks.notebook.task_cells.notes import BEFORE, CHANGED, label
from nbtasks.notebook.task_cells.reach import Reach
from nbtasks.notebook.task_cells.recording import CELL, EXECUTED, RANDOM, VALUE
from nbtasks.values.libraries.bindings import Bindings

__all__ = ["Known", "Restorer", "as_record"]

_MISSING: Any = object()
Group = dict[str, Any]


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


def _tell_lost(key: str, settings: str) -> str:
    return (
        f"%%task {key} is reused, but {settings}, which it had set, could not be set again. Set it "
        f"in a cell without %%task, or execute this one: run.reset({key!r})."
    )


#: Facts of a cell that has done nothing.
_NOTHING: Final[dict[str, Any]] = {
    "definitions": [], "reads": {}, "inputs": {}, "aliases": {}, "changed": [], "moved": {},
    "positions": {}, "deleted": [], "value": None, "plots": None, "contents": {}, "attributes": [],
}  # fmt: skip


def _is_whole(facts: Any) -> bool:
    """Return True if facts, which anybody may have written, are those of a cell."""
    if type(facts) is not dict or not facts.keys() >= _NOTHING.keys():
        return False
    plain = {name: each for name, each in _NOTHING.items() if each is not None}
    if any(type(facts[name]) is not type(each) for name, each in plain.items()):
        return False
    names = chain(
        facts["definitions"], facts["changed"], facts["deleted"], facts["aliases"].values(),
        facts["attributes"],
    )  # fmt: skip
    return (
        all(type(each) is str for each in (*names, facts.get("shown", "")))
        and all(type(each) is list for each in facts["contents"].values())
        and all(map(_is_read, facts["reads"].values()))
        and all(map(_is_place, facts["inputs"].values()))
        and all(each is None or _is_moved(each) for each in facts["moved"].values())
        and all(type(each) is list and each for each in facts["positions"].values())
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


def _is_moved(fact: Any) -> bool:
    return type(fact) is list and all(
        type(each) is list
        and len(each) == 2  # noqa: PLR2004 - a path and a place
        and _is_place(["", each[0]])
        and (each[1] is None or _is_place(each[1]))
        for each in fact
    )


class Known(NamedTuple):
    """Names and inputs of a cell.

    Attributes:
        names: Names that the cell may bind or change, or reads.
        changed: Inputs that differ from the recorded ones.
        own: Inputs that are as the cell itself has left them.
        inputs: Data of the inputs; what functions and classes hold stands under labels.
        reach: Function that returns what the functions among the inputs reach.
        reached: Names that the cell reads itself, or by functions.
        left: Names whose values are the objects that the cell has left, as they are recorded, and
            keys of the definitions of such functions and classes.
        place: Run and path of the cell.
    """

    names: Collection[str]
    changed: Collection[str] = ()
    own: Collection[str] = ()
    inputs: Mapping[str, Any] = MappingProxyType({})
    reach: Callable[[], Reach] = partial(Reach, (), {})
    reached: Collection[str] = ()
    left: Collection[str] = ()
    place: tuple[str, ...] = ("", "")


class Restorer:
    """Restorer of one record into a namespace.

    The record may be somebody else's: it has a say in the names of the cell only.

    Args:
        record: The record.
        namespace: Names of the notebook.
        known: Names and inputs of the cell.
        explain: Function that returns an error about an unreadable value with what to do.
    """

    def __init__(
        self,
        record: Bindings,
        namespace: MutableMapping[str, Any],
        known: Known,
        explain: Callable[[str, UnreadableValueError], UnreadableValueError],
    ) -> None:
        names = known.names
        self._record = record
        self._namespace = namespace
        facts = record.facts
        self._reached = {*names, *known.reached}
        self._names = [
            name for name in record if name in names or attributes.holder(name) in self._reached
        ]
        self._value = facts["value"] if facts["value"] in names else None
        self._aliases = {
            name: other
            for name, other in facts["aliases"].items()
            if name in names and other in names
        }
        self._deleted = [name for name in facts["deleted"] if name in names]
        self._explain = explain
        self._wanted = {*facts["definitions"]} - {*known.left}
        self._allowed = names
        self._changed = known.changed
        self._own = known.own
        self._left = known.left
        self._path = known.place[-1]
        self._reach = known.reach
        self._given: dict[str, Any] = {}  # to definitions
        self._changed_later: set[str] = set()
        labels = {label: part for label, part in known.inputs.items() if not label.isidentifier()}
        self._original = {**namespace, **labels}
        self._inputs = {name: part for name, part in self._original.items() if name in names}
        self._settings = process_settings.recorded(record, known.place)
        self._settings.restore()  # definitions may import by them

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
        if self._record.is_pickle(EXECUTED):
            self._names += self._read(EXECUTED)
        self._bind_all()
        for name, other in self._aliases.items():
            if other in namespace:
                namespace[name] = namespace[other]
        for name in self._deleted:
            namespace.pop(name, None)
        self._fill_cells()
        if RANDOM in self._record:
            randomness.restore(self._read(RANDOM))
        if lost := self._settings.restore():
            print(_tell_lost(self._path, lost))  # noqa: T201 - a line of the cell's output
        return self._last_value()

    def _last_value(self) -> Any:
        facts = self._record.facts
        if VALUE in self._record:
            return self._read(VALUE)
        if self._value is not None:
            return self._namespace.get(self._value)
        return showing.Shown(facts["shown"]) if "shown" in facts else None

    def _read(self, name: str) -> Any:
        try:
            with showing.kept_apart():
                return self._record[name]
        except UnreadableValueError as error:
            failure = self._explain(name, error)
        raise failure

    def _bind_all(self) -> None:
        found = []
        for group in self._record.groups:  # all of them before any object is changed
            names = [name for name in group if name in self._names]
            if names and all(name in self._left for name in names):
                continue
            values = {name: self._read(name) for name in names}
            found.append((values, *self._find_living(group, values)))
        bound = [self._bind(values, links, given) for values, links, given in found]
        self._rename([pair for _, links, _ in found for pair in links.replaced])
        for values in bound:  # once the functions and classes are bound that have them
            for name in filter(attributes.holder, values):
                attributes.put(name, values[name], self._namespace, self._reached)
        for deleted in self._record.facts["attributes"]:
            attributes.delete(deleted, self._namespace, self._reached)
        for name, position in self._record.facts["positions"].items():
            if name in self._inputs and name not in self._own:
                positions.move(self._inputs[name], position)

    def _fill_cells(self) -> None:
        """Give the cells of closures what they were bound to by `nonlocal`."""
        names = [name for name in self._record if name.startswith(CELL)]
        cells = self._reach().cells if names else {}
        for name in names:
            if (cell := cells.get(name.removeprefix(CELL))) is not None:
                cell.cell_contents = self._read(name)

    def _bind(self, group: Group, links: Links, given: list[Any]) -> Group:
        """Bind names that may share objects; those that a cell has changed in place are changed.

        Returns:
            The values.
        """
        replaced = {name: [*self._living(name)] for name in group}
        values = links.apply(group) if links else group
        links.replaced += [
            (old, values[name])
            for name in group
            for old in replaced[name]
            if old is not values[name]
        ]
        given_ids = calls.members(given)
        for name, value in values.items():
            if name.isidentifier():
                self._namespace[name] = value
            arguments.recall(value, self._record.facts["contents"].get(name, []), given_ids)
        return values

    def _find_living(self, group: list[str], values: Group) -> tuple[Links, list[Any]]:
        """Return the living objects that stand for recorded ones, and those among them that are
        parts of inputs as they were."""
        links = Links()
        for name, value in values.items():
            for old in self._living(name):
                self._fill(links, name, value, old)
        moved = self._record.facts["moved"]
        places_of_parts = [name for name in group if values or name in moved]
        parts = [self._link_part(links, name) for name in places_of_parts]
        return links, [part for part in parts if part is not _MISSING]

    def _fill(self, links: Links, name: str, new: Any, old: Any) -> None:
        """Let a living object take the content of a recorded one, and so those in it, also if it
        cannot itself."""
        links.fill(new, old)
        # The cell's own objects stand where it has left them.
        moved = [] if name in self._own else self._record.facts["moved"].get(name)
        if moved is not None:
            for part, living, is_private in places.pairs(new, old, moved, self._inputs):
                if not links.fill(part, living) and not is_private:
                    links.replaced.append((living, part))

    def _living(self, name: str) -> Iterator[Any]:
        """Yield the object that stays the value of a name: the cell has changed it in place, or has
        left it there."""
        old = self._original.get(name, _MISSING)
        is_old = old is not _MISSING and self._namespace.get(name, old) is old
        if name in self._changed_later:
            yield self._given[name]
        elif is_old and (name in self._record.facts["changed"] or name in self._own):
            yield old

    def _rename(self, replaced: list[tuple[Any, Any]]) -> None:
        """Let the other names of the notebook, and what they hold, refer to new objects in place of
        those that could not be filled."""
        links = Links()
        for old, new in replaced:
            if old is not new and not isinstance(new, members.FIXED):
                links.keep(old, new)
        if not links:
            return
        for name, found in list(self._namespace.items()):
            if changes.is_variable(name) and (linked := links.link(found)) is not found:
                self._namespace[name] = linked

    def _link_part(self, links: Links, name: str) -> Any:
        """Let a part of an input stand for the recorded one; return it if it is as it was."""
        input_name, path = self._record.facts["inputs"].get(name, (None, []))
        if input_name not in self._allowed:
            return _MISSING
        is_changed = name in self._record.facts["moved"]
        if input_name in self._own or (input_name in self._changed and not is_changed):
            return _MISSING
        try:
            old = places.part_at(self._original[input_name], path)
        except (LookupError, TypeError):
            return _MISSING
        if type(new := self._read(name)) is not type(old):
            return _MISSING
        if is_changed:
            self._fill(links, name, new, old)
            return _MISSING
        links.keep(new, old)
        return old
