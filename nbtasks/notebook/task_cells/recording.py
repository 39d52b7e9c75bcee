"""Record of what a `%%task` cell did: the values that it leaves behind, and how to define the rest.

The values of names that share an object are recorded as one, so that they share it afterwards, too.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.errors import ValueNotKeptError
from nbtasks.notebook.objects import attributes, library_objects, members, places, positions
from nbtasks.notebook.objects.places import Moved, Place, Snapshot
from nbtasks.notebook.task_cells.changes import find_executed, list_others
from nbtasks.notebook.task_cells.definitions import ALWAYS, Definition
from nbtasks.notebook.task_cells.inputs import MISSING
from nbtasks.notebook.task_cells.names import Names
from nbtasks.notebook.task_cells.notes import Notes, name_of
from nbtasks.values import classes, tagged_json
from nbtasks.values.libraries.bindings import Bindings

__all__ = ["CELL", "EXECUTED", "INPUT", "RANDOM", "VALUE", "Left", "record"]

#: Names under which the last value and the state of random numbers stand among the values.
VALUE: Final = "last value"
RANDOM: Final = "random numbers"
#: Name of the signed list of the names that code has bound which the cell only executes: the record
#: of somebody else has no say in such names.
EXECUTED: Final = "names of executed code"
#: Beginning of the names under which parts of inputs stand among them that values share.
INPUT: Final = "part of an input: "
#: Beginning of the names under which stands what closures have bound by `nonlocal`.
CELL: Final = "cell of a closure: "

#: Ways of binding whose values need not outlive the statement: a closed file, a pool that ended.
_PASSING: Final = frozenset({"with"})


@dataclass
class Left:
    """Names and values that a cell leaves behind.

    Attributes:
        names: Names of the cell, by its syntax.
        definitions: Definitions of the cell that were executed.
        namespace: Names of the notebook, after the cell.
        before: Names of the notebook before the cell.
        changed: Names of inputs that the cell has changed, in place or by rebinding them.
        mutated: Names among them whose object is still the same one.
        snapshot: Objects of the inputs before the cell.
        only: Names to record; None for all.
        value: Last value of the cell.
        more: Further values to record, under names that are no identifiers.
        inputs: Digests of the inputs before the cell.
        notes: Notes of what the definitions have read.
        plots: Number of the figures that it leaves open; None if it cannot draw.
        classes: Classes of the cell whose names stand for others since.
        hidden: Names that IPython has put into the notebook.
        executed: Names that code has bound which the cell only executes.
        attributes: Names of the attributes that it has deleted.
        lost: What is not recorded, though it might be missed, by names: sentences for people.
    """

    names: Names
    definitions: list[Definition]
    namespace: Mapping[str, Any]
    before: Mapping[str, Any]
    changed: set[str]
    mutated: set[str]
    snapshot: Snapshot
    only: tuple[str, ...] | None
    value: Any = None
    more: dict[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Digest] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    plots: int | None = None
    classes: list[type] = field(default_factory=list)
    hidden: Mapping[str, Any] = field(default_factory=dict)
    executed: tuple[str, ...] = ()
    attributes: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        imports = (each.statement for each in self.definitions if each.bound == ("*",))
        stars = [each.module for each in imports if isinstance(each, ast.ImportFrom)]
        known = {*self.names.bound, *self.names.deleted, *self.inputs, *self.changed}
        found = find_executed(self.before, self.namespace, self.hidden, stars)
        self.executed = tuple(name for name in found if name not in known)


def record(left: Left) -> Bindings:
    """Return the record of a cell.

    Raises:
        ValueNotKeptError: A value cannot be recorded. The message names its variable, and the way
            out.
    """
    definitions, defined = _choose_definitions(left)
    values = _choose_values(left, defined)
    moved_on = positions.read_all({name: left.namespace[name] for name in left.mutated})
    for name in (*moved_on, *(aliases := _aliases(left, values, moved_on))):
        values.pop(name, None)
    read, reads = left.notes.choose(definitions, values, left.inputs, left.before, left.namespace)
    parts, lost = _parts(left, values)
    shared = {name: place.value for name, place in {**parts, **lost}.items()}
    made = [*left.classes, *(left.namespace[name] for name in left.executed)]
    with classes.for_notebook(each for each in made if isinstance(each, type)):
        groups, skipped = _encode(left, {**values, **read, **shared, **_with_value(left, values)})
    if executed := [name for name in left.executed if name not in skipped]:
        groups.append(([EXECUTED], tagged_json.pickled(executed)))
    kept = [name for names, _ in groups for name in names]
    facts: dict[str, Any] = {
        "definitions": definitions,
        "reads": reads,
        "inputs": {name: [at.name, at.path] for name, at in {**parts, **lost}.items()},
        "aliases": aliases,
        "changed": sorted(left.mutated & {*kept}),
        "moved": _moved(left, {*kept}, lost),
        "positions": moved_on,
        "deleted": sorted(_deleted(left, defined)),
        "value": _name_of_value(left, values),
        "plots": left.plots,
        "attributes": left.attributes,
        "contents": {name: found for name in kept if (found := _contents(values.get(name)))},
    }
    if skipped:
        facts["left out"] = skipped
    return Bindings(groups, facts)


def _moved(left: Left, kept: set[str], lost: Mapping[str, Place]) -> dict[str, Moved | None]:
    """Return which objects do not stand where they stood, of each value changed in place."""
    named = {name: left.namespace[name] for name in left.mutated & kept}
    named |= {name: place.value for name, place in lost.items() if name in kept}
    return {name: left.snapshot.moved(value) for name, value in sorted(named.items())}


def _name_of_value(left: Left, values: Mapping[str, Any]) -> str | None:
    """Return the name that stands for the last value, too; None if there is none."""
    if isinstance(left.value, members.FIXED):
        return None
    inputs = {name: left.namespace.get(name) for name in left.names.read if name[:1] != "_"}
    found = {**inputs, **values}.items()
    return next((n for n, value in found if value is left.value and n.isidentifier()), None)


def _with_value(left: Left, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further values, with the last value if it can stand for itself: it is no plot, and
    shares nothing with the variables."""
    value = left.value
    parts = value if type(value) in (list, tuple) else [value]
    is_type = isinstance(value, members.TYPES)
    if (
        value is None
        or is_type
        or _name_of_value(left, values)
        or any(map(members.is_drawn, parts))
    ):
        return left.more
    if not isinstance(value, members.FIXED):
        shared = {found for each in values.values() for found in members.reach(each)}
        if not shared.isdisjoint(members.reach(value)):
            return left.more
    return {**left.more, VALUE: value}


