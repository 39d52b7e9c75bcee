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
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.values import preview
from nbtasks.values.content import Find, LazyBytes, Secret, rebuilding
from nbtasks.values.large import parts
from nbtasks.values.large.parts import INLINE_BYTES, Json, Put, is_json
from nbtasks.values.large.records import (
    COMPOSED,
    EXPIRED,
    HIDDEN,
    files,
    from_base64,
    parse,
    part_from_base64,
    pickles_in,
    refuse_part,
    split_file,
)
from nbtasks.values.redaction import REDACTED, REDACTED_JSON, Paths, redact

__all__ = [
    "COMPOSED",
    "EXPIRED",
    "HIDDEN",
    "INLINE_BYTES",
    "Encoded",
    "decode",
    "decode_blob",
    "encode",
    "encode_redacted",
    "encode_whole",
    "files",
    "hide",
    "pickles_in",
    "to_sorted_json",
]

#: Function that returns the value of a reference to a file, from the content of its tag.
Refer = Callable[[Any], Any]

_UNORDERED = {"$set", "$frozenset", "$dict"}
_INT_BITS = 63


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


def encode(value: object, *, inline: bool = False, put: Put | None = None) -> Encoded:
    """Encode a value.

    Args:
        value: The value.
        inline: True to put all of it into the text, however large it is.
        put: Function that writes the files of its large parts; None to keep it in one piece.

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
        return _encode_pickle(value, inline=inline, put=put)
    encoded = _encode_json(as_json, as_json.size, inline=inline, put=put)
    return encoded._replace(preview=_redact_json(as_json)) if as_json.secrets else encoded


def _encode_json(as_json: Json, size: int, *, inline: bool, put: Put | None) -> Encoded:
    if size > INLINE_BYTES and not inline:
        rest = as_json if put is None else parts.split(as_json, put)
        if rest is as_json or rest.size > INLINE_BYTES:
            return Encoded(rest.kind, None, size, rest.content)
        return _encode_json(rest, size, inline=True, put=None)
    data = as_json.data
    if as_json.parts:
        data = orjson.dumps(as_json.tagged, default=_part_to_base64)
        size = max(size, len(data))
    return Encoded(as_json.kind, data.decode(), size)


def encode_whole(value: object) -> tuple[str, LazyBytes | None]:
    """Return the kind and the bytes of a large value in one piece; no bytes of another one, and of
    one that only a pickle can represent."""
    as_json = _to_json(value)
    if as_json is None or as_json.secrets or as_json.size <= INLINE_BYTES:
        return "", None
    return as_json.kind, as_json.content


def encode_redacted(value: Any, paths: Paths | None, put: Put | None = None) -> Encoded:
    """Encode a value, with a preview that hides the paths; all of it, if only a pickle keeps it.

    Raises:
        ValueNotKeptError: The value cannot be recorded.
    """
    encoded = encode(value, put=put)
    if paths is None:
        return encoded
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


def decode(kind: str, text: str | None, refer: Refer | None = None) -> Any:
    """Return the value of a row that contains all of it, or refers to the files of its parts.

    Args:
        kind: The kind of the record.
        text: The text of the row.
        refer: Function that returns the value of a part.

    Raises:
        UnreadableValueError: The record is damaged, or a module or codec that it needs is missing.
        UntrustedValueError: The record is a pickle that this user did not sign.
    """
    if kind == "json" and text is not None:
        return parse(text)  # by far the most frequent case
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
        return pickles.load(from_base64(content), signature)
    return _untag(parse(text), part_from_base64, refer)


def decode_blob(
    kind: str, text: str | None, data: bytes | memoryview, refer: Refer | None = None
) -> Any:
    """Return the value of a row whose bytes are in a file. `text` is its signature, if any."""
    if kind == "pickle":
        from nbtasks.values import pickles

        return pickles.load(data, text or "")
    if kind == "json":
        return parse(data)
    joined = split_file(data)
    if joined is None:
        return _untag(parse(data), part_from_base64, refer)
    tagged, contents = joined
    return _untag(tagged, contents.__getitem__, refer)


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


def _to_json(value: object, option: int = 0) -> Json | None:
    """Return the value as JSON; None if only a pickle can represent it."""
    try:
        if is_json(value):
            return Json("json", orjson.dumps(value, option=option), value)
    except (orjson.JSONEncodeError, RecursionError):
        pass  # an int above 64 bits, a lone surrogate, a structure that contains itself
    from nbtasks.values import (
        tagged_json,  # lazily: it imports many types, and most values are plain
    )

    try:
        return parts.to_json(tagged_json.tag(value), option)
    except (tagged_json.NotTaggable, orjson.JSONEncodeError, RecursionError):
        return None


def _part_to_base64(part: LazyBytes | Secret) -> Any:
    return part.tag if isinstance(part, Secret) else base64.b64encode(bytes(part)).decode()


def _redact_json(as_json: Json) -> str:
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
    return _untag(parse(text), refuse_part)


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


def _untag(value: object, find: Find, refer: Refer | None = None) -> Any:
    from nbtasks.values import tagged_json  # lazily, as above

    with rebuilding():
        return tagged_json.untag(value, find, refer)


def _encode_pickle(value: object, *, inline: bool, put: Put | None) -> Encoded:
    from nbtasks.values import pickles

    data = pickles.dump(value)
    if len(data) > INLINE_BYTES and not inline:
        if put is not None and (as_json := _members(value)) is not None:
            return _encode_json(as_json, as_json.size, inline=False, put=put)
        return Encoded("pickle", pickles.sign(data), len(data), LazyBytes.of(data))
    text = f"{pickles.sign(data)}:{base64.b64encode(data).decode()}"
    return Encoded("pickle", text, len(data))


def _members(value: object) -> Json | None:
    """Return a container as JSON with a pickle for each member that needs one, if that is as good
    as a pickle of the whole."""
    from nbtasks.values import tagged_json  # lazily, as above

    try:
        tagged = tagged_json.members(value)
        as_json = None if tagged is None else parts.to_json(tagged)
    except (orjson.JSONEncodeError, RecursionError):
        return None
    return None if as_json is None or as_json.secrets else as_json
