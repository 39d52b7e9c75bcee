"""Record of what a `%%task` cell did: the values that it leaves behind, and how to define the rest.

The values of names that share an object are recorded as one, so that they share it afterwards, too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.errors import ValueNotKeptError
from nbtasks.notebook.task_cells import sharing
from nbtasks.notebook.task_cells.definitions import ALWAYS, Definition
from nbtasks.notebook.task_cells.names import Names
from nbtasks.notebook.task_cells.notes import Notes, name_of
from nbtasks.values import tagged_json
from nbtasks.values.libraries.bindings import Bindings

__all__ = ["INPUT", "RANDOM", "VALUE", "Left", "record"]

#: Names under which the last value and the state of random numbers stand among the values.
VALUE: Final = "last value"
RANDOM: Final = "random numbers"
#: Beginning of the names under which parts of inputs stand among them that values share.
INPUT: Final = "part of an input: "

_MISSING: Any = object()
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
        changed: Names of inputs that the cell has changed, in place or by binding them anew.
        mutated: Names among them whose object is still the same one.
        only: Names to record; None for all.
        value: Last value of the cell.
        more: Further values to record, under names that are no identifiers.
        inputs: Digests of the inputs before the cell.
        notes: Notes of what the definitions have read.
        plots: Number of the figures that it leaves open; None if it cannot draw.
    """

    names: Names
    definitions: list[Definition]
    namespace: Mapping[str, Any]
    before: Mapping[str, Any]
    changed: set[str]
    mutated: set[str]
    only: tuple[str, ...] | None
    value: Any = None
    more: dict[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Digest] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    plots: int | None = None


def record(left: Left) -> Bindings:
    """Return the record of a cell.

    Raises:
        ValueNotKeptError: A value cannot be recorded. The message names its variable, and the way
            out.
    """
    definitions, defined = _choose_definitions(left)
    values = _choose_values(left, defined)
    aliases = _aliases(left, values)
    values = {name: value for name, value in values.items() if name not in aliases}
    read, reads = left.notes.choose(definitions, values, left.inputs, left.before, left.namespace)
    parts = _parts(left, values)
    shared = {place: part for place, (_, _, part) in parts.items()}
    groups, skipped = _encode(left, {**values, **read, **shared, **_with_value(left, values)})
    kept = [name for names, _ in groups for name in names]
    facts: dict[str, Any] = {
        "definitions": definitions,
        "reads": reads,
        "inputs": {place: [name, path] for place, (name, path, _) in parts.items()},
        "aliases": aliases,
        "changed": sorted(left.mutated & {*kept}),
        "deleted": sorted(_deleted(left)),
        "value": _name_of_value(left, values),
        "plots": left.plots,
        "contents": {name: found for name in kept if (found := _contents(values.get(name)))},
    }
    if skipped:
        facts["left out"] = skipped
    return Bindings(groups, facts)


def _name_of_value(left: Left, values: Mapping[str, Any]) -> str | None:
    """Return the name that stands for the last value, too; None if there is none."""
    if isinstance(left.value, sharing.FIXED):
        return None
    inputs = {name: left.namespace.get(name) for name in left.names.read if name[:1] != "_"}
    found = {**inputs, **values}.items()
    return next((name for name, value in found if value is left.value), None)


def _with_value(left: Left, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further values, with the last value if it can stand for itself: it is no plot, and
    shares nothing with the variables."""
    value = left.value
    parts = value if type(value) in (list, tuple) else [value]
    is_type = isinstance(value, sharing.TYPES)
    if value is None or is_type or _name_of_value(left, values) or any(map(_is_drawn, parts)):
        return left.more
    if not isinstance(value, sharing.FIXED):
        shared = {found for each in values.values() for found in sharing.reach(each)}
        if not shared.isdisjoint(sharing.reach(value)):
            return left.more
    return {**left.more, VALUE: value}


def _is_drawn(value: Any) -> bool:
    """Return True for a part of a plot, with which the whole figure would be recorded."""
    kind = type(value)
    return kind.__module__.partition(".")[0] == "matplotlib" and kind.__name__ != "Figure"


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
            if isinstance(value, (type, *sharing.TYPES)) or is_wrapped:
                keys.append(definition.key)
                defined.add(name)
    return keys, defined


def _choose_values(left: Left, defined: set[str]) -> dict[str, Any]:
    """Return the values to record.

    A module that no definition imports is among them: it is a pickle, so that only the user's own
    records import anything.
    """
    values: dict[str, Any] = {}
    for name in (*left.names.bound, *sorted(left.changed)):
        value = left.namespace.get(name, _MISSING)
        if value is _MISSING or (name[:1] == "_" and name not in left.names.inner):
            continue
        if left.only is not None and name not in left.only:
            continue
        if not (name in defined and _is_by_definition(name, value, left)):
            values[name] = value
    return values


def _is_by_definition(name: str, value: Any, left: Left) -> bool:
    """Return True if executing the definitions again gives a name its value."""
    if isinstance(value, (type, FunctionType, ModuleType, *sharing.TYPES)) or callable(value):
        return True
    return left.names.bound.get(name, set()) <= {"import", "def", "class"}


def _deleted(left: Left) -> set[str]:
    names = (*left.names.bound, *left.names.deleted, *left.changed)
    return {name for name in names if name in left.before and name not in left.namespace}


def _aliases(left: Left, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that stand for the value of an input that the cell has not changed."""
    inputs = {
        id(left.namespace[name]): name
        for name in left.names.read
        if name in left.namespace
        and name not in values
        and left.before.get(name, _MISSING) is left.namespace[name]
        and not isinstance(left.namespace[name], sharing.FIXED)
    }
    return {name: inputs[id(value)] for name, value in values.items() if id(value) in inputs}


def _parts(left: Left, values: Mapping[str, Any]) -> dict[str, tuple[str, sharing.Path, Any]]:
    """Return the parts of inputs that the values share, under the names to record them by."""
    inputs = {
        name: left.before[name]
        for name in left.inputs
        if name in left.before and name not in left.mutated
    }
    found = [
        part
        for part in sharing.find_parts(inputs, values.values())
        if part[0] not in left.changed or _is_unchanged(left, part[0])
    ]
    return {f"{INPUT}{number}": part for number, part in enumerate(found)}


def _is_unchanged(left: Left, name: str) -> bool:
    """Return True if the value that an input had before is what it was, though its name is not."""
    now = arguments.examine((left.before[name],))
    return arguments.match(left.inputs[name].text, now.text)


# -- how to record it -----------------------------------------------------------------------------


def _encode(left: Left, values: Mapping[str, Any]) -> tuple[list[tuple[list[str], Any]], list[str]]:
    """Return the values as tagged JSON, in groups that share objects, and the names left out."""
    groups: list[tuple[list[str], Any]] = []
    skipped: list[str] = []
    for names in sharing.group(values):
        try:
            groups.append((names, _tag([values[name] for name in names])))
        except ValueNotKeptError:
            for name in names:
                encoded = _encode_one(name, values[name], left, values)
                if encoded is None:
                    skipped.append(name)
                else:
                    groups.append(([name], encoded))
    return groups, skipped


def _tag(values: list[Any]) -> Any:
    if len(values) > 1:
        return tagged_json.pickled(tuple(values))
    if sharing.is_within(values[0]):
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
    is_left_out = variable != name and left.only is not None and variable not in left.only
    if (
        name in (VALUE, RANDOM)
        or name.startswith(INPUT)
        or _is_passing(variable, value, left)
        or is_left_out
    ):
        return None
    others = [
        each
        for each in values
        if each.isidentifier() and each != name and _can_be_kept(values[each])
    ]
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
