"""Mails by a real mail server."""

from __future__ import annotations

import socket
from email.message import EmailMessage
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import Smtp


@pytest.fixture
def mailbox() -> Any:
    """A real mail server, and what came to it."""
    import email.policy

    from aiosmtpd.controller import Controller

    class Box:
        def __init__(self) -> None:
            self.mails: list[EmailMessage] = []
            self.refuses = 0

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            if self.refuses:
                self.refuses -= 1
                return "451 try later"
            made: Any = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append(made)
            return "250 OK"

    box = Box()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_smtp_sends_by_a_real_mail_server(mailbox: Any):
    box, port = mailbox
    box.refuses = 1
    smtp = Smtp("127.0.0.1", port, sender="us@example.org", retry=nb.Retry(3, min_delay=0.01))

    @nb.job("mails", integrations={"mail": smtp})
    async def mails(io: Any) -> Any:
        return await io.mail.send(
            "welcome", to=["a@b.c", "d@e.f"], subject="Hällo", text="Hi", html="<b>Hi</b>",
            reply_to="me@example.org",
        )  # fmt: skip

    run = mails.run()

    (mail,) = box.mails
    assert mail["Message-ID"] == run.output
    assert run.output.endswith("@example.org>")
    assert (mail["From"], mail["To"], mail["Subject"], mail["Reply-To"]) == (
        "us@example.org", "a@b.c, d@e.f", "Hällo", "me@example.org",
    )  # fmt: skip
    assert mail.get_body(("html",)).get_content().strip() == "<b>Hi</b>"
    assert run.tasks().attempts.tolist() == [2]
