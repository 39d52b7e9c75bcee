"""States of the random numbers that libraries share in a process.

A cell that draws from them changes what later cells draw; a reused cell sets them as it left them.
"""

from __future__ import annotations

import random
import sys
from typing import Any

__all__ = ["changed", "hidden_states", "restore", "snapshot"]


def snapshot() -> dict[str, Any]:
    """Return the states of the shared generators of the libraries that are loaded."""
    states: dict[str, Any] = {"random": random.getstate()}
    if (numpy := sys.modules.get("numpy.random")) is not None:
        kind, keys, *rest = numpy.get_state()
        states["numpy"] = (kind, keys.tobytes(), *rest)
    return states


def changed(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the states that differ from those before, or that were not there."""
    return {name: state for name, state in now.items() if before.get(name) != state}


def restore(states: dict[str, Any]) -> None:
    """Set the states of shared generators."""
    if (state := states.get("random")) is not None:
        random.setstate(state)
    if (state := states.get("numpy")) is not None:
        import numpy as np

        kind, keys, *rest = state
        np.random.set_state((kind, np.frombuffer(keys, np.uint32), *rest))  # noqa: NPY002 - the shared one


def hidden_states(values: dict[str, Any]) -> dict[str, Any]:
    """Return what digests leave out of values, by name: the state of a generator of random numbers,
    and the `attrs` of a frame."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        module = type(value).__module__
        if isinstance(value, random.Random):
            found[name] = value.getstate()
        elif module.startswith("numpy.random"):
            bits = getattr(value, "bit_generator", None)
            state = value.get_state(legacy=False) if hasattr(value, "get_state") else bits
            found[name] = repr(getattr(state, "state", state))
        elif module.startswith("pandas.") and getattr(value, "attrs", None):
            found[name] = repr(value.attrs)
    return found
