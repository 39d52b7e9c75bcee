"""Inspection of values without running any of their own code."""

from __future__ import annotations

import _io
import functools
import hashlib
import inspect
import itertools
import numbers
import operator
import os
import re
import stat
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import CellType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, TypeGuard

from nbtasks.core import parameters
from nbtasks.engine.fingerprint import bytecode, user_code
from nbtasks.engine.fingerprint.watch import MISSING

__all__ = [
    "attributes",
    "builtin_callable",
    "callee_module",
    "constant",
    "final_callee",
    "inner_callable",
    "is_data",
    "is_database",
    "is_users_function",
    "known_seed",
    "label",
    "library_name",
    "member",
    "method",
    "methods",
    "module",
    "parts",
    "qualname",
    "recorded_input",
]

#: Names of secrets: their values are compared by a digest, never recorded or shown.
_SECRET = re.compile(r"(?i)(?:api|access|secret|private|auth)_?key|token|secret|passw|credential")
_LONGEST = 2000  # letters of an input
_LARGEST_FILE = 1 << 24
_FRESH_ENTROPY = 1 << 96  # a larger seed came from the operating system
_NAMED = (type(len), type(str.upper), type(str.__len__))
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
#: What is met most often, and needs no look at abstract classes, which takes long.
_NO_NUMBERS = frozenset({FunctionType, MethodType, ModuleType, type, object, dict, list})
_CODE = (FunctionType, MethodType, ModuleType, type, functools.partial)
#: Conversion of the numbers of libraries, such as NumPy's, to Python's own.
_NUMBERS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (numbers.Integral, int),
    (numbers.Rational, lambda value: value),
    (numbers.Real, float),
    (numbers.Complex, complex),
    (numbers.Number, lambda value: value),
)


