"""A question to a person: its fields, and what is an answer to it."""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from nbtasks.errors import InvalidOptionError

if TYPE_CHECKING:
    import pydantic

__all__ = ["Field", "Question", "check_names"]


@dataclass(frozen=True, slots=True)
class Field:
    """What is asked for.

    Attributes:
        name: Its name.
        kind: "text", "whole number", "number", "yes or no", "choice", "date", or "JSON" for all
            else.
        default: What it is if nothing is said; as JSON says it.
        required: Whether something has to be said.
        choices: The answers there are to a choice.
        description: What people should know.
    """

    name: str
    kind: str
    default: Any = None
    required: bool = True
    choices: list[Any] | None = None
    description: str | None = None


class Question:
    """The fields of a question, and what is an answer to it.

    Args:
        fields: A pydantic model; or names with types, with choices in a list, or with defaults.

    Raises:
        InvalidOptionError: It is none.
    """

    def __init__(self, fields: Any) -> None:
        import pydantic  # lazily: it is most of what an import would cost

        self._is_model = isinstance(fields, type) and issubclass(fields, pydantic.BaseModel)
        self._model: type[pydantic.BaseModel] = fields if self._is_model else _model_of(fields)
        self.fields = [_field(name, info) for name, info in self._model.model_fields.items()]

    def shown(self) -> list[dict[str, Any]]:
        """The fields, as the journal has them."""
        return [asdict(field) for field in self.fields]

    def plain(self, said: Any) -> dict[str, Any]:
        """An answer as JSON keeps it.

        Raises:
            ValueError: It is none; the message says what is wrong.
        """
        plain: dict[str, Any] = self._validated(said).model_dump(mode="json")
        return plain

    def answer(self, plain: Any) -> Any:
        """An answer as the caller gets it: an object of the model, or a dict.

        Raises:
            ValueError: It is none.
        """
        found = self._validated(plain)
        return found if self._is_model else found.model_dump()

    def _validated(self, said: Any) -> pydantic.BaseModel:
        import pydantic

        try:
            return self._model.model_validate(said)
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False)
            lines = [
                f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in problems
            ]
            raise ValueError("; ".join(lines)) from None


def check_names(awaits: str | None, said: Any) -> None:
    """Refuses an answer that says something that is not asked for, or leaves something out.

    Raises:
        InvalidOptionError: It does; the names there are are named.
    """
    asked = json.loads(awaits or "{}").get("ask")
    if asked is None:
        return
    fields = {field["name"]: field for field in asked}
    named = ", ".join(f"{name} ({field['kind']})" for name, field in fields.items())
    missing = [name for name, field in fields.items() if field["required"]]
    if not isinstance(said, dict) or set(said) - set(fields) or not set(missing) <= set(said):
        raise InvalidOptionError(f"The answer is an object with {named}; not {json.dumps(said)}.")


def _model_of(fields: Any) -> type[pydantic.BaseModel]:
    import pydantic

    if not isinstance(fields, Mapping) or not fields or not all(isinstance(n, str) for n in fields):
        raise InvalidOptionError(
            "fields= is a pydantic model, or a dict of names with a type, a list of choices or a "
            f"default each, not {fields!r}."
        )
    made: dict[str, Any] = {}
    for name, said in fields.items():
        if not name.isidentifier() or name.startswith("_"):
            raise InvalidOptionError(f"fields: {name!r} is no name for one, as 'depth' is.")
        if isinstance(said, list):
            if not said:
                raise InvalidOptionError(f"fields[{name!r}]: there is nothing to choose from.")
            made[name] = (Literal[tuple(said)], ...)
        elif isinstance(said, type) or get_origin(said) is not None:
            made[name] = (said, ...)
        else:
            made[name] = (type(said), said)
    try:
        model: type[pydantic.BaseModel] = pydantic.create_model(
            "Answer", __config__=pydantic.ConfigDict(extra="forbid"), **made
        )
    except (TypeError, NameError, pydantic.PydanticUserError) as error:
        raise InvalidOptionError(f"fields={fields!r}: {error}") from None
    return model


_KINDS: Sequence[tuple[type, str]] = (
    (bool, "yes or no"), (int, "whole number"), (float, "number"), (str, "text"),
)  # fmt: skip


def _field(name: str, info: Any) -> Field:
    wanted, optional = _without_none(info.annotation)
    choices = None
    if get_origin(wanted) is Literal:
        kind, choices = "choice", list(get_args(wanted))
    elif isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        kind, choices = "choice", [member.value for member in wanted]
    else:
        kind = next((said for known, said in _KINDS if wanted is known), "JSON")
        kind = "date" if getattr(wanted, "__name__", "") == "date" else kind
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    return Field(name, kind, _plain(default), required and not optional, choices, info.description)


def _without_none(wanted: Any) -> tuple[Any, bool]:
    if get_origin(wanted) in (Union, types.UnionType):
        rest = [one for one in get_args(wanted) if one is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return wanted, False


def _plain(value: Any) -> Any:
    import pydantic_core

    return pydantic_core.to_jsonable_python(value)
