"""Import graph of the package: all imports, also those for types and those inside functions."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache

from tests.house.code import PACKAGE, modules, parsed

Graph = dict[str, set[str]]


@cache
def names() -> dict[str, ast.Module]:
    """Return the parsed modules by their dotted names."""
    found = {}
    for path in modules():
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = parsed(path)
    return found


def imports() -> Graph:
    """Return the modules of the package that each of them imports."""
    known, graph = names(), {}
    for module, tree in known.items():
        targets: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    targets.add(full if full in known else node.module)
            elif isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
        graph[module] = (targets & known.keys()) - {module}
    return graph


def entries(graph: Graph, package: str) -> Graph:
    """Return the graph between the entries of a package: its modules and its packages."""
    prefix = f"{package}."

    def entry(module: str) -> str | None:
        return module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else None

    grouped: Graph = defaultdict(set)
    for module, targets in graph.items():
        if source := entry(module):
            grouped[source] |= {name for name in map(entry, targets) if name not in (None, source)}
    return dict(grouped)


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that import each other, each sorted.

    >>> cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    [['a', 'b', 'c']]
    """
    reach: Graph = {}
    for start in graph:
        todo, seen = [start], set()
        while todo:
            for target in graph.get(todo.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        reach[start] = seen
    groups = {
        tuple(sorted(b for b in reach[a] | {a} if a in reach.get(b, ())))
        for a in graph
        if a in reach[a]
    }
    return [list(group) for group in sorted(groups)]
