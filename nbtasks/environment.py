"""What a pickle may depend on: the Python and the libraries of the process that made it."""

from __future__ import annotations

import sys

__all__ = ["differences", "installed", "python", "versions"]

_MOST_SHOWN = 8


def python() -> str:
    """The Python of this process, as `3.11.9`."""
    return ".".join(map(str, sys.version_info[:3]))


def versions() -> dict[str, str]:
    """The libraries that are loaded in this process, by the names they are imported by.

    >>> "pydantic" in versions()
    True
    """
    found = {}
    for name, module in list(sys.modules.items()):
        if "." not in name and name[:1] != "_":
            version = vars(module).get("__version__") if hasattr(module, "__dict__") else None
            if isinstance(version, str):
                found[name] = version
    return dict(sorted(found.items()))


def differences(recorded_python: str, recorded: dict[str, str]) -> str:
    """In what this process differs from one that was recorded, as people say it.

    >>> differences("2.7.18", {"numpy": "1.0"}).startswith("Python 2.7.18 then and ")
    True
    """
    here, said = versions(), []
    if recorded_python != python():
        said.append(f"Python {recorded_python} then and {python()} now")
    for name, version in recorded.items():
        now = here.get(name) or installed(name)
        if now != version:
            said.append(f"{name} {version} then and {now or 'not there'} now")
    more = len(said) - _MOST_SHOWN
    return "; ".join(said[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def installed(name: str) -> str | None:
    """The version of a package that is installed here, loaded or not."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
