"""Classes that a library makes of others, which are recorded by what they are made of."""

from __future__ import annotations

import operator
import sys
from typing import Any

from nbtasks.values import classes

__all__ = ["reduce_made"]


def reduce_made(kind: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """Return how to make a class again: a generic model of pydantic with its arguments, or an array
    of `ctypes`; None for other classes."""
    if classes.is_model(kind):
        generic = getattr(kind, "__pydantic_generic_metadata__", {})  # which BaseModel lacks
        if generic.get("origin") is not None:
            return operator.getitem, (generic["origin"], generic["args"])
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and issubclass(kind, ctypes.Array) and "_type_" in vars(kind):
        made = kind._type_ * kind._length_
        return (operator.mul, (kind._type_, kind._length_)) if made is kind else None
    return None
