"""Parameters of a job's function, which are filled by name.

`payload`, `io` and `ctx` are the whole payload, the io and the context of the run, each only if the
function has a parameter of that name. Every other parameter is a field of the payload.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core.parameters import nearest_name, to_python
from nbtasks.errors import InvalidJobError, InvalidPayloadError
from nbtasks.jobs.definition.run_options import OPTIONS
from nbtasks.jobs.triggers import CronTrigger, EventTrigger, IntervalTrigger, InvokeTrigger
from nbtasks.values import validation

if TYPE_CHECKING:
    from nbtasks.jobs.triggers import Trigger

__all__ = ["JobParameters", "is_asynchronous"]

_GIVEN: Final = ("payload", "io", "ctx")
_MISSING: Final = inspect.Parameter.empty
_BOUND: Final = ("self", "cls")  # a method of a class, not of an object
_MOST_LETTERS: Final = 200
#: Triggers whose payload is made elsewhere: it may have more fields than the function takes.
_OPEN: Final = (EventTrigger, CronTrigger, IntervalTrigger)


class JobParameters:
    """Parameters of a job's function.

    Args:
        fn: The function.
        job: The id of the job.
        trigger: The trigger of the job.

    Attributes:
        given: The names among `payload`, `io` and `ctx` that the function takes.
        fields: The other parameters, by name.
    """

    def __init__(self, fn: Callable[..., Any], job: str, trigger: Trigger | None) -> None:
        parameters = _parameters(fn, job)
        self._names = _namespace(fn)
        self._job = job
        self._schema = trigger.schema if isinstance(trigger, EventTrigger | InvokeTrigger) else None
        self._payload = parameters.get("payload")
        self.given = [name for name in _GIVEN if name in parameters]
        self.fields = {name: p for name, p in parameters.items() if name not in _GIVEN}
        self._open = isinstance(trigger, _OPEN) or self._payload is not None

    # -- a call -------------------------------------------------------------------------------

    def merge(
        self,
        payload: Any,
        fields: Mapping[str, Any],
        options: Collection[str],
        call: Callable[[str], str],
    ) -> Any:
        """Return the payload of a call that gives a payload, fields by keyword, or both.

        Args:
            payload: The payload.
            fields: The fields.
            options: The names of the options that the call gives.
            call: Function that returns the call as text, with what gives the payload.

        Raises:
            InvalidPayloadError: A keyword is no field; a field is given twice; or the name of an
                option is also that of a field, which the payload does not give.
        """
        inside = _as_fields(payload) if self.fields else None
        both = [name for name in self.fields if name in options and name not in (inside or {})]
        if both:
            raise self._error(_explain_option(both[0], call))
        if not fields:
            return payload if inside is None else inside
        if unknown := [name for name in fields if name not in self.fields]:
            raise self._error(self._explain_keyword(unknown[0], fields[unknown[0]], call))
        if payload is not None and inside is None:
            raise self._error(_explain_none(payload))
        if twice := fields.keys() & (inside or {}).keys():
            name = min(twice)
            raise self._error(f"parameter {name} is given twice, in the payload and as {name}=")
        return {**(inside or {}), **fields}

    def bind(self, payload: Any) -> dict[str, Any]:
        """Return the arguments that a payload gives, by name, validated.

        Raises:
            InvalidPayloadError: The payload does not fit the function, or the trigger's schema.
        """
        if self._schema is not None:
            payload = validation.validate(self._schema, payload, f"job {self._job!r}")
        found: dict[str, Any] = {}
        if self.fields:
            found = self._bind_fields(payload)
            payload = {} if payload is None else payload
        if self._payload is not None:
            if payload is not None or self._payload.default is _MISSING:
                kind = self._annotation(self._payload)
                found["payload"] = validation.validate(kind, payload, f"job {self._job!r}")
        elif payload is not None and not self.fields and not self._open:
            raise self._error(
                f"it takes no payload, and {_short(repr(payload))} is given. Give its function a "
                "parameter payload, or one for each field, as in def f(month, *, io)"
            )
        return found

    def identity(self, payload: Any, arguments: Mapping[str, Any]) -> Any:
        """Return what the key of a run is made from: the payload without fields at their default.

        Scalars of NumPy count as what they hold, as in the key of a task.

        Args:
            payload: The payload.
            arguments: What `bind` made of it.
        """
        fields = _as_fields(payload) if self.fields else None
        if fields is None:
            return payload
        fields = {name: to_python(value) for name, value in fields.items()}
        for name in self.fields.keys() & fields.keys():
            if self._is_default(name, fields[name], arguments.get(name, fields[name])):
                del fields[name]
        return fields or None

    # -- fields -------------------------------------------------------------------------------

    def _bind_fields(self, payload: Any) -> dict[str, Any]:
        given = {} if payload is None else _as_fields(payload)
        if given is None:
            raise self._error(_explain_none(payload))
        problems, found = [], {}
        for name, parameter in self.fields.items():
            if name in given:
                found[name], wrong = validation.fit(self._annotation(parameter), given[name])
                problems += [
                    f"parameter {'.'.join([name, *place])}: {text}" for place, text in wrong
                ]
            elif parameter.default is _MISSING:
                problems.append(f"parameter {name} is missing")
        if not self._open:
            unknown = [name for name in given if name not in self.fields]
            problems += [_explain_unknown(name, self.fields) for name in unknown]
        if problems:
            raise self._error("; ".join(problems))
        return found

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        """Return the annotation; empty if it cannot be evaluated here, and so not be checked."""
        found = parameter.annotation
        if not isinstance(found, str):
            return found
        try:
            return eval(found, self._names)  # noqa: S307 - as the user wrote it
        except Exception:  # noqa: BLE001 - for instance: it is imported for type checkers only
            return _MISSING

    def _is_default(self, name: str, *values: Any) -> bool:
        """Return True if one of a field's values, as given and validated, is its default."""
        parameter = self.fields[name]
        if parameter.default is _MISSING:
            return False
        from nbtasks.engine.fingerprint.payload import digest  # lazily, as all of the engine

        defaults = (
            parameter.default,
            validation.fit(self._annotation(parameter), parameter.default)[0],
        )
        return not {digest(value) for value in values}.isdisjoint(map(digest, defaults))

    # -- messages -----------------------------------------------------------------------------

    def _error(self, problem: str) -> InvalidPayloadError:
        takes = f" It takes {_short(', '.join(map(_described, self.fields.values())))}."
        return InvalidPayloadError(f"Job {self._job!r}: {problem}.{takes if self.fields else ''}")

    def _explain_keyword(self, name: str, value: Any, call: Callable[[str], str]) -> str:
        unknown = _explain_unknown(name, [*self.fields, *OPTIONS])
        if self.fields:
            return unknown
        if self._payload is None:
            return f"{unknown}: its function takes no payload"
        return f"{unknown}: its function takes the payload as a whole, as in " + call(
            f"{{{name!r}: {_short(repr(value))}}}"
        )


