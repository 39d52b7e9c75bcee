"""Codec between Python values and journal records, exact in type and value.

The kinds of record:

- `json`: a value that JSON keeps exactly.
- `tagged`: JSON in which an object with one `$name` key stands for a value that JSON lacks.
- `arrow`, `npy`, `figure`: a table, an array, a figure; `parts`: a structure with some of them;
  `bindings`: the values of a notebook's names, each as one of these or as a pickle.
  These are tagged JSON, too. Small ones contain their bytes as base64; large ones are in a file,
  together with their JSON.
- `pickle`: any other value, signed; `output` is then the signature, a colon, and base64.

>>> encoded = encode({"at": (1, 2.5), "ok": None})
>>> encoded.kind, encoded.text
('tagged', '{"at":{"$tuple":[1,2.5]},"ok":null}')
>>> decode(encoded.kind, encoded.text)
{'at': (1, 2.5), 'ok': None}
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.values import preview
from nbtasks.values.content import Find, LazyBytes, Secret, join, split
from nbtasks.values.redaction import REDACTED, REDACTED_JSON, Paths, redact

__all__ = [
    "EXPIRED",
    "HIDDEN",
    "INLINE_BYTES",
    "Encoded",
    "decode",
    "decode_blob",
    "encode",
    "encode_redacted",
    "hide",
    "pickles_in",
    "to_sorted_json",
]

#: Values above this size are stored in their own file beside the journal.
INLINE_BYTES = 1 << 20
#: Kind of a value in a shared run that came with its redacted preview only.
HIDDEN = "hidden"
#: Kind of a value that was removed to free space after its time to live had passed.
EXPIRED = "expired"

_UNORDERED = {"$set", "$frozenset", "$dict"}
_SCALARS = frozenset({str, int, float, bool, type(None)})
_FINITE = float("inf")
_INT_BITS = 63
#: Kind of a value that consists of nothing but the one tag.
_WHOLE = {
    "$pandas": "arrow", "$polars": "arrow", "$arrow": "arrow",
    "$npy": "npy", "$figure": "figure", "$bindings": "bindings",
}  # fmt: skip


class Encoded(NamedTuple):
    """Encoded value, ready to be recorded.

    Attributes:
        kind: The kind of record, see the module.
        text: The text for the row. For a large value only its signature, or None.
        size: The size of the encoded value in bytes, before tables are compressed.
        blob: The bytes of a large value, to be stored in a file.
        preview: The redacted text that people may see, if parts of the value are secret.
    """

    kind: str
    text: str | None
    size: int
    blob: LazyBytes | None = None
    preview: str | None = None


_NULL = Encoded("json", "null", 4)
#: A pickle and its signature.
Pickle = tuple[bytes | memoryview, str]


class _Json(NamedTuple):
    """JSON of a value, with the byte contents that the JSON refers to by their numbers."""

    kind: str
    data: bytes
    tagged: Any = None
    parts: Sequence[LazyBytes] = ()
    secrets: bool = False


def encode(value: object, *, inline: bool = False) -> Encoded:
    """Encode a value.

    Args:
        value: The value.
        inline: True to put all of it into the text, however large it is.

    Raises:
        ValueNotKeptError: The value is neither JSON nor tagged JSON, and cannot be pickled.
    """
    if value is None:  # a shortcut for the most frequent outputs, None and integers
        return _NULL
    if type(value) is int and value.bit_length() <= _INT_BITS:
        text = str(value)
        return Encoded("json", text, len(text))
    as_json = _to_json(value)
    if as_json is None:
        return _encode_pickle(value, inline=inline)
    encoded = _encode_json(as_json, inline=inline)
    return encoded._replace(preview=_redact_json(as_json)) if as_json.secrets else encoded


def _encode_json(as_json: _Json, *, inline: bool) -> Encoded:
    size, data = len(as_json.data), as_json.data
    if as_json.parts:
        joined = join(data, as_json.parts)
        if joined.size > INLINE_BYTES and not inline:
            return Encoded(as_json.kind, None, joined.size, joined)
        data = orjson.dumps(as_json.tagged, default=_part_to_base64)
        size = len(data)
    elif size > INLINE_BYTES and not inline:
        return Encoded(as_json.kind, None, size, LazyBytes.of(data))
    return Encoded(as_json.kind, data.decode(), size)


def encode_redacted(value: Any, paths: Paths) -> Encoded:
    """Encode a value, with a preview that hides the paths; all of it, if only a pickle keeps it.

    Raises:
        ValueNotKeptError: The value cannot be recorded.
    """
    encoded = encode(value)
    is_plain = encoded.kind in ("json", "tagged")
    visible = redact(value, paths) if is_plain else REDACTED
    return encoded._replace(preview=preview.to_display_json(visible))


def hide(encoded: Encoded) -> Encoded:
    """Move a value with secrets to a file, and leave its redacted text in the row.

    Other values stay as they are; so does a pickle, since views never show its content.
    """
    if encoded.preview is None or encoded.kind == "pickle":
        return encoded
    whole = encoded.blob or LazyBytes.of((encoded.text or "").encode())
    return encoded._replace(text=encoded.preview, blob=whole)


def decode(kind: str, text: str | None) -> Any:
    """Return the value of a row that contains all of it.

    Raises:
        UnreadableValueError: The record is damaged, or a module or codec that it needs is missing.
        UntrustedValueError: The record is a pickle that this user did not sign.
    """
    if kind == "json" and text is not None:
        return _loads(text)  # by far the most frequent case
    if kind == EXPIRED:
        raise UnreadableValueError(
            "The recorded value is gone: its ttl had passed, and nb.gc removed it."
        )
    if text is None:
        return None
    if kind == HIDDEN:
        return _decode_hidden(text)
    if kind == "pickle":
        from nbtasks.values import pickles

        signature, _, content = text.partition(":")
        return pickles.load(_from_base64(content), signature)
    return _untag(_loads(text), _part_from_base64)


def decode_blob(kind: str, text: str | None, data: bytes | memoryview) -> Any:
    """Return the value of a row whose bytes are in a file. `text` is its signature, if any."""
    if kind == "pickle":
        from nbtasks.values import pickles

        return pickles.load(data, text or "")
    if kind == "json":
        return _loads(data)
    joined = _split(data)
    if joined is None:
        return _untag(_loads(data), _part_from_base64)
    tagged, parts = joined
    return _untag(tagged, parts.__getitem__)


def pickles_in(kind: str, text: str | None, data: memoryview | None) -> list[Pickle]:
    """Return the pickles in a record, without loading them.

    Args:
        kind: The kind of the record.
        text: The text of the row.
        data: The bytes of the file, if there is one.

    Raises:
        UnreadableValueError: The record is damaged.
    """
    if kind in ("json", HIDDEN, EXPIRED):
        return []
    if kind == "pickle":
        signature, _, content = (text or "").partition(":")
        return [(_from_base64(content) if data is None else data, signature)]
    tagged: Any
    find: Find
    joined = None if data is None else _split(data)
    if joined is None:
        tagged, find = _loads(text or "null" if data is None else data), _part_from_base64
    else:
        tagged, find = joined[0], joined[1].__getitem__
    return [(find(data), str(signature)) for signature, data in _iter_pickles(tagged)]


def _iter_pickles(tagged: Any) -> Iterator[list[Any]]:
    """Yield the signature and the place of each pickle in tagged JSON."""
    parts: Any = tagged if type(tagged) is list else ()
    if type(tagged) is dict:
        parts = tagged.values()
        for name, least in (("$pickle", 0), ("$figure", 1)):
            if type(content := tagged.get(name)) is list and content[least + 1 :]:
                yield content[least : least + 2]
    for part in parts:
        yield from _iter_pickles(part)


def to_sorted_json(value: object) -> bytes | None:
    """Return bytes that equal values of equal types have in common, in every process.

    The order of a dict's keys and of a set's members does not count.

    Returns:
        JSON, with the hashes of tables and the like; None if only a pickle can represent the value.

    >>> to_sorted_json({"b": 2, "a": 1})
    b'{"a":1,"b":2}'
    """
    as_json = _to_json(value, orjson.OPT_SORT_KEYS)
    if as_json is None:
        return None
    data = as_json.data
    if as_json.kind != "json":
        data = orjson.dumps(_sort_unordered(orjson.loads(data)), option=orjson.OPT_SORT_KEYS)
    return data + b"".join(part.hash().encode() for part in as_json.parts)


def _to_json(value: object, option: int = 0) -> _Json | None:
    """Return the value as JSON; None if only a pickle can represent it."""
    try:
        if _is_json(value):
            return _Json("json", orjson.dumps(value, option=option))
    except (orjson.JSONEncodeError, RecursionError):
        pass  # an int above 64 bits, a lone surrogate, a structure that contains itself
    from nbtasks.values import (
        tagged_json,  # lazily: it imports many types, and most values are plain
    )

    parts: list[LazyBytes] = []

    secrets = False

    def number(part: LazyBytes | Secret) -> Any:
        nonlocal secrets
        if isinstance(part, Secret):
            secrets = True
            return part.tag
        parts.append(part)
        return len(parts) - 1

    try:
        tagged = tagged_json.tag(value)
        data = orjson.dumps(tagged, option=option, default=number)
    except (tagged_json.NotTaggable, orjson.JSONEncodeError, RecursionError):
        return None
    name = next(iter(tagged)) if type(tagged) is dict and len(tagged) == 1 else ""
    if not parts and name != "$bindings":
        return _Json("tagged", data, tagged, secrets=secrets)
    return _Json(_WHOLE.get(name, "parts"), data, tagged, parts, secrets)


def _part_to_base64(part: LazyBytes | Secret) -> Any:
    return part.tag if isinstance(part, Secret) else base64.b64encode(bytes(part)).decode()


def _redact_json(as_json: _Json) -> str:
    """Return the JSON without its secrets; if it refers to byte contents, hide all of it."""
    if as_json.parts:
        return REDACTED_JSON

    def redact(secret: Secret) -> Any:
        return {"$secret": [secret.tag["$secret"][0], REDACTED]}

    return orjson.dumps(as_json.tagged, default=redact).decode()


def _decode_hidden(text: str) -> Any:
    """Return the redacted value of a hidden record.

    Raises:
        UnreadableValueError: All of the value is hidden.
    """
    if text == REDACTED_JSON:
        raise UnreadableValueError(
            "The recorded value was hidden when the run was exported, since its task redacts it or "
            "it holds a secret."
        )
    return _untag(_loads(text), _refuse_part)


def _sort_unordered(tagged: Any) -> Any:
    """Return tagged JSON in which the members of sets and dicts are sorted."""
    if type(tagged) is list:
        return [_sort_unordered(item) for item in tagged]
    if type(tagged) is not dict:
        return tagged
    result = {name: _sort_unordered(item) for name, item in tagged.items()}
    for name in _UNORDERED & result.keys():
        result[name].sort(key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    return result


def _is_json(value: object) -> bool:
    """Return True if JSON keeps the value exactly.

    Compares exact types, since an instance of a subclass would lose its class.
    """
    kind = type(value)
    if kind is float:
        return -_FINITE < value < _FINITE  # type: ignore[operator]  # a float, as just checked
    if kind in _SCALARS:
        return True
    if kind is list:
        return all(map(_is_json, value))  # type: ignore[call-overload]  # a list
    if kind is dict:
        return all(
            type(key) is str and key[:1] != "$" and _is_json(item)
            for key, item in value.items()  # type: ignore[attr-defined]  # a dict
        )
    return False


def _loads(text: str | bytes | memoryview) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def _untag(value: object, find: Find) -> Any:
    from nbtasks.values import tagged_json  # lazily, as above

    try:
        return tagged_json.untag(value, find)
    except UnreadableValueError:
        raise
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded value cannot be rebuilt: {type(error).__name__}: {error}."
        ) from error


def _split(data: bytes | memoryview) -> tuple[Any, list[memoryview]] | None:
    try:
        return split(memoryview(data))
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableValueError(f"The file of a recorded value is damaged: {error}.") from None


def _part_from_base64(part: Any) -> memoryview:
    return memoryview(_from_base64(part))


def _from_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def _refuse_part(part: Any) -> memoryview:
    raise UnreadableValueError(f"Part {part!r} of the recorded value is missing.")


def _encode_pickle(value: object, *, inline: bool) -> Encoded:
    from nbtasks.values import pickles

    data = pickles.dump(value)
    signature = pickles.sign(data)
    if len(data) > INLINE_BYTES and not inline:
        return Encoded("pickle", signature, len(data), LazyBytes.of(data))
    return Encoded("pickle", f"{signature}:{base64.b64encode(data).decode()}", len(data))
