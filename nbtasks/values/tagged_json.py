"""Tagged JSON: an object with one `$name` key stands for a value that JSON lacks.

For an array, a table or a figure the JSON contains a `LazyBytes`, whose bytes the codec stores in
the row or in a file.

>>> tag({1, 2}) in ({"$set": [1, 2]}, {"$set": [2, 1]})
True
>>> untag({"$complex": ["1.0", "-2.5"]})
(1-2.5j)
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import pathlib
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from nbtasks.values import classes, pickles, registry
from nbtasks.values.content import Find, LazyBytes, NotTaggable, Secret, Untag
from nbtasks.values.large.parts import INLINE_BYTES, TAG
from nbtasks.values.libraries import dispatch
from nbtasks.values.stores.refs import Ref

__all__ = ["NotTaggable", "members", "pickled", "tag", "tag_or_pickle", "untag"]

#: Bases of dataclasses whose instances have more than their fields.
_BUILTIN = (dict, list, set, frozenset, tuple, str, bytes, int, float, BaseException)
_SECRETS = ("SecretStr", "SecretBytes")  # of pydantic
_MAX_INT = 1 << 53  # JSON readers other than Python's keep integers up to here only


def tag(value: object) -> Any:
    """Return the value as JSON with tags.

    Raises:
        NotTaggable: No tag fits the value, or a value inside it.
    """
    kind = type(value)
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind in _WRITERS:
        name, write = _WRITERS[kind]
        return {name: write(value)}
    if kind in registry.by_type:
        codec = registry.by_type[kind]
        return {"$codec": [codec.name, tag(codec.encode(value))]}
    for matches, write in _CLASSES:
        if matches(value):
            return write(value)
    return dispatch.write(value, tag)


def tag_or_pickle(value: object) -> Any:
    """Return the value as JSON with tags; if no tag fits, as a signed pickle in a tag.

    Raises:
        ValueNotKeptError: The value cannot be pickled, either.
    """
    try:
        return tag(value)
    except (NotTaggable, RecursionError):
        return pickled(value)


def pickled(value: object) -> Any:
    """Return the value as a signed pickle in a tag, which keeps what its parts share.

    Raises:
        ValueNotKeptError: The value cannot be pickled.
    """
    data = pickles.dump(value)
    if len(data) > INLINE_BYTES and (tagged := members(value)) is not None:
        return tagged
    return _signed(data)


def members(value: object) -> Any:
    """Return a list, a tuple or a dict as JSON with tags, in which each member that no tag fits is
    a pickle of its own; None if they share objects, which only a pickle of the whole keeps."""
    from nbtasks.values.pickles.members import tag_members  # lazily: few values need it

    return tag_members(value, tag, _signed)


def _signed(data: bytes) -> dict[str, Any]:
    return {"$pickle": [pickles.sign(data), LazyBytes.of(data)]}


def untag(value: Any, find: Find | None = None, refer: Untag | None = None) -> Any:
    """Return the value from the JSON of `tag`.

    Args:
        value: The JSON.
        find: Function that returns the bytes of a `LazyBytes` for its placeholder in the JSON.
        refer: Function that returns the value of a reference to a file.

    Raises:
        ValueError: A tag is unknown.
    """
    return _Untagging(find, refer).untag(value)


class _Untagging:
    def __init__(self, find: Find | None, refer: Untag | None) -> None:
        self._find = find
        self._refer = refer

    def untag(self, value: Any) -> Any:
        if type(value) is list:
            return [self.untag(item) for item in value]
        if type(value) is not dict:
            return value
        if len(value) == 1:
            ((name, content),) = value.items()
            if name[:1] == "$":
                return self._untag_special(name, content)
        return {key: self.untag(item) for key, item in value.items()}

    def _untag_special(self, name: str, content: Any) -> Any:
        if name in _READERS:
            return _READERS[name](content)
        if name in _HOLDERS:
            return _HOLDERS[name](content, self.untag)
        if name in _BYTES:
            return self._untag_bytes(_BYTES[name], content)
        if name in dispatch.READERS and self._find is not None:
            return dispatch.READERS[name](content, self._find, self.untag)
        if name == TAG and self._refer is not None:
            return self._refer(content)
        # no plain dict: one with such a key is recorded as $dict
        raise ValueError(f"{name} is unknown to this nbtasks")

    def _untag_bytes(self, kind: Callable[[Any], Any], content: Any) -> Any:
        if type(content) is str:
            return kind(base64.b64decode(content))
        if self._find is None:
            raise ValueError("the bytes are missing")
        return kind(self._find(content))


def _is_path(value: object) -> bool:
    return isinstance(value, pathlib.PurePath) and type(value).__module__.startswith("pathlib")


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, _BUILTIN)


def _is_secret(value: object) -> bool:
    return type(value).__name__ in _SECRETS and type(value).__module__ == "pydantic.types"


def _tag_secret(value: Any) -> Secret:
    return Secret({"$secret": [type(value).__name__, tag(value.get_secret_value())]})


def _tag_int(value: int) -> Any:
    return value if -_MAX_INT <= value <= _MAX_INT else {"$int": hex(value)}


def _tag_float(value: float) -> Any:
    return value if value - value == 0 else {"$float": repr(value)}  # inf and nan differ


def _tag_str(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": _b64(value.encode("utf-8", "surrogatepass"))}
    return value


def _tag_bytes(value: bytes | bytearray) -> Any:
    return LazyBytes.of(bytes(value)) if len(value) > INLINE_BYTES else _b64(value)


def _tag_dict(value: dict[Any, Any]) -> Any:
    if all(type(key) is str and key[:1] != "$" and _tag_str(key) is key for key in value):
        return {key: tag(item) for key, item in value.items()}
    return {"$dict": [[tag(key), tag(item)] for key, item in value.items()]}


def _tag_datetime(value: dt.datetime) -> list[Any]:
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key:
        return [value.replace(tzinfo=None).isoformat(), zone.key, value.fold]
    _refuse_zone(zone)
    return [value.isoformat(), None, value.fold]


def _tag_time(value: dt.time) -> list[Any]:
    _refuse_zone(value.tzinfo)
    return [value.isoformat(), value.fold]


def _refuse_zone(zone: dt.tzinfo | None) -> None:
    # The ISO text contains a fixed offset; any other zone would come back as a fixed offset.
    if zone is not None and (type(zone) is not dt.timezone or zone.tzname(None)[:3] != "UTC"):
        raise NotTaggable(zone)


def _importable(kind: type) -> list[str]:
    """Return the module and qualified name that look up exactly this class, not a copy of it."""
    # a generic model with its types has a name only where it has been used
    loaded = not {"<", "["} & set(kind.__qualname__) and kind.__module__ in sys.modules
    is_named = loaded and classes.lookup(kind.__module__, kind.__qualname__) is kind
    if not is_named or classes.has_code(kind):
        raise NotTaggable(kind)
    return [kind.__module__, kind.__qualname__]


def _tag_enum(value: enum.Enum) -> Any:
    if isinstance(value, enum.Flag):  # a combination of flags has no name to look it up
        return {"$flag": [*_importable(type(value)), value.value]}
    return {"$enum": [*_importable(type(value)), value.name]}


def _fields(value: Any) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(value)]
    if set(getattr(value, "__dict__", {})) - set(names):
        raise NotTaggable(value)  # it has attributes besides its fields
    try:
        return {name: tag(getattr(value, name)) for name in names}
    except AttributeError:
        raise NotTaggable(value) from None  # a field was never set


def _state(value: Any) -> list[Any]:
    state = value.__getstate__()
    extra = state.get("__pydantic_extra__")  # a RootModel has none
    if state.get("__pydantic_private__"):
        raise NotTaggable(value)
    fields_set = sorted(state["__pydantic_fields_set__"])
    return [_tag_dict(state["__dict__"]), None if extra is None else _tag_dict(extra), fields_set]


def _read_secret(content: list[Any], untag: Untag) -> Any:
    import pydantic

    name, value = content
    if name not in _SECRETS:
        raise ValueError(f"{name} is not a secret type of pydantic")
    value = untag(value)
    if name == "SecretBytes" and isinstance(value, str):  # the placeholder of a hidden one
        value = value.encode()
    return getattr(pydantic, name)(value)


def _read_by_codec(content: list[Any], untag: Untag) -> Any:
    name, recorded = content
    codec = registry.by_name.get(name)
    if codec is None:
        raise LookupError(f"no codec {name!r} is registered here: use nb.register_codec")
    return codec.decode(untag(recorded))


def _read_dataclass(content: list[Any], untag: Untag) -> Any:
    module, qualname, recorded = content
    kind = classes.find_as(module, qualname, "a dataclass", dataclasses.is_dataclass)
    names = {field.name for field in dataclasses.fields(kind)}
    # Bypass __init__, which may take other arguments, or process the field values a second time.
    value: Any = object.__new__(kind)
    state = {name: untag(item) for name, item in recorded.items() if name in names}
    classes.fill_fields(value, state)
    return value


def _read_model(content: list[Any], untag: Untag) -> Any:
    module, qualname, (recorded, extra, fields_set) = content
    value = object.__new__(classes.find_as(module, qualname, "a pydantic model", classes.is_model))
    state = {
        "__dict__": untag(recorded),
        "__pydantic_extra__": untag(extra),
        "__pydantic_fields_set__": set(fields_set),
        "__pydantic_private__": None,
    }
    classes.fill_model(value, state)
    return value


def _read_enum(content: list[Any]) -> Any:
    module, qualname, name = content
    kind = classes.find_as(module, qualname, "an enum", lambda kind: issubclass(kind, enum.Enum))
    return classes.member(kind, name)


def _read_flag(content: list[Any]) -> Any:
    module, qualname, value = content
    kind: Any = classes.find_as(
        module, qualname, "a flag", lambda kind: issubclass(kind, enum.Flag)
    )
    return kind(value)


def _read_datetime(content: list[Any]) -> dt.datetime:
    text, zone, fold = content
    value = dt.datetime.fromisoformat(text)
    return value.replace(tzinfo=ZoneInfo(zone) if zone else value.tzinfo, fold=fold)


def _items(value: Any) -> list[Any]:
    return [tag(item) for item in value]


def _b64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


_PLAIN: dict[type, Callable[[Any], Any]] = {
    type(None): lambda value: value,
    bool: lambda value: value,
    int: _tag_int,
    float: _tag_float,
    str: _tag_str,
    list: _items,
    dict: _tag_dict,
}
_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("$tuple", _items),
    set: ("$set", _items),
    frozenset: ("$frozenset", _items),
    bytes: ("$bytes", _tag_bytes),
    bytearray: ("$bytearray", _tag_bytes),
    dt.datetime: ("$datetime", _tag_datetime),
    dt.date: ("$date", dt.date.isoformat),
    dt.time: ("$time", _tag_time),
    dt.timedelta: ("$timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("$decimal", str),
    uuid.UUID: ("$uuid", str),
    complex: ("$complex", lambda value: [repr(value.real), repr(value.imag)]),
    Ref: ("$ref", lambda value: value.record),
    range: ("$range", lambda value: [value.start, value.stop, value.step]),
}
#: Predicates for values that are recognized by more than their exact class, with their writers.
_CLASSES: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda value: isinstance(value, enum.Enum), _tag_enum),
    (_is_path, lambda value: {"$path": [type(value).__name__, str(value)]}),
    (_is_record, lambda value: {"$dataclass": [*_importable(type(value)), _fields(value)]}),
    (lambda value: classes.is_model(type(value)), lambda value: {
        "$model": [*_importable(type(value)), _state(value)]
    }),
    (_is_secret, _tag_secret),
)  # fmt: skip
_PATHS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
        pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath,
    )
}  # fmt: skip
_BYTES: dict[str, Callable[[Any], Any]] = {"$bytes": bytes, "$bytearray": bytearray}
_READERS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$str": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    "$datetime": _read_datetime,
    "$date": dt.date.fromisoformat,
    "$time": lambda content: dt.time.fromisoformat(content[0]).replace(fold=content[1]),
    "$timedelta": lambda parts: dt.timedelta(*parts),
    "$decimal": Decimal,
    "$uuid": uuid.UUID,
    "$complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "$range": lambda parts: range(*parts),
    "$path": lambda parts: _PATHS[parts[0]](parts[1]),
    "$ref": Ref.of_record,
    "$enum": _read_enum,
    "$flag": _read_flag,
}
_HOLDERS: dict[str, Callable[[Any, Untag], Any]] = {
    "$dict": lambda pairs, untag: {untag(key): untag(item) for key, item in pairs},
    "$tuple": lambda items, untag: tuple(map(untag, items)),
    "$set": lambda items, untag: set(map(untag, items)),
    "$frozenset": lambda items, untag: frozenset(map(untag, items)),
    "$dataclass": _read_dataclass,
    "$model": _read_model,
    "$codec": _read_by_codec,
    "$secret": _read_secret,
}
