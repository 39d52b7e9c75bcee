"""The house: twelve packages, short listings, imports that run one way."""

from __future__ import annotations

from pathlib import Path

from tests.house.code import PACKAGE, place
from tests.house.layout import cycles, entries, imports, names

#: Packages, from the edges to the core: none imports from an earlier line.
LAYERS = (
    "__main__",
    "cli notebook testing integrations",
    "jobs",
    "io views",
    "engine",
    "journal",
    "values",
    "core",
    "errors",
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}
FOLDERS = [
    PACKAGE,
    *(
        path
        for path in PACKAGE.rglob("*")
        if path.is_dir() and path.name != "__pycache__" and any(path.glob("*.*"))
    ),
]


def listing(folder: Path) -> list[str]:
    """The entries that a reader sees: not those that Python makes or asks for."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in ("__pycache__", "py.typed", "__init__.py")
        and (path.is_file() or any(inner.suffix != ".pyc" for inner in path.rglob("*.*")))
    )


def test_the_top_holds_twelve_packages_and_the_two_modules_python_asks_for() -> None:
    packages = [name for name in listing(PACKAGE) if name != "__main__.py"]

    assert len(packages) == 12
    assert set(packages) == RANK.keys() - {"__main__"}


def test_no_folder_lists_more_than_fifteen_entries() -> None:
    counts = {place(folder): len(listing(folder)) for folder in FOLDERS}

    assert len(counts) > 20, "the check is blind"
    assert {name: n for name, n in counts.items() if n > 15} == {}


def test_packages_are_two_levels_deep_and_only_the_widgets_script_lies_deeper() -> None:
    inside = [folder.relative_to(PACKAGE) for folder in FOLDERS]

    assert [path.as_posix() for path in inside if len(path.parts) > 2] == [
        "notebook/widgets/static"
    ]


def test_no_modules_import_each_other_even_for_types() -> None:
    graph = imports()

    assert len(graph) > 150, "the check is blind"
    assert sum(map(len, graph.values())) > 700, "the check is blind"
    assert cycles(graph) == []


def test_no_entries_of_a_package_import_each_other() -> None:
    packages = {name.rpartition(".")[0] for name in names() if "." in name}
    graph = imports()

    assert len(packages) > 20, "the check is blind"
    assert {name: found for name in packages if (found := cycles(entries(graph, name)))} == {}


def test_imports_run_from_the_edges_to_the_core() -> None:
    upward = [
        f"{module} -> {target}"
        for module, targets in imports().items()
        for target in targets
        if "." in module and "." in target
        if RANK[target.split(".")[1]] < RANK[module.split(".")[1]]
    ]

    assert upward == []


def test_cycles_are_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": set()}) == []
