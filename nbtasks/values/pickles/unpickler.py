"""Unpickler of recorded values, which changes nothing that the notebook has."""

from __future__ import annotations

import io
import pickle
import threading
from typing import Any

from nbtasks.values import classes

__all__ = ["Unpickler", "loads"]

_CLOUDPICKLE = "cloudpickle.cloudpickle"
#: Held from the making of a local class to the end of its pickle: no thread finds half of one.
_making = threading.RLock()


def loads(data: bytes) -> Any:
    """Return the value of a pickle that comes from this user's own process."""
    return Unpickler(data).load()


class Unpickler(pickle.Unpickler):
    """Unpickler that looks up the notebook's classes as they are now, and leaves them alone.

    A local class stands in a pickle with its code. cloudpickle would set the attributes of the
    living class to the recorded ones; here a class that lives is taken as it is.

    Args:
        data: The pickle.

    Attributes:
        names: The names of the notebook that the pickle has looked up.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        super().__init__(io.BytesIO(data))
        self.names: list[str] = []
        self._made: dict[int, Any] = {}
        self._locked = False

    def load(self) -> Any:
        """Return the value."""
        try:
            return super().load()
        finally:
            if self._locked:
                _making.release()

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for now.

        Raises:
            UnreadableValueError: It is a name of the notebook that is gone.
        """
        if module == classes.MAIN:
            self.names.append(name)
            return classes.current(name)
        found = super().find_class(module, name)
        if module == _CLOUDPICKLE:
            if name in ("_make_skeleton_class", "_make_skeleton_enum"):
                self._lock()
                return lambda *args: self._make_class(found, *args)
            if name == "_class_setstate":
                return lambda kind, state: self._set_class_state(found, kind, state)
            if name == "_function_setstate":
                return lambda function, state: self._set_function_state(found, function, state)
        return found

    def _lock(self) -> None:
        if not self._locked:
            _making.acquire()
            self._locked = True

    def _make_class(self, make: Any, *args: Any) -> Any:
        from cloudpickle import cloudpickle

        number = args[-2]  # by which cloudpickle knows the class in every process
        kind = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(number)  # noqa: SLF001 - it has no public name
        if kind is None:
            kind = make(*args)
            self._made[id(kind)] = kind
        return kind

    def _set_function_state(self, set_state: Any, function: Any, state: Any) -> Any:
        if classes.function_now(function.__qualname__) is function:
            return function
        return set_state(function, state)

    def _set_class_state(self, set_state: Any, kind: Any, state: Any) -> Any:
        return set_state(kind, state) if id(kind) in self._made else kind
