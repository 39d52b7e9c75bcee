"""Mails by Resend, against a server that answers as it does."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import Resend
from nbtasks.testing import FakeClock
from tests.servers import Answer, serving


def test_resend_sends_what_it_is_told_with_the_tasks_idempotency_key():
    with serving(lambda asked: Answer(200, {"id": "mail-1"})) as server:

        @nb.job("mails", integrations={"resend": Resend("re_secret", api_url=server.url)})
        def mails(io: Any) -> Any:
            key = io.resend.emails.send("welcome", {"to": ["a@b.c"], "subject": "Hi"})
            return [key, io.resend.emails.get("look", "mail-1")]

        run = mails.run()

        assert run.output == [{"id": "mail-1"}, {"id": "mail-1"}]
        sent, looked = server.asked
        assert (sent.method, sent.path, sent.json()) == (
            "POST", "/emails", {"to": ["a@b.c"], "subject": "Hi"},
        )  # fmt: skip
        assert sent.headers["authorization"] == "Bearer re_secret"
        assert len(sent.headers["idempotency-key"]) == 32
        assert (looked.method, looked.path) == ("GET", "/emails/mail-1")
    assert "re_secret" not in nb.tasks().to_csv()


def test_resend_tries_again_and_says_what_went_wrong():
    answers = [Answer(500, {"statusCode": 500, "message": "busy", "name": "application_error"})]
    with FakeClock(), serving(lambda asked: answers[0]) as server:

        @nb.job("mails", integrations={"resend": Resend("re_1", api_url=server.url, retry=3)})
        def mails(io: Any) -> Any:
            return io.resend.emails.send("welcome", {"to": "a@b.c"})

        with pytest.raises(nb.TaskFailed, match="busy"):
            mails.run()
        assert len(server.asked) == 3
        assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
