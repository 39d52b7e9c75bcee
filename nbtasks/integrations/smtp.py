"""Integration of any mail server."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

from nbtasks.core.durations import Duration, to_seconds
from nbtasks.engine.retries import Retry
from nbtasks.errors import NbtasksError
from nbtasks.io.integration import Integration
from nbtasks.io.io import current_task

__all__ = ["Smtp"]


class _Client:
    """Client of a mail server."""

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
        """Send a mail, and return its Message-ID.

        The Message-ID contains the task's idempotency key, so that a mail sent again, as after a
        crash before it was recorded, can be recognized.
        """
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
    """Integration of any mail server. Needs the `aiosmtplib` package.

    `io.NAME.send(key, to=..., subject=..., text=..., html=...)` sends a mail, and returns its
    Message-ID.

    Args:
        host: Host name of the server.
        port: Port of the server; by default the usual port for the kind of encryption.
        sender: Address that the mails are from.
        username: User name, if the server requires a login. It is not recorded.
        password: Password of the user. It is not recorded.
        start_tls: True to switch to encryption after connecting; by default if the server supports
            it.
        use_tls: True to encrypt the connection from the start.
        timeout: Longest time for each step of sending: seconds, a timedelta, or text such as "5m".
        retry: Retry policy; by default `Retry.standard()`.

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

    def __init__(  # noqa: PLR0913 - the options of a mail server
        self,
        host: str,
        port: int | None = None,
        *,
        sender: str,
        username: str | None = None,
        password: str | None = None,
        start_tls: bool | None = None,
        use_tls: bool = False,
        timeout: Duration = 60,
        retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    ) -> None:
        if importlib.util.find_spec("aiosmtplib") is None:
            raise NbtasksError("Smtp needs the aiosmtplib package: pip install 'nbtasks[smtp]'")
        options = {
            "hostname": host, "port": port, "username": username, "password": password,
            "start_tls": start_tls, "use_tls": use_tls,
            "timeout": to_seconds("timeout", timeout),
        }  # fmt: skip
        super().__init__(_Client(sender, options), retry=retry)
