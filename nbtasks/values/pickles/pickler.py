"""Pickler of values: classes by name, instances by their state, and nothing as another type.

It is cloudpickle's, so functions and local classes are recorded with their code. This differs:

- A class that has a name in the notebook or in a module is recorded by that name (`classes`).
- An instance is made again by what knows its state. Where a class has an `__init__` or a `__new__`
  of its own, the recorded arguments may be those of a base, which is then called instead.
- Attributes are kept that a base leaves out, as those of a subclass of Counter or of an array.
- Values that would come back as another type, or empty, are refused.
"""

from __future__ import annotations

import _io
import ast
import copyreg
import enum
import gc
import inspect
import io
import itertools
import pickle
import sys
import weakref
from abc import abstractproperty
from collections import OrderedDict
from collections.abc import Callable
from types import CellType, FunctionType, GetSetDescriptorType, MappingProxyType, MethodType
from typing import Any, TypeVar

import cloudpickle

from nbtasks.values import classes, registry
from nbtasks.values.pickles import promises
from nbtasks.values.pickles.made_classes import reduce_made

__all__ = ["dumps"]

_PROTOCOL = 5
_MOST_PARTS = 5  # of what `__reduce__` returns, without a setter
_Reduce = Callable[[Any], Any]
_OPEN: tuple[Any, ...] = (_io._IOBase,)  # noqa: SLF001 - the base of all files, without an ABC's hooks
_IN_MEMORY = (io.BytesIO, io.StringIO)
_ITERATORS = tuple(
    type(iter(part))
    for mapping in (dict[Any, Any](), OrderedDict[Any, Any]())
    for part in (
        mapping, mapping.values(), mapping.items(), set[Any](), reversed(mapping),
        reversed(mapping.values()), reversed(mapping.items()),
    )
)  # fmt: skip
#: Types that pickle as another type, each with the words for it and the way out.
_OTHERS: tuple[tuple[Any, str], ...] = (
    (memoryview, "a memoryview would come back as bytes; return bytes(view) or view.tolist()"),
    (weakref.ProxyTypes, "a weak proxy would come back as the object itself; return that"),
    (super, "a super() would come back as the object itself; return that"),
    (abstractproperty, "an abstractproperty would come back as a property"),
    ((type(sys.version_info), type(sys.flags)), "Python makes no second one; return tuple(value)"),
    (_ITERATORS, "the iterator would come back as one of a list; return a list of what it yields"),
)  # fmt: skip
#: Parts of a function's state that are its own in the notebook.
_OF_CLOUDPICKLE = frozenset({"__globals__", "__closure__", "_cloudpickle_submodules"})
_MOCK = ("unittest.mock", "NonCallableMock")
_LIBRARIES = frozenset({*sys.stdlib_module_names, "numpy", "pandas"})


def dumps(value: object) -> bytes:
    """Return the pickle of a value.

    Raises:
        PicklingError: The value would come back as another type.
    """
    if type(value) is pickle.PickleBuffer:  # which no reducer is asked about
        raise pickle.PicklingError("a PickleBuffer would come back as bytes; return bytes(value)")
    file = io.BytesIO()
    _Pickler(file, protocol=_PROTOCOL).dump(value)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it carries no types
    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self._reducers: dict[type, _Reduce | None] = {}
        self._cells: dict[int, CellType] = {}  # of functions that give them their contents

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if issubclass(kind, type):
            return self._reduce_class(value)
        if kind is CellType and id(value) in self._cells:
            return classes.make_cell, ()
        try:
            reduce = self._reducers[kind]
        except KeyError:
            reduce = self._reducers[kind] = _choose_reducer(kind)
        reduced = NotImplemented if reduce is None else reduce(value)
        return super().reducer_override(value) if reduced is NotImplemented else reduced

    def _function_reduce(self, value: FunctionType) -> Any:
        reduced = super()._function_reduce(value)
        if reduced is not NotImplemented and classes.is_for_notebook(value):
            reduced = self._reduce_for_notebook(value, *reduced[2])
        if reduced is NotImplemented or classes.function_now(value.__qualname__) is not value:
            return reduced
        make, args, *rest = reduced
        known = (value.__qualname__, value.__defaults__, value.__kwdefaults__)
        return (classes.make_function, (known, make, *args), *rest)

    def _reduce_for_notebook(self, fn: FunctionType, attributes: Any, slots: Any) -> Any:
        cells = fn.__closure__ or ()
        self._cells |= {id(cell): cell for cell in cells}
        contents = list(map(classes.contents, cells))
        slots = {name: part for name, part in slots.items() if name not in _OF_CLOUDPICKLE}
        state = (attributes, slots, contents)
        args = fn.__code__, cells, classes.source_lines(fn.__code__)
        return (classes.make_of_notebook, args, state, None, None, classes.fill_function)

    def _reduce_class(self, kind: type) -> Any:
        if (made := reduce_made(kind)) is not None:
            return made
        if kind.__module__ == "builtins" or (found := classes.reference(kind)) is None:
            return super().reducer_override(kind)
        module, name, now = found
        if now is not kind:
            return classes.as_it_is_now, (now,)
        if module != kind.__module__:  # made by a call in the notebook, as `make_dataclass` is
            return classes.current, (name,)
        if module == classes.MAIN or name != kind.__qualname__:
            return name
        return super().reducer_override(kind)


