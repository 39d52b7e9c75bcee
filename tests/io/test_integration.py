"""Clients whose calls are tasks, and those that are ready-made."""

from __future__ import annotations

import asyncio
import socket
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import DuckDB, Http, Resend, Smtp
from nbtasks.testing import FakeClock
from tests.servers import Answer, Asked, serving


class Chat:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.rooms = self

    limit = 3

    def post(self, room: str, *, text: str, api_key: str = "") -> dict[str, str]:
        self.calls.append([room, text])
        return {"room": room, "token": "t-1"}

    async def read(self, room: str) -> list[str]:
        await asyncio.sleep(0)
        self.calls.append(["read", room])
        return [room]

    def later(self, room: str) -> Any:
        return self.read(room)

    def fail(self) -> None:
        self.calls.append("fail")
        raise ConnectionError("busy")


@pytest.fixture
def calls() -> list[Any]:
    return []


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, calls: list[Any]) -> Any:
    """Executes a body `async def body(chat)` by either face."""

    def play(body: Any, **options: Any) -> nb.Run:
        integrations = {"chat": nb.integration(Chat(calls), **options)}
        if request.param == "async":

            @nb.job("chats", integrations=integrations)
            async def awaiting(io: nb.AsyncIO) -> Any:
                return await body(io.chat)  # type: ignore[attr-defined]  # as in the docs without a class

            return awaiting.run()

        @nb.job("chats", integrations=integrations)
        def blocking(io: nb.SyncIO) -> Any:
            try:
                body(Settled(io.chat)).send(None)  # type: ignore[attr-defined]  # as above
            except StopIteration as stop:
                return stop.value
            raise AssertionError

        return blocking.run()

    return play


