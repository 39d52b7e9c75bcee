"""Clients whose calls are tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock


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
    """Executes a body `async def body(chat)` by either form."""

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


@pytest.mark.slow
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
        with pytest.raises(AttributeError, match=r"SyncIO has no 'chatt'. Is it io.chat\? Its"):
            io.chatt.post("a")
        with pytest.raises(AttributeError, match=r"\(Chat\) has no 'pots'. Is it io.chat.post\?"):
            io.chat.pots("a")
        with pytest.raises(AttributeError, match=r"io.chat has no '_calls'"):
            io.chat._calls("a")
        with pytest.raises(TypeError, match=r"io.chat.limit is a int and cannot be called"):
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
    with pytest.raises(nb.InvalidOptionError, match="cannot name an integration in io"):
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