def is_asynchronous(fn: Callable[..., Any]) -> bool:
    """Return True if calling a function gives a coroutine."""
    call = getattr(type(fn), "__call__", None)  # noqa: B004 - an object's own, if it is an async def
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(call)


def _parameters(fn: Callable[..., Any], job: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function by name.

    Raises:
        InvalidJobError: They cannot be filled by name, or the function is none that can be run.
    """
    if not callable(fn):
        raise InvalidJobError(f"Job {job!r}: a job is made of a function, not of {fn!r}.")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidJobError(
            f"Job {job!r}: the function has a yield, so calling it would only make a generator. "
            "Return a value instead, such as the list of what it yields."
        )
    try:
        found = dict(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        raise InvalidJobError(
            f"Job {job!r}: {fn!r} does not reveal its parameters. Wrap it in a def."
        ) from None
    if (first := next(iter(found), None)) in _BOUND:
        raise InvalidJobError(
            f"Job {job!r}: the function is a method, and nothing passes it {first}. Define a "
            f"function outside the class, or use nb.job({job!r})(object.method)."
        )
    for parameter in found.values():
        if reason := _refused(parameter):
            raise InvalidJobError(f"Job {job!r}: parameters are filled by name, and {reason}")
    return found


def _refused(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return f"{parameter.name} is positional-only. Remove the / after it."
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return (
            f"{parameter.replace(annotation=_MISSING)} has no names. List the parameters, or take "
            "the payload as a whole by a parameter payload."
        )
    return ""


def _namespace(fn: Any) -> dict[str, Any]:
    """Return the global names that the annotations of a function are written with."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    written = fn if hasattr(fn, "__globals__") else type(fn).__call__
    found: dict[str, Any] = getattr(written, "__globals__", {})
    return found


def _as_fields(payload: Any) -> dict[Any, Any] | None:
    """Return the fields of a payload; None if it has none."""
    if isinstance(payload, Mapping):
        return dict(payload)
    if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
        return {field.name: getattr(payload, field.name) for field in dataclasses.fields(payload)}
    if validation.is_model(payload):
        return dict(payload)
    return None


def _explain_unknown(name: object, names: Iterable[str]) -> str:
    nearest = nearest_name(str(name), list(names))
    return f"there is no parameter {name!r}" + (f" (did you mean {nearest}?)" if nearest else "")


def _explain_none(payload: Any) -> str:
    return (
        f"its payload has fields, and {_short(repr(payload))} has none. Give each field by name, "
        "or name the parameter payload, which takes whatever is given"
    )


def _explain_option(name: str, call: Callable[[str], str]) -> str:
    example = call(f"payload={{{name!r}: ...}}")
    return (
        f"{name}= is an option of the call, and the name of a parameter, too. Give the parameter "
        f"in the payload, as in {example}; then {name}= is the option"
    )


def _described(parameter: inspect.Parameter) -> str:
    kind = parameter.annotation
    if kind is not _MISSING:
        kind = kind.__origin__ if hasattr(kind, "__metadata__") else kind  # of Annotated, the type
        text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
        parameter = parameter.replace(annotation=_MISSING)
        name, equals, default = str(parameter).partition("=")
        return f"{name}: {text}" + (f" = {default}" if equals else "")
    return str(parameter)


def _short(text: str) -> str:
    text = " ".join(text.split())  # the text of a frame has lines
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."