# -- instances -------------------------------------------------------------------------------------


def _choose_reducer(kind: type) -> _Reduce | None:
    """Return the function that reduces the instances of a class; None for cloudpickle's own."""
    if refusal := _explain_refusal(kind):
        return _refuse_with(refusal)
    if kind in _EXACT:
        return _EXACT[kind]
    if issubclass(kind, enum.Enum):
        return None if issubclass(kind, enum.Flag) else _reduce_member
    if kind in cloudpickle.Pickler.dispatch_table and not registry.without_traceback(kind):
        return None
    owner = _definer(kind, "__reduce_ex__", "__reduce__")
    if owner is not None and (_is_of_library(kind) or not _is_of_library(owner)):
        return registry.without_traceback(kind)  # None: its author knows what to do
    base = None if owner is None else _base_of_constructor(kind, owner)
    reduce = _choose_by_state(kind) if owner is None else lambda value: _by_owner(value, base)
    return _guard(kind, reduce) if _is_guarded(kind) else reduce


def _is_figure(kind: type) -> bool:
    return (kind.__module__, kind.__qualname__) == ("matplotlib.figure", "Figure")


def _reduce_figure(value: Any) -> Any:
    """Reduce a figure without its place among the open ones: reading a value opens nothing."""
    make, args, state, *rest = value.__reduce_ex__(_PROTOCOL)
    state.pop("_restore_to_pylab", None)  # the state is a copy
    return (make, args, state, *rest)


def _explain_refusal(kind: type) -> str:
    """Return why instances of a class are refused, and the way out; empty if they are not."""
    if promise := promises.explain(kind):
        return f"it is {promise}"
    if issubclass(kind, _OPEN) and not issubclass(kind, _IN_MEMORY) and not _own_pickling(kind):
        return "an open file belongs to this process; return its path or content"
    if any((base.__module__, base.__name__) == _MOCK for base in kind.__mro__):
        return "a mock could not be read back; return what it has recorded"
    return next((reason for types, reason in _OTHERS if issubclass(kind, types)), "")


def _choose_by_state(kind: type) -> _Reduce | None:
    if any(_is_figure(base) for base in kind.__mro__):
        return _reduce_figure
    holder = _definer(kind, "__getnewargs_ex__", "__getnewargs__")
    base = None
    if holder is None or _is_of_library(holder) or hasattr(holder, "_fields"):  # or a named tuple
        base = _base_of_constructor(kind, holder, "__new__")
    if base is not None and not classes.is_model(kind):
        return lambda value: _reduce_by_base(value, base, exact=holder is not None)
    if _own_state(kind):
        return None
    if classes.is_model(kind):
        return lambda value: _with_setter(value, value.__getstate__(), classes.fill_model)
    if holder is None and _definer(kind, "__dataclass_fields__"):
        return _reduce_dataclass
    return _reduce_frame if _is_pandas(kind) else None


