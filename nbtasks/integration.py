"""Clients of other services, whose calls are tasks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbtasks import keys, sites
from nbtasks.calls import Call
from nbtasks.errors import InvalidOptionError
from nbtasks.options import Policy, TaskOptions
from nbtasks.redaction import hide_secrets, parse, redacted
from nbtasks.replay import Retry

__all__ = ["Calls", "Integration", "check", "find", "integration"]


class Integration:
    """A client that is wrapped; made by `nb.integration`, or one of `nbtasks.integrations`.

    In a body it is `io.NAME`, by its name in `integrations=` of the job, or by that of the variable
    in a `%%job` cell. For a type checker, say so:

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
            """In a body, what its client has by this name, as calls that are tasks."""


class Calls:
    """A part of a client, whose calls are tasks of a run.

    Args:
        io: The io of the run.
        integration: What is called.
        path: How it is reached: the integration's name, and attributes of the client.
        target: That part of the client.
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
            raise AttributeError(f"io.{self._path} ({kind}) has no {name!r}.") from None
        return Calls(self._io, self._integration, f"{self._path}.{name}", target)

    def __call__(self, key: keys.Key, *args: Any, **named: Any) -> Any:
        """Calls it, as a task of this key; awaited where io is."""
        target, integration, io = self._target, self._integration, self._io
        if not callable(target):
            raise TypeError(f"io.{self._path} is a {type(target).__name__}, and not to be called.")
        shown = {"args": list(args), **named} if args else dict(named)
        shown = redacted(hide_secrets(shown), integration._steps)  # noqa: SLF001 - its own half
        policy = Policy(
            name=self._path,
            retry=integration._retry,  # noqa: SLF001 - as above
            options=TaskOptions(
                params=shown,
                redact=integration._redact or None,  # noqa: SLF001 - as above
                icon="plug",
            ),
        )
        fn = _caller(target)
        execution = io._execution  # noqa: SLF001 - as above
        scope = execution.scope()
        call = Call(scope.numbered(key), fn, (args, named), sites.here(1), policy)
        return io._drive(execution.task(call, scope))  # noqa: SLF001 - as above

    def __repr__(self) -> str:
        return f"<io.{self._path}>"


def _caller(target: Callable[..., Any]) -> Callable[..., Any]:
    """What calls a part of a client. It stands for itself when it is asked whether it changed: a
    client's code is a library's."""

    def call(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return target(*args, **named)

    async def call_async(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return await target(*args, **named)

    return call_async if inspect.iscoroutinefunction(target) else call


def find(io: Any, known: Mapping[str, Any], name: str) -> Calls:
    """The integration of a name, for an io.

    Raises:
        AttributeError: There is none; those that there are are named.
    """
    found = known.get(name)
    if isinstance(found, Integration):
        return Calls(io, found, name, found._client)  # noqa: SLF001 - its own half
    named = sorted(one for one, value in known.items() if isinstance(value, Integration))
    there = f"Its integrations: {', '.join(named)}." if named else "It has no integrations."
    raise AttributeError(f"{type(io).__name__} has no {name!r}. {there}")


def check(integrations: Mapping[str, Any] | None, face: type) -> dict[str, Integration]:
    """The integrations of a job.

    Raises:
        InvalidOptionError: One is none, or has a name that io has already.
    """
    for name, value in (integrations or {}).items():
        if not isinstance(value, Integration):
            raise InvalidOptionError(
                f"integrations={{{name!r}: ...}}: wrap the client: nb.integration({value!r})."
            )
        if hasattr(face, name) or not name.isidentifier() or name.startswith("_"):
            raise InvalidOptionError(f"integrations: {name!r} cannot be its name in io.")
    return dict(integrations or {})


def integration(
    client: object,
    *,
    retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    redact: Sequence[str] = (),
) -> Integration:
    """Wraps any client, so that its methods are tasks: `io.name.method.sub(key, ...)`.

    Each such task has the name of the method, and its arguments as inputs; those whose names say
    that they are secrets, as `password` or `api_key`, are hidden. What a method returns to be
    awaited is awaited. The client itself is never recorded.

    Args:
        client: The client: any object.
        retry: What is done about failures; by default `Retry.standard()`: 8 attempts.
        redact: Paths into inputs and output that are hidden wherever people look.

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
