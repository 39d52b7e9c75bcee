"""Mail by any mail server."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

from nbtasks.errors import NbtasksError
from nbtasks.here import current_task
from nbtasks.integration import Integration
from nbtasks.replay import Retry

__all__ = ["Smtp"]


class _Client:
    """What speaks to the server."""

    def __init__(self, sender: str, options: dict[str, Any]) -> None:
        self._sender = sender
        self._options = options

    async def send(
        self,
        *,
        to: str | Sequence[str],
        subject: str,
        text: str,
        html: str | None = None,
        reply_to: str | None = None,
    ) -> str:
        """Sends a mail, and gives its Message-ID. That comes from the task's idempotency key: a
        mail that is sent again, as after a crash before it was recorded, can be told by it."""
        import aiosmtplib

        host = self._sender.rpartition("@")[2] or "localhost"
        message = EmailMessage()
        message["Message-ID"] = f"<{current_task().idempotency_key}@{host}>"
        message["From"] = self._sender
        message["To"] = to if isinstance(to, str) else ", ".join(to)
        message["Subject"] = subject
        if reply_to is not None:
            message["Reply-To"] = reply_to
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
        await aiosmtplib.send(message, **self._options)
        return str(message["Message-ID"])


class Smtp(Integration):
    """Mail by any mail server: `io.NAME.send(key, to=..., subject=..., text=..., html=...)`, which
    gives the mail's Message-ID. Takes the `aiosmtplib` package.

    Args:
        host: The server.
        port: Its port; by default what its kind of encryption says.
        sender: Who the mails are from.
        username: Who signs in, if the server wants that.
        password: With what. Neither is recorded.
        start_tls: Whether to change to encryption; by default if the server can.
        use_tls: Whether to be encrypted from the start.
        timeout: Seconds.
        retry: What is done about failures.

    Raises:
        NbtasksError: The `aiosmtplib` package is not installed.

    ```python
    import nbtasks as nb
    from nbtasks.integrations import Smtp


    @nb.job("smtp-example", integrations={"mail": Smtp("localhost", 25, sender="us@example.org")})
    async def welcome(payload: str, io: nb.AsyncIO) -> str:
        return await io.mail.send("welcome", to=payload, subject="Welcome", text="Hello")
    ```
    """

    def __init__(  # noqa: PLR0913 - what a mail server wants to know
        self,
        host: str,
        port: int | None = None,
        *,
        sender: str,
        username: str | None = None,
        password: str | None = None,
        start_tls: bool | None = None,
        use_tls: bool = False,
        timeout: float = 60,
        retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    ) -> None:
        if importlib.util.find_spec("aiosmtplib") is None:
            raise NbtasksError("Smtp takes the aiosmtplib package: pip install 'nbtasks[smtp]'")
        options = {
            "hostname": host, "port": port, "username": username, "password": password,
            "start_tls": start_tls, "use_tls": use_tls, "timeout": timeout,
        }  # fmt: skip
        super().__init__(_Client(sender, options), retry=retry)