def _by_owner(value: Any, base: Any) -> Any:
    """Reduce by the `__reduce__` of a base: by that base's constructor, with all attributes."""
    reduced = value.__reduce_ex__(_PROTOCOL)
    if not isinstance(reduced, tuple):
        return reduced
    make, args, state, items, pairs = (*reduced, None, None, None)[:5]
    kind = type(value)
    if make is kind and base is not None:
        make, args = classes.rebuild, (base, kind, args)
    lost = getattr(value, "__dict__", None)
    if not lost:
        return make, args, state, items, pairs
    if state is None:
        return make, args, value.__getstate__(), items, pairs
    if isinstance(state, tuple) and hasattr(value, "__setstate__"):  # an array
        return make, args, (state, dict(lost)), items, pairs, classes.set_with_attributes
    return make, args, state, items, pairs


def _reduce_by_base(value: Any, base: Any, *, exact: bool) -> Any:
    """Reduce by the `__new__` of the base that knows the state."""
    kind = type(value)
    make, args, *rest = value.__reduce_ex__(_PROTOCOL)
    if make is not copyreg.__newobj__ or args[0] is not kind:  # type: ignore[attr-defined]  # undocumented
        return NotImplemented
    if not exact and _takes(kind.__new__, args):
        return NotImplemented
    return (classes.create, (base, kind, args[1:]), *rest)


def _guard(kind: type, reduce: _Reduce | None) -> _Reduce:
    """Return a reducer by which no method of the class runs when its state is set."""
    library = next(base for base in kind.__mro__ if _is_of_library(base))
    has_arguments = _definer(kind, "__getnewargs_ex__", "__getnewargs__") is not None

    def guarded(value: Any) -> Any:
        reduced = NotImplemented if reduce is None else reduce(value)
        if reduced is NotImplemented:
            reduced = value.__reduce_ex__(_PROTOCOL)
        if not isinstance(reduced, tuple) or len(reduced) > _MOST_PARTS:
            return reduced  # it has a setter
        make, args, state, items, pairs = (*reduced, None, None, None)[:_MOST_PARTS]
        if make is copyreg.__newobj__ and not has_arguments:  # type: ignore[attr-defined]  # undocumented
            args = args[:1]  # a `__getattr__` may have found those of another object
        parts = (library, state, list(items or ()), list(pairs or ()))
        return make, args, parts, None, None, classes.fill

    return guarded


def _with_setter(value: Any, state: Any, set_state: Callable[[Any, Any], None]) -> Any:
    return copyreg.__newobj__, (type(value),), state, None, None, set_state  # type: ignore[attr-defined]  # undocumented


def _reduce_dataclass(value: Any) -> Any:
    make, args, _, items, pairs = (*value.__reduce_ex__(_PROTOCOL), None, None)[:5]
    return make, args, _attributes(value), items, pairs, classes.fill_fields


def _reduce_frame(value: Any) -> Any:
    state = value.__getstate__()
    lost = {k: v for k, v in vars(value).items() if k[:1] != "_" and k not in state}
    set_state = classes.set_with_attributes
    return _with_setter(value, (state, lost), set_state) if lost else NotImplemented


def _reduce_member(value: enum.Enum) -> Any:
    # by name, as a member alone is recorded: its value may change with the class
    is_member = type(value).__members__.get(value.name) is value
    return (classes.member, (type(value), value.name)) if is_member else NotImplemented


def _reduce_method(value: MethodType) -> Any:
    # by name, so that it is the method of the class as it is now
    owner, name = value.__self__, value.__func__.__name__
    if not isinstance(owner, type) and name in getattr(owner, "__dict__", ()):
        return NotImplemented  # the object has something else under that name
    for base in owner.__mro__ if isinstance(owner, type) else type(owner).__mro__:
        if name in base.__dict__:
            found = base.__dict__[name]
            if getattr(found, "__func__", found) is value.__func__:
                return getattr, (owner, name)
            break
    return NotImplemented


