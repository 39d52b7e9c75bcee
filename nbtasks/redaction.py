"""What is hidden of a task's inputs and output wherever people look.

A path goes from the value to a part of it: `token`, `user.email`, `rows[0].key`, `rows[*].key`. `$`
is the value itself, and may also begin a path. It is looked for in the output, in the list of the
arguments, and in each argument.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, Final

from nbtasks.errors import InvalidOptionError

__all__ = [
    "REDACTED",
    "REDACTED_JSON",
    "SECRET",
    "Paths",
    "Steps",
    "hide_named",
    "hide_secrets",
    "parse",
    "redacted",
    "redacted_args",
    "scrubbed",
    "secrets_of",
]

#: What stands in the place of what is hidden.
REDACTED: Final = "[REDACTED]"
#: The same as JSON: of a value that is hidden as a whole.
REDACTED_JSON: Final = f'"{REDACTED}"'
#: The keys and indices on the way to a part; "*" is each of them.
Steps = tuple[str | int, ...]
#: Those of all the parts that are hidden.
Paths = tuple[Steps, ...]

#: Names that say that what they stand for is a secret.
SECRET: Final = re.compile(
    r"auth(?!or(?!i[sz]))|token|secret|api.?key|cookie|password|passwd|signature|credential",
    re.IGNORECASE,
)
#: Shorter ones stand in texts by chance.
_LEAST_SECRET = 4
_MOST_KNOWN = 1000
#: Which parameters of a function have the name of a secret, by the id of its code, which is kept
#: with it. Not by the code itself: its hash is that of all it consists of.
_places: dict[int, tuple[CodeType, tuple[int, ...]]] = {}
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]|\[(?P<quote>['\"])(.+?)(?P=quote)\]")


def parse(paths: Sequence[str]) -> tuple[Steps, ...]:
    """The paths of a `redact=` option.

    Raises:
        InvalidOptionError: One is no path.

    >>> parse(["user.email", "$[0].key", "rows[*]['a b']", "$"])
    (('user', 'email'), (0, 'key'), ('rows', '*', 'a b'), ())
    """
    given: Any = paths
    if isinstance(given, str) or not all(isinstance(path, str) and path for path in given):
        raise InvalidOptionError(f"redact is a list of paths, as in ['user.email'], not {paths!r}.")
    return tuple(map(_parse, paths))


def _parse(path: str) -> Steps:
    rest = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise InvalidOptionError(
                f"redact: {path!r} is no path. Write user.email, rows[0].key or rows[*].key; $ is "
                "the value itself."
            )
        name, index, _, quoted = found.groups()
        steps.append(int(index) if index and index != "*" else name or quoted or "*")
        at = found.end()
    return tuple(steps)


def redacted(value: Any, paths: Sequence[Steps]) -> Any:
    """A copy of a value in which the parts at the paths are hidden. What is not there is not
    missed.

    >>> redacted({"user": {"email": "a@b.c", "id": 1}}, parse(["user.email", "nothing"]))
    {'user': {'email': '[REDACTED]', 'id': 1}}
    """
    for steps in paths:
        value = _without(value, steps)
    return value


def redacted_args(args: tuple[Any, ...], paths: Sequence[Steps]) -> tuple[Any, ...]:
    """The same of arguments: of the list of them, and of each.

    >>> redacted_args(({"key": 1}, 2), parse(["key"]))
    ({'key': '[REDACTED]'}, 2)
    >>> redacted_args(({"key": 1}, 2), parse(["$"]))
    ('[REDACTED]', '[REDACTED]')
    """
    whole = redacted(list(args), [steps for steps in paths if steps])
    return tuple(redacted(arg, paths) for arg in whole)


def hide_secrets(value: Any) -> Any:
    """A copy of a value in which what has the name of a secret is hidden.

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


def hide_named(fn: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call, with those hidden whose parameters have the name of a secret.

    >>> hide_named(lambda user, api_key: None, ("ada", "1"))
    ('ada', '[REDACTED]')
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        return args
    known = _places.get(id(code))
    places = known[1] if known is not None and known[0] is code else _secret_places(code)
    if not places:
        return args
    skipped = hasattr(fn, "__self__")
    return tuple(REDACTED if place + skipped in places else arg for place, arg in enumerate(args))


def _secret_places(code: CodeType) -> tuple[int, ...]:
    names = code.co_varnames[: code.co_argcount]
    places = tuple(place for place, name in enumerate(names) if SECRET.search(name))
    if len(_places) >= _MOST_KNOWN:
        _places.clear()
    _places[id(code)] = code, places
    return places


def secrets_of(shown: Any, value: Any) -> set[str]:
    """The text that a value has where what is shown of it is hidden.

    >>> sorted(secrets_of({"a": "[REDACTED]", "b": 1}, {"a": ["enigma", {"x": "ultra"}], "b": 1}))
    ['enigma', 'ultra']
    """
    if shown == REDACTED:
        return set(_texts(_opened(value)))
    found: set[str] = set()
    shown, value = _opened(shown), _opened(value)
    if isinstance(shown, Mapping) and isinstance(value, Mapping):
        for key in shown.keys() & value.keys():
            found |= secrets_of(shown[key], value[key])
    elif isinstance(shown, list | tuple) and isinstance(value, list | tuple):
        for one, other in zip(shown, value, strict=False):
            found |= secrets_of(one, other)
    return found


def scrubbed(text: str, secrets: Collection[str]) -> str:
    """A text in which none of the secrets stands.

    >>> scrubbed("token enigma refused", {"enigma"})
    'token [REDACTED] refused'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _LEAST_SECRET:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(_opened(part))
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _texts(_opened(part))
    elif type(value) in (int, float):
        yield from _texts(str(value))


def _without(value: Any, steps: Steps) -> Any:
    if not steps:
        return REDACTED
    step, rest = steps[0], steps[1:]
    value = _opened(value)
    if isinstance(value, Mapping):
        return {
            key: _without(part, rest) if step in ("*", key, str(key)) else part
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _without(part, rest) if step in ("*", index, str(index)) else part
            for index, part in enumerate(value)
        ]
    return value


def _opened(value: Any) -> Any:
    """The fields of an object that has some, as a mapping; what a pydantic secret holds."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(type(value), "model_fields"):  # a pydantic model
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value
