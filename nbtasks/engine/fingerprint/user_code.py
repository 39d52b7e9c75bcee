"""Distinction of the user's own code from library code.

The user's own code is everything that the notebook and the user's modules define, including
modules of editable installs. Library code is Python's own, installed packages, and nbtasks.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import types
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["is_native", "is_users_class", "is_users_function", "is_users_module"]

_MAIN = "__main__"
_NATIVE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def _list_library_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(name) for name in names]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    folders += [str(Path(os.__file__).parent), str(Path(__file__).parents[2])]
    # paths may be None: Python in a browser has no user folder
    existing = [path for path in folders if path]
    return tuple(
        {f"{path}{os.sep}" for folder in existing for path in (folder, os.path.realpath(folder))}
    )


_FOLDERS = _list_library_folders()
_files: dict[str, bool] = {}  # by filename, True for the user's; a cache of resolved paths


def is_users_function(fn: FunctionType) -> bool:
    """Return True if the user wrote a function.

    The function's globals and code decide, not its `__module__`, which a decorator copies to its
    wrapper.

    >>> is_users_function(os.path.join)
    False
    """
    name, filename = fn.__globals__.get("__name__"), fn.__code__.co_filename
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is not None and vars(module) is fn.__globals__:
        return is_users_module(module)
    # "<...>" is no file: a console, `exec`, a frozen module
    return _is_users_name(name) if filename[:1] == "<" else _is_users_file(filename)


def is_users_class(cls: type) -> bool:
    """Return True if the user wrote a class."""
    name = type.__getattribute__(cls, "__module__")
    if name == "types":  # before Python 3.12, `make_dataclass` calls its classes this
        return vars(types).get(cls.__name__) is not cls
    return _is_users_name(name)


def is_native(cls: type) -> bool:
    """Return True if a class is written in C.

    >>> is_native(dict), is_native(Path)
    (True, False)
    """
    return bool(cls.__flags__ & _NATIVE)


def is_users_module(module: ModuleType) -> bool:
    """Return True if the user wrote a module."""
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
    is_users = _files.get(filename)
    if is_users is None:
        paths = (str(Path(filename).absolute()), os.path.realpath(filename))
        is_users = _files[filename] = not any(
            path.startswith(_FOLDERS) or any(part in path for part in _INSTALLED) for path in paths
        )
    return is_users
