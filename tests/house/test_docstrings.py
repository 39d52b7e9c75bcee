"""Docstrings name the parameters, attributes and classes of today's code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.house.code import modules, parsed, place

Function = ast.FunctionDef | ast.AsyncFunctionDef
#: An entry of a section: `name: text`, `**name: text`.
ENTRY = re.compile(r"\*{0,2}(\w+):(?: |$)")
#: In backticks: a class or a module of the package, and a name in it.
REFERENCE = re.compile(r"`(?:\w+\.)*(\w+)\.(\w+)(?:\([^`]*\))?`")


@cache
def classes() -> dict[str, ast.ClassDef]:
    """Return the classes of the package by name."""
    return {
        node.name: node
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    }


@cache
def names_in_modules() -> dict[str, set[str]]:
    """Return the classes and imported names of each module, or of those of one name."""
    found: dict[str, set[str]] = {}
    for module in modules():
        stem = module.stem if module.stem != "__init__" else module.parent.name
        found.setdefault(stem, set()).update(
            part.name
            for node in parsed(module).body
            if isinstance(node, ast.ClassDef | ast.ImportFrom)
            for part in ([node] if isinstance(node, ast.ClassDef) else node.names)
        )
    return found


def section(doc: str, title: str) -> list[str]:
    """The names that a section of a docstring describes."""
    names: list[str] = []
    lines = iter(doc.splitlines())
    for line in lines:
        if line.strip() == f"{title}:":
            margin = len(line) - len(line.lstrip())
            for entry in lines:
                depth = len(entry) - len(entry.lstrip())
                if not entry.strip() or depth <= margin:
                    break
                match = ENTRY.match(entry.strip())
                if depth == margin + 4 and match:
                    names.append(match[1])
    return names


def parameters(function: Function) -> set[str]:
    args = function.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return {arg.arg for arg in every if arg is not None}


def lineage(cls: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The class and its bases, as far as they are the package's own."""
    yield cls
    for base in cls.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        parent = classes().get(getattr(name, "id", getattr(name, "attr", "")))
        if parent is not None and parent is not cls:
            yield from lineage(parent)


def fields(cls: ast.ClassDef) -> set[str]:
    return {
        node.target.id
        for node in cls.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def construction(cls: ast.ClassDef) -> set[str]:
    """The parameters that make an instance."""
    for each in lineage(cls):
        for node in each.body:
            if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__new__"):
                return parameters(node)
    return set().union(*map(fields, lineage(cls)))


def attributes(cls: ast.ClassDef) -> set[str]:
    names: set[str] = set()
    for each in lineage(cls):
        names |= fields(each)
        for node in each.body:
            if isinstance(node, Function | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        names |= {
            node.attr
            for node in ast.walk(each)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        }
    return names


def misnamed(tree: ast.AST) -> Iterator[str]:
    """The entries of sections that no parameter and no attribute has the name of."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            described = [("Args", parameters(node))]
        elif isinstance(node, ast.ClassDef):
            described = [("Args", construction(node)), ("Attributes", attributes(node))]
        else:
            continue
        for title, names in described:
            for name in section(ast.get_docstring(node) or "", title):
                if name not in names:
                    yield f"{node.name}: {title}: {name}"


def dangling(tree: ast.AST) -> Iterator[str]:
    """The references to attributes that a class lacks, and to classes that a module lacks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            for match in REFERENCE.finditer(ast.get_docstring(node) or ""):
                owner, name = match.groups()
                if owner in classes():
                    names = attributes(classes()[owner])
                elif owner in names_in_modules() and re.match("[A-Z]+[a-z]", name):
                    names = names_in_modules()[owner]
                else:
                    continue
                if name not in names:
                    yield match[0]


def test_sections_name_the_parameters_and_attributes_there_are() -> None:
    assert {
        place(path): found for path in modules() if (found := list(misnamed(parsed(path))))
    } == {}


def test_references_in_docstrings_lead_somewhere() -> None:
    assert {
        place(path): found for path in modules() if (found := list(dangling(parsed(path))))
    } == {}


def test_the_rules_find_what_they_are_for() -> None:
    tree = ast.parse(
        '''
class Job:
    """Job; `run.Gone` and `Run.gone` are no more, `run.Run` and `Run.output` are.

    Args:
        key: Key.
            more: of it
        old: Gone.

    Attributes:
        id: Id.
        lost: Gone.
    """

    def __init__(self, key: str) -> None:
        self.id = key

def run(job, *rest, **fields):
    """Run.

    Args:
        job: Job.
        *rest: Others.
        **field: Gone.
    """
'''
    )

    assert list(misnamed(tree)) == ["Job: Args: old", "Job: Attributes: lost", "run: Args: field"]
    assert list(dangling(tree)) == ["`run.Gone`", "`Run.gone`"]
    assert len(classes()) > 200, "the check is blind"
    assert (
        sum(len(section(ast.get_docstring(cls) or "", "Args")) for cls in classes().values()) > 100
    )
