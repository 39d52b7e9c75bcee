"""Classes by their names, as they are now, and instances of them made from recorded state.

A value refers to its class by module and qualified name, never by its code. So an instance comes
back as one of the class that the notebook has now, also after a restart, and also if the class was
bound to another name than its own, as in `P = namedtuple("Point", "x y")`. Only a
class that nothing defines in a restarted notebook is recorded with its code (`for_notebook`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import linecache
import re
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

from nbtasks.errors import UnreadableValueError

__all__ = [
    "MAIN",
    "as_it_is_now",
    "contents",
    "create",
    "current",
    "fill",
    "fill_fields",
    "fill_function",
    "fill_model",
    "find",
    "find_as",
    "function_now",
    "has_code",
    "is_model",
    "lookup",
    "make_function",
    "member",
    "rebuild",
    "reference",
    "set_with_attributes",
    "source_lines",
]

#: The module of a notebook's own names, and of a script's.
MAIN = "__main__"
#: Modules of classes made by a call in the notebook: `make_dataclass`, `types.new_class`.
_OF_CALLS = (MAIN, "types")
_OF_CODE = (
    "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount",
    "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_exceptiontable",
)  # fmt: skip
#: Classes that are recorded with their code; None if values are recorded for other programs, too.
_with_code: ContextVar[frozenset[type] | None] = ContextVar("nbtasks_with_code", default=None)
#: Names in which IPython keeps outputs and inputs.
_OF_IPYTHON = re.compile(r"_+i*\d*|In|Out")


# -- classes ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def for_notebook(with_code: Iterable[type] = ()) -> Iterator[None]:
    """Record functions of the notebook for itself: they read its names as they are when they are
    called.

    Args:
        with_code: Classes to record with their code, whatever names lead to them.
    """
    token = _with_code.set(frozenset(with_code))
    try:
        yield
    finally:
        _with_code.reset(token)


def is_for_notebook(fn: FunctionType) -> bool:
    """Return True if a function is recorded for the notebook that defines it."""
    return _with_code.get() is not None and fn.__globals__ is vars(sys.modules[MAIN])


def has_code(kind: type) -> bool:
    """Return True if a class is recorded with its code."""
    return kind in (_with_code.get() or ())


def lookup(module: str, qualname: str) -> Any:
    """Return what a recorded name stands for now; None if it is gone.

    Raises:
        LookupError: The module is not loaded, and neither is its package.
    """
    target: Any = sys.modules.get(module)
    if target is None:
        # Import only modules of loaded packages: the record may be a stranger's, and importing a
        # module runs its code.
        if module.partition(".")[0] not in sys.modules:
            raise LookupError(f"it is a {module}.{qualname}: import {module}, then try again")
        target = importlib.import_module(module)
    return _follow(target, qualname)


def find(module: str, qualname: str) -> Any:
    """Return what a recorded name stands for now.

    Raises:
        UnreadableValueError: The name is gone; the message says what to do.
        LookupError: The module is not loaded, and neither is its package.
    """
    target = lookup(module, qualname)
    if target is None:
        raise UnreadableValueError(explain_missing(module, qualname))
    return target


def find_as(module: str, qualname: str, what: str, matches: Any) -> Any:
    """Return the class that a recorded name stands for now.

    Args:
        module: The module.
        qualname: The qualified name.
        what: What the class has to be, for the message, as "an enum".
        matches: Function that returns True for such a class.

    Raises:
        UnreadableValueError: The name is gone, or stands for something else.
        LookupError: The module is not loaded, and neither is its package.
    """
    target = find(module, qualname)
    if isinstance(target, type) and matches(target):
        return target
    raise UnreadableValueError(
        f"The recorded value is an instance of {module}.{qualname}, which is no longer {what}. "
        f"Define it as it was, or give the new one a different name."
    )


def explain_missing(module: str, qualname: str) -> str:
    """Return the message for a name that a value needs and that is gone."""
    if module == MAIN:
        return (
            f"The recorded value needs {qualname}, which is not defined in this notebook. Run the "
            f"cell that defines {qualname} first, then try again."
        )
    return (
        f"The recorded value needs {module}.{qualname}, which the module no longer has. Define it "
        "there, then try again."
    )


def current(qualname: str) -> Any:
    """Return what a name of the notebook stands for now.

    Raises:
        UnreadableValueError: The name is gone.
    """
    return find(MAIN, qualname)


def as_it_is_now(kind: type) -> type:
    """Return a class: in a pickle, in place of an older one of the same name."""
    return kind


def reference(kind: type) -> tuple[str, str, type] | None:
    """Return a module and a name in it that lead to a class, and the class that has the name now.

    That is another class than `kind` if a cell was run again, or a module reloaded, since `kind`
    was made. None if no name leads to it, as for a class that is local to a function, or if it is
    recorded with its code.
    """
    if has_code(kind):
        return None
    module, qualname = kind.__module__, kind.__qualname__
    is_local = "<locals>" in qualname
    there: Any = None
    if not is_local and module in sys.modules:
        there = _follow(sys.modules[module], qualname)
    if not isinstance(there, type) and hasattr(there, "__wrapped__"):  # by a decorator
        qualname, there = f"{qualname}.__wrapped__", there.__wrapped__
    if there is kind:
        return module, qualname, kind
    if module in _OF_CALLS and (found := _search_notebook(kind, is_local=is_local)):
        return MAIN, *found
    return (module, qualname, there) if _is_namesake(there, kind) else None


def _search_notebook(kind: type, *, is_local: bool) -> tuple[str, type] | None:
    """Return a name of the notebook that is not the class's own, and the class that has it now."""
    classes = {
        name: value
        for name, value in list(vars(sys.modules[MAIN]).items())
        if isinstance(value, type) and not _OF_IPYTHON.fullmatch(name)
    }
    for name, value in classes.items():
        if value is kind:
            return name, kind
    found = ((n, v) for n, v in classes.items() if not is_local and _is_namesake(v, kind))
    return next(found, None)


