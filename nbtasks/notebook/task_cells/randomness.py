"""States that are no values: of the random numbers that libraries share, and hidden ones in values.

A cell that draws shared random numbers changes what later cells draw; a reused cell sets them as it
left them. Digests leave out how far a generator of random numbers is, the order of a dict, the
`attrs` of a frame, and the difference between a list and a tuple. For a cell that has changed it,
it counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from nbtasks.engine.fingerprint import introspection, tables
from nbtasks.notebook.task_cells import sharing

__all__ = ["changed", "hidden_states", "restore", "snapshot"]


def snapshot() -> dict[str, Any]:
    """Return the states of the shared generators of the libraries that are loaded."""
    states: dict[str, Any] = {"random": random.getstate()}
    if (numpy := sys.modules.get("numpy.random")) is not None:
        states["numpy"] = _without_arrays(numpy.get_state(legacy=False))
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

        shared: Any = np.random  # its functions draw from one generator, which may be replaced
        kind = getattr(shared, state["bit_generator"])
        if not isinstance(shared.get_bit_generator(), kind):
            shared.set_bit_generator(kind())
        shared.set_state(_with_arrays(state))


def _without_arrays(state: Any) -> Any:
    """Return a state that can be compared and recorded: arrays in it as their type and bytes."""
    if isinstance(state, dict):
        return {name: _without_arrays(part) for name, part in state.items()}
    return (state.dtype.str, state.tobytes()) if hasattr(state, "tobytes") else state


def _with_arrays(state: Any) -> Any:
    import numpy as np

    if isinstance(state, dict):
        return {name: _with_arrays(part) for name, part in state.items()}
    return np.frombuffer(state[1], state[0]) if isinstance(state, tuple) else state


# -- hidden states of values -----------------------------------------------------------------------


def hidden_states(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of the hidden state of each value, wherever it is in the value."""
    return {name: _digest(value) for name, value in values.items()}


def _digest(value: Any) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in sharing.walk(value):
        found.update(_describe(part).encode(errors="surrogatepass"))
    return found.hexdigest()


def _describe(value: Any) -> str:
    kind = type(value)
    if isinstance(value, dict):
        keys = [introspection.constant(key) or introspection.label(key) for key in value]
        default = value.default_factory if isinstance(value, defaultdict) else None
        return f"{keys} {default and introspection.label(default)}"
    if kind in (list, tuple):
        return kind.__name__
    if isinstance(value, random.Random) or kind.__module__.startswith("numpy.random"):
        with contextlib.suppress(NotImplementedError):  # one of the system's has no state
            return repr(_state(value))
    if tables.is_pandas(value) and getattr(value, "attrs", None):
        return repr(value.attrs)
    return ""


def _state(value: Any) -> Any:
    """Return the state of a generator of random numbers."""
    if isinstance(value, random.Random):
        return value.getstate()
    if hasattr(value, "get_state"):
        return value.get_state(legacy=False)
    return getattr(getattr(value, "bit_generator", value), "state", None)
