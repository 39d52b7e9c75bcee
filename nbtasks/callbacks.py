"""`io.wait_for_request`: a run that waits until somebody posts something to an address."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from typing import Any, Self

from nbtasks import answers, keys, params, sites
from nbtasks.calls import Awaited, Call, Effects, Scope
from nbtasks.driver import needs_loop
from nbtasks.face import AsyncFace, Face
from nbtasks.model import TaskRow
from nbtasks.options import Duration, Policy, TaskOptions, seconds_of

__all__ = ["AsyncRequests", "RequestUrl", "SyncRequests"]


class RequestUrl(str):
    """The address that a run waits at: a text, as it is reached from this machine.

    ```python
    import nbtasks as nb

    url = nb.RequestUrl("http://127.0.0.1:8123/secret", "/user/ada/proxy/8123/secret")
    assert url.startswith("http://127.0.0.1") and url.proxied.endswith("proxy/8123/secret")
    ```

    Attributes:
        proxied: The same as it is reached through jupyter-server-proxy, where the notebook runs
            on another machine: from the Jupyter server's own address on; with that, where
            JupyterHub says it.
    """

    __slots__ = ("proxied",)
    proxied: str

    def __new__(cls, url: str, proxied: str) -> Self:
        """An address, and what it is through the proxy."""
        made = super().__new__(cls, url)
        made.proxied = proxied
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestUrl, (str(self), self.proxied)


def _url(port: int, token: str) -> RequestUrl:
    place = f"{port}/{token}"
    hub = os.environ.get("JUPYTERHUB_PUBLIC_URL") or os.environ.get("JUPYTERHUB_HOST", "")
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    base = hub if hub.endswith(prefix) else f"{hub}{prefix}"
    return RequestUrl(f"http://127.0.0.1:{place}", f"{base}proxy/{place}")


class _Requests(Face):
    """What both faces say."""

    def _wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], timeout: Duration
    ) -> Effects:
        if not callable(callback):
            raise TypeError(
                f"io.wait_for_request({key!r}, ...) takes a function that is given the address, "
                f"not {callback!r}."
            )
        from nbtasks import receiver  # lazily: most runs wait for no request

        seconds = seconds_of("timeout", timeout)
        journal, site = self._execution.journal, sites.here(2)
        asynchronous = self._execution.scope().asynchronous

        def begin() -> str:
            return json.dumps({"request": receiver.new_address()})

        def tell(row: TaskRow) -> Effects:
            """Calls back with the address, once in the life of the run."""
            address = receiver.Address(*json.loads(row.awaits or "{}")["request"])
            receiver.listen(address, journal, row.run_id, row.path)
            options = TaskOptions(on_change="ignore", params={"url": "<a secret>"})
            call = Call("callback", callback, (_url(*address),), site, Policy(options=options))
            return self._execution.task(call, Scope(self._execution, row, asynchronous))

        def look(row: TaskRow) -> tuple[Any] | None:
            found = answers.find_answers(journal.find, row.run_id, row.path)
            return (found[0],) if found else None

        return self._until(
            Awaited(
                key,
                site,
                round(seconds * 1e6),
                params.shown({"timeout": seconds}),
                begin,
                look,
                f"no request came within {seconds:g} seconds",
                "inbox",
                tell,
            )
        )


class SyncRequests(_Requests):
    """Requests that are waited for by calls that block."""

    def wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], *, timeout: Duration = 3600
    ) -> Any:
        """Waits until somebody posts something to an address that nobody can guess. The first
        request counts; it may also come while this process is dead and its run not yet executed
        again, if it is sent again then.

        Args:
            key: As in `run_task`.
            callback: Called once with the address, to give it to whoever will post there: a
                `RequestUrl`. A plain function, or an `async def` one.
            timeout: The longest that it waits, in seconds or as a timedelta.

        Returns:
            What was posted: what its JSON says, the fields of a form as a dict, or a text; None
            where there was nothing. At most 1 MiB.

        Raises:
            WaitTimeout: None came in time.
            TaskFailed: The callback failed.
            PortTakenError: When it is executed again, another program has taken the port.

        ```python
        import httpx

        import nbtasks as nb


        def pass_on(url: str) -> None:
            httpx.post(url, json={"approved": True})  # in earnest, somebody else does so


        @nb.job("wait-for-request-example")
        def body(io: nb.SyncIO) -> bool:
            return io.wait_for_request("approval", pass_on, timeout=60)["approved"]


        assert body.run().output is True
        ```
        """
        return self._drive(self._wait_for_request(key, callback, timeout))


class AsyncRequests(_Requests, AsyncFace):
    """Requests that are waited for by calls that are awaited."""

    def wait_for_request(
        self, key: keys.Key, callback: Callable[[RequestUrl], Any], *, timeout: Duration = 3600
    ) -> Coroutine[Any, Any, Any]:
        """As `SyncIO.wait_for_request`, awaited."""
        needs_loop("wait_for_request")
        return self._drive(self._wait_for_request(key, callback, timeout))