def constant(value: Any) -> str | None:
    """Return a number, string, boolean, None or tuple of these as text; None for other values.

    >>> constant(("a", 1)), constant([1])
    ("('a', 1)", None)
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return repr(value)
    if kind is tuple:
        items = [constant(item) for item in value]
        if None in items:
            return None
        return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"
    for plain in (int, float, str):  # members of an enum, for example, have a repr of their own
        if issubclass(kind, plain):
            return plain.__repr__(value)
    return None if kind in _NO_NUMBERS else _number(value)


def _number(value: Any) -> str | None:
    """Return a number of a library as text; None for other values."""
    kind = type(value)
    for abstract, convert in _NUMBERS:
        if issubclass(kind, abstract):
            return repr(convert(value))
    is_numpys = (kind.__module__, kind.__name__.rstrip("_")) == ("numpy", "bool")
    return repr(bool(value)) if is_numpys else None


def recorded_input(name: str, text: str) -> str:
    """Return the text of an input as it is recorded: of a secret or a long one a digest."""
    if _SECRET.search(name) or len(text) > _LONGEST:
        return f"<hidden, {hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}>"
    return text


def builtin_callable(value: Any) -> str | None:
    """Return a callable that is written in C as text, and a regular expression; else None.

    >>> builtin_callable(operator.itemgetter(0)), builtin_callable(re.compile("a").findall)
    ('operator.itemgetter(0)', "re.compile('a', 32).findall")
    """
    kind = type(value)
    if kind is re.Pattern:
        return f"re.compile({value.pattern!r}, {value.flags})"
    if issubclass(kind, type(len)) and not issubclass(type(value.__self__), ModuleType):
        own = value.__self__
        text = builtin_callable(own) or constant(own) or label(own)
        return f"{text}.{value.__name__}"
    if kind in _GETTERS:
        return repr(value)
    if kind.__module__ == "numpy" and callable(value):
        return f"numpy.{value.__name__}" if kind.__name__ == "ufunc" else repr(value)
    return None


def library_name(value: Any) -> str | None:
    """Return the package and the name of a function or class of a library; None for others."""
    kind = type(value)
    if kind is FunctionType:
        is_named = "<locals>" not in value.__code__.co_qualname and not user_code.is_users_function(
            value
        )
    elif issubclass(kind, type):
        is_named = not user_code.is_users_class(value)
    else:
        is_named = issubclass(kind, (type(len), type(str.upper)))
    if not is_named or builtin_callable(value) is not None:
        return builtin_callable(value)
    name = label(value)
    return f"{name.partition('.')[0].lstrip('_')}.{name.rpartition('.')[2]}"


def is_data(value: Any) -> bool:
    """Return True if a value is neither a constant nor code, so that only its type counts."""
    if issubclass(type(value), (*_CODE, type(len), type(str.upper))):
        return False
    if value is MISSING:
        return True
    return (
        constant(value) is None
        and builtin_callable(value) is None
        and inner_callable(value) is None
    )


def is_users_function(value: Any) -> TypeGuard[FunctionType]:
    """Return True if a value is a function that the user wrote."""
    return type(value) is FunctionType and user_code.is_users_function(value)


def inner_callable(value: Any) -> Any:
    """Return the function in a wrapper, such as a job or an `lru_cache`; None for others."""
    if (fn := method(value)) is not None and fn is not value:
        return fn
    own = attributes(value)
    inner = own.get("__wrapped__")
    if inner is None and str(type(value).__module__).startswith("nbtasks."):
        return own.get("fn")
    return inner


def parts(value: Any) -> list[Any] | None:
    """Return what counts of an object of Python's own that cannot be pickled; None for others.

    >>> parts({"a": 1}.values()), parts(re.match(".", "ab"))
    ([1], ['.', 32, 'ab', 0, 2, ((0, 1),)])
    """
    read = _of_database if is_database(value) else _PARTS.get(type(value))
    if read is None:
        return None
    try:
        return read(value)
    except Exception:  # noqa: BLE001 - a pipe, a file that is being iterated, a closed database
        return None


def known_seed(value: Any) -> str | None:
    """Return the seed of a generator, "" if the system has seeded it; None if it does not say."""
    bits = getattr(value, "bit_generator", value)
    seeds = getattr(bits, "seed_seq", None)
    if (entropy := getattr(seeds, "entropy", None)) is None:
        return None
    if isinstance(entropy, int) and entropy >= _FRESH_ENTROPY:
        return ""
    return repr((entropy, getattr(seeds, "spawn_key", ())))


def is_database(value: Any) -> bool:
    """Return True for a connection of `sqlite3`, of which only the file counts."""
    kind = type(value)
    return (kind.__module__, kind.__name__) == ("sqlite3", "Connection")


def _of_database(value: Any) -> list[Any] | None:
    """Return the files of a database; None if it is in memory."""
    cursor = value.cursor()
    cursor.row_factory = None  # which may be the user's own code
    files = [file for _, _, file in cursor.execute("pragma database_list")]
    return files if any(files) else None


def _of_match(value: re.Match[Any]) -> list[Any]:
    pattern = value.re
    return [pattern.pattern, pattern.flags, value.string, value.pos, value.endpos, value.regs]


def _of_generator(value: GeneratorType[Any, Any, Any]) -> list[Any] | None:
    """Return the function of a generator, its variables, and the line where it waits."""
    frame = value.gi_frame
    if frame is None or value.gi_running:
        return None if value.gi_running else [value.gi_code.co_qualname, "finished"]
    code, variables = frame.f_code, frame.f_locals
    cells = tuple(CellType(variables.get(name)) for name in code.co_freevars)
    function = FunctionType(code, frame.f_globals, code.co_name, None, cells)
    begun = inspect.getgeneratorstate(value) != inspect.GEN_CREATED
    return [function, dict(variables), frame.f_lineno - code.co_firstlineno if begun else None]


def _of_file(value: Any) -> list[Any] | None:
    """Return the name, the place and the content of an open file."""
    if value.closed:
        return [str(value.name), value.mode, "closed"]
    status = os.fstat(value.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_FILE:
        return None
    content = os.pread(value.fileno(), status.st_size, 0) if value.readable() else b""
    return [str(value.name), value.mode, value.tell(), content]


#: Functions that return what counts of objects of these types.
_PARTS: dict[type, Callable[[Any], list[Any] | None]] = {
    re.Match: _of_match,
    GeneratorType: _of_generator,
    memoryview: lambda view: [view.format, view.shape, view.tobytes()],
    struct.Struct: lambda found: [found.format],
    os.DirEntry: lambda entry: [entry.path],
    itertools.count: lambda found: [repr(found)],
    **{
        type(view): list
        for mapping in (dict[Any, Any](), OrderedDict[Any, Any]())
        for view in (mapping.keys(), mapping.values(), mapping.items())
    },
    **dict.fromkeys(
        (_io.FileIO, _io.BufferedReader, _io.BufferedWriter, _io.BufferedRandom,
         _io.TextIOWrapper),
        _of_file,
    ),
    **{
        type(hashlib.new(name)): lambda found: [found.name, found.hexdigest()]
        for name in ("sha256", "blake2b")
    },
}  # fmt: skip


def attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object itself, without those of its class."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return own if type(own) is dict else {}


def member(cls: type, name: str) -> Any:
    """Return the member of a class or its bases with a name; `MISSING` if there is none."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return MISSING