def _contents(value: Any) -> list[str]:
    try:
        return arguments.contents(value)
    except Exception:  # noqa: BLE001 - an odd object counts by its content
        return []


# -- what to record -------------------------------------------------------------------------------


def _choose_definitions(left: Left) -> tuple[list[str], set[str]]:
    """Return the keys of the definitions to execute again, and the names that they define."""
    keys: list[str] = []
    defined: set[str] = set()
    defining = {"def", "class"}
    for definition in left.definitions:
        if definition.kind in ALWAYS:
            keys.append(definition.key)
            defined.update(definition.bound)
            continue
        for name in definition.bound:
            value = left.namespace.get(name)
            ways = left.names.bound.get(name, set())
            is_wrapped = callable(value) and not ways.isdisjoint(defining)
            is_code = isinstance(value, (type, *members.TYPES)) or is_wrapped
            if is_code and not _has_other_name(value, definition, left, defined):
                keys.append(definition.key)
                defined.add(name)
    return keys, defined


def _has_other_name(value: Any, definition: Definition, left: Left, defined: set[str]) -> bool:
    """Return True if a class or function has a name that its assignment does not give it, so that
    the call that returned it has not made it."""
    if isinstance(value, type) and value.__module__ != classes.MAIN:
        found = classes.reference(value)
        return found is not None and found[0] != classes.MAIN and found[2] is value
    return any(
        other is value
        and name not in definition.bound
        and (name in defined or left.before.get(name, MISSING) is value)
        for name, other in left.namespace.items()
        if name[:1] != "_"
    )


def _choose_values(left: Left, defined: set[str]) -> dict[str, Any]:
    """Return the values to record.

    A module that no definition imports is among them: it is a pickle, so that only the user's own
    records import anything.
    """
    values: dict[str, Any] = {}
    for name in (*left.names.bound, *sorted(left.changed), *left.executed):
        value = left.namespace.get(name, MISSING)
        is_private = name[:1] == "_" and name.isidentifier() and name not in left.names.inner
        if value is MISSING or is_private:
            continue
        if left.only is not None and name not in left.only:
            continue
        if not (name in defined and _is_by_definition(name, value, left)):
            values[name] = value
    return values


def _is_by_definition(name: str, value: Any, left: Left) -> bool:
    """Return True if executing the definitions again gives a name its value."""
    if isinstance(value, (type, FunctionType, ModuleType, *members.TYPES)) or callable(value):
        return True
    return left.names.bound.get(name, set()) <= {"import", "def", "class"}


def _deleted(left: Left, defined: set[str]) -> set[str]:
    names = {*left.names.bound, *left.names.deleted, *left.changed} & {*left.before, *defined}
    return {name for name in names if name not in left.namespace}


def _aliases(left: Left, values: Mapping[str, Any], moved: Collection[str]) -> dict[str, str]:
    """Return the names that stand for the value of an input that the cell has at most moved on."""
    inputs = {
        id(left.namespace[name]): name
        for name in left.names.read
        if name in left.namespace
        and (name not in values or name in moved)
        and left.before.get(name, MISSING) is left.namespace[name]
        and not isinstance(left.namespace[name], members.FIXED)
    }
    return {
        name: inputs[id(value)]
        for name, value in values.items()
        if inputs.get(id(value), name) != name
    }


