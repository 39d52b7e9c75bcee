"""Integration of the mail service Resend."""

from __future__ import annotations

import threading
from typing import Any

from nbtasks.engine.retries import Retry
from nbtasks.errors import NbtasksError
from nbtasks.io.integration import Integration
from nbtasks.io.io import current_task

__all__ = ["Resend"]

#: The key and the address are globals of the library, so only one call runs at a time.
_lock = threading.Lock()


class _Emails:
    """The `emails` part of the client."""

    def __init__(self, library: Any, api_key: str, api_url: str | None) -> None:
        self._library = library
        self._api_key = api_key
        self._api_url = api_url or library.api_url

    def send(self, params: dict[str, Any]) -> dict[str, Any]:
        """Send a mail.

        The mail carries the task's idempotency key: if it is sent again, as after a crash before it
        was recorded, it is not delivered again.
        """
        options = {"idempotency_key": current_task().idempotency_key}
        with _lock:
            return self._call(self._library.Emails.send, params, options)

    def get(self, email_id: str) -> dict[str, Any]:
        """Return the current state of a mail."""
        with _lock:
            return self._call(self._library.Emails.get, email_id)

    def _call(self, function: Any, *args: Any) -> dict[str, Any]:
        self._library.api_key, self._library.api_url = self._api_key, self._api_url
        result: dict[str, Any] = dict(function(*args))
        result.pop("http_headers", None)  # of the response, not of the mail
        return result


class _Client:
    """Client with the part of the library that is used."""

    def __init__(self, library: Any, api_key: str, api_url: str | None) -> None:
        self.emails = _Emails(library, api_key, api_url)


class Resend(Integration):
    """Integration of the mail service Resend. Needs the `resend` package.

    `io.NAME.emails.send(key, {"from": ..., "to": ..., "subject": ..., "html": ...})` sends a mail,
    and `io.NAME.emails.get(key, id)` returns its state.

    Args:
        api_key: Your API key. It is not recorded.
        api_url: Address of the service, if not Resend's own.
        retry: Retry policy; by default `Retry.standard()`.

    Raises:
        NbtasksError: The `resend` package is not installed.

    ```python
    import nbtasks as nb
    from nbtasks.integrations import Resend


    @nb.job("resend-example", integrations={"resend": Resend(api_key="re_...")})
    def welcome(payload: str, io: nb.SyncIO) -> str:
        mail = {"from": "us@example.org", "to": payload, "subject": "Welcome", "html": "Hello"}
        return io.resend.emails.send("welcome mail", mail)["id"]
    ```
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_url: str | None = None,
        retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    ) -> None:
        try:
            import resend
        except ImportError:
            raise NbtasksError("Resend needs its package: pip install 'nbtasks[resend]'") from None
        super().__init__(_Client(resend, api_key, api_url), retry=retry)
