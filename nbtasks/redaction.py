"""What is hidden of a task's inputs and output wherever people look.

A path goes from the value to a part of it: `token`, `user.email`, `rows[0].key`, `rows[*].key`. `$`
is the value itself, and may also begin a path. It is looked for in the output, in the list of the
arguments, and in each argument.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nbtasks.errors import InvalidOptionError

__all__ = [
    "REDACTED",
    "SECRET",
    "Paths",
    "Steps",
    "hide_secrets",
    "parse",
    "redacted",
    "redacted_args",
]

#: What stands in the place of what is hidden.
REDACTED: Final = "[REDACTED]"
#: The keys and indices on the way to a part; "*" is each of them.
Steps = tuple[str | int, ...]
#: Those of all the parts that are hidden.
Paths = tuple[Steps, ...]

#: Names that say that what they stand for is a secret.
SECRET: Final = re.compile(
    r"auth(?!or(?!i[sz]))|token|secret|api.?key|cookie|password|passwd|signature|credential",
    re.IGNORECASE,
)
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
    """The fields of an object that has some, as a mapping."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(type(value), "model_fields"):  # a pydantic model
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value
