"""The environment that pickles may depend on: Python and the loaded libraries of a process."""

from __future__ import annotations

import sys

__all__ = ["differences", "installed", "python", "versions"]

_MOST_SHOWN = 8


def python() -> str:
    """Return the version of Python in this process, as `3.11.9`."""
    return ".".join(map(str, sys.version_info[:3]))


def versions() -> dict[str, str]:
    """Return the versions of the libraries loaded in this process, by their import names.

    >>> "pydantic" in versions()
    True
    """
    by_name = {}
    for name, module in list(sys.modules.items()):
        if "." not in name and name[:1] != "_":
            version = vars(module).get("__version__") if hasattr(module, "__dict__") else None
            if isinstance(version, str):
                by_name[name] = version
    return dict(sorted(by_name.items()))


def differences(recorded_python: str, recorded: dict[str, str]) -> str:
    """Return how this process differs from a recorded one, in words.

    >>> differences("2.7.18", {"numpy": "1.0"}).startswith("Python 2.7.18 then and ")
    True
    """
    loaded, parts = versions(), []
    if recorded_python != python():
        parts.append(f"Python {recorded_python} then and {python()} now")
    for name, version in recorded.items():
        current = loaded.get(name) or installed(name)
        if current != version:
            parts.append(f"{name} {version} then and {current or 'not installed'} now")
    more = len(parts) - _MOST_SHOWN
    return "; ".join(parts[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def installed(name: str) -> str | None:
    """Return the version of a package that is installed here, loaded or not; None if it is not."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
