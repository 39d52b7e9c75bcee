"""Data attributes of classes and functions: constants that the source alone does not show.

A class counts by its source, which shows `size = 10`, but not the value of `size = n * 10`, nor
what is set afterwards, by a decorator, by a factory or by a metaclass. Such attributes count by
value, as globals do. What Python and libraries note in a class does not count.
"""

from __future__ import annotations

import ast
import enum
import functools
from collections.abc import Iterator, Mapping, Sequence
from types import CellType, FunctionType, ModuleType
from typing import Any

from nbtasks.engine.fingerprint import bytecode, introspection, members, user_code
from nbtasks.engine.fingerprint.watch import FIELD_TABLES, MISSING, cell_contents

__all__ = [
    "Place",
    "find_place",
    "is_related",
    "list_assigned_to_class",
    "of_class",
    "of_function",
    "of_module",
    "outline",
]

#: Identity of a variable: the id of its container, and its name in there.
Place = tuple[int, str]

_MOST_TEXTS = 1000
_UNKNOWN = ast.Name("_")
_HOLDERS = (type, FunctionType, ModuleType)
#: Names that Python and libraries set in a class.
_NOTED = frozenset(["_is_protocol", "_is_runtime_protocol", "model_post_init"])
_DESCRIPTIONS = frozenset(
    ["__annotations__", "__doc__", "__match_args__", "__module__", "__qualname__", "__slots__"]
)
#: Methods that run while their class, or a class of their metaclass, is created.
_CREATE = ("__init_subclass__", "__set_name__")
_CREATE_OF_METACLASS = ("__new__", "__init__", "__prepare__", *_CREATE)


def of_class(cls: type, text: str | None) -> list[tuple[str, Any]]:
    """Return the data attributes of a class that its source does not show, with their values.

    Data that may hold code is among them in any case.

    Args:
        cls: The class.
        text: Its normalized source; None if there is none, and `outline` stands for it.
    """
    shown = _outlined(cls) if text is None else _shown(text, cls.__name__.lstrip("_"))
    return [
        (name, value)
        for name, value in _candidates(cls, shown).items()
        if members.may_hold_code(value) or shown.get(name) != _text(value)
    ]


def of_function(fn: FunctionType) -> list[tuple[str, Any]]:
    """Return the attributes that were set on a function, by name."""
    own = fn.__dict__
    return sorted((name, own[name]) for name in own if not _is_special(name)) if own else []


def of_module(value: Any) -> list[str]:
    """Return the names that count of a user's module which code has as a value, since it may look
    up any of them; none for other values, and for the notebook. Modules in a module do not count.
    """
    is_module = issubclass(type(value), ModuleType) and value.__name__ != "__main__"
    if not is_module or not user_code.is_users_module(value):
        return []
    return sorted(
        name
        for name, value in vars(value).items()
        if not _is_special(name) and not issubclass(type(value), ModuleType)
    )


def _candidates(cls: type, shown: Mapping[str, str]) -> dict[str, Any]:
    own = dict(vars(cls))
    if issubclass(type(cls), enum.EnumType):
        values = {
            name: introspection.attributes(member).get("_value_")
            for name, member in own.get("_member_map_", {}).items()
        }
        return {name: value for name, value in values.items() if _text(value) is not None}
    found = {}
    for name, value in own.items():
        if _is_special(name):
            is_counted = name in shown and name not in _DESCRIPTIONS
            is_counted = is_counted and introspection.constant(value) is not None
        else:
            is_counted = name in shown or name not in _NOTED
            is_counted = is_counted and (_text(value) is not None or members.may_hold_code(value))
        if is_counted:
            found[name] = value
    inherited = {name: default for base in cls.__mro__[:0:-1] for name, default in _fields(base)}
    found |= {
        name: default
        for name, default in _fields(cls)
        if inherited.get(name, MISSING) is not default and _is_default(cls, default)
    }
    return found | _method_defaults(cls)


def _is_default(cls: type, value: Any) -> bool:
    """Return True for a constant, and for a factory that is defined outside the class."""
    if introspection.is_users_function(value):
        return not introspection.qualname(value).startswith(f"{cls.__qualname__}.")
    return introspection.constant(value) is not None


