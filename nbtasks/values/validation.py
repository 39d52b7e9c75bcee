"""Validation of the payload of a job or of an event."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from nbtasks.errors import InvalidPayloadError

__all__ = ["validate"]

#: Limits of the problems listed in an error message.
_MOST_PROBLEMS: Final = 20
_MOST_LETTERS: Final = 80
#: The name that pydantic gives to a type with custom validators.
_VALIDATED: Final = re.compile(r"^function-\w+\[.*, (.+)\]$")
_ANYTHING: Final = (inspect.Parameter.empty, Any, object, None)


def validate(expected: Any, payload: Any, of: str) -> Any:
    """Return the payload, validated and converted by pydantic; unchanged if `expected` is empty.

    Args:
        expected: The expected type.
        payload: The payload to validate.
        of: The owner of the type, as the error names it.

    Raises:
        InvalidPayloadError: The payload does not fit the type. The message names each field that
            does not fit.
    """
    if expected in _ANYTHING:
        return payload
    import pydantic  # lazily: it would take most of the import time

    try:
        return pydantic.TypeAdapter(expected).validate_python(payload)
    except pydantic.ValidationError as error:
        raise InvalidPayloadError(_explain(of, error)) from None
    except pydantic.PydanticSchemaGenerationError:
        return payload  # an annotation unknown to pydantic cannot be checked


def _explain(of: str, error: Any) -> str:
    problems = error.errors(include_url=False)
    lines = [f"The payload does not fit {of}:"]
    lines += [
        f"  {_describe_place(problem['loc'])}: {_describe_problem(problem)}"
        for problem in problems[:_MOST_PROBLEMS]
    ]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"  and {len(problems) - _MOST_PROBLEMS} more")
    return "\n".join(lines)


def _describe_place(loc: tuple[int | str, ...]) -> str:
    """Return the place in the payload; a type with custom validators by its name only."""
    return ".".join(_VALIDATED.sub(r"\1", str(part)) for part in loc) or "payload"


def _describe_problem(problem: dict[str, Any]) -> str:
    message, value = problem["msg"], problem["input"]
    if problem["type"] == "missing":  # the input is the object around the missing field
        fields = _shorten(", ".join(map(repr, value))) if isinstance(value, dict) else ""
        return f"{message} ({f'there is only {fields}' if fields else 'nothing is there'})"
    if problem["type"] == "value_error":
        message = str(problem["ctx"]["error"])
    return f"{message} (got {_shorten(repr(value))})"


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."
