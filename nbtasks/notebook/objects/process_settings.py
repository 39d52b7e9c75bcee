"""Settings of the process, such as options of libraries: later cells see them, like variables.

A cell that sets some leaves them set when it is reused. Environment variables are secrets often
enough, so only their names are recorded.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nbtasks.errors import UnreadableValueError
from nbtasks.notebook.objects.setting_kinds import (
    ENVIRONMENT,
    KINDS,
    Setting,
    Values,
    added_to_path,
)

if TYPE_CHECKING:
    from nbtasks.values.libraries.bindings import Bindings

__all__ = ["NAME", "Settings", "changed", "recorded", "snapshot"]

#: Name under which changed settings stand among the values of a cell.
NAME: Final = "settings of the process"

_MISSING: Final = object()


class Settings(dict[str, Values]):
    """Values of settings by the kind of setting.

    They are recorded as a pickle, so that only a record of one's own can set any.

    Attributes:
        unkept: Those that cannot be recorded, for people.
        is_unreadable: Whether there are some that cannot be read here.
    """

    is_unreadable = False

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.unkept: list[str] = []

    def restore(self) -> str:
        """Set the values that are others now.

        Returns:
            What could not be set, for people; empty if nothing.
        """
        lost = [*self.unkept]
        if self.is_unreadable:
            lost.append("a setting of a library (it cannot be read here)")
        for kind, values in self.items():
            setting = KINDS.get(kind)
            if setting is None or (setting.module and setting.module not in sys.modules):
                continue
            now = _values_of(setting)
            other = {name: value for name, value in values.items() if _differ(now, name, value)}
            for name, value in other.items():
                try:
                    setting.write(name, value)
                except Exception:  # noqa: BLE001 - a folder that is gone, an option that is no more
                    lost.append(_label(kind, name))
        return ", ".join(lost)


def snapshot() -> Settings:
    """Return all values of the settings whose libraries are loaded."""
    return Settings(_read())


#: Settings by the runs and paths of the cells that have set them in this process.
_own: dict[tuple[str, ...], Settings] = {}


def recorded(record: Bindings, place: tuple[str, ...]) -> Settings:
    """Return the settings in the record of a cell, which may be somebody else's."""
    found = Settings()
    if record.is_pickle(NAME):
        try:
            value = record[NAME]
            found = value if isinstance(value, Settings) else found
        except UnreadableValueError:
            found.is_unreadable = True
    _note(place, found)
    return found


def _note(place: tuple[str, ...], found: Settings) -> None:
    _own.pop(place, None)
    if found:
        _own[place] = found


def changed(before: Settings, text: str, place: tuple[str, ...]) -> dict[str, Settings]:
    """Return the values that are others than before, or than usual in a library loaded since, and
    those that the cell has set in an earlier execution and that are still so.

    Args:
        before: All values before a cell.
        text: Code of the cell. What libraries set when they are imported or used counts only if the
            cell mentions it.
        place: Run and path of the cell.

    Returns:
        They stand under `NAME`; nothing if there are none.
    """
    found = Settings()
    for kind, values in _read():
        if _MENTIONED.get(kind, "") not in text:
            continue
        new = _new(kind, values, before)
        if kept := {name: value for name, value in new.items() if _can_be_kept(value)}:
            found[kind] = kept
        found.unkept += [_label(kind, name) for name in new.keys() - kept]
    for kind, earlier in _own.get(place, {}).items():
        if still := {name: each for name, each in earlier.items() if _holds(kind, name, each)}:
            found[kind] = {**still, **found.get(kind, {})}
    _note(place, found)
    return {NAME: found} if found or found.unkept else {}


def _new(kind: str, values: Values, before: Settings) -> Values:
    """Return the values of a kind that are others than before."""
    was = before[kind] if kind in before else _usual(KINDS[kind])
    new = {name: value for name, value in values.items() if _differ(was, name, value)}
    if kind == ENVIRONMENT:
        return dict.fromkeys(new)
    if kind == "sys.path" and new:
        return {kind: added_to_path(was[kind])}
    return new if kind in before else {name: new[name] for name in new if name in was}


def _label(kind: str, name: str) -> str:
    return name if kind == name else f"{name} ({kind})"


def _holds(kind: str, name: str, value: Any) -> bool:
    """Return True if a setting has the value that a cell gave it."""
    if kind == ENVIRONMENT:
        return name in os.environ
    if kind == "sys.path":
        return {*value["front"], *value["end"]} <= {*sys.path}
    return not _differ(_values_of(KINDS[kind]), name, value)


def _read() -> Iterator[tuple[str, Values]]:
    for kind, setting in KINDS.items():
        if not setting.module or setting.module in sys.modules:
            yield kind, _values_of(setting)


def _values_of(setting: Setting) -> Values:
    with suppress(Exception):  # a library that is only half there, a folder that is gone
        return setting.read()
    return {}


def _usual(setting: Setting) -> Values:
    with suppress(Exception):  # another version of the library
        return setting.usual()
    return {}


def _differ(values: Mapping[str, Any], name: str, value: Any) -> bool:
    known = values.get(name, _MISSING)
    if known is value:
        return False
    try:
        return bool(known != value)
    except Exception:  # noqa: BLE001 - anybody's values
        return True


def _can_be_kept(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - anybody's values
        return False
    return True


#: Words that a cell which has such a setting uses.
_MENTIONED: Final = {ENVIRONMENT: "env", "filters of warnings": "warnings"}
