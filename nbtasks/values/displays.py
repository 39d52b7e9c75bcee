"""Displayed outputs as records: JSON, signed where a page could execute what it shows.

What a task displays is shown again where the task is reused, in the user's own page. HTML and
scripts of somebody else must not be, so an output with such parts carries a signature made with the
user's key; without a valid one only its text and its images are shown.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from html import escape
from typing import Any, Final, NamedTuple

import orjson

from nbtasks.errors import ValueNotKeptError
from nbtasks.values import redaction, signing
from nbtasks.values.content import content_hash

__all__ = ["PASSIVE", "Display", "dumps", "loads"]

_WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
#: Types whose data is only looked at: Markdown as its source, an SVG as an image, in which no
#: script runs.
PASSIVE: Final = frozenset({
    "text/plain", "text/markdown", "application/json", "image/png", "image/jpeg",
    "image/gif", "image/webp", "image/svg+xml",
})  # fmt: skip


class Display(NamedTuple):
    """Recorded output.

    Attributes:
        data: Data by MIME type.
        metadata: Their metadata.
        trusted: True if all of it may be shown; else only the `PASSIVE` types.
        hash: Hash of its content, by which it can be trusted.
    """

    data: dict[str, Any]
    metadata: dict[str, Any]
    trusted: bool
    hash: str


def dumps(
    output: tuple[dict[str, Any], dict[str, Any]], secrets: Collection[str] = ()
) -> bytes | None:
    """Return the record of an output, with the secrets hidden; None if nothing of it can be kept.

    >>> dumps(({"text/plain": "3 rows of enigma"}, {}), {"enigma"})
    b'[{"text/plain":"3 rows of [REDACTED]"},{}]'
    """
    data, metadata = redaction.scrub_parts(output, {*secrets, *map(escape, secrets)})
    kept = {kind: _to_text(value) for kind, value in data.items() if kind != _WIDGET_VIEW}
    # A widget lives in its kernel. Its text is that of its first state: a progress bar at 0 %.
    if not kept or (_WIDGET_VIEW in data and kept.keys() == {"text/plain"}):
        return None
    try:
        record = _encode([kept, metadata or {}])
    except TypeError:  # surrogates that are no Unicode, integers of more than 64 bits
        kept = {kind: ascii(value) for kind, value in kept.items() if kind == "text/plain"}
        record = _encode([kept or {"text/plain": "(a display that cannot be recorded)"}, {}])
    if kept.keys() <= PASSIVE:
        return record
    try:
        signature = signing.sign(content_hash(record))
    except ValueNotKeptError:  # there is no place for a key: nobody will trust it
        return record
    return b"%s,%s]" % (record[:-1], orjson.dumps(signature))


def loads(text: str | bytes | memoryview) -> Display:
    """Return the output of a record, which anybody may have written.

    >>> loads('[{"text/html":"<script>"},{},"a signature"]').trusted
    False
    """
    try:
        data, metadata, *rest = orjson.loads(text)
        data, metadata = dict(data), dict(metadata)
        name = content_hash(_encode([data, metadata]))
    except (ValueError, TypeError):
        return Display({"text/plain": "(a display that cannot be read)"}, {}, trusted=True, hash="")
    signature = rest[0] if rest and isinstance(rest[0], str) else ""
    trusted = data.keys() <= PASSIVE or signing.verify(name, signature)
    return Display(data, metadata, trusted, name)


def _encode(value: Any) -> bytes:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)


def _to_text(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
