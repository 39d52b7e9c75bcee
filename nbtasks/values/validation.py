"""Validation of the payload of a job or of an event."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any, Final

from nbtasks.errors import InvalidPayloadError

__all__ = ["fit", "is_model", "validate"]

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
    converted, problems = fit(expected, payload)
    if problems:
        lines = [f"  {'.'.join(place) or 'payload'}: {text}" for place, text in problems]
        raise InvalidPayloadError("\n".join([f"The payload does not fit {of}:", *_first(lines)]))
    return converted


def fit(expected: Any, value: Any) -> tuple[Any, list[tuple[list[str], str]]]:
    """Return a value, validated and converted like a payload, and what does not fit.

    Args:
        expected: The expected type.
        value: The value to validate.

    Returns:
        The value, and the problems: the place of each in the value, and its description.
    """
    if expected in _ANYTHING:
        return value, []
    import pydantic  # lazily: it would take most of the import time

    try:
        return pydantic.TypeAdapter(expected).validate_python(value), []
    except pydantic.ValidationError as error:
        problems: list[Any] = error.errors(include_url=False)
        return value, [(_place(one["loc"]), _describe_problem(one)) for one in problems]
    except pydantic.PydanticSchemaGenerationError:
        return value, []  # an annotation unknown to pydantic cannot be checked


def is_model(value: object) -> bool:
    """Return True for an object of a pydantic model."""
    pydantic: Any = sys.modules.get("pydantic")  # without it there is no such object
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_PROBLEMS
    return [*lines[:_MOST_PROBLEMS], f"  and {more} more"] if more > 0 else lines


def _place(loc: tuple[int | str, ...]) -> list[str]:
    """Return the place in the value; a type with custom validators by its name only."""
    return [_VALIDATED.sub(r"\1", str(part)) for part in loc]


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
