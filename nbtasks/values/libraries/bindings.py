"""Values of a notebook's names, recorded together and read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbtasks.values import pickles
from nbtasks.values.content import Find, Untag, rebuilding
from nbtasks.values.large.parts import TAG
from nbtasks.values.large.parts import read as read_reference

__all__ = ["Bindings", "read", "read_pickle", "write"]

#: Names that are recorded as one value, since they share objects, and that value as tagged JSON.
Group = tuple[Sequence[str], Any]


class Bindings(Mapping[str, Any]):
    """Values of names as a `%%task` cell left them; each is read when it is first asked for.

    Args:
        groups: Names with their values as tagged JSON; the value of several names is a tuple.
        facts: What else is recorded with them, as JSON.
        untag: Function that returns a value from its tagged JSON.
    """

    __slots__ = ("_found", "_groups", "_untag", "facts")

    def __init__(
        self,
        groups: Sequence[Group],
        facts: dict[str, Any],
        untag: Untag | None = None,
    ) -> None:
        self.facts = facts
        self._groups = groups
        self._untag = untag
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            for names, tagged in self._groups:
                if name in names:
                    if self._untag is None:
                        raise LookupError("it has not been read from the journal")
                    self._found.update(_by_name(names, tagged, self._untag))
                    break
            else:
                raise KeyError(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return any(name in names for names, _ in self._groups)

    def __iter__(self) -> Iterator[str]:
        return (name for names, _ in self._groups for name in names)

    def __len__(self) -> int:
        return sum(len(names) for names, _ in self._groups)

    @property
    def groups(self) -> list[list[str]]:
        """The names, those together that are recorded as one value."""
        return [list(names) for names, _ in self._groups]

    def is_pickle(self, name: str) -> bool:
        """Return True if the value of a name is recorded as a pickle, which is signed."""
        return any(name in names and _is_pickle(tagged) for names, tagged in self._groups)

    def __repr__(self) -> str:
        return f"<Bindings of {', '.join(self) or 'no names'}>"


def _is_pickle(tagged: Any) -> bool:
    if type(tagged) is not dict:
        return False
    if tagged.keys() == {TAG}:
        return read_reference(tagged[TAG]).kind == "pickle"
    return tagged.keys() == {"$pickle"}


def _by_name(names: Sequence[str], tagged: Any, untag: Untag) -> dict[str, Any]:
    with rebuilding():
        value = untag(tagged)
        return dict(zip(names, (value,) if len(names) == 1 else value, strict=True))


def write(value: Bindings) -> dict[str, Any]:
    """Return the tag of the values of names."""
    groups = [[list(names), tagged] for names, tagged in value._groups]  # noqa: SLF001 - of this module
    return {"$bindings": [groups, value.facts]}


def read(content: list[Any], _: Find, untag: Untag) -> Bindings:
    """Return the values of names, each to be read later.

    Raises:
        ValueError: There are no values of names.
    """
    groups, facts = content
    if not all(type(name) is str for names, _ in groups for name in names):
        raise ValueError("they have no names")
    return Bindings(groups, facts, untag)


def read_pickle(content: list[Any], find: Find, _: Untag) -> Any:
    """Return the value of a pickle within tagged JSON.

    Raises:
        UntrustedValueError: This user has not signed the pickle, so it was not loaded.
        UnreadableValueError: The pickle cannot be loaded here.
    """
    signature, data = content
    return pickles.load(find(data), signature)
