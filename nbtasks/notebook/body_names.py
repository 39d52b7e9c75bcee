"""Namespace in which the body of a cell executes."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any

from nbtasks.notebook.cell_options import CellRefusedError

__all__ = ["BodyNames"]


class BodyNames(dict[str, Any]):
    """Names of a body: those given to it alone, over the notebook's.

    What the body assigns goes into the notebook's namespace. The given names never do, so no
    function, thread or other cell of the notebook finds them there.

    It is a dict because debuggers and libraries that look up names in a frame expect one; the dict
    itself holds only what is given.

    Args:
        given: Names that the body finds; hidden ones begin with `__nbtasks`.
        notebook: Namespace of the notebook.
        magic: The cell's magic, for messages.
    """

    def __init__(
        self, given: Mapping[str, Any], notebook: MutableMapping[str, Any], magic: str = "%%job"
    ) -> None:
        super().__init__(given)
        self._notebook = notebook
        self._magic = magic

    def __missing__(self, name: str) -> Any:
        return self._notebook[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("__nbtasks"):
            super().__setitem__(name, value)
        else:
            self._check(name)
            self._notebook[name] = value

    def __delitem__(self, name: str) -> None:
        self._check(name)
        del self._notebook[name]

    def _check(self, name: str) -> None:
        """Raise `CellRefusedError` for a given name: nobody sees in advance what `exec` assigns."""
        if super().__contains__(name):
            raise CellRefusedError(
                f"This would rebind {name}, which {self._magic} provides to its body. Choose "
                f"another name, as in `my_{name} = ...`."
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._notebook

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default."""
        return self.copy().get(name, default)

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # dict's own type has no constructor
        """Return the names of the body and of the notebook."""
        return KeysView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]  # as `keys`
        """Return their values."""
        return ValuesView(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # as `keys`
        """Return the names with their values."""
        return ItemsView(self)

    def copy(self) -> dict[str, Any]:
        """Return the names with their values, as a plain dict."""
        given = {name: self[name] for name in dict.keys(self) if name[:9] != "__nbtasks"}
        return {**self._notebook, **given}

    def update(self, *args: Any, **named: Any) -> None:
        """Assign several names."""
        for name, value in dict(*args, **named).items():
            self[name] = value

    def __repr__(self) -> str:
        return repr(self.copy())
