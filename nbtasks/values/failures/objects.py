"""Stand-ins for objects of an error that are not data: the part of them that a journal keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

__all__ = ["RecordedMapping", "RecordedObject"]


class RecordedObject:
    """Stand-in for an object that an error refers to, such as the response of an HTTP error.

    Args:
        kind: Name of the object's class.
        kept: Attributes that are data, by name.
    """

    __slots__ = ("_kept", "_kind")

    def __init__(self, kind: str, kept: dict[str, Any]) -> None:
        self._kind = kind
        self._kept = kept

    if not TYPE_CHECKING:  # so that a type checker reports a misspelled name

        def __getattr__(self, name: str) -> Any:
            """Return an attribute that is kept."""
            if name.startswith("_"):
                raise AttributeError(f"a recorded object has no attribute {name!r}")
            try:
                return self._kept[name]
            except KeyError:
                pass
            kept = ", ".join(self._kept) or "none"
            raise AttributeError(
                f"This {self._kind} belongs to a recorded error, of which the journal keeps data "
                f"only. Its attribute {name!r} is not kept; kept are: {kept}. The original was "
                "there where the error was raised: read it inside the task, and return what you "
                "need, or raise an error that has it in its args."
            )

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._kept]

    def __repr__(self) -> str:
        parts = "".join(f" {name}={value!r}" for name, value in self._kept.items())
        return f"<recorded {self._kind}{parts}>"

    def __getstate__(self) -> Any:
        return self._kind, self._kept

    def __setstate__(self, state: Any) -> None:
        self._kind, self._kept = state


class RecordedMapping(RecordedObject, Mapping[Any, Any]):
    """Stand-in for a mapping that is no dict, such as the headers of a response.

    Args:
        kind: Name of the object's class.
        kept: Attributes that are data, by name.
        items: The items.
        folds: Whether the case of keys does not count.
    """

    __slots__ = ("_folds", "_items")

    def __init__(
        self, kind: str, kept: dict[str, Any], items: dict[Any, Any], *, folds: bool
    ) -> None:
        super().__init__(kind, kept)
        self._items = items
        self._folds = folds

    def __getitem__(self, key: Any) -> Any:
        if self._folds and isinstance(key, str) and key not in self._items:
            for name, value in self._items.items():
                if isinstance(name, str) and name.casefold() == key.casefold():
                    return value
        return self._items[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<recorded {self._kind} {self._items!r}>"

    def __getstate__(self) -> Any:
        return self._kind, self._kept, self._items, self._folds

    def __setstate__(self, state: Any) -> None:
        self._kind, self._kept, self._items, self._folds = state