def _is_namesake(other: Any, kind: type) -> bool:
    return isinstance(other, type) and (other.__module__, other.__qualname__) == (
        kind.__module__,
        kind.__qualname__,
    )


def function_now(qualname: str) -> FunctionType | None:
    """Return the notebook's function of a name; None if there is none, or it has a closure."""
    found = _follow(sys.modules[MAIN], qualname) if "<" not in qualname else None
    is_plain = isinstance(found, FunctionType) and found.__closure__ is None
    return found if is_plain else None


def is_model(kind: type) -> bool:
    """Return True if a class is a pydantic model."""
    # If pydantic is not loaded, no value can be one of its models; do not load it to ask.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def member(kind: Any, name: str) -> Any:
    """Return a member of an enum by its name.

    Raises:
        UnreadableValueError: The enum no longer has it.
    """
    if name in kind.__members__:
        return kind[name]
    where = f"{kind.__module__}.{kind.__qualname__}"
    raise UnreadableValueError(
        f"The recorded value is {where}.{name}, a member that {where} no longer has. Define it "
        "again, then try again."
    )


def _follow(target: Any, qualname: str) -> Any:
    for name in qualname.split("."):
        target = getattr(target, name, None)
    return target


# -- functions and instances, made by what a pickle calls ------------------------------------------


def make_function(known: tuple[str, Any, Any], make: Any, *args: Any) -> Any:
    """Return the notebook's own function if it is the recorded one; else a new one, by `make`."""
    qualname, *defaults = known
    now = function_now(qualname)
    if now is not None and _is_same_code(now.__code__, args[0]):
        try:
            if [now.__defaults__, now.__kwdefaults__] == defaults:
                return now
        except ValueError:  # arrays have no single truth
            pass
    return make(*args)


def make_cell() -> CellType:
    """Return an empty cell of a closure."""
    return CellType()


def contents(cell: CellType) -> tuple[Any, ...]:
    """Return the content of a cell in a tuple, which is empty if the cell is."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def source_lines(code: CodeType) -> list[str]:
    """Return the lines of the notebook's cell that has a code; none if it is in a file."""
    name = code.co_filename
    return [] if Path(name).is_file() else linecache.getlines(name)