def method(value: Any) -> FunctionType | None:
    """Return the function that a member of a class is, or wraps; None for others.

    Of a task function that is the plain function.
    """
    kind = type(value)
    if kind is property:
        value = value.fget
    elif kind is functools.cached_property:
        value = value.func
    elif kind in (staticmethod, classmethod):
        value = value.__func__
    if type(value) is not FunctionType:
        return None
    plain = parameters.unwrapped(value)
    return plain if type(plain) is FunctionType else value


def methods(cls: type) -> tuple[list[FunctionType], list[Any]]:
    """Return the functions that the body of a class defines, and the other code that it has.

    Functions that a decorator of the class generates, such as `dataclass`, are in neither list.
    """
    own: list[FunctionType] = []
    others: list[Any] = []
    members = list(vars(cls).items())
    members += [(name, part) for name, value in members if type(value) is property
             for part in (value.fset, value.fdel)]  # fmt: skip
    for name, value in members:
        if name.startswith("__annotate"):  # Python 3.14 generates this for annotations
            continue
        fn = method(value)
        if fn is not None and qualname(fn).startswith(f"{cls.__qualname__}."):
            own.append(fn)
        elif not is_data(value) and not _is_generated(name, fn):
            others.append(value)
    return own, others


def _is_generated(name: str, fn: FunctionType | None) -> bool:
    """Return True for members that Python or a decorator of the class generates."""
    if fn is None:
        return name.startswith("__")
    code = fn.__code__
    if code.co_filename.startswith("<attrs") or not user_code.is_users_function(fn):
        return True
    return name.startswith("__") and (
        code.co_qualname.startswith("__create_fn__.") or code.co_filename == "<string>"
    )


def module(fn: FunctionType) -> str:
    """Return the name of the module that defines a function."""
    return str(fn.__globals__.get("__name__", "__main__"))


def qualname(fn: FunctionType) -> str:
    """Return the qualified name of a function's code, whatever names the function has since."""
    code = fn.__code__
    return fn.__qualname__ if bytecode.is_reloaded(code) else code.co_qualname


def label(value: Any) -> str:
    """Return the qualified name of a function or class; for other objects, of their class.

    >>> label(len), label("".join), label(3)
    ('builtins.len', 'builtins.str.join', 'builtins.int')
    """
    kind = type(value)
    if kind is FunctionType:
        return f"{_public_module(module(value))}.{qualname(value)}"
    if kind is MethodType:
        return label(value.__func__)
    if issubclass(kind, functools.partial):
        return label(value.func)
    if issubclass(kind, type(len)) and not issubclass(type(value.__self__), ModuleType):
        own = value.__self__
        cls = own if issubclass(type(own), type) else type(own)
        return f"{cls.__module__}.{cls.__qualname__}.{value.__name__}"
    if kind in _NAMED:
        module_name = value.__module__ if kind is type(len) else value.__objclass__.__module__
        return f"{module_name}.{value.__qualname__}"
    named_class = value if issubclass(kind, type) else kind
    return f"{_public_module(named_class.__module__)}.{named_class.__qualname__}"


def _public_module(name: str) -> str:
    """Return a module's name without private parts, where versions of Python keep their code."""
    first, _, rest = str(name).partition(".")
    if rest and first in sys.stdlib_module_names:
        return ".".join([first, *(part for part in rest.split(".") if part[:1] != "_")])
    return name


def final_callee(value: Any) -> Any:
    """Return the final callee of a value: a function, a class, or an object."""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        if type(value) is MethodType:
            value = value.__func__
        elif issubclass(type(value), functools.partial):
            value = value.func
        elif (inner := inner_callable(value)) is not None:
            value = inner
    return value


def callee_module(value: Any) -> str:
    """Return the module of the final callee of a value."""
    callee = final_callee(value)
    if type(callee) is FunctionType:
        return module(callee)
    return str((callee if issubclass(type(callee), type) else type(callee)).__module__)
