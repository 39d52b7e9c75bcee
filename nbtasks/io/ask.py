"""`io.ask`: a question to a person, the validation of answers, and the task that waits for one."""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union, get_args, get_origin

from nbtasks.core import callsite, front_end, keys
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.model import TaskRow
from nbtasks.engine.effects import Effects, ExternalWait, mapped
from nbtasks.errors import InvalidOptionError
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.journal.events import find_answers, record_answer
from nbtasks.values import preview

if TYPE_CHECKING:
    import pydantic

__all__ = ["AsyncAsk", "Field", "Prompter", "Question", "SyncAsk", "check_fields"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a question.

    Attributes:
        name: Name of the field.
        kind: "text", "whole number", "number", "yes or no", "choice", "date", or "JSON" for any
            other type.
        default: Value of the field if the answer leaves it out, as plain JSON.
        required: True if the answer must contain the field.
        choices: Allowed values of a choice.
        description: Explanation for the person who answers.
    """

    name: str
    kind: str
    default: Any = None
    required: bool = True
    choices: list[Any] | None = None
    description: str | None = None


class Question:
    """A question: its fields, and the model that validates an answer.

    Args:
        fields: A pydantic model; or a dict that maps each name to a type, a list of choices or a
            default.

    Raises:
        InvalidOptionError: `fields` does not describe a question.
    """

    def __init__(self, fields: Any) -> None:
        import pydantic  # lazily: it is most of what an import would cost

        self._is_model = isinstance(fields, type) and issubclass(fields, pydantic.BaseModel)
        self._model: type[pydantic.BaseModel] = fields if self._is_model else _model_of(fields)
        self.fields = [_field(name, info) for name, info in self._model.model_fields.items()]

    def describe_fields(self) -> list[dict[str, Any]]:
        """Return the fields in the form that the journal records."""
        return [asdict(field) for field in self.fields]

    def to_json(self, raw: Any) -> dict[str, Any]:
        """Return an answer in the JSON form that the journal records.

        Raises:
            ValueError: The answer is not valid; the message says why.
        """
        plain: dict[str, Any] = self._validate(raw).model_dump(mode="json")
        return plain

    def from_json(self, plain: Any) -> Any:
        """Return an answer as the caller receives it: an instance of the model, or a dict.

        Raises:
            ValueError: The answer is not valid.
        """
        model = self._validate(plain)
        return model if self._is_model else model.model_dump()

    def _validate(self, raw: Any) -> pydantic.BaseModel:
        import pydantic

        try:
            return self._model.model_validate(raw)
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False)
            lines = [
                f"{'.'.join(map(str, problem['loc'])) or 'answer'}: {problem['msg']}"
                for problem in problems
            ]
            raise ValueError("; ".join(lines)) from None


def check_fields(awaits: str | None, answer: Any) -> None:
    """Refuse an answer that has unknown fields or lacks required ones.

    Raises:
        InvalidOptionError: The answer does not fit; the message lists the fields.
    """
    asked = json.loads(awaits or "{}").get("ask")
    if asked is None:
        return
    fields = {field["name"]: field for field in asked}
    listing = ", ".join(f"{name} ({field['kind']})" for name, field in fields.items())
    required = [name for name, field in fields.items() if field["required"]]
    if (
        not isinstance(answer, dict)
        or set(answer) - set(fields)
        or not set(required) <= set(answer)
    ):
        raise InvalidOptionError(
            f"The answer is an object with {listing}; not {json.dumps(answer)}."
        )


def _model_of(fields: Any) -> type[pydantic.BaseModel]:
    import pydantic

    if not isinstance(fields, Mapping) or not fields or not all(isinstance(n, str) for n in fields):
        raise InvalidOptionError(
            "fields= is a pydantic model, or a dict that maps each name to a type, a list of "
            f"choices or a default, not {fields!r}."
        )
    definitions: dict[str, Any] = {}
    for name, spec in fields.items():
        if not name.isidentifier() or name.startswith("_"):
            raise InvalidOptionError(
                f"fields: {name!r} is not a valid field name; use an identifier such as 'depth'."
            )
        if isinstance(spec, list):
            if not spec:
                raise InvalidOptionError(f"fields[{name!r}]: there is nothing to choose from.")
            definitions[name] = (Literal[tuple(spec)], ...)
        elif isinstance(spec, type) or get_origin(spec) is not None:
            definitions[name] = (spec, ...)
        else:
            definitions[name] = (type(spec), spec)
    try:
        model: type[pydantic.BaseModel] = pydantic.create_model(
            "Answer", __config__=pydantic.ConfigDict(extra="forbid"), **definitions
        )
    except (TypeError, NameError, pydantic.PydanticUserError) as error:
        raise InvalidOptionError(f"fields={fields!r}: {error}") from None
    return model


_KINDS: Sequence[tuple[type, str]] = (
    (bool, "yes or no"), (int, "whole number"), (float, "number"), (str, "text"),
)  # fmt: skip


def _field(name: str, info: Any) -> Field:
    import pydantic_core

    annotation, optional = _without_none(info.annotation)
    choices = None
    if get_origin(annotation) is Literal:
        kind, choices = "choice", list(get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        kind, choices = "choice", [member.value for member in annotation]
    else:
        kind = next((label for type_, label in _KINDS if annotation is type_), "JSON")
        kind = "date" if getattr(annotation, "__name__", "") == "date" else kind
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    plain = pydantic_core.to_jsonable_python(default)
    return Field(name, kind, plain, required and not optional, choices, info.description)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
    return annotation, False


#: Takes an answer and returns None, or refuses it and returns the reason.
Submit = Callable[[dict[str, Any]], str | None]


class Prompter(Protocol):
    """Part of the front end that asks the person at the screen."""

    def ask(self, title: str, question: Question, submit: Submit) -> bool:
        """Show a question, if there is a screen.

        Returns:
            True if an answer given there can only be received while the caller does not block.
        """


class _Ask(BaseIO):
    """The part of `ask` that both io classes share."""

    def _ask(self, key: keys.Key, fields: Any, timeout: Duration) -> Effects:
        seconds = to_seconds("timeout", timeout)
        question, title = Question(fields), keys.display(keys.segment(key))
        journal = self._execution.journal
        awaiting, blocks = self._context().asynchronous, False

        def look(row: TaskRow) -> tuple[Any] | None:
            for raw in find_answers(journal.find, row.run_id, row.path):
                try:
                    return (question.to_json(raw),)
                except ValueError:  # from a command, which does not know the model
                    continue
            return None

        def put(row: TaskRow) -> Effects:
            """Show the question, unless it has been answered already."""
            nonlocal blocks
            if look(row) is None:
                prompter: Prompter = front_end.current()
                blocks = prompter.ask(title, question, lambda raw: submit(row, raw))
            yield from ()

        def submit(row: TaskRow, raw: dict[str, Any]) -> str | None:
            try:
                plain = question.to_json(raw)
            except ValueError as error:
                return str(error)
            record_answer(journal, row.run_id, row.path, plain, "form")
            return None

        wait = ExternalWait(
            key,
            callsite.capture(2),
            round(seconds * 1e6),
            preview.to_display_json({"fields": [field.name for field in question.fields]}),
            json.dumps({"ask": question.describe_fields()}),
            look,
            f"nobody answered within {seconds:g} seconds",
            "question",
            put,
            lambda: blocks and not awaiting,
        )
        return mapped(self._wait_for(wait), question.from_json)


class SyncAsk(_Ask):
    """Questions as blocking calls."""

    def ask(self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600) -> Any:
        """Ask a person, and wait for the answer.

        A notebook shows a form. There and anywhere else, `nbtasks answer` in a terminal answers,
        too, and so does `run.set` while the run is not executed.

        A blocking cell cannot receive the answer of its form, so its run is suspended while the
        form is open: fill it in, and execute the cell again. A cell that awaits continues at once.

        Args:
            key: Key of the task, as in `run_task`.
            fields: Fields to ask for: a pydantic model; or a dict that maps each name to a type, a
                list of choices or a default.
            timeout: Longest time to wait: seconds, a timedelta, or text such as "5m".

        Returns:
            The answer: an instance of the model, or a dict.

        Raises:
            WaitTimeout: Nobody answered in time.
            InvalidOptionError: `fields` does not describe a question.

        ```python
        import nbtasks as nb


        @nb.job("ask-example")
        def body(io: nb.SyncIO) -> str:
            answer = io.ask("choose a model", {"model": ["linear", "forest"], "depth": 3})
            return f"{answer['model']} {answer['depth']}"


        run = body.run(suspend_after=1)  # nobody is there
        run.set("choose a model", {"model": "forest", "depth": 5})
        assert body.run().output == "forest 5"
        ```
        """
        return self._drive(self._ask(key, fields, timeout))


class AsyncAsk(_Ask, AsyncBaseIO):
    """Questions as awaitable calls."""

    def ask(
        self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600
    ) -> Coroutine[Any, Any, Any]:
        """Ask a person, and await the answer. Awaitable form of `SyncIO.ask`."""
        return self._drive(self._ask(key, fields, timeout))
