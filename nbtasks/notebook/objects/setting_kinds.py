"""Kinds of settings of the process: how their values are read, and how one is set."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["ENVIRONMENT", "KINDS", "Setting", "Values", "added_to_path"]

Values = dict[str, Any]
ENVIRONMENT: Final = "environment variable"


class Setting(NamedTuple):
    """Kind of setting.

    Attributes:
        read: Function that returns the values by name.
        write: Function that sets one.
        module: Library that has it; empty if it is always there.
        usual: Function that returns the values as the library sets them when it is loaded.
    """

    read: Callable[[], Values]
    write: Callable[[str, Any], None]
    module: str = ""
    usual: Callable[[], Values] = dict


@functools.cache
def _first_folder() -> Path:
    """Return the folder in which the process began, as far as this is known: a copy of a notebook
    begins in another one."""
    return Path.cwd()


def _read_folder() -> Values:
    first, now = _first_folder(), Path.cwd()
    inside = str(now.relative_to(first)) if now.is_relative_to(first) else None
    return {"the working directory": (str(first), str(now), inside)}


def _write_folder(_: str, folder: tuple[str, str, str | None]) -> None:
    """Change to a folder; where the notebook was moved, to one below that in which it began."""
    first, now, inside = folder
    if first == str(_first_folder()):
        os.chdir(now)
    elif inside is not None:
        os.chdir(_first_folder() / inside)
    else:
        raise NotADirectoryError(now)  # of the place where it was recorded


def _read_environment() -> Values:
    return dict(os.environ)


def _write_variable(name: str, _: None) -> None:
    if name not in os.environ:
        raise LookupError(name)  # its value is not recorded


def _read_path() -> Values:
    return {"sys.path": [*sys.path]}


def added_to_path(before: list[str]) -> dict[str, list[str]]:
    """Return the new entries in front of the others, and those behind them."""
    old = [number for number, entry in enumerate(sys.path) if entry in before]
    first = old[0] if old else 0
    parts = {"front": sys.path[:first], "end": sys.path[first:]}
    return {name: [each for each in part if each not in before] for name, part in parts.items()}


def _write_path(_: str, added: dict[str, list[str]]) -> None:
    front, end = (
        [entry for entry in added[name] if entry not in sys.path] for name in ("front", "end")
    )
    sys.path[:] = [*front, *sys.path, *end]


def _read_filters() -> Values:
    return {"filters of warnings": [*warnings.filters]}


def _write_filters(_: str, filters: list[Any]) -> None:
    missing = [each for each in filters if each not in warnings.filters]
    for action, message, category, module, line in reversed(missing):
        texts = {"message": message, "module": module}
        patterns = {name: text.pattern for name, text in texts.items() if text is not None}
        warnings.filterwarnings(action, category=category, lineno=line, **patterns)


def _read_limit() -> Values:
    return {"sys.setrecursionlimit": sys.getrecursionlimit()}


def _write_limit(_: str, limit: int) -> None:
    sys.setrecursionlimit(limit)


_DECIMAL: Final = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _read_decimal() -> Values:
    return _decimal(sys.modules["decimal"].getcontext())


def _decimal(context: Any) -> Values:
    found: Values = {name: getattr(context, name) for name in _DECIMAL}
    return {**found, "traps": dict(context.traps)}


def _write_decimal(name: str, value: Any) -> None:
    setattr(sys.modules["decimal"].getcontext(), name, value)


def _usual_decimal() -> Values:
    return _decimal(sys.modules["decimal"].DefaultContext)


def _read_log_level() -> Values:
    return {"level": sys.modules["logging"].getLogger().level}


def _write_log_level(_: str, level: int) -> None:
    sys.modules["logging"].getLogger().setLevel(level)


_USUAL_PRINTS: Final[Values] = {
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False,
    "linewidth": 75, "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None,
}  # fmt: skip
_USUAL_ERRORS: Final[Values] = {
    "divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn",
}  # fmt: skip


def _read_prints() -> Values:
    return dict(sys.modules["numpy"].get_printoptions())


def _write_prints(name: str, value: Any) -> None:
    sys.modules["numpy"].set_printoptions(**{name: value})


def _read_errors() -> Values:
    return dict(sys.modules["numpy"].geterr())


def _write_errors(name: str, value: Any) -> None:
    sys.modules["numpy"].seterr(**{name: value})


def _read_pandas() -> Values:
    return dict(_leaves(vars(sys.modules["pandas"].options)["d"], ""))


def _usual_pandas() -> Values:
    options: Values = vars(sys.modules["pandas._config.config"])["_registered_options"]
    return {name: option.defval for name, option in options.items()}


def _leaves(options: Values, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _write_pandas(name: str, value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.modules["pandas"].set_option(name, value)


#: The backend is the front end's affair.
_OF_THE_FRONT_END: Final = ("backend", "backend_fallback", "interactive", "toolbar")


def _read_plots() -> Values:
    parameters = dict.items(sys.modules["matplotlib"].rcParams)  # as they are, without warnings
    return {name: value for name, value in parameters if name not in _OF_THE_FRONT_END}


def _write_plots(name: str, value: Any) -> None:
    sys.modules["matplotlib"].rcParams[name] = value


def _usual_plots() -> Values:
    return dict.copy(sys.modules["matplotlib"].rcParamsOrig)


def _read_learn() -> Values:
    return dict(sys.modules["sklearn"].get_config())


def _usual_learn() -> Values:
    return dict(vars(sys.modules["sklearn._config"])["_global_config"])  # threads change copies


def _write_learn(name: str, value: Any) -> None:
    sys.modules["sklearn"].set_config(**{name: value})


KINDS: Final[dict[str, Setting]] = {
    "the working directory": Setting(_read_folder, _write_folder),
    ENVIRONMENT: Setting(_read_environment, _write_variable),
    "sys.path": Setting(_read_path, _write_path),
    "filters of warnings": Setting(_read_filters, _write_filters),
    "sys.setrecursionlimit": Setting(_read_limit, _write_limit),
    "decimal": Setting(_read_decimal, _write_decimal, "decimal", _usual_decimal),
    "logging": Setting(_read_log_level, _write_log_level, "logging"),
    "print options of NumPy": Setting(_read_prints, _write_prints, "numpy", _USUAL_PRINTS.copy),
    "floating-point errors of NumPy": Setting(
        _read_errors, _write_errors, "numpy", _USUAL_ERRORS.copy
    ),
    "options of pandas": Setting(_read_pandas, _write_pandas, "pandas", _usual_pandas),
    "options of Matplotlib": Setting(_read_plots, _write_plots, "matplotlib", _usual_plots),
    "options of scikit-learn": Setting(_read_learn, _write_learn, "sklearn", _usual_learn),
}

with suppress(OSError):  # it may be gone
    _first_folder()