def _parts(left: Left, values: Mapping[str, Any]) -> tuple[dict[str, Place], dict[str, Place]]:
    """Return the objects of inputs that values share, and those that the cell has changed and left,
    though others still have them; each under the name to record it by."""
    snapshot = left.snapshot
    touched = {*(left.mutated & values.keys()), *_changed_and_left(left)}
    shared = [
        place for place in places.find_parts(snapshot, values.values()) if place.name not in touched
    ]
    found = [*shared, *_find_left(left, values, touched)]
    named = [(f"{INPUT}{number}", place) for number, place in enumerate(found)]
    return dict(named[: len(shared)]), dict(named[len(shared) :])


def _changed_and_left(left: Left) -> list[str]:
    """Return the inputs whose objects have changed, though their names have been rebound since."""
    return [
        name
        for name in left.inputs
        if name in left.changed and name not in left.mutated and name in left.before
        and not isinstance(left.before[name], members.FIXED) and not _is_unchanged(left, name)
    ]  # fmt: skip


def _is_unchanged(left: Left, name: str) -> bool:
    """Return True if the value that an input had before is what it was, though its name is not."""
    now = arguments.examine((left.before[name],))
    return arguments.match(left.inputs[name].text, now.text)


def _find_left(left: Left, values: Mapping[str, Any], touched: set[str]) -> list[Place]:
    """Return the objects of changed inputs that other names have, and that no input leads to."""
    names = {name for name in touched if left.only is None or name in left.only}
    others = list_others(left.namespace, values)
    inputs = [values[name] for name in values.keys() & left.mutated]
    return places.find_left(left.snapshot, names, inputs, others) if names else []


# -- how to record it -----------------------------------------------------------------------------


def _encode(left: Left, values: Mapping[str, Any]) -> tuple[list[tuple[list[str], Any]], list[str]]:
    """Return the values as tagged JSON, in groups that share objects, and the names left out."""
    groups: list[tuple[list[str], Any]] = []
    skipped: list[str] = []
    for names in members.group(values):
        try:
            is_changed = not left.mutated.isdisjoint(names)
            groups.append((names, _tag([values[name] for name in names], exact=is_changed)))
        except ValueNotKeptError:
            for name in names:
                encoded = _encode_one(name, values[name], left, values)
                if encoded is None:
                    skipped.append(name)
                else:
                    groups.append(([name], encoded))
    return groups, skipped


def _tag(values: list[Any], *, exact: bool = False) -> Any:
    if len(values) > 1:
        return tagged_json.pickled(tuple(values))
    if members.is_within(values[0]) or (exact and library_objects.is_read_only(values[0])):
        return tagged_json.pickled(values[0])
    return tagged_json.tag_or_pickle(values[0])


def _encode_one(name: str, value: Any, left: Left, values: Mapping[str, Any]) -> Any:
    """Return one value as tagged JSON; None if it is left out.

    Raises:
        ValueNotKeptError: It cannot be recorded.
    """
    try:
        return _tag([value])
    except ValueNotKeptError as error:
        reason = str(error)
    variable = name_of(name)
    if variable in left.executed:
        left.lost[variable] = (
            f"{variable} is bound by code that the cell only executes, and cannot be recorded, so "
            f"it is gone after a restart. {_reason(reason)}"
        )
    if path := attributes.path_of(name):
        left.lost[name] = (
            f"{path} is set in this cell, and cannot be recorded: after a restart it is as it was "
            f"before. {_reason(reason)}"
        )
    if is_used := variable in left.mutated and members.is_for_use(type(value)):
        left.lost[variable] = (
            f"{variable} has changed in this cell, and a {type(value).__name__} cannot be "
            "recorded: after a restart it is as it was before. Make it in this cell."
        )
    is_left_out = variable != name and left.only is not None and variable not in left.only
    if (
        name in (VALUE, RANDOM)
        or name.startswith((INPUT, CELL))
        or (variable == name and not name.isidentifier())  # what a function holds
        or _is_passing(variable, value, left)
        or variable in left.executed
        or is_used
        or is_left_out
    ):
        return None
    variables = filter(str.isidentifier, values)
    others = [each for each in variables if each != name and _can_be_kept(values[each])]
    way_out = (
        f"To record the others, write --outputs {','.join(others)} on the first line; "
        if others
        else "Take what you need of it, as a list or a plain value, within the cell; "
    )
    raise ValueNotKeptError(
        f"The cell has run, and its variables are there, but {variable} cannot be recorded, so it "
        f"would run again after a restart. {way_out}make {variable} in a cell of its own without "
        f"%%task. {_reason(reason)}"
    )


def _reason(text: str) -> str:
    return f"{text.partition(' Return plain data')[0].rstrip('.')}."


def _can_be_kept(value: Any) -> bool:
    try:
        _tag([value])
    except ValueNotKeptError:
        return False
    return True


def _is_passing(name: str, value: Any, left: Left) -> bool:
    """Return True for a value that is of no use after the cell: of a `with`, or a closed file."""
    ways = left.names.bound.get(name, set())
    is_closed = isinstance(value, io.IOBase) and value.closed
    return is_closed or (bool(ways) and ways <= _PASSING)
