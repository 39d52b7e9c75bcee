"""Large parts of values, each in a file of its own, so that what several values share is kept once.

A large member of a list, a tuple, a dict or the like is written as if it were a whole value, and
files are named by their content. So the list that a map returns refers to the files of its items,
and so does a task that returns such a list. In the place of the member stands

    {"$blob": [kind, name of the file, bytes, signature of a pickle or null]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.values.content import LazyBytes, Secret, join

__all__ = [
    "INLINE_BYTES",
    "TAG",
    "Json",
    "Put",
    "Reference",
    "is_json",
    "read",
    "references",
    "split",
    "to_json",
]

#: Values above this size are stored in their own file beside the journal.
INLINE_BYTES = 1 << 20
#: Tag of a reference to a file.
TAG = "$blob"
#: Function that writes a file and returns its name.
Put = Callable[[LazyBytes], str]

_MOST_PER_CHAR = 6  # bytes of JSON for one character, as in \u0000
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NUMBERS = frozenset({int, float, bool, type(None)})
_FINITE = float("inf")
#: Kind of a value that consists of nothing but the one tag.
_WHOLE = {
    "$pandas": "arrow", "$polars": "arrow", "$arrow": "arrow",
    "$npy": "npy", "$figure": "figure", "$bindings": "bindings",
}  # fmt: skip


class Reference(NamedTuple):
    """Reference to the file of a part.

    Attributes:
        kind: Kind of its record.
        blob: Name of its file.
        size: Size in bytes.
        signature: Signature of a pickle; None for other kinds.
    """

    kind: str
    blob: str
    size: int
    signature: str | None


class Json(NamedTuple):
    """JSON of a value, with the byte contents that the JSON refers to by their numbers.

    Attributes:
        kind: Kind of the record.
        data: The JSON.
        tagged: The value that the JSON was made from.
        parts: The byte contents.
        secrets: Whether it holds a secret.
    """

    kind: str
    data: bytes
    tagged: Any = None
    parts: Sequence[LazyBytes] = ()
    secrets: bool = False

    @property
    def size(self) -> int:
        """Size of the whole in bytes."""
        size = len(self.data)
        return size + sum(part.size for part in self.parts) if self.parts else size

    @property
    def content(self) -> LazyBytes:
        """The whole, as a file has it."""
        return join(self.data, self.parts) if self.parts else LazyBytes.of(self.data)


def to_json(tagged: Any, option: int = 0) -> Json:
    """Return tagged JSON with its byte contents numbered.

    Raises:
        JSONEncodeError: It is nested too deeply, or contains itself.
    """
    parts: list[LazyBytes] = []
    secrets = False

    def number(part: LazyBytes | Secret) -> Any:
        nonlocal secrets
        if isinstance(part, Secret):
            secrets = True
            return part.tag
        parts.append(part)
        return len(parts) - 1

    data = orjson.dumps(tagged, option=option, default=number)
    name = next(iter(tagged)) if type(tagged) is dict and len(tagged) == 1 else ""
    is_composed = bool(parts) or name == "$bindings"
    return Json(
        _WHOLE.get(name, "parts") if is_composed else "tagged", data, tagged, parts, secrets
    )


def split(whole: Json, put: Put) -> Json:
    """Write the large parts of a value to files, and return it with references in their place."""
    if whole.secrets:
        return whole
    splitter = _Splitter(put)
    tagged = splitter.within(whole.tagged)
    if not splitter.has_split:
        return whole
    rest = to_json(tagged)
    return rest._replace(kind="bindings" if rest.kind == "bindings" else "parts")


class _Splitter:
    def __init__(self, put: Put) -> None:
        self._put = put
        self.has_split = False
        self._bytes = 0
        #: Functions that split the content of a tag, by its name. Other tags stay whole.
        self._holders: dict[str, Callable[[Any], Any]] = {
            "$tuple": self._items, "$dict": self._pairs, "$dataclass": self._last,
            "$model": self._model, "$bindings": self._bindings,
        }  # fmt: skip

    def part(self, node: Any) -> Any:
        """Return a part, or the reference to its file if it is large."""
        kind = type(node)
        if kind is str:
            if len(node) * _MOST_PER_CHAR <= INLINE_BYTES:
                return node
        elif kind is not dict and kind is not list:
            return node
        self._bytes = 0
        if len(orjson.dumps(node, default=self._count)) + self._bytes <= INLINE_BYTES:
            return node
        inner = self.within(node)
        whole = to_json(inner)
        if whole.size <= INLINE_BYTES:
            return inner
        return {TAG: list(self._write(whole, is_split=inner is not node))}

    def _count(self, part: Any) -> int:
        self._bytes += part.size
        return 0

    def within(self, node: Any) -> Any:
        """Return a value in which references stand for the large ones of its parts."""
        if type(node) is list:
            return self._items(node)
        if type(node) is not dict:
            return node
        if len(node) != 1 or (name := next(iter(node)))[:1] != "$":
            return self._members(node)
        if (inside := self._holders.get(name)) is None:
            return node
        content = inside(node[name])
        return node if content is node[name] else {name: content}

    def _items(self, node: list[Any]) -> list[Any]:
        items = [item if type(item) in _NUMBERS else self.part(item) for item in node]
        return items if _differ(items, node) else node

    def _members(self, node: dict[str, Any]) -> dict[str, Any]:
        members = {
            name: item if type(item) in _NUMBERS else self.part(item) for name, item in node.items()
        }
        return members if _differ(members.values(), node.values()) else node

    def _last(self, content: list[Any]) -> list[Any]:
        """Return what holds a value as its last item, of which the parts are split off."""
        *about, value = content
        return content if (inner := self.within(value)) is value else [*about, inner]

    def _pairs(self, content: list[Any]) -> list[Any]:
        pairs = [[key, self.part(value)] for key, value in content]
        before = (value for _, value in content)
        return pairs if _differ((value for _, value in pairs), before) else content

    def _model(self, content: list[Any]) -> list[Any]:
        module, qualname, (fields, *rest) = content
        inner = self.within(fields)
        return content if inner is fields else [module, qualname, [inner, *rest]]

    def _bindings(self, content: list[Any]) -> list[Any]:
        groups, facts = content
        pairs = self._pairs(groups)
        return content if pairs is groups else [pairs, facts]

    def _write(self, whole: Json, *, is_split: bool) -> Reference:
        self.has_split = True
        node = whole.tagged
        if type(node) is dict and node.keys() == {"$pickle"}:
            signature, data = node["$pickle"]
            return Reference("pickle", self._put(data), data.size, signature)
        kind = "parts" if is_split else whole.kind
        if kind == "tagged" and is_json(node):
            kind = "json"
        return Reference(kind, self._put(whole.content), whole.size, None)


def _differ(some: Iterable[Any], others: Iterable[Any]) -> bool:
    return any(one is not other for one, other in zip(some, others, strict=True))


def read(content: Any) -> Reference:
    """Return the reference from the content of its tag.

    Raises:
        UnreadableValueError: It is none.
    """
    try:
        kind, blob, size, signature = content
    except (ValueError, TypeError):
        kind = blob = size = signature = None
    if not isinstance(kind, str) or not isinstance(blob, str) or not isinstance(size, int):
        raise UnreadableValueError("The recorded value is damaged: it refers to no file.")
    return Reference(kind, blob, size, None if signature is None else str(signature))


def references(tagged: Any) -> Iterator[Reference]:
    """Yield the references in tagged JSON."""
    parts: Any = tagged if type(tagged) is list else ()
    if type(tagged) is dict:
        if tagged.keys() == {TAG}:
            yield read(tagged[TAG])
            return
        parts = tagged.values()
    for part in parts:
        yield from references(part)


def is_json(value: object) -> bool:
    """Return True if JSON keeps the value exactly.

    Compares exact types, since an instance of a subclass would lose its class.
    """
    kind = type(value)
    if kind is float:
        return -_FINITE < value < _FINITE  # type: ignore[operator]  # a float, as just checked
    if kind in _SCALARS:
        return True
    if kind is list:
        return all(map(is_json, value))  # type: ignore[call-overload]  # a list
    if kind is dict:
        return all(
            type(key) is str and key[:1] != "$" and is_json(item)
            for key, item in value.items()  # type: ignore[attr-defined]  # a dict
        )
    return False
