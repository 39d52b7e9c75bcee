"""Explanations of errors: what happened and what to do, with an example."""

from __future__ import annotations

import inspect

from nbtasks import errors
from nbtasks.core.parameters import nearest_name

__all__ = ["explain"]


def explain(name: str) -> str:
    """Return the explanation of an error by its name, as in "RunBusyError".

    Raises:
        NotFoundError: nbtasks has no such error; the message names the nearest one.

    >>> print(explain("RunBusyError").splitlines()[0])
    RunBusyError
    """
    name = name.removeprefix("nb.")
    if name not in errors.__all__:
        nearest = nearest_name(name, errors.__all__)
        hint = f"Is it {nearest}?" if nearest else f"Its errors are {', '.join(errors.__all__)}."
        raise errors.NotFoundError(f"nbtasks has no error {name!r}. {hint}")
    described = inspect.getdoc(getattr(errors, name))
    return f"{name}\n{described}\n\nIn the documentation: errors.html#nbtasks.{name}"
