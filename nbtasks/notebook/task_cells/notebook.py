"""Notebook around a `%%task` cell: its name, its plots, and what the cells of this process left."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.core.settings import config
from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.notebook.task_cells.inputs import MISSING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "Place",
    "forget_gone",
    "job_id",
    "may_give_io",
    "note_own",
    "restore_own",
    "tell_twin",
]

#: Job of a notebook whose file the front end does not tell.
_UNNAMED: Final = "notebook"
_FIXED = (str, bytes, int, float, complex, bool, type(None))


#: Variables of the notebook that name its file: of VS Code, and the parameters of papermill, which
#: names the notebook that it executes before the one that it writes.
_VARIABLES: Final = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")


def job_id(shell: InteractiveShell) -> str:
    """Return the id of the notebook's job: the name of its file, without the ending.

    Notebooks of the same name in folders below one home are told apart by their folders.
    """
    names = (*map(shell.user_ns.get, _VARIABLES), os.environ.get("JPY_SESSION_NAME"))
    name = next((name for name in names if name and isinstance(name, str | Path)), None)
    if name is None:
        return _UNNAMED
    path = Path(name)
    began_in = shell.starting_dir  # `%cd` may have changed the working directory
    folder = path.parent if path.is_absolute() else Path(began_in)
    file = folder.resolve() / path.name
    above = Path(config.home).parent.resolve()
    if file.is_relative_to(above):
        return file.relative_to(above).with_suffix("").as_posix()
    return path.stem or _UNNAMED


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


_own: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], dict[str, _Own]]]
_own = weakref.WeakKeyDictionary()
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
    for name, may_be_own in names.items():
        value = namespace.get(name, MISSING)
        if may_be_own or not isinstance(value, _FIXED):
            after = "" if value is MISSING else arguments.examine((value,)).text
            found[name] = _Own(arguments.refer_to(value), before[name], after)
    _own.setdefault(place.shell, {})[place.run_id, place.path] = found


def restore_own(place: Place, data: dict[str, Digest], namespace: Mapping[str, Any]) -> set[str]:
    """Let inputs that are as the cell itself left them count as they were before it, and return
    their names: executed again, it has nothing to do."""
    found = set()
    for name, own in _own.get(place.shell, {}).get((place.run_id, place.path), {}).items():
        is_there = namespace.get(name, MISSING) is own.refer()
        if name in data and is_there and data[name].text == own.after:
            data[name] = own.before
            found.add(name)
    return found


def forget_gone(shell: InteractiveShell, *, every: bool = False) -> None:
    """Forget the objects that are no longer there under their names: nothing keeps them alive.

    Args:
        shell: Shell of the notebook.
        every: True to forget all objects.
    """
    namespace = shell.user_ns
    for found in list(_own.get(shell, {}).values()):
        for name, own in list(found.items()):
            if every or namespace.get(name, MISSING) is not own.refer():
                del found[name]


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
            f"Another cell of this notebook is %%task {place.path}, too: each runs again after the "
            "other. Give one of them another key."
        )
