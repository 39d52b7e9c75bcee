"""Engines that tasks can be sent to: pools of threads and processes, and clusters of Dask.

Each is an executor of `concurrent.futures`, or has one. What makes them differ is here.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core.parameters import nearest_name
from nbtasks.engine.options import NO_ENGINE, Policy
from nbtasks.engine.remote import kinds
from nbtasks.errors import InvalidOptionError

if TYPE_CHECKING:
    from nbtasks.engine.remote.reports import Sent

__all__ = [
    "client_of", "find", "name_of", "place", "place_items", "queue", "register_engine",
    "shares_memory", "width",
]  # fmt: skip

#: Number of items that a map hands over where an engine does not say how many it runs at once: a
#: cluster that grows on demand has to see what there is to do.
_MANY: Final = 256
#: Items for each place of an engine, so that none is idle on the way of the next one.
_AHEAD: Final = 3


_named: dict[str, Any] = {}


def register_engine(name: str, engine: Any) -> None:
    """Give an executor or a `distributed.Client` a name, by which `on=` and `%%job --on` find it.

    Another engine under the same name replaces it, as running a cell again does.

    Args:
        name: Name of the engine.
        engine: The engine; None forgets the name.

    Raises:
        InvalidOptionError: The name is empty, or the engine is none.

    ```python
    from concurrent.futures import ThreadPoolExecutor

    import nbtasks as nb

    nb.register_engine("two threads", ThreadPoolExecutor(2))


    @nb.job("register-engine-example", on="two threads")
    def body(io: nb.SyncIO) -> list[int]:
        return io.map("length", len, ["AA", "UAL"])


    assert body.run().output == [2, 3]
    ```
    """
    if not name or isinstance(engine, str):
        raise InvalidOptionError(
            f"nb.register_engine takes a name and an engine, not {name!r} and {engine!r}."
        )
    if engine is not None:
        _check(engine)
    if engine is None:
        _named.pop(name, None)
    else:
        _named[name] = engine


def find(on: Any) -> Any:
    """Return the engine that a value of `on` means, which is not None.

    Raises:
        InvalidOptionError: No engine has this name.
    """
    if not isinstance(on, str):
        return on
    if on not in _named:
        nearest = nearest_name(on, [*_named])
        hint = f" Is it {nearest!r}?" if nearest else ""
        raise InvalidOptionError(
            f"There is no engine {on!r}.{hint} Register it first: "
            f"nb.register_engine({on!r}, engine), in each process that executes the run."
        )
    return _named[on]


def place(policy: Policy, default: Policy, *, stays: bool) -> Policy:
    """Return the policy of a call with the engine that its `on` names.

    A function that `stays`, since it awaits or needs the run, is called here if only the defaults
    of the job send it elsewhere.

    Raises:
        InvalidOptionError: No engine has this name, or the engine cannot do what the options say.
    """
    if policy.on is None:
        return policy
    engine = find(policy.on)
    if policy.on is default.on and stays:
        engine = None
    if engine is not None:
        _check(engine)
        if policy.options.once and kinds.is_dask(engine):
            raise InvalidOptionError(
                "once=True doesn't work on a Dask cluster: if a worker dies, the scheduler calls "
                "its functions again on another. Run this task here or in a pool of processes; "
                "or leave out once=True, and give nb.current_task().idempotency_key to the service "
                "that it calls."
            )
        if policy.options.resources:
            _check_resources(engine)
            from nbtasks.engine.remote.lanes import Lane  # lazily: most runs stay here

            engine = Lane(engine, policy.options.resources, is_alone=True)
    if engine is policy.on:
        return policy
    return dataclasses.replace(policy, options=dataclasses.replace(policy.options, on=engine))


def place_items(policy: Policy, batch: int | str | None, concurrency: int | None) -> Policy:
    """Return the policy of a map's items with a way to their engine that they share.

    Args:
        policy: The policy, from `place`.
        batch: Number of items that travel together, or "auto"; None for one by one.
        concurrency: Most batches that may be under way; None for what the engine has.
    """
    engine, resources = _engine_of(policy.on), policy.options.resources
    if engine is None or shares_memory(engine):
        return policy  # nothing travels
    from nbtasks.engine.remote.lanes import Lane  # lazily: most runs stay here

    lane = Lane(engine, resources, batch, concurrency)
    return dataclasses.replace(policy, options=dataclasses.replace(policy.options, on=lane))


def shares_memory(engine: Any) -> bool:
    """Return True for a pool of threads of this process."""
    # Checked by module, since Python 3.14's interpreter pool is a ThreadPoolExecutor, too.
    return isinstance(engine, ThreadPoolExecutor) and "interpreter" not in str(
        type(engine).__module__
    )


def client_of(engine: Any) -> Any:
    """Return the client of Dask that an engine is, or comes from; None for another engine."""
    engine = _engine_of(engine)
    if not kinds.is_dask(engine):
        return None
    return getattr(engine, "_client", engine) if isinstance(engine, Executor) else engine


def name_of(engine: Any) -> str:
    """Return the name under which an engine was given, or else its kind."""
    engine = _engine_of(engine)
    for name, known in _named.items():
        if known is engine:
            return name
    if kinds.is_ray(engine):
        return "ray"
    return "Dask" if kinds.is_dask(engine) else type(engine).__name__


def queue(engine: Any, sent: Sent) -> None:
    """Let a call wait for its place in an engine that does not say when it begins.

    What has a place is known where the number of them is: an engine takes calls in their order.
    Otherwise a call counts as begun at once.
    """
    engine = _engine_of(engine)
    if places := _places(engine):
        from nbtasks.engine.remote.reports import enter  # lazily: most runs stay here

        enter(engine, places, sent)
    else:
        sent.report.begin()


def _engine_of(on: Any) -> Any:
    return on.engine if isinstance(on, kinds.Way) else on


def _check(engine: Any) -> None:
    if not (isinstance(engine, Executor) or kinds.is_dask(engine) or kinds.is_ray(engine)):
        raise InvalidOptionError(NO_ENGINE.format(engine))


def _check_resources(engine: Any) -> None:
    if not kinds.knows_resources(engine):
        raise InvalidOptionError(
            f"{name_of(engine)} doesn't support resources=. Dask, ray and executorlib do: say "
            "there which worker has them (dask worker --resources GPU=1); or leave out resources=, "
            "and give the executor as many places as there are."
        )


def _places(engine: Any) -> int:
    """Return how many calls an engine has under way at once; 0 if it does not say so."""
    for name in ("_max_workers", "max_workers"):  # Python's and loky's, executorlib's
        places = getattr(engine, name, None)
        if isinstance(places, int) and places > 0:
            return places
    return 0


def width(engine: Any) -> int:
    """Return how many calls to hand over at once so that an engine is never idle."""
    if places := _places(engine) or kinds.ray_places(engine):
        return places * (1 if shares_memory(engine) else _AHEAD)
    return _MANY