def make_of_notebook(code: CodeType, cells: tuple[CellType, ...], lines: list[str]) -> FunctionType:
    """Return a function that reads the names of the notebook, and these cells; its source is known
    from now on."""
    name = code.co_filename
    if lines and name not in linecache.cache:
        linecache.cache[name] = len("".join(lines)), None, lines, name
    return FunctionType(code, vars(sys.modules[MAIN]), closure=cells or None)


def fill_function(fn: FunctionType, state: tuple[Any, Any, list[tuple[Any, ...]]]) -> None:
    """Set the attributes of a new function, and the contents of its cells, if they have any."""
    if function_now(fn.__qualname__) is fn:
        return
    attributes, slots, contents = state
    vars(fn).update(attributes)
    for name, value in slots.items():
        setattr(fn, name, value)
    for cell, content in zip(fn.__closure__ or (), contents, strict=True):
        if content:
            (cell.cell_contents,) = content


def _is_same_code(one: Any, other: Any) -> bool:
    """Return True if two codes do the same, on whatever lines of their cells they stand."""
    if not (isinstance(one, CodeType) and isinstance(other, CodeType)):
        return type(one) is type(other) and bool(one == other)
    consts = zip(one.co_consts, other.co_consts, strict=False)
    return (
        all(getattr(one, name) == getattr(other, name) for name in _OF_CODE)
        and len(one.co_consts) == len(other.co_consts)
        and all(_is_same_code(*pair) for pair in consts)
    )


def create(base: Any, kind: type, args: tuple[Any, ...]) -> Any:
    """Return a new instance, made by a base of its class; the class's own `__new__` is not called.

    Its parameters may be others than the state: `Celsius(5, "F")` is a float of -15.
    """
    return base.__new__(kind, *args)


def rebuild(base: Any, kind: type, args: tuple[Any, ...]) -> Any:
    """Return an instance, made and initialized by a base of its class."""
    value = base.__new__(kind, *args)
    if base.__init__ is not object.__init__:
        base.__init__(value, *args)
    return value


def fill(value: Any, parts: tuple[Any, Any, list[Any], list[Any]]) -> None:
    """Set the members and the state of a new instance by a base: no method of its class runs.

    Such a method may need attributes that are not yet there, or change what it is given.
    """
    base, state, items, pairs = parts
    for key, item in pairs:
        base.__setitem__(value, key, item)
    if items:
        base.extend(value, items)
    set_state = getattr(type(value), "__setstate__", None)
    if set_state is not None and state is not None:
        set_state(value, state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        object.__getattribute__(value, "__dict__").update(attributes)
    for name, item in (slots or {}).items():
        object.__setattr__(value, name, item)


def set_with_attributes(value: Any, state: tuple[Any, dict[str, Any]]) -> None:
    """Set the state of an array or a frame, and the attributes that its library leaves out."""
    value.__setstate__(state[0])
    vars(value).update(state[1])


def fill_fields(value: Any, state: dict[str, Any]) -> None:
    """Set the attributes of a dataclass's new instance; fields that it has got since by default.

    Raises:
        TypeError: A new field has no default.
    """
    fields = {field.name: field for field in dataclasses.fields(value)}
    for name, item in state.items():
        if name in fields or hasattr(value, "__dict__"):  # a slot may be gone with its field
            object.__setattr__(value, name, item)
    for name, field in fields.items():
        if name in state:
            continue
        if field.default is not dataclasses.MISSING:
            item = field.default
        elif field.default_factory is not dataclasses.MISSING:
            item = field.default_factory()
        else:
            kind = type(value)
            raise TypeError(
                f"{kind.__module__}.{kind.__qualname__} has a new field {name!r} without a default"
            )
        object.__setattr__(value, name, item)


def fill_model(value: Any, state: dict[str, Any]) -> None:
    """Set the state of a model's new instance; fields that it has got since by default."""
    fields = state["__dict__"]
    for name, field in type(value).model_fields.items():
        if name not in fields and not field.is_required():
            fields[name] = field.get_default(call_default_factory=True)
    private = state.get("__pydantic_private__") or {}
    for name, attribute in type(value).__private_attributes__.items():
        default = attribute.get_default()
        if name not in private and type(default).__name__ != "PydanticUndefinedType":
            private[name] = default
    if private:
        state["__pydantic_private__"] = private
    value.__setstate__(state)
