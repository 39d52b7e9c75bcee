"""Any value as JSON that is equal for equal values, with what could not be compared.

An object counts by its class, as far as the user wrote that, and by every field. A field that
cannot be compared, such as a lock, counts by its type, is listed, and hides no other field. What an
object keeps only to save time does not count: the values of `cached_property`, caches, and private
fields that were empty until a task filled them. Of a generator of random numbers, the seed counts
where NumPy knows it, not how far it is.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import math
import re
import weakref
import zoneinfo
from collections.abc import Callable
from pathlib import PurePath
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, ClassVar

import orjson

from nbtasks.engine.fingerprint import digest_cache, introspection, tables, user_code
from nbtasks.engine.fingerprint.function import fingerprint
from nbtasks.values import registry
from nbtasks.values.stores.refs import Ref

__all__ = ["CODE", "Walk", "is_cache", "is_random"]

CODE = (
    FunctionType, MethodType, type, type(len), type(str.upper), functools.partial,
    type(functools.lru_cache(len)),
)  # fmt: skip
_OF_A_RUN = ("nbtasks.io.io", "nbtasks.jobs.session", "nbtasks.jobs.run")
#: Modules that define generators of random numbers.
_RANDOM = re.compile(r"_random\.Random|numpy\.random\.(?!.*SeedSequence)|torch\._C\.Generator$")
_CACHE = re.compile(r"(?i)(?:^|_)(?:cache|cached|memo|memoized?)(?:$|_)")
_CACHES = (dict, list, set, type(None), weakref.WeakValueDictionary, weakref.WeakKeyDictionary)
#: Fields of parts of plots that count uses of them, hold the ids of others, or say whether pyplot
#: knows the figure.
_OF_DRAWING = frozenset({
    "__mpl_version__", "_affine", "_cachedRenderer", "_cid_gen", "_invalid", "_inverted", "_number",
    "_parents", "_restore_to_pylab", "_stale", "_tight", "stale",
})  # fmt: skip
#: Fields of transforms that are computed from others, by their classes.
_COMPUTED = frozenset({
    "BboxTransform._mtx", "BboxTransformFrom._mtx", "BboxTransformTo._mtx", "BlendedAffine2D._mtx",
    "CompositeAffine2D._mtx", "LockableBbox._points", "ScaledTranslation._mtx",
    "TransformedBbox._points",
})  # fmt: skip
_MOST_BYTES = 64
_Part = Callable[[Any], Any]


class Walk:
    """Walk through one value.

    Args:
        lookup: Function that returns the recorded hash of a value; None if it has none.
        filled: Private fields by the id of their object; others of these objects do not count.
        ignored: The id of an object, and the fields of it that do not count.

    Attributes:
        uncompared: What could not be compared, as text for people.
        filled: The private fields that the objects have, by the id of the object.
        new: The objects with private fields that they have beside those, with these fields.
        at: The name of the value, for `uncompared`.
        most: Number of objects to read.
    """

    most: ClassVar[float] = 100_000
    #: Dicts whose order counts.
    ordered: ClassVar[tuple[type, ...]] = (collections.OrderedDict, collections.Counter)

    def __init__(
        self,
        lookup: Callable[[Any], str | None],
        filled: dict[int, frozenset[str]] | None = None,
        *,
        ignored: tuple[int, frozenset[str]] | None = None,
    ) -> None:
        self.uncompared: list[str] = []
        self.filled: dict[int, frozenset[str]] = {}
        self.new: list[tuple[Any, frozenset[str]]] = []
        self.at = ""
        self._lookup = lookup
        self._only = filled or {}
        self._ignored = ignored
        self._codes: dict[type, str | None] = {}
        self._within: set[int] = set()
        # The values are kept, so that no id is used twice.
        self._walked: dict[int, tuple[Any, Any]] = {}

    def canonical(self, value: Any) -> Any:
        """Return the JSON of a value; of a long one, the hash of its JSON.

        So the time and the size are in proportion to the number of objects, however many ways lead
        to each of them.
        """
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return _scalar(value)
        key = id(value)
        if (walked := self._walked.get(key)) is not None:
            return walked[1]
        if key in self._within:
            return {"$again": len(self._within)}
        if len(self._walked) >= self.most:
            return self._beyond(value)
        self._within.add(key)
        try:
            found = self._by_kind(value)
        finally:
            self._within.discard(key)
        if found and len(data := tables.dumps(found)) > _MOST_BYTES:
            found = {"$hashed": tables.hashed(data)}
        self._walked[key] = value, found
        return found

    def _by_kind(self, value: Any) -> Any:
        if (container := _CONTAINERS.get(type(value))) is not None:
            return container(value, self.canonical)
        found = self._recorded(value) or self._code(value) or self._data(value)
        return self._whole(value) if found is None else found

    def _beyond(self, value: Any) -> Any:
        """Return the JSON of a value that there is no time to read."""
        reason = f"all beyond {self.most:,} objects"
        if reason not in self.uncompared[-1:]:
            self.uncompared.append(reason)
        return {"$type": introspection.label(value)}

    def _recorded(self, value: Any) -> Any:
        if (recorded := self._lookup(value)) is None:
            return None
        return self._with_class(type(value), {"$hash": recorded})

    def _with_class(self, cls: type, canonical: dict[str, Any]) -> dict[str, Any]:
        """Add the code of a class, if the user wrote it or one of its bases."""
        if cls not in self._codes:
            own = any(map(user_code.is_users_class, cls.__mro__[:-1]))
            self._codes[cls] = fingerprint(cls).digest if own else None
        if (code := self._codes[cls]) is not None:
            canonical["$class"] = code
        return canonical

    def _code(self, value: Any) -> Any:
        """Return the JSON of a callable, or of an object of a run; None for other values."""
        kind = type(value)
        if issubclass(kind, functools.partial):
            parts = value.func, value.args, value.keywords
            return {"$partial": [self.canonical(part) for part in parts]}
        is_bound = issubclass(kind, (MethodType, type(len)))
        if is_bound and not issubclass(type(value.__self__), ModuleType):
            return {"$method": [fingerprint(value).digest, self.canonical(value.__self__)]}
        if issubclass(kind, CODE) or kind.__module__ == "nbtasks.jobs.definition.job":
            return {"$code": fingerprint(value).digest}
        if issubclass(kind, ModuleType):
            return {"$module": [value.__name__, fingerprint(value).digest]}
        is_ours = kind.__module__.startswith("nbtasks.")
        if is_ours and (kind.__module__ in _OF_A_RUN or not dataclasses.is_dataclass(kind)):
            return {"$type": introspection.label(value)}
        return None

    def _data(self, value: Any) -> Any:
        """Return the JSON of what libraries and Python define; None for other values."""
        kind = type(value)
        label = f"${introspection.label(value)}"
        if (plain := _plain(value)) is not None:
            return plain
        if issubclass(kind, enum.Enum):
            return self._with_class(kind, {label: self.canonical(value._value_)})
        if kind is MappingProxyType:
            return {label: self.canonical(value.copy())}
        if is_random(value):
            seeded = {"$random": [label, self._seed(value), self._named(_own(value), value)]}
            return self._with_class(kind, seeded)
        if (parts := introspection.parts(value)) is not None:
            return {label: self._parts(parts, value)}
        text = None
        if tables.is_pandas(value) or tables.is_array(value):
            text = tables.hashed(tables.dumps(tables.content(value, self.canonical)))
        elif not user_code.is_users_class(kind):
            text = introspection.constant(value)
        return self._with_class(kind, {label: text}) if text is not None else None

    def _parts(self, parts: list[Any], value: Any) -> Any:
        if introspection.is_database(value):
            self._note_uncompared(f"the content of a {introspection.label(value)}")
        return self.canonical(parts)

    def _seed(self, value: Any) -> Any:
        """Return what counts of a generator of random numbers."""
        if (seed := introspection.known_seed(value)) is None:
            self._note_uncompared(f"the seed of a {introspection.label(value)}")
        return seed

    # -- objects ------------------------------------------------------------------------------

    def _whole(self, value: Any) -> Any:
        """Return the JSON of an object: its class, and its state."""
        cls = type(value)
        label = f"${introspection.label(value)}"
        if isinstance(value, bytes | bytearray) and cls in (bytes, bytearray):
            return {label: tables.hashed(value)}
        if user_code.is_users_class(cls) and not any(map(user_code.is_native, cls.__mro__[:-1])):
            return self._with_class(cls, {label: self._fields(value)})
        before, at = len(self.uncompared), self.at
        try:
            state = self._reduced(value)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - an odd object must not stop a task
            return self._outer(value, label, at)
        if len(self.uncompared) > before and not user_code.is_users_class(cls):
            public = self._public(value)  # its private fields may be the state of a connection
            return {label: public}
        return self._with_class(cls, {label: state})

    def _outer(self, value: Any, label: str, at: str) -> Any:
        """Return the JSON of an object that cannot be compared: of its fields, if it has any."""
        self.at = at
        name = label[1:]
        self._note_uncompared(name)
        is_users = user_code.is_users_class(type(value))
        fields = self._fields(value) if is_users else self._public(value)
        return self._with_class(type(value), {"$type": name, "fields": fields})

    def _note_uncompared(self, what: str) -> None:
        self.uncompared.append(f"{self.at}: {what}" if self.at else what)

    def _public(self, value: Any) -> Any:
        own = introspection.attributes(value)
        return self._named({name: own[name] for name in own if name[:1] != "_"}, value)

    def _fields(self, value: Any) -> Any:
        """Return the JSON of all fields of an object, whatever it says of its state itself."""
        own = object.__getstate__(value)
        own, slots = own if type(own) is tuple else (own, None)
        fields = {**(own or {}), **(slots or {})}
        fields.pop("__pydantic_fields_set__", None)  # which were given, not what they are
        return self._named(fields, value)

    def _named(self, fields: dict[str, Any], value: Any) -> dict[str, Any]:
        cls, at = type(value), self.at
        counted = {name: field for name, field in fields.items() if not _is_cache(cls, name, field)}
        counted = self._without_lazy(counted, value)
        if self._ignored is not None and self._ignored[0] == id(value):
            counted = {name: counted[name] for name in counted if name not in self._ignored[1]}
        found = {}
        for name, field in counted.items():
            self.at = f"{at}.{name}" if at else f"{cls.__qualname__}.{name}"
            found[str(name)] = self.canonical(field)
        self.at = at
        return found

    def _without_lazy(self, fields: dict[str, Any], value: Any) -> dict[str, Any]:
        """Leave out private fields that a task has filled, and those that are empty."""
        empty: tuple[Any, ...] = (None,) if user_code.is_users_class(type(value)) else (None, {})
        private = frozenset(
            name
            for name, field in fields.items()
            if name[:1] == "_" and not (type(field) in (type(None), dict) and field in empty)
        )
        key = id(value)
        self.filled[key] = private
        dropped = digest_cache.lazy_fields(value)
        if (only := self._only.get(key)) is not None and (new := private - only - dropped):
            self.new.append((value, new))
            dropped |= new
        return {
            name: field
            for name, field in fields.items()
            if name not in dropped and (name[:1] != "_" or name in private)
        }

    def _reduced(self, value: Any) -> Any:
        reduced = _reduce(value)
        if isinstance(reduced, str):
            return reduced
        fn, args, *extras = reduced
        extras += [None] * (4 - len(extras))
        if issubclass(type(value), (set, frozenset)) and [type(arg) for arg in args] == [list]:
            args = (set(args[0]),)  # which are in no order
        pairs: Any = dict(extras[2] or ())
        if issubclass(type(value), self.ordered):
            args = tuple([*arg.items()] if type(arg) is dict else arg for arg in args)
            pairs = [*pairs.items()]
        # A class among the arguments only says what to rebuild: its name counts.
        arguments = [
            introspection.label(arg) if issubclass(type(arg), type) else self._builtin(value, arg)
            for arg in args
        ]
        # An exception has an empty __dict__ from the moment on that somebody asks for it.
        state = None if type(extras[0]) is dict and not extras[0] else extras[0]
        items = list(extras[1] or ())
        return [introspection.label(fn), arguments, self._state(state, value),
                self.canonical(items), self.canonical(pairs)]  # fmt: skip

    def _builtin(self, value: Any, arg: Any) -> Any:
        # A float that is a subclass's object gives a plain one; but what gives itself never ends.
        return introspection.label(value) if arg is value else self.canonical(arg)

    def _state(self, state: Any, value: Any) -> Any:
        if type(state) is dict and all(type(name) is str for name in state):
            return self._named(state, value)
        if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:  # noqa: PLR2004 - with slots
            return [self._state(part, value) for part in state]
        return self.canonical(state)


def _reduce(value: Any) -> Any:
    cls = type(value)
    if cls.__module__ == "itertools" or issubclass(cls, type(iter(()))):
        raise TypeError  # reading it would change it, or warn
    registered = registry.reducer_of(cls)
    return value.__reduce_ex__(4) if registered is None else registered(value)


def _is_cache(cls: type, name: str, field: Any) -> bool:
    """Return True for a field that only saves the time to compute it again."""
    member = introspection.member(cls, name)
    if "cached" in type(member).__name__ or "lazy" in type(member).__name__.lower():
        return True
    package = cls.__module__.partition(".")[0]
    if package == "matplotlib":
        return name in _OF_DRAWING or f"{cls.__name__}.{name}" in _COMPUTED
    if name == "uuid" and package == "pandas":  # of a Styler: drawn at random
        return True
    return is_cache(name, field)


def is_cache(name: str, value: Any) -> bool:
    """Return True for a container that is named as one that only saves time."""
    return isinstance(value, _CACHES) and _CACHE.search(name) is not None


# -- small values ---------------------------------------------------------------------------------


def is_random(value: Any) -> bool:
    """Return True for a generator of random numbers: each call changes its state."""
    return any(_RANDOM.match(f"{kind.__module__}.{kind.__name__}") for kind in type(value).__mro__)


def _own(value: Any) -> dict[str, Any]:
    is_users = user_code.is_users_class(type(value))
    return introspection.attributes(value) if is_users else {}


def _plain(value: Any) -> Any:
    """Return the JSON of what each version of Python pickles in another way; None for others."""
    kind = type(value)
    if issubclass(kind, PurePath) and not user_code.is_users_class(kind):
        return {"$path": str(value)}
    return {"$zone": value.key} if kind is zoneinfo.ZoneInfo and value.key else None


def _items(value: Any, part: _Part) -> Any:
    return [part(item) for item in value]


def _pairs(value: Any, part: _Part) -> Any:
    return {"$dict": sorted(([part(k), part(v)] for k, v in value.items()), key=tables.dumps)}


def _members(value: Any, part: _Part) -> Any:
    name = f"${type(value).__name__}"
    return {name: sorted((part(item) for item in value), key=tables.dumps)}


_CONTAINERS: dict[type, Callable[[Any, _Part], Any]] = {
    list: _items,
    tuple: lambda value, part: {"$tuple": _items(value, part)},
    dict: _pairs,
    set: _members,
    frozenset: _members,
    Ref: lambda ref, _: {"$hash": ref.digest},
}


def _scalar(value: Any) -> Any:
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    try:
        orjson.dumps(value)
    except TypeError:  # an int above 64 bits, a lone surrogate
        return {"$scalar": ascii(value)}
    return value
