"""Notebook around a `%%task` cell: its name, its plots, and what the cells of this process left."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.core.front_end import Notebook
from nbtasks.core.settings import config
from nbtasks.engine.fingerprint import arguments, calls
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.engine.fingerprint.function import Fingerprint
from nbtasks.notebook.objects import drawings
from nbtasks.notebook.task_cells.definitions import Definition
from nbtasks.notebook.task_cells.inputs import MISSING
from nbtasks.notebook.task_cells.randomness import hidden_states

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "Place",
    "find_left",
    "forget_gone",
    "has_code",
    "job_id",
    "may_give_io",
    "note_code",
    "note_left",
    "note_own",
    "restore_code",
    "restore_own",
    "tell_twin",
]

#: Job of a notebook whose file the front end does not tell.
_UNNAMED: Final = "notebook"
_FIXED = (str, bytes, int, float, complex, bool, type(None))


def job_id(shell: InteractiveShell) -> str:
    """Return the id of the notebook's job: the name of its file, without the ending.

    Notebooks of the same name in folders below one home are told apart by their folders.
    """
    # `%cd` may have changed the working directory.
    notebook = Notebook.of(shell.user_ns, shell.starting_dir)
    if notebook is None:
        return _UNNAMED
    file, above = notebook.file, Path(config.home).parent.resolve()
    if file.is_relative_to(above):
        return file.relative_to(above).with_suffix("").as_posix()
    return file.stem


def may_give_io(namespace: Mapping[str, Any]) -> bool:
    """Return True unless the notebook has a variable `io` of its own: the module does not count."""
    found = namespace.get("io")
    return found is None or isinstance(found, ModuleType)


# -- what the cells of this process left behind ---------------------------------------------------


class Place(NamedTuple):
    """Place of a cell's task.

    Attributes:
        shell: Shell of the notebook.
        run_id: Id of the run.
        path: Path of the task.
    """

    shell: InteractiveShell
    run_id: str
    path: str


class _Own(NamedTuple):
    refer: Callable[[], Any]
    before: Digest
    after: str


class _Left(NamedTuple):
    refer: Callable[[], Any]
    state: tuple[str, str] | None
    is_input: bool = False


_GONE: Final = _Left(lambda: None, None)
_own: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], dict[str, _Own]]]
_own = weakref.WeakKeyDictionary()
_codes: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], tuple[Fingerprint, str]]]
_codes = weakref.WeakKeyDictionary()
_left: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], tuple[object, dict[str, _Left]]]]
_left = weakref.WeakKeyDictionary()
_seen: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], tuple[object, str]]]
_seen = weakref.WeakKeyDictionary()


def note_own(
    place: Place, before: Mapping[str, Digest], namespace: Mapping[str, Any],
    names: Mapping[str, bool],
) -> None:  # fmt: skip
    """Note the objects that a cell has left in its inputs.

    Args:
        place: Place of the cell.
        before: Digests of its inputs before it ran.
        namespace: Names of the notebook.
        names: Inputs; True for those that the cell itself may have bound before it read them.
    """
    found = {}
    drawings.settle(map(namespace.get, names))
    for name, may_be_own in names.items():
        value = namespace.get(name, MISSING)
        if may_be_own or not isinstance(value, _FIXED):
            after = "" if value is MISSING else arguments.examine((value,)).text
            found[name] = _Own(calls.refer_to(value), before[name], after)
    _own.setdefault(place.shell, {})[place.run_id, place.path] = found


def restore_own(place: Place, data: dict[str, Digest], namespace: Mapping[str, Any]) -> set[str]:
    """Let inputs that are as the cell itself left them count as they were before it, and return
    their names: executed again, it has nothing to do."""
    found = set()
    for name, own in _own.get(place.shell, {}).get((place.run_id, place.path), {}).items():
        value = namespace.get(name, MISSING)
        if name in data and value is own.refer() and _is_as_left(value, data[name], own.after):
            data[name] = own.before
            found.add(name)
    return found


def has_code(names: Iterable[str], namespace: Mapping[str, Any]) -> bool:
    """Return True if one of some names stands for a function, a class or a module."""
    return any(isinstance(namespace.get(name), (*arguments.CODE, ModuleType)) for name in names)


def note_code(place: Place, before: Fingerprint, after: Fingerprint) -> None:
    """Note what a cell has made of the functions and classes that it refers to."""
    _codes.setdefault(place.shell, {})[place.run_id, place.path] = before, after.digest


def restore_code(place: Place, code: Fingerprint) -> Fingerprint:
    """Return the code of a cell as it was before the cell itself has changed functions and classes
    that it refers to."""
    before, after = _codes.get(place.shell, {}).get((place.run_id, place.path), (code, ""))
    return before if code.digest == after else code


def _is_as_left(value: Any, now: Digest, left: str) -> bool:
    """Return True if a value is as a cell has left it, but for where its plot was drawn since."""
    if now.text == left:
        return True
    return drawings.settle([value]) and arguments.examine((value,)).text == left


def note_left(
    place: Place, record: object, values: Mapping[str, Any], inputs: Mapping[str, Any]
) -> None:
    """Note the values that a cell has left, as they are recorded.

    Args:
        place: Place of the cell.
        record: What tells this record of the cell from an earlier or later one.
        values: The values.
        inputs: What it reads, for definitions: where they stand in another object, they are made
            again.
    """
    found = {name: _Left(calls.refer_to(value), _state(value)) for name, value in values.items()}
    found |= {
        name: _Left(calls.refer_to(value), None, is_input=True)
        for name, value in inputs.items()
        if name not in found
    }
    _left.setdefault(place.shell, {})[place.run_id, place.path] = record, found


def find_left(
    place: Place, record: object, namespace: Mapping[str, Any], definitions: list[Definition]
) -> set[str]:
    """Return the names whose values are the objects that a cell has left, as they are recorded:
    executed again, it leaves them alone, with all that they share.

    If it defines functions or classes, that is so for all of it or for nothing, and the keys of
    these definitions are returned, too.
    """
    noted, values = _left.get(place.shell, {}).get((place.run_id, place.path), (None, {}))
    if noted != record:
        return set()
    same = {name for name, left in values.items() if namespace.get(name, MISSING) is left.refer()}
    found = {
        name
        for name in same
        if (state := values[name].state) is not None and _state(namespace[name]) == state
    }
    defined = {each.key for each in definitions if each.kind != "import"}
    if not defined:
        return found
    is_whole = all(
        name in found or (name in same and left.is_input) for name, left in values.items()
    )
    return found | defined if is_whole else set()


def _state(value: Any) -> tuple[str, str] | None:
    """Return a digest of a value and of what the digest leaves out, as how far an iterator is; the
    same for all code. None if the value cannot be compared."""
    if isinstance(value, (*arguments.CODE, ModuleType)):
        return "", ""
    digest = arguments.examine((value,))
    return None if digest.uncompared else (digest.text, hidden_states({"": value})[""])


def forget_gone(shell: InteractiveShell, *, every: bool = False) -> None:
    """Forget the objects that are no longer there under their names: nothing keeps them alive.

    Args:
        shell: Shell of the notebook.
        every: True to forget all objects.
    """
    namespace = shell.user_ns
    for found in list(_own.get(shell, {}).values()):
        for name, own in list(found.items()):
            is_gone = name.isidentifier() and namespace.get(name, MISSING) is not own.refer()
            if every or is_gone:
                del found[name]
    for _, left in list(_left.get(shell, {}).values()):
        for name, each in list(left.items()):
            if every or namespace.get(name, MISSING) is not each.refer():
                left[name] = _GONE


def tell_twin(place: Place, text: str) -> None:
    """Print one line if another cell of this notebook has the same key."""
    parent = place.shell.get_parent() if hasattr(place.shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    asks = parent.get("content", {}).get("allow_stdin", True)
    if cell is None and not asks:
        cell = place.shell.execution_count  # a program executes each cell once
    seen = _seen.setdefault(place.shell, {})
    before = seen.get((place.run_id, place.path))
    seen[place.run_id, place.path] = cell, text
    if (
        before is not None
        and None not in (cell, before[0])
        and before[0] != cell
        and before[1] != text
    ):
        print(  # noqa: T201 - a line of the cell's output
            f"Another cell of this notebook is %%task {place.path}, too: each replaces what the "
            "other has recorded. Give one of them a different key."
        )
