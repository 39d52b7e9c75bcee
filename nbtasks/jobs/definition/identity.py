"""Identity of a job: its id, its name and its version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbtasks.core import text
from nbtasks.errors import InvalidJobError
from nbtasks.io.base import LEVELS

__all__ = ["check_names", "id_of", "name_of"]


def check_names(job: object, name: object, version: object, log_level: object) -> None:
    """Check the texts that a job is given.

    Raises:
        InvalidJobError: One of them is not valid.
    """
    if not isinstance(job, str) or not job.strip():
        raise InvalidJobError(f"The id of a job is a non-empty string, not {job!r}.")
    if not isinstance(version, str) or not version.strip():
        raise InvalidJobError(
            f"Job {job!r}: the version is a string like '1.0.0', not {version!r}."
        )
    for what, one in (("id", job), ("name", name), ("version", version)):
        text.check(f"The {what} of a job,", one, InvalidJobError)
    if log_level not in LEVELS:
        levels = ", ".join(LEVELS)
        raise InvalidJobError(f"Job {job!r}: log_level is one of {levels}, not {log_level!r}.")


def id_of(fn: Callable[..., Any]) -> str:
    """Return the id of a job that is given none: the name of its function.

    Raises:
        InvalidJobError: The function has no name.
    """
    name = name_of(fn)
    if name is None:
        raise InvalidJobError(
            f"{fn!r} has no name that could be the id of a job. Give an id, as in "
            'nb.job("report")(function).'
        )
    return name


def name_of(fn: Callable[..., Any]) -> str | None:
    """Return the name of a function; None if it has none, as a lambda.

    >>> name_of(name_of), name_of(lambda: None)
    ('name_of', None)
    """
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) and name.isidentifier() else None
