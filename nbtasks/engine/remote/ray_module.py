"""Calls on ray: tasks of its own, without retries, since `retry` of the task says how often."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from nbtasks.engine.remote.envelope import FLAT_RUNNER
from nbtasks.engine.remote.packing import Group

__all__ = ["class_of_futures", "send"]

#: Names of resources that ray has an option for.
_OPTIONS: Final = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


def class_of_futures(ray: Any) -> type:
    """Return the class of ray's futures."""
    found: type = ray.ObjectRef
    return found


def send(
    ray: Any, group: Group, resources: Mapping[str, float] | None, shared: dict[str, Any]
) -> Future[Any]:
    """Send calls as one task.

    Args:
        ray: The module.
        group: The calls.
        resources: What the task needs; None for nothing in particular.
        shared: What is in ray's object store by now, by its name; a large function is put there.

    Returns:
        The future of the replies.
    """
    if "runner" not in shared:
        shared["runner"] = ray.remote(pickle.loads(pickle.dumps(FLAT_RUNNER)))  # noqa: S301 - own
    function = group.function
    data: Any = function.data
    if function.is_large:
        if function.digest not in shared:
            shared[function.digest] = ray.put(data)
        data = shared[function.digest]
    # Ray resolves futures that are arguments themselves, and none in lists.
    futures = [*function.futures, *(one for parcel in group.parcels for one in parcel.futures)]
    counts = [len(function.futures), *(len(parcel.futures) for parcel in group.parcels)]
    options: dict[str, Any] = {"name": group.name, "max_retries": 0}
    for name, amount in (resources or {}).items():
        if name in _OPTIONS:
            options[_OPTIONS[name]] = amount
        else:
            options.setdefault("resources", {})[name] = amount
    payloads = [parcel.payload for parcel in group.parcels]
    ref = (
        shared["runner"]
        .options(**options)
        .remote(payloads, data, function.cached_as, counts, *futures)
    )
    sent: Future[Any] = ref.future()
    group.replies.add_done_callback(lambda replies: replies.cancelled() and ray.cancel(ref))
    return sent