class Settled:
    """Calls that block, to be awaited."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Settled:
        return Settled(getattr(self._calls, name))

    async def __call__(self, *args: Any, **named: Any) -> Any:
        return self._calls(*args, **named)


async def talk(chat: Any) -> list[Any]:
    return [
        await chat.rooms.post("post", "hall", text="hello", api_key="secret"),
        await chat.read("read", "hall"),
        await chat.later("later", "yard"),
    ]


def test_each_call_is_a_task_named_after_the_method(run: Any, calls: list[Any]):
    made = run(talk)

    assert made.output == [{"room": "hall", "token": "t-1"}, ["hall"], ["yard"]]
    assert run(talk).output == made.output
    assert calls == [["hall", "hello"], ["read", "hall"], ["read", "yard"]]
    frame = made.tasks()
    assert frame.name.tolist() == ["chat.rooms.post", "chat.read", "chat.later"]
    assert frame.key.tolist() == ["post", "read", "later"]


def test_inputs_are_recorded_and_secrets_are_not(run: Any):
    params = run(talk).tasks().params[0]

    assert params == '{"args":["hall"],"text":"hello","api_key":"[REDACTED]"}'


def test_what_is_to_be_hidden_is_in_inputs_and_output(run: Any):
    frame = run(talk, redact=["token", "text"]).tasks()

    assert "hello" not in frame.params[0]
    assert frame.output[0] == '{"room":"hall","token":"[REDACTED]"}'


async def fail(chat: Any) -> None:
    await chat.fail("fail")


def test_a_failure_is_tried_again_eight_times_by_default(run: Any, calls: list[Any]):
    with FakeClock() as clock:
        began = clock.now()
        with pytest.raises(ConnectionError, match="busy"):
            run(fail)
        assert len(calls) == 8
        assert 20 < (clock.now() - began).total_seconds() < 120
        with pytest.raises(ConnectionError):
            run(fail, retry=2)
        assert len(calls) == 10


def test_what_is_not_there_says_what_is(calls: list[Any]):
    @nb.job("chats", integrations={"chat": nb.integration(Chat(calls))})
    def chats(io: Any) -> None:
        with pytest.raises(AttributeError, match=r"SyncIO has no 'chatt'. Its integrations: chat"):
            io.chatt.post("a")
        with pytest.raises(AttributeError, match=r"io.chat \(Chat\) has no 'pots'"):
            io.chat.pots("a")
        with pytest.raises(AttributeError, match=r"io.chat has no '_calls'"):
            io.chat._calls("a")
        with pytest.raises(TypeError, match=r"io.chat.limit is a int, and not to be called"):
            io.chat.limit("a")
        assert repr(io.chat.rooms) == "<io.chat.rooms>"
        assert not hasattr(io, "__len__")

    chats.run()

    @nb.job("plain")
    def plain(io: Any) -> None:
        with pytest.raises(AttributeError, match="It has no integrations"):
            io.chat  # noqa: B018 - to be refused

    plain.run()


@pytest.mark.parametrize("name", ["run_task", "store", "a b", "_private"])
def test_a_name_that_io_has_already_is_refused(name: str):
    with pytest.raises(nb.InvalidOptionError, match="cannot be its name in io"):
        nb.job("chats", integrations={name: nb.integration(Chat([]))})(lambda io: None)


def test_a_client_has_to_be_wrapped():
    chat: Any = Chat([])
    with pytest.raises(nb.InvalidOptionError, match=r"wrap the client: nb.integration\("):
        nb.job("chats", integrations={"chat": chat})(lambda io: None)


def test_a_client_is_never_pickled():
    import pickle

    with pytest.raises(TypeError, match="holds a client and cannot be pickled"):
        pickle.dumps(nb.integration(Chat([])))


def test_other_inputs_make_a_recorded_call_stale(calls: list[Any]):
    text = "one"

    @nb.job("chats", integrations={"chat": nb.integration(Chat(calls))})
    def chats(io: Any) -> None:
        io.chat.post("post", "hall", text=text)

    chats.run()
    text = "two"

    with pytest.warns(nb.StaleTaskWarning, match="post"):
        chats.run()


# -- ready-made -----------------------------------------------------------------------------------


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


def test_http_speaks_to_a_service():
    def answer(asked: Asked) -> Answer:
        said = asked.json() if asked.body else None
        return Answer(200, {"method": asked.method, "path": asked.path, "body": said})

    with serving(answer) as server:
        http = Http(f"{server.url}/api/", headers={"Authorization": "Bearer secret"})

        @nb.job("speaks", integrations={"service": http})
        async def speaks(io: Any) -> Any:
            answers = [
                await io.service.get("get", "users?n=1"),
                await io.service.post("post", "/users", {"name": "Ada"}),
                await io.service.put("put", "users/1", {"name": "Ada"}),
                await io.service.patch("patch", "users/1", {"name": "Ada"}),
                await io.service.delete("delete", "users/1", headers={"X-Mine": "1"}),
            ]
            assert isinstance(answers[0], nb.Response)
            return [[one.body["method"], one.body["path"]] for one in answers]

        assert speaks.run().output == [
            ["GET", "/api/users?n=1"],
            ["POST", "/api/users"],
            ["PUT", "/api/users/1"],
            ["PATCH", "/api/users/1"],
            ["DELETE", "/api/users/1"],
        ]
        keys = [asked.headers.get("idempotency-key") for asked in server.asked]
        assert keys[0] is None
        assert len(set(keys)) == 5
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer secret"}
    assert "secret" not in nb.tasks().to_csv()


def test_http_takes_a_status_that_is_not_right_for_a_failure():
    with FakeClock(), serving(lambda asked: Answer(404, "no such user")) as server:

        @nb.job("speaks", integrations={"service": Http(server.url, retry=2)})
        def speaks(io: Any) -> None:
            io.service.get("get", "users/7")

        with pytest.raises(nb.FetchError, match="status 404: no such user"):
            speaks.run()
        assert len(server.asked) == 2


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
    smtp = Smtp("127.0.0.1", port, sender="us@example.org", retry=nb.Retry(3, min_timeout=0.01))

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


def test_duckdb_answers_queries_with_frames_that_are_recorded(tmp_path: Path):
    db = DuckDB(tmp_path / "users.duckdb")

    @nb.job("asks", integrations={"db": db})
    def asks(io: Any) -> Any:
        io.db.execute("create", "create table users (name varchar, age integer)")
        io.db.execute("insert", "insert into users values (?, ?), ('Al', 20)", ["Ada", 36])
        return io.db.query("old", "select * from users where age > $age", {"age": 30})

    first = asks.run().output
    assert first.to_dict("records") == [{"name": "Ada", "age": 36}]
    assert asks.run().output.equals(first)

    @nb.job("reads", integrations={"db": DuckDB(tmp_path / "users.duckdb", read_only=True)})
    async def reads(io: Any) -> Any:
        with pytest.raises(nb.TaskFailed, match="read-only"):
            await io.db.execute("drop", "drop table users")
        return len(await io.db.query("all", "from users"))

    assert reads.run().output == 2
