"""States that are no values: of the random numbers that libraries share, and hidden ones in values.

A cell that draws shared random numbers changes what later cells draw; a reused cell sets them as it
left them. If somebody has seeded them, the state in which a cell that draws finds them is one of
its inputs. If nobody has, they are others in each process, so that no cell runs again for them.
Nothing wraps `seed`: a state to which no drawing leads from the one before has been set, and NumPy
drops what it knows of the entropy that its generator began with.

Digests leave out how far a generator of random numbers is, the order of a dict, and the `attrs` of
a frame. For a cell that has changed it, it counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import Any, Final

from nbtasks.engine.fingerprint import introspection, tables
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.notebook.objects import members, positions

__all__ = [
    "LABELS", "begin", "changed", "hidden_states", "inputs", "leave", "observe", "restore",
    "snapshot",
]  # fmt: skip

#: Names of the inputs that the states of shared generators are, by the names of the states.
LABELS: Final = {"random": "random.seed", "numpy": "numpy.random.seed"}
#: Digest of a state that nobody has determined.
_UNSEEDED: Final = Digest("-")
#: Name under which it is recorded whose states are determined.
_SEEDED: Final = "seeded"
_SEEDING: Final = re.compile(r"\w*seed\w*\(|\bset_?state\(")
#: Seeding of one of the generators only.
_SEEDING_OF: Final = {
    "random": re.compile(r"(?<![\w.])random\.(?:seed|setstate)\("),
    "numpy": re.compile(r"\b(?:np|numpy)\.random\.(?:seed|set_state)\("),
}
_WORD: Final = re.compile(r"(?<![\w.])[^\W\d]\w*")
_MOST_FUNCTIONS: Final = 100
#: Number of words in the state of a Mersenne Twister, and of bits in them.
_WORDS: Final = 624
_BITS: Final = 32 * _WORDS
_MOST_TWISTS: Final = 10_000  # 6 million words, which take about 30 milliseconds


def snapshot() -> dict[str, Any]:
    """Return the states of the shared generators of the libraries that are loaded."""
    states: dict[str, Any] = {"random": random.getstate()}
    if (numpy := sys.modules.get("numpy.random")) is not None:
        states["numpy"] = _without_arrays(numpy.get_state(legacy=False))
    return states


def changed(before: dict[str, Any], now: dict[str, Any], executed: str = "") -> dict[str, Any]:
    """Return the states that differ from those before, that were not there, or that the executed
    code has set to what they were, with the names of those that are determined."""
    observe()
    seeded = {name for name, seeding in _SEEDING_OF.items() if seeding.search(executed)}
    found = {
        name: state for name, state in now.items() if name in seeded or before.get(name) != state
    }
    return {**found, _SEEDED: sorted(filter(_is_seeded, found))} if found else {}


def restore(states: dict[str, Any]) -> None:
    """Set the states of shared generators, as `changed` returned them."""
    observe()
    _shared.seeded -= states.keys()
    _shared.seeded |= {*states.get(_SEEDED, ())}
    if (state := states.get("random")) is not None:
        random.setstate(state)
    if (state := states.get("numpy")) is not None:
        import numpy as np

        shared: Any = np.random  # its functions draw from one generator, which may be replaced
        kind = getattr(shared, state["bit_generator"])
        if not isinstance(shared.get_bit_generator(), kind):
            shared.set_bit_generator(kind())
        shared.set_state(_with_arrays(state))
    now = snapshot()
    _forget_left(
        {name for name in _left_names() if not _leads_to(_shared.last.get(name), now[name])}
    )
    _shared.last = now


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


# -- states as inputs ------------------------------------------------------------------------------


@dataclass
class _Shared:
    """Knowledge of the shared generators of this process.

    Attributes:
        last: States of the generators when they were observed last.
        seeded: Names of the generators whose state somebody has determined.
        left: States that cells have left, and digests of those that they have found.
    """

    last: dict[str, Any] = field(default_factory=snapshot)
    seeded: set[str] = field(default_factory=set)
    left: dict[Hashable, tuple[dict[str, Any], dict[str, Digest]]] = field(default_factory=dict)


_shared = _Shared()


def begin(executed: Iterable[str]) -> None:
    """Begin to observe the shared generators, after these cells of the notebook."""
    _shared.last = snapshot()
    _shared.seeded.clear()
    _shared.left.clear()
    if any(map(_SEEDING.search, executed)):
        _shared.seeded.add("random")


def observe(executed: str = "", namespace: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Find out whether somebody has seeded shared generators since the last time.

    Args:
        executed: Code that has been executed since. If it seeds, what it has drawn since may have
            led to where the generator was before, or further.
        namespace: Names of the notebook, for the functions that the code may call.
    """
    now = snapshot()
    left = _left_names()
    names = left | ({"random"} - _shared.seeded)
    found = {name for name in names if not _leads_to(_shared.last.get(name), now[name])}
    if "random" in found:
        _shared.seeded.add("random")
    _forget_left(found | (_seeded_by(executed, namespace) if left else set()))
    _shared.last = now


def _left_names() -> set[str]:
    """Return the names of the generators of which cells have left a state."""
    labels = {label for _, found in _shared.left.values() for label in found}
    return {name for name, label in LABELS.items() if label in labels}


