"""`io.wait_for_request`: a task that waits for an HTTP request to a webhook address."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from typing import Any, Self

from nbtasks.core import callsite, keys
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.model import TaskRow
from nbtasks.engine.effects import Call, CallContext, Effects, ExternalWait
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.journal.events import find_answers
from nbtasks.values import preview

__all__ = ["AsyncRequests", "RequestUrl", "SyncRequests"]


class RequestUrl(str):
    """Webhook address of a waiting task: a string, for requests from this machine.

    ```python
    import nbtasks as nb

    url = nb.RequestUrl("http://127.0.0.1:8123/secret", "/user/ada/proxy/8123/secret")
    assert url.startswith("http://127.0.0.1") and url.proxied.endswith("proxy/8123/secret")
    ```

    Attributes:
        proxied: The same address through jupyter-server-proxy, for a notebook that runs on another
            machine. It is relative to the address of the Jupyter server, or complete if JupyterHub
            provides that address.
    """

    __slots__ = ("proxied",)
    proxied: str

    def __new__(cls, url: str, proxied: str) -> Self:
        """Create an address, with its form through the proxy."""
        address = super().__new__(cls, url)
        address.proxied = proxied
        return address

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestUrl, (str(self), self.proxied)


def _url(port: int, token: str) -> RequestUrl:
    path = f"{port}/{token}"
    hub = os.environ.get("JUPYTERHUB_PUBLIC_URL") or os.environ.get("JUPYTERHUB_HOST", "")
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    base = hub if hub.endswith(prefix) else f"{hub}{prefix}"
    return RequestUrl(f"http://127.0.0.1:{path}", f"{base}proxy/{path}")


class _Requests(BaseIO):
    """The part of `wait_for_request` that both io classes share."""

    def _wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], timeout: Duration
    ) -> Effects:
        if not callable(callback):
            raise TypeError(
                f"io.wait_for_request({key!r}, ...) takes a function that receives the address, "
                f"not {callback!r}."
            )
        from nbtasks.io.webhooks import server  # lazily: most runs wait for no request

        seconds = to_seconds("timeout", timeout)
        journal, site = self._execution.journal, callsite.capture(2)
        asynchronous = self._context().asynchronous

        def begin() -> str:
            return json.dumps({"request": server.new_address()})

        def tell(row: TaskRow) -> Effects:
            """Call the callback with the address, once in the life of the run."""
            address = server.Address(*json.loads(row.awaits or "{}")["request"])
            server.listen(address, journal, row.run_id, row.path)
            options = TaskOptions(on_change="ignore", params={"url": "<a secret>"})
            args = (_url(*address),)  # a callback is there for what it changes
            policy = Policy(options=options)
            call = Call("callback", callback, args, site, policy, checked_as=(callback, args, None))
            return self._execution.task(call, CallContext(self._execution, row, asynchronous))

        def look(row: TaskRow) -> tuple[Any] | None:
            values = find_answers(journal.find, row.run_id, row.path)
            return (values[0],) if values else None

        return self._wait_for(
            ExternalWait(
                key,
                site,
                round(seconds * 1e6),
                preview.to_display_json({"timeout": seconds}),
                begin,
                look,
                f"no request came within {seconds:g} seconds",
                "inbox",
                tell,
            )
        )


class SyncRequests(_Requests):
    """Waiting for requests, as a blocking call."""

    def wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], *, timeout: Duration = 3600
    ) -> Any:
        """Wait for a POST request to an address that nobody can guess, and return its body.

        The first request counts. A request sent while this process is dead is lost, unless its
        sender repeats it once the run is executed again.

        Args:
            key: Key of the task, as in `run_task`.
            callback: Function called once with the address, a `RequestUrl`, to pass it to the
                sender. A plain function, or an `async def` function.
            timeout: Longest time to wait: seconds, a timedelta, or text such as "5m".

        Returns:
            The body: decoded JSON, the fields of a form as a dict, or a string; None if it is
            empty. At most 1 MiB.

        Raises:
            WaitTimeout: No request arrived in time.
            TaskFailed: The callback failed.
            PortTakenError: Another program took the port before the run was executed again.

        ```python
        import httpx

        import nbtasks as nb


        def pass_on(url: str) -> None:
            httpx.post(url, json={"approved": True})  # in practice, another service does this


        @nb.job("wait-for-request-example")
        def body(io: nb.SyncIO) -> bool:
            return io.wait_for_request("approval", pass_on, timeout=60)["approved"]


        assert body.run().output is True
        ```
        """
        return self._drive(self._wait_for_request(key, callback, timeout))


class AsyncRequests(_Requests, AsyncBaseIO):
    """Waiting for requests, as an awaitable call."""

    def wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], *, timeout: Duration = 3600
    ) -> Coroutine[Any, Any, Any]:
        """Wait for a POST request. Awaitable form of `SyncIO.wait_for_request`."""
        return self._drive(self._wait_for_request(key, callback, timeout))
