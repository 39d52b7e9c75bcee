"""What a job, or a wait for an event, asks of a payload."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from nbtasks.errors import InvalidPayloadError

__all__ = ["validated"]

#: Of what does not fit in a payload so much is told.
_MOST_PROBLEMS: Final = 20
_MOST_LETTERS: Final = 80
#: How pydantic calls a type that has validators of its own.
_VALIDATED: Final = re.compile(r"^function-\w+\[.*, (.+)\]$")
_ANYTHING: Final = (inspect.Parameter.empty, Any, object, None)


def validated(wanted: Any, payload: Any, of: str) -> Any:
    """The payload as a type that pydantic knows takes it; as it is where nothing is `wanted`.

    Args:
        wanted: The type.
        payload: What was given.
        of: Who wants it, as the error names it.

    Raises:
        InvalidPayloadError: It does not fit. The message names each field that does not.
    """
    if wanted in _ANYTHING:
        return payload
    import pydantic  # lazily: it is most of what an import would cost

    try:
        return pydantic.TypeAdapter(wanted).validate_python(payload)
    except pydantic.ValidationError as error:
        raise InvalidPayloadError(_explain(of, error)) from None
    except pydantic.PydanticSchemaGenerationError:
        return payload  # an annotation that pydantic knows nothing of promises nothing


def _explain(of: str, error: Any) -> str:
    problems = error.errors(include_url=False)
    lines = [f"The payload does not fit {of}:"]
    lines += [f"  {_place(found['loc'])}: {_problem(found)}" for found in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"  and {len(problems) - _MOST_PROBLEMS} more")
    return "\n".join(lines)


def _place(loc: tuple[int | str, ...]) -> str:
    """Where in the payload it is; of a type with validators of its own only its name."""
    return ".".join(_VALIDATED.sub(r"\1", str(part)) for part in loc) or "payload"


def _problem(found: dict[str, Any]) -> str:
    message, given = found["msg"], found["input"]
    if found["type"] == "missing":  # what was given is all that stands beside it
        beside = _cut(", ".join(map(repr, given))) if isinstance(given, dict) else ""
        return f"{message} ({f'there is only {beside}' if beside else 'nothing is there'})"
    if found["type"] == "value_error":
        message = str(found["ctx"]["error"])
    return f"{message} (got {_cut(repr(given))})"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."