def _fields(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a dataclass, a named tuple, or another such class with their defaults."""
    for table in FIELD_TABLES:
        fields: Any = vars(cls).get(table)
        if issubclass(type(fields), tuple):  # of attrs
            fields = {field.name: field for field in fields}
        if type(fields) is not dict:
            continue
        for name, field in fields.items():
            if table == "_field_defaults":
                yield name, field
                continue
            default = getattr(field, "default", MISSING)
            factory = getattr(field, "default_factory", getattr(default, "factory", None))
            yield name, factory if introspection.is_users_function(factory) else default


def _method_defaults(cls: type) -> dict[str, Any]:
    """Return the constants that are defaults of the user's methods, by method and parameter."""
    found: dict[str, Any] = {}
    for fn in introspection.methods(cls)[0]:
        name = fn.__name__
        code, defaults = fn.__code__, fn.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        pairs = (*zip(names, defaults, strict=True), *(fn.__kwdefaults__ or {}).items())
        found |= {f"{name}.{arg}": item for arg, item in pairs if _text(item) is not None}
    return found


def _text(value: Any) -> str | None:
    text = introspection.constant(value)
    return introspection.library_name(value) if text is None else text


def _is_special(name: str) -> bool:
    return name[:2] == "__" and name[-2:] == "__"


# -- what the source shows ------------------------------------------------------------------------


def outline(cls: type, texts: Sequence[tuple[str, str]]) -> str:
    """Return an outline of a class whose source is not available.

    Args:
        cls: The class.
        texts: The names of its methods with their sources.
    """
    bases = ", ".join(base.__qualname__ for base in cls.__bases__)
    lines = [f"class {cls.__qualname__}({bases}):"]
    lines += [f"    {name}: {kind}" for name, kind in vars(cls).get("__annotations__", {}).items()]
    lines += [f"    {name} = {text}" for name, text in _outlined(cls).items()]
    lines += [f"    # {name}: {text}" for name, text in texts]
    return "\n".join(lines)


def _outlined(cls: type) -> dict[str, str]:
    return {
        name: text
        for name, value in vars(cls).items()
        if not name.startswith("__") and (text := introspection.constant(value)) is not None
    }


@functools.lru_cache(maxsize=_MOST_TEXTS)
def _shown(text: str, class_name: str) -> dict[str, str]:
    """Return the names that a class's source assigns, with the constants that it shows.

    The text is empty where the source does not show the value.
    """
    shown: dict[str, str] = {}
    pairs: list[tuple[ast.expr, ast.expr]]
    for statement in ast.parse(text).body[0].body:  # type: ignore[attr-defined]  # a class's
        match statement:
            case ast.Assign(targets=targets, value=value):
                pairs = [(target, value) for target in targets]
            case ast.AnnAssign(value=ast.expr() as value):
                pairs = [(statement.target, value)]
            case ast.AugAssign():
                pairs = [(statement.target, _UNKNOWN)]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                shown |= _shown_defaults(statement)
                continue
            case _:
                continue
        for target, value in pairs:
            shown |= _targets(target, value)
    return {
        f"_{class_name}{name}" if _is_private(name) else name: value
        for name, value in shown.items()
    }


def _is_private(name: str) -> bool:
    return name[:2] == "__" and not _is_special(name) and "." not in name


def _targets(target: ast.expr, value: ast.expr | None) -> dict[str, str]:
    match target, value:
        case ast.Name(id=name), _:
            return {name: _literal(value)}
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            parts = [_targets(*pair) for pair in zip(targets, values, strict=True)]
        case ast.Tuple(elts=targets), _:
            parts = [_targets(each, None) for each in targets]
        case _:
            return {}
    return {name: text for part in parts for name, text in part.items()}


def _shown_defaults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    args = node.args
    names = [*args.posonlyargs, *args.args]
    pairs = [
        *zip(names[len(names) - len(args.defaults) :], args.defaults, strict=True),
        *zip(args.kwonlyargs, args.kw_defaults, strict=True),
    ]
    return {f"{node.name}.{arg.arg}": _literal(value) for arg, value in pairs if value is not None}


def _literal(value: ast.expr | None) -> str:
    try:
        return introspection.constant(ast.literal_eval(value)) or "" if value is not None else ""
    except ValueError:
        return ""


# -- what code assigns ----------------------------------------------------------------------------


def find_place(
    kind: str, chain: bytecode.Chain, names: Mapping[str, Any], cells: dict[str, CellType]
) -> Place:
    """Return the variable that an assignment changes.

    That is a name, or an attribute of a module, a class or a function.
    """
    if kind == "free":
        cell = cells.get(chain[0])
        value = MISSING if cell is None else cell_contents(cell)
        if len(chain) == 1 or not issubclass(type(value), _HOLDERS):
            return id(cell), ""
        names = {chain[0]: value}
    holder: Any = names
    for name in chain[:-1]:
        holder = names.get(name)
        if not issubclass(type(holder), _HOLDERS):
            return 0, ""
        names = vars(holder)
        holder = names if issubclass(type(holder), ModuleType) else holder
    return id(holder), chain[-1]


def list_assigned_to_class(cls: type, fn: FunctionType, reads: bytecode.Reads) -> set[str]:
    """Return the attributes of its class that a method assigns, as a counter of objects does.

    Methods that run when a class is created give it its values, so these do not count.
    """
    name = fn.__name__
    if issubclass(cls, type):
        is_of_class = name not in _CREATE_OF_METACLASS
    else:
        is_of_class = name == "__new__" or isinstance(vars(cls).get(name), classmethod)
        is_of_class = is_of_class and name not in _CREATE
    return {
        chain[-1]
        for kind, chain in reads.stored
        if kind == "own" and (chain[:-1] == ("__class__",) or (is_of_class and len(chain) == 1))
    }


def is_related(cls: Any, owner: type) -> bool:
    """Return True if what methods of one class assign to their class is an attribute of another.

    >>> is_related(bool, int), is_related(int, type), is_related(str, int)
    (True, True, False)
    """
    if not issubclass(type(cls), type):
        return False
    return owner in cls.__mro__ or cls in owner.__mro__ or owner in type(cls).__mro__
