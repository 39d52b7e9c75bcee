"""Redaction of task inputs and outputs in everything that people see.

A path leads from a value to a part of it: `token`, `user.email`, `rows[0].key`, `rows[*].key`. `$`
is the value itself, and may also begin a path. Paths apply to the output, to the list of the
arguments, and to each argument.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from nbtasks.errors import InvalidOptionError

__all__ = [
    "REDACTED",
    "REDACTED_JSON",
    "SECRET",
    "Paths",
    "Steps",
    "find_secrets",
    "hide_secrets",
    "parse",
    "redact",
    "redact_call",
    "scrub",
    "scrub_parts",
    "spellings",
]

#: Text that replaces a hidden value.
REDACTED: Final = "[REDACTED]"
#: The same as JSON: the text of a completely hidden value.
REDACTED_JSON: Final = f'"{REDACTED}"'
#: The keys and indices on the path to a part; "*" matches each of them.
Steps = tuple[str | int, ...]
#: The paths of all hidden parts.
Paths = tuple[Steps, ...]

#: Names of secrets.
SECRET: Final = re.compile(
    r"auth(?!or(?!i[sz]))|token|secret|api.?key|cookie|password|passwd|signature|credential",
    re.IGNORECASE,
)
#: Shorter strings are not scrubbed from texts, where they occur by chance.
_LEAST_SECRET = 4
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]|\[(?P<quote>['\"])(.+?)(?P=quote)\]")


def parse(paths: Sequence[str]) -> tuple[Steps, ...]:
    """Parse the paths of a `redact=` option.

    Raises:
        InvalidOptionError: An item is not a path.

    >>> parse(["user.email", "$[0].key", "rows[*]['a b']", "$"])
    (('user', 'email'), (0, 'key'), ('rows', '*', 'a b'), ())
    """
    items: Any = paths
    if isinstance(items, str) or not all(isinstance(path, str) and path for path in items):
        raise InvalidOptionError(f"redact is a list of paths, as in ['user.email'], not {paths!r}.")
    return tuple(map(_parse, paths))


def _parse(path: str) -> Steps:
    body = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(body):
        match = _STEP.match(body, at)
        if match is None:
            raise InvalidOptionError(
                f"redact: {path!r} is not a path. Write user.email, rows[0].key or rows[*].key; $ "
                "is the value itself."
            )
        name, index, _, quoted = match.groups()
        steps.append(int(index) if index and index != "*" else name or quoted or "*")
        at = match.end()
    return tuple(steps)


def redact(value: Any, paths: Sequence[Steps]) -> Any:
    """Return a copy of a value with the parts at the paths hidden; ignore paths without a part.

    >>> redact({"user": {"email": "a@b.c", "id": 1}}, parse(["user.email", "nothing"]))
    {'user': {'email': '[REDACTED]', 'id': 1}}
    """
    for steps in paths:
        value = _hide(value, steps)
    return value


def redact_call(
    args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, paths: Sequence[Steps]
) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
    """Return a copy of a call's arguments with parts hidden: of the list of the arguments, of the
    keyword arguments by name, and of each argument.

    >>> redact_call(({"key": 1}, 2), None, parse(["key"]))
    (({'key': '[REDACTED]'}, 2), None)
    >>> redact_call((), {"key": 1, "user": {"key": 2, "id": 3}}, parse(["key"]))
    ((), {'key': '[REDACTED]', 'user': {'key': '[REDACTED]', 'id': 3}})
    >>> redact_call((1,), {"key": 2}, parse(["$"]))
    (('[REDACTED]',), {'key': '[REDACTED]'})
    """
    within = [steps for steps in paths if steps]
    shown = tuple(redact(arg, paths) for arg in redact(list(args), within))
    if kwargs is None:
        return shown, None
    named = redact(dict(kwargs), within)
    return shown, {name: redact(value, paths) for name, value in named.items()}


def hide_secrets(value: Any) -> Any:
    """Return a copy of a value in which every item with the name of a secret is hidden.

    >>> hide_secrets({"api_key": "1", "to": [{"password": "2", "author": "Ada"}]})
    {'api_key': '[REDACTED]', 'to': [{'password': '[REDACTED]', 'author': 'Ada'}]}
    >>> hide_secrets({"Authorization": "1", "authority": "2", "OAuth": "3"})
    {'Authorization': '[REDACTED]', 'authority': '2', 'OAuth': '[REDACTED]'}
    """
    if isinstance(value, Mapping):
        return {
            key: REDACTED if SECRET.search(str(key)) else hide_secrets(part)
            for key, part in value.items()
        }
    return [hide_secrets(part) for part in value] if isinstance(value, list | tuple) else value


def find_secrets(shown: Any, value: Any) -> set[str]:
    """Return the texts in a value at the places that are hidden in its redacted copy.

    >>> sorted(find_secrets({"a": "[REDACTED]", "b": 1}, {"a": ["enigma", {"x": "ultra"}], "b": 1}))
    ['enigma', 'ultra']
    """
    if shown == REDACTED:
        return set(_iter_texts(_unwrap(value)))
    texts: set[str] = set()
    shown, value = _unwrap(shown), _unwrap(value)
    if isinstance(shown, Mapping) and isinstance(value, Mapping):
        for key in shown.keys() & value.keys():
            texts |= find_secrets(shown[key], value[key])
    elif isinstance(shown, list | tuple) and isinstance(value, list | tuple):
        for shown_part, part in zip(shown, value, strict=False):
            texts |= find_secrets(shown_part, part)
    return texts


def scrub(text: str, secrets: Collection[str]) -> str:
    """Return a text with every secret replaced.

    >>> scrub("token enigma refused", {"enigma"})
    'token [REDACTED] refused'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def scrub_parts(value: Any, secrets: Collection[str]) -> Any:
    """Return a copy of a value with every secret replaced in all of its parts.

    >>> scrub_parts({"points": [{"name": "an enigma", "n": 41943}]}, {"enigma", "41943"})
    {'points': [{'name': 'an [REDACTED]', 'n': '[REDACTED]'}]}
    """
    if not secrets or isinstance(value, bytes | bool | None):
        return value
    if isinstance(value, str):
        return scrub(value, secrets)
    if isinstance(value, Mapping):
        return {
            scrub_parts(key, secrets): scrub_parts(part, secrets) for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [scrub_parts(part, secrets) for part in value]
    text = repr(value)
    scrubbed = scrub(text, secrets)
    return value if scrubbed == text else scrubbed


def spellings(secrets: Collection[str]) -> frozenset[str]:
    r"""Return secrets with the forms that they have within JSON and within Python's `repr`.

    >>> "two lines".replace(" ", r"\n") in spellings({"two lines".replace(" ", chr(10))})
    True
    """
    found: set[str] = set()
    for secret in secrets:
        as_json = json.dumps(secret), json.dumps(secret, ensure_ascii=False)
        found |= {secret, *(text[1:-1] for text in (*as_json, repr(secret)))}
    return frozenset(found)


def _iter_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _LEAST_SECRET:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _iter_texts(_unwrap(part))
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _iter_texts(_unwrap(part))
    elif type(value) in (int, float):
        yield from _iter_texts(str(value))


def _hide(value: Any, steps: Steps) -> Any:
    if not steps:
        return REDACTED
    step, deeper = steps[0], steps[1:]
    value = _unwrap(value)
    if isinstance(value, Mapping):
        return {
            key: _hide(part, deeper) if step in ("*", key, str(key)) else part
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _hide(part, deeper) if step in ("*", index, str(index)) else part
            for index, part in enumerate(value)
        ]
    return value


def _unwrap(value: Any) -> Any:
    """Return the fields of an object as a mapping, of a pydantic secret its value, others as is."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(type(value), "model_fields"):  # a pydantic model
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value