def _forget_left(names: Iterable[str]) -> None:
    """Forget where cells have left generators that somebody has seeded since: where a cell begins
    counts from now on, also if it is where it has left them."""
    for name in names:
        for _, found in _shared.left.values():
            found.pop(LABELS[name], None)


def _seeded_by(executed: str, namespace: Mapping[str, Any]) -> set[str]:
    """Return the names of the generators that code may seed, itself or by functions."""
    found = {name for name, seeding in _SEEDING_OF.items() if seeding.search(executed)}
    others = executed
    for seeding in _SEEDING_OF.values():
        others = seeding.sub("", others)
    functions = map(namespace.get, dict.fromkeys(_WORD.findall(executed)))
    is_other = _SEEDING.search(others) or any(map(_may_seed, functions))
    return {*LABELS} if is_other else found


def _may_seed(value: Any) -> bool:
    """Return True for a function that calls something which is named as seeding is, itself or by
    functions of its module."""
    todo: list[Any] = [value]
    seen: set[Any] = set()
    while todo and len(seen) < _MOST_FUNCTIONS:
        fn = todo.pop()
        if type(fn) is not FunctionType or fn in seen:
            continue
        seen.add(fn)
        names = fn.__code__.co_names
        if any(_SEEDING.search(f"{name}(") for name in names):
            return True
        todo += map(fn.__globals__.get, names)
    return False


def inputs(states: dict[str, Any], cell: Hashable) -> dict[str, Digest]:
    """Return the digests of states that a cell finds, by the labels of these inputs.

    Where somebody has only drawn since the cell itself has left a state, it counts as the one that
    the cell has found: executed again, the cell has nothing to do.
    """
    left, found = _shared.left.get(cell, ({}, {}))
    return {
        label: found[label]
        if label in found and name in states and _leads_to(left.get(name), states[name])
        else _digest_of(name, states.get(name))
        for name, label in LABELS.items()
    }


def leave(cell: Hashable, found: Mapping[str, Digest]) -> None:
    """Note the states that a cell leaves, with the digests of those that it has found."""
    own = {label: found[label] for label in LABELS.values() if label in found}
    _shared.left.pop(cell, None)
    if own:
        _shared.left[cell] = snapshot(), own


def _digest_of(name: str, state: Any) -> Digest:
    is_known = state is not None and _is_seeded(name)
    return Digest(tables.hashed(repr(state).encode())) if is_known else _UNSEEDED


def _is_seeded(name: str) -> bool:
    if name in _shared.seeded or name != "numpy":
        return name in _shared.seeded
    shared: Any = sys.modules["numpy.random"]
    return introspection.known_seed(shared.get_bit_generator()) != ""


def _leads_to(before: Any, now: Any) -> bool:
    """Return True if drawing leads from one state to another one, as far as that can be found."""
    if before == now:
        return True
    (words, place), (target, end) = _twister(before), _twister(now)
    if not words or not target:
        return bool(_constants(before) == _constants(now))
    if words == target:
        return place <= end
    numbers, others = random.Random(), random.Random()  # noqa: S311 - no secrets
    numbers.setstate((3, (*words, _WORDS), None))
    others.setstate((3, (*target, 0), None))
    block = others.getrandbits(_BITS)
    return any(numbers.getrandbits(_BITS) == block for _ in range(_MOST_TWISTS))


def _twister(state: Any) -> tuple[tuple[int, ...], int]:
    """Return the words of a Mersenne Twister and its place in them; no words for another state."""
    match state:
        case (3, (*words, int(place)), _):
            return tuple(words), place
        case {"bit_generator": "MT19937", "state": {"key": key, "pos": int(place)}}:
            return tuple(map(int, _with_arrays(key))), place
    return (), 0


def _constants(state: Any) -> Any:
    """Return what drawing leaves as it is in the state of another generator."""
    if not isinstance(state, dict):
        return None
    fixed = {name: state["state"].get(name) for name in ("inc", "key")}
    return state["bit_generator"], fixed


# -- hidden states of values -----------------------------------------------------------------------


def hidden_states(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of the hidden state of each value, wherever it is in the value."""
    return {name: _digest(value) for name, value in values.items()}


def _digest(value: Any) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in members.walk(value):
        found.update(_describe(part).encode(errors="surrogatepass"))
    return found.hexdigest()


def _describe(value: Any) -> str:
    kind = type(value)
    if isinstance(value, dict):
        keys = [introspection.constant(key) or introspection.label(key) for key in value]
        default = value.default_factory if isinstance(value, defaultdict) else None
        return f"{keys} {default and introspection.label(default)}"
    if isinstance(value, random.Random) or kind.__module__.startswith("numpy.random"):
        with contextlib.suppress(NotImplementedError):  # one of the system's has no state
            return repr(_state(value))
    if tables.is_array(value):
        return str(value.flags.writeable)
    if tables.is_pandas(value):
        return _about_table(value)
    return positions.describe(value) or ""


def _about_table(value: Any) -> str:
    flags = getattr(value, "flags", None)
    allowed = flags is None or flags.allows_duplicate_labels
    return f"{getattr(value, 'attrs', None) or ''}{'' if allowed else '!'}"


def _state(value: Any) -> Any:
    """Return the state of a generator of random numbers."""
    if isinstance(value, random.Random):
        return value.getstate()
    if hasattr(value, "get_state"):
        return value.get_state(legacy=False)
    return getattr(getattr(value, "bit_generator", value), "state", None)
