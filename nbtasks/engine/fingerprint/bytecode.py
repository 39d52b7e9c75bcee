"""Analysis of code objects: the outer names they read, and a digest of what they do."""

from __future__ import annotations

import dis
import hashlib
import itertools
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

__all__ = [
    "Chain",
    "Reads",
    "analyse_reads",
    "digest",
    "has_name",
    "is_of_another_version",
    "is_reloaded",
    "iter_inner_code",
    "outline",
]

#: A name, and the attributes that are read from it in turn: `helpers.clean`.
Chain = tuple[str, ...]

_RELOADED = "__autoreload_class__."
_COMPILED = "# bytecode of Python "
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_FREE = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
_NOTHING = {"CACHE", "EXTENDED_ARG", "NOP", "RESUME", "PUSH_NULL", "PRECALL"}
_STORES_GLOBAL = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_STORES_FREE = {"STORE_DEREF", "DELETE_DEREF"}
_STORES_ATTRIBUTE = {"STORE_ATTR", "DELETE_ATTR"}


class Reads(NamedTuple):
    """Outer names that a code object reads, including the code defined within it.

    Attributes:
        names: Chains that begin with a global name.
        free: Chains that begin with a name of an enclosing function.
        own: Chains that begin with the first argument, without it: `rate` for `self.rate`.
        stored: The chains of any of the three kinds that the code assigns, with their kind.
    """

    names: tuple[Chain, ...]
    free: tuple[Chain, ...]
    own: tuple[Chain, ...]
    stored: frozenset[tuple[str, Chain]]


def analyse_reads(code: CodeType) -> Reads:
    """Return the outer names that a function's code reads.

    >>> analyse_reads((lambda x: helpers.clean(x, RATE)).__code__).names
    (('RATE',), ('helpers', 'clean'))
    """
    chains: dict[str, set[Chain]] = {"names": set(), "free": set(), "own": set()}
    stored: set[tuple[str, Chain]] = set()
    own = code.co_varnames[0] if code.co_argcount else None
    for kind, chain, is_stored in _accesses(code, own, frozenset(code.co_freevars)):
        if is_stored:
            stored.add((kind, chain))
        else:
            chains[kind].add(chain)
    names, free, own_chains = (tuple(sorted(chains[kind])) for kind in ("names", "free", "own"))
    return Reads(names, free, own_chains, frozenset(stored))


def iter_inner_code(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects defined within a code object, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from iter_inner_code(constant)


def _accesses(
    code: CodeType, own: str | None, free: frozenset[str]
) -> Iterator[tuple[str, Chain, bool]]:
    """Yield each access to an outer name: its kind, its chain, and True for an assignment."""
    yield from _augmented(code, own, free)
    yield from _stored_on_type(code)
    kind, chain = "", ()  # type: str, Chain
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name in _NOTHING:
            continue
        if kind and name in _ATTRIBUTE:
            chain = (*chain, argument)
            continue
        if kind:
            is_stored = name in _STORES_ATTRIBUTE
            yield kind, (*chain, argument) if is_stored else chain, is_stored
        if name in _STORES_GLOBAL or (name in _STORES_FREE and argument in free):
            yield "names" if name in _STORES_GLOBAL else "free", (argument,), True
        kind, chain = _begin_chain(name, argument, own, free)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            visible = free & frozenset(constant.co_freevars)
            captured = own if own in constant.co_freevars else None
            yield from _accesses(constant, captured, visible)


def _augmented(
    code: CodeType, own: str | None, free: frozenset[str]
) -> Iterator[tuple[str, Chain, bool]]:
    """Yield the assignments as in `self.n += 1`: it reads one copy, and assigns to the other."""
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _NOTHING]
    kind, chain = "", ()  # type: str, Chain
    for instruction, following in itertools.pairwise(instructions):
        name = instruction.opname
        if kind and name in _ATTRIBUTE:
            chain = (*chain, instruction.argval)
        elif kind and name == "COPY" and following.opname in _ATTRIBUTE:
            yield kind, (*chain, following.argval), True
            kind = ""
        else:
            kind, chain = _begin_chain(name, instruction.argval, own, free)


def _stored_on_type(code: CodeType) -> Iterator[tuple[str, Chain, bool]]:
    """Yield the assignments as in `type(self).n = 1` and `type(self).n += 1`."""
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _NOTHING]
    for number, (first, value, call) in enumerate(
        zip(instructions, instructions[1:], instructions[2:], strict=False)
    ):
        is_global_type = first.opname in _GLOBAL and first.argval == "type"
        if not is_global_type or "LOAD_FAST" not in value.opname or call.opname != "CALL":
            continue
        rest = instructions[number + 3 : number + 5]
        if rest[0].opname in _STORES_ATTRIBUTE:
            yield "own", ("__class__", rest[0].argval), True
        elif rest[0].opname == "COPY" and rest[1].opname in _ATTRIBUTE:
            yield "own", ("__class__", rest[1].argval), True


def _begin_chain(
    name: str, argument: Any, own: str | None, free: frozenset[str]
) -> tuple[str, Chain]:
    """Return the kind and the chain that an instruction begins; an empty kind if none."""
    if name in _GLOBAL:
        return "names", (argument,)
    if name in _FREE and argument in free:
        return "free", (argument,)
    if name in _FREE or "LOAD_FAST" in name:
        # some instructions load two variables at once; the last one is on top of the stack
        last = argument[-1] if isinstance(argument, tuple) else argument
        return ("own" if last == own else ""), ()
    return "", ()


def is_reloaded(code: CodeType) -> bool:
    """Return True for a method of which IPython's `%autoreload` has replaced the code.

    Its qualified name does not say of which class, and its line numbers are not those of the file.
    """
    return code.co_qualname.startswith(_RELOADED)


def has_name(code: CodeType, of: CodeType, scope: str = "") -> bool:
    """Return True if code may be the definition of other code, by its qualified name.

    Args:
        code: The code.
        of: The other code, which may be reloaded.
        scope: The qualified name of its class, if that is known.
    """
    if is_reloaded(of):
        return code.co_qualname.endswith(f"{scope}.{of.co_qualname.removeprefix(_RELOADED)}")
    return code.co_qualname == of.co_qualname


def digest(code: CodeType) -> str:
    """Return a digest of the instructions, without line numbers, file names and docstrings."""
    return hashlib.blake2b("\n".join(_lines(code)).encode(), digest_size=16).hexdigest()


def outline(code: CodeType) -> str:
    """Return the text that stands for the source of a function that has none."""
    return f"{_COMPILED}{_VERSION}: {digest(code)}"


def is_of_another_version(text: str) -> bool:
    """Return True for an outline by another version of Python, which compiles in another way."""
    return text.startswith(_COMPILED) and not text.startswith(f"{_COMPILED}{_VERSION}: ")


def _lines(code: CodeType) -> Iterator[str]:
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    yield f"{code.co_name} {counts} {code.co_varnames[: sum(counts)]}"
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("CACHE", "EXTENDED_ARG"):
            continue
        argument = instruction.argval
        if isinstance(argument, CodeType):
            yield f"{instruction.opname} {digest(argument)}"
        else:
            yield f"{instruction.opname} {_show(argument)}"


def _show(constant: object) -> str:
    """Return a constant as text; sort sets, whose order varies."""
    if isinstance(constant, frozenset):
        return f"{{{', '.join(sorted(map(_show, constant)))}}}"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_show, constant))})"
    return repr(constant)