def _reduce_descriptor(value: GetSetDescriptorType) -> Any:
    if getattr(value.__objclass__, value.__name__, None) is not value:
        raise pickle.PicklingError("the descriptor would come back as what it describes")
    return NotImplemented


def _reduce_weak_set(value: weakref.WeakSet[Any]) -> Any:
    if len(value):
        raise pickle.PicklingError("a WeakSet would come back empty; return a list of its members")
    return NotImplemented


def _reduce_type_variable(value: TypeVar) -> Any:
    found = vars(sys.modules[classes.MAIN]).get(value.__name__)
    is_named = value.__module__ == classes.MAIN and found is value
    return value.__name__ if is_named else NotImplemented


def _reduce_count(value: Any) -> Any:  # by its text: Python 3.14 has nothing else
    return itertools.count, tuple(ast.literal_eval(f"[{repr(value)[6:-1]}]"))


#: Reducers of exact types.
_EXACT: dict[Any, _Reduce] = {
    MethodType: _reduce_method,
    TypeVar: _reduce_type_variable,
    GetSetDescriptorType: _reduce_descriptor,
    weakref.WeakSet: _reduce_weak_set,
    # the mapping itself, not a copy: others may have it, too
    MappingProxyType: lambda value: (MappingProxyType, (gc.get_referents(value)[0],)),
    itertools.count: _reduce_count,
}


def _refuse_with(reason: str) -> _Reduce:
    def refuse(_: object) -> Any:
        raise pickle.PicklingError(reason)

    return refuse


# -- what a class defines --------------------------------------------------------------------------


def _definer(kind: type, *names: str) -> Any:
    """Return the nearest class that defines one of the methods; None if only `object` does."""
    for base in kind.__mro__[:-1]:
        if any(name in base.__dict__ for name in names):
            return base
    return None


def _base_of_constructor(kind: type, owner: Any, *names: str) -> Any:
    """Return the base whose constructor fits what `owner` reduces to; None if the class's own does.

    Args:
        kind: The class.
        owner: The class that defines how its instances are reduced; None for `object`.
        names: The methods that the constructor consists of; by default both.
    """
    bases = kind.__mro__[: kind.__mro__.index(owner or object)]
    base = None
    for place, each in enumerate(bases):
        methods = (each.__dict__.get(name) for name in names or ("__init__", "__new__"))
        defines = any(isinstance(getattr(m, "__func__", m), FunctionType) for m in methods)
        if defines and not _is_of_library(each):
            base = kind.__mro__[place + 1]
    return base


def _is_guarded(kind: type) -> bool:
    """Return True if a class of the user's has a method that setting its state would run."""
    if _is_of_library(kind):
        return False
    names = ("append", "extend", "__setitem__", "__setattr__", "__getattr__", "__getattribute__")
    owners = ((name, _definer(kind, name)) for name in names)
    return any(
        isinstance(owner.__dict__[name], FunctionType)
        for name, owner in owners
        if owner is not None and not _is_of_library(owner)
    )


def _own_pickling(kind: type) -> bool:
    owner = _definer(kind, "__reduce_ex__", "__reduce__", "__getstate__")
    return owner is not None and not _is_of_library(owner)


def _own_state(kind: type) -> bool:
    """Return True if a class of the user defines what its state is."""
    for name in ("__getstate__", "__setstate__"):
        owner = _definer(kind, name)
        generated = getattr(getattr(owner, name, None), "__module__", "") == "dataclasses"
        if owner is not None and not generated and not _is_of_library(owner, "pydantic"):
            return True
    return False


def _is_of_library(kind: type, *more: str) -> bool:
    module = str(kind.__module__).partition(".")[0]
    return module != classes.MAIN and (module in _LIBRARIES or module in more)


def _is_pandas(kind: type) -> bool:
    return any(base.__module__ == "pandas.core.generic" for base in kind.__mro__)


def _attributes(value: Any) -> dict[str, Any]:
    """Return all attributes of an instance, in its dict and in slots."""
    state = object.__getstate__(value)
    first, second = state if isinstance(state, tuple) else (state, None)
    return {**(first or {}), **(second or {})}


def _takes(function: Any, args: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except (TypeError, ValueError):
        return False
    return True
