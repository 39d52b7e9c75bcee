"""Integrations: clients of other services, whose calls are tasks."""

from __future__ import annotations

import inspect
import io as stdlib_io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, keys
from nbtasks.core.parameters import nearest_name
from nbtasks.engine.effects import Call
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.engine.retries import Retry
from nbtasks.errors import InvalidOptionError
from nbtasks.values.redaction import hide_secrets, parse, redact

__all__ = ["Calls", "Integration", "check", "find", "integration"]


class Integration:
    """A wrapped client, made by `nb.integration` or a class of `nbtasks.integrations`.

    In a body the integration is `io.NAME`. NAME is its name in `integrations=` of the job, or the
    name of its variable in a `%%job` cell. For a type checker, declare it:

    ```python
    import nbtasks as nb


    class Mails:
        def send(self, to: str) -> str:
            return f"sent to {to}"


    class IO(nb.SyncIO):
        mails: nb.Integration


    @nb.job("integration-class-example", integrations={"mails": nb.integration(Mails())})
    def body(payload: str, io: IO) -> str:
        return io.mails.send("welcome", payload)


    run = body.run("Ada")
    assert run.output == "sent to Ada"
    assert run.tasks().name.tolist() == ["mails.send"]
    ```
    """

    def __init__(
        self, client: object, *, retry: Retry | int | None, redact: Sequence[str] = ()
    ) -> None:
        self._client = client
        self._retry = Retry.of(retry)
        self._redact = tuple(redact)
        self._steps = parse(self._redact)

    def __repr__(self) -> str:
        return f"<integration of {type(self._client).__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"{self!r} holds a client and cannot be pickled: make it where it is used.")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the client's attribute of this name; in a body, its calls are tasks."""


class Calls:
    """A part of a client, whose calls are tasks of a run.

    Args:
        io: The io of the run.
        integration: Integration of the client.
        path: Dotted path of the part: the integration's name, then attributes of the client.
        target: The part itself.
    """

    def __init__(self, io: Any, integration: Integration, path: str, target: Any) -> None:
        self._io = io
        self._integration = integration
        self._path = path
        self._target = target

    def __getattr__(self, name: str) -> Calls:
        if name.startswith("_"):
            raise AttributeError(f"io.{self._path} has no {name!r}.")
        try:
            target = getattr(self._target, name)
        except AttributeError:
            kind = type(self._target).__name__
            hint = _nearest(name, f"io.{self._path}", dir(self._target))
            raise AttributeError(f"io.{self._path} ({kind}) has no {name!r}.{hint}") from None
        return Calls(self._io, self._integration, f"{self._path}.{name}", target)

    def __call__(self, key: keys.Key, *args: Any, **named: Any) -> Any:
        """Call the target as a task with this key; with `AsyncIO`, return an awaitable."""
        target, integration, io = self._target, self._integration, self._io
        if not callable(target):
            raise TypeError(f"io.{self._path} is a {type(target).__name__} and cannot be called.")
        inputs = {"args": list(args), **named} if args else dict(named)
        inputs = redact(hide_secrets(inputs), integration._steps)  # noqa: SLF001 - two parts of one thing
        policy = Policy(
            name=self._path,
            retry=integration._retry,  # noqa: SLF001 - as above
            options=TaskOptions(
                params=inputs,
                redact=integration._redact or None,  # noqa: SLF001 - as above
                icon="plug",
            ),
        )
        fn = _caller(target)
        execution = io._execution  # noqa: SLF001 - as above
        context, key = io._enter(key)  # noqa: SLF001 - as above
        call = Call(key, fn, (args, named), callsite.capture(1), policy)
        return io._drive(execution.task(call, context), f"io.{self._path}")  # noqa: SLF001 - as above

    def __repr__(self) -> str:
        return f"<io.{self._path}>"


def _caller(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a part of a client.

    The check for changed code sees this function and not the target: a client is a library's code.
    """

    def call(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return target(*args, **named)

    async def call_async(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return await target(*args, **named)

    return call_async if inspect.iscoroutinefunction(target) else call


def find(io: Any, integrations: Mapping[str, Any], name: str) -> Any:
    """Return the integration with this name, bound to an io, or the name of the module `io`.

    Code that was written for the module works with the io of a run, too.

    Raises:
        AttributeError: There is no such name; the message gives the nearest one, and lists the
            integrations.
    """
    match = integrations.get(name)
    if isinstance(match, Integration):
        return Calls(io, match, name, match._client)  # noqa: SLF001 - two parts of one thing
    if name in stdlib_io.__all__:
        return getattr(stdlib_io, name)
    names = sorted(key for key, value in integrations.items() if isinstance(value, Integration))
    hint = f"Its integrations: {', '.join(names)}." if names else "It has no integrations."
    nearest = _nearest(name, "io", [*dir(io), *names, *stdlib_io.__all__])
    raise AttributeError(f"{type(io).__name__} has no {name!r}.{nearest} {hint}")


def _nearest(missing: str, owner: str, names: Sequence[str]) -> str:
    """Return the question whether the nearest public name is meant; empty if none is near."""
    nearest = nearest_name(missing, [name for name in names if name[:1] != "_"])
    return f" Is it {owner}.{nearest}?" if nearest else ""


def check(integrations: Mapping[str, Any] | None, io_class: type) -> dict[str, Integration]:
    """Return the integrations of a job, validated.

    Raises:
        InvalidOptionError: A value is not an integration, or a name is no identifier, private or
            already used by io.
    """
    for name, value in (integrations or {}).items():
        if not isinstance(value, Integration):
            raise InvalidOptionError(
                f"integrations={{{name!r}: ...}}: wrap the client: nb.integration({value!r})."
            )
        if hasattr(io_class, name) or not name.isidentifier() or name.startswith("_"):
            raise InvalidOptionError(f"integrations: {name!r} cannot name an integration in io.")
    return dict(integrations or {})


def integration(
    client: object,
    *,
    retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    redact: Sequence[str] = (),
) -> Integration:
    """Wrap any client, so that its methods are tasks: `io.name.method.sub(key, ...)`.

    Each task has the name of its method, and the arguments as inputs. Arguments whose names mark
    secrets, such as `password` or `api_key`, are hidden. If a method returns an awaitable, it is
    awaited. The client itself is never recorded.

    Args:
        client: The client: any object.
        retry: Retry policy; by default `Retry.standard()`: 8 attempts.
        redact: Paths into the inputs and the output that are hidden from every view.

    ```python
    import nbtasks as nb


    class Weather:
        def today(self, city: str, *, api_key: str) -> dict[str, float]:
            return {"degrees": 21.5}


    @nb.job("integration-example", integrations={"weather": nb.integration(Weather())})
    def body(io: nb.SyncIO) -> float:
        return io.weather.today("ask", "Berlin", api_key="secret")["degrees"]


    assert body.run().output == 21.5
    assert "secret" not in nb.tasks().params[0]
    ```
    """
    return Integration(client, retry=retry, redact=redact)
