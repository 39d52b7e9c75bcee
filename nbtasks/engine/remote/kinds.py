"""Kinds of engines, told apart without what is needed to send calls to them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

__all__ = ["AUTO", "Way", "is_dask", "is_executorlib", "is_ray", "knows_resources", "ray_places"]

#: Value of `batch` that makes batches of as many items as take a moment.
AUTO: Final = "auto"


class Way:
    """Way of calls to an engine.

    Attributes:
        engine: The engine.
    """

    engine: Any

    def width(self, batches: int) -> int:
        """Return how many calls to hand over at once for so many batches."""
        raise NotImplementedError


def is_dask(engine: Any) -> bool:
    """Return True for a client of Dask, or an executor that it has given."""
    return _package(engine) == "distributed"


def is_executorlib(engine: Any) -> bool:
    """Return True for an executor of executorlib."""
    return _package(engine) == "executorlib"


def is_ray(engine: Any) -> bool:
    """Return True for the module ray."""
    return isinstance(engine, ModuleType) and hasattr(engine, "ObjectRef")


def ray_places(engine: Any) -> int | None:
    """Return how many calls ray runs at once; None if that is not known, or for another engine."""
    if not is_ray(engine) or not engine.is_initialized():
        return None
    return int(engine.cluster_resources().get("CPU", 0)) or None


def knows_resources(engine: Any) -> bool:
    """Return True for an engine that a call can ask for resources."""
    return is_dask(engine) or is_ray(engine) or is_executorlib(engine)


def _package(engine: Any) -> str:
    return type(engine).__module__.partition(".")[0]
