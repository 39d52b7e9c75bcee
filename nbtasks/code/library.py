"""Which code is the user's own, and which is library code.

The user's own is what a notebook defines and what its own modules hold, also where those are
installed as editable. Library code is Python's own, what is installed, and nbtasks.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["is_users_class", "is_users_function", "is_users_module"]

_MAIN = "__main__"
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def _folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    found += [str(Path(os.__file__).parent), str(Path(__file__).parents[1])]
    # a browser's Python has no folder of the user
    known = [path for path in found if path]
    return tuple({f"{path}{os.sep}" for one in known for path in (one, os.path.realpath(one))})


_FOLDERS = _folders()
_files: dict[str, bool] = {}  # by name, whether it is the user's


def is_users_function(fn: FunctionType) -> bool:
    """Whether a function was written by the user.

    Its globals and its code say so, not its `__module__`, which a decorator copies to what it
    made.

    >>> is_users_function(os.path.join)
    False
    """
    name, filename = fn.__globals__.get("__name__"), fn.__code__.co_filename
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is not None and vars(module) is fn.__globals__:
        return is_users_module(module)
    # no file: a console, `exec`, a frozen module
    return _is_users_name(name) if filename[:1] == "<" else _is_users_file(filename)


def is_users_class(cls: type) -> bool:
    """Whether a class was written by the user."""
    return _is_users_name(type.__getattribute__(cls, "__module__"))


def is_users_module(module: ModuleType) -> bool:
    """Whether a module was written by the user."""
    names = vars(module)
    if names.get("__name__") == _MAIN:
        return True
    if file := names.get("__file__"):
        return _is_users_file(file)
    return any(map(_is_users_file, names.get("__path__", ())))  # a folder without __init__.py


def _is_users_name(name: Any) -> bool:
    if name == _MAIN:
        return True
    module = sys.modules.get(name) if isinstance(name, str) else None
    return is_users_module(module) if module is not None else name != "builtins"


def _is_users_file(filename: str) -> bool:
    known = _files.get(filename)
    if known is None:
        paths = (str(Path(filename).absolute()), os.path.realpath(filename))
        known = _files[filename] = not any(
            path.startswith(_FOLDERS) or any(part in path for part in _INSTALLED) for path in paths
        )
    return known
