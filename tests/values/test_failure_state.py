"""State of an error, from its record: what an `except` reads of it."""

from __future__ import annotations

import copy
import email.message
import functools
import json
import pickle
import re
import subprocess
import threading
import traceback
import urllib.error
from pathlib import Path
from typing import Annotated, Any, ClassVar

import httpx
import pydantic
import pydantic_core
import pytest

import nbtasks as nb
from nbtasks.core.model import Failure
from nbtasks.errors import TaskFailed
from nbtasks.values import failures

RUN = "01run"


def failed(error: BaseException, secrets: set[str] | None = None) -> Any:
    """Return the error that the caller gets of a task whose function raised `error`."""
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - of whatever class
        failure = failures.from_task_error(caught, "load", 1, RUN)
    text = failures.dumps(failures.scrub(failure, secrets))
    return failures.rebuild(failures.loads(text), "load", RUN)


def raised_by(call: Any) -> Exception:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - of whatever class
        return error
    raise AssertionError("it raised nothing")


class Refused(Exception):
    """It builds its text itself, and has a default for an attribute."""

    response: Any = None
    codes: ClassVar[dict[int, str]] = {402: "payment"}

    def __init__(self, code: int, *, response: Any) -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.response = response

    @property
    def word(self) -> str:
        return self.codes[self.code]


class Slotted(Exception):
    __slots__ = ("detail", "unset")

    def __init__(self, detail: Any) -> None:
        self.detail = detail


class Coded(OSError):
    def __init__(self, code: int) -> None:
        super().__init__(code, "coded", "file.txt")
        self.code = code


class Group(ExceptionGroup[Exception]):
    hint = ""


class Response:
    def __init__(self) -> None:
        self.status_code = 503
        self.lock = threading.Lock()
        self.retry = {"after": 3}
        self.token = "enigma"


class Model(pydantic.BaseModel):
    n: int


def invalid(**fields: Any) -> Exception:
    return raised_by(functools.partial(Model, **fields))


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (raised_by(lambda: dict[str, int]()["k"]), ["args"]),
        (raised_by(Path("/no/such/file").read_text), ["args", "errno", "filename"]),
        (raised_by(lambda: Path("/no/such").rename("/other")), ["filename", "filename2"]),
        (raised_by(b"ab\xff".decode), ["args", "object", "start", "end", "encoding"]),
        (raised_by(lambda: "\xe4".encode("ascii")), ["object", "start", "reason"]),
        (raised_by(lambda: json.loads("{")), ["pos", "doc", "lineno", "colno", "msg"]),
        (
            subprocess.CalledProcessError(3, ["false"], b"out", b"err"),
            ["returncode", "cmd", "output", "stdout", "stderr"],
        ),
        (subprocess.TimeoutExpired("x", 2.5), ["cmd", "timeout"]),
        (raised_by(lambda: compile("a b", "cell.py", "exec")), ["msg", "lineno", "text", "offset"]),
        (raised_by(lambda: __import__("no_such_module")), ["name", "msg"]),
        (raised_by(lambda: getattr(int, "no_such")), ["name", "args"]),  # noqa: B009 - it fails
        (StopIteration(3), ["value", "args"]),
        (StopAsyncIteration(3), ["args"]),
        (ValueError({"rows": [1, (2, 3)]}, {4}, b"5", None), ["args"]),
        (ValueError(), ["args"]),
        (ValueError("one"), ["args"]),
        (Refused(402, response=(1, 2)), ["args", "code", "response", "word"]),
        (Slotted({"a": 1}), ["args", "detail"]),
        (Coded(28), ["args", "errno", "strerror", "filename", "code"]),
        (re.error("bad", "a(b", 1), ["msg", "pattern", "pos", "lineno"]),
        (pydantic_core.PydanticCustomError("odd", "{n} is odd", {"n": 3}), ["args"]),
    ],
    ids=lambda value: ascii(value)[:60] if isinstance(value, Exception) else ",".join(value),
)
def test_an_attribute_has_the_value_of_the_original(error: Exception, names: list[str]):
    rebuilt = failed(error)

    assert {name: getattr(rebuilt, name) for name in names} == {
        name: getattr(error, name) for name in names
    }
    assert str(rebuilt) == str(error)


def test_a_pydantic_error_is_caught_as_such_with_its_errors():
    for fields in ({"n": "x"}, {"n": None}, {}):
        error: Any = invalid(**fields)

        rebuilt = failed(error)

        assert isinstance(rebuilt, pydantic.ValidationError)
        assert isinstance(rebuilt, TaskFailed)
        assert rebuilt.errors() == error.errors()
        assert rebuilt.title == "Model"
        assert rebuilt.error_count() == 1
        assert str(rebuilt) == str(error)


def test_a_pydantic_error_keeps_what_a_validator_raised_and_an_input_that_is_no_data():
    numbers: Any = pydantic.TypeAdapter(list[Annotated[int, pydantic.Field(gt=3)]])
    checked: Any = pydantic.TypeAdapter(Annotated[int, pydantic.AfterValidator(odd_or_even)])
    error: Any
    for error in (
        raised_by(lambda: numbers.validate_python([1, threading.Lock()])),
        raised_by(lambda: checked.validate_python(3)),
        raised_by(lambda: checked.validate_python(4)),
    ):
        rebuilt = failed(error)

        assert isinstance(rebuilt, pydantic.ValidationError)
        assert [one["msg"] for one in rebuilt.errors()] == [one["msg"] for one in error.errors()]
        assert str(rebuilt) == str(error)


def odd_or_even(value: int) -> int:
    if value % 2:
        raise ValueError("odd {number}")
    raise pydantic_core.PydanticCustomError("even", "{number} is even", {"number": value})


def test_the_response_of_an_http_error_keeps_what_is_data():
    request = httpx.Request("GET", "http://x/y", headers={"Authorization": "Bearer enigma"})
    response = httpx.Response(
        404, request=request, json={"why": "gone"}, headers={"Retry-After": "3"}
    )
    error = failed(raised_by(response.raise_for_status))

    assert isinstance(error, httpx.HTTPStatusError)
    assert error.response.status_code == 404
    assert json.loads(error.response.text) == {"why": "gone"}
    assert error.response.headers["retry-after"] == "3"
    assert "no-such" not in error.response.headers
    assert str(error.request.url) == "http://x/y"
    assert error.request.headers["authorization"] == "[REDACTED]"
    with pytest.raises(
        AttributeError, match=r"'http_version' is not kept; kept are: .*status_code"
    ):
        _ = error.response.http_version


def test_a_failed_fetch_has_its_status_and_the_headers_that_are_no_secrets():
    error = nb.FetchError("GET http://x: 429")
    error.status, error.headers = 429, {"retry-after": "3", "set-cookie": "enigma"}

    rebuilt = failed(error)

    assert isinstance(rebuilt, nb.FetchError)
    assert rebuilt.status == 429
    assert rebuilt.headers == {"retry-after": "3", "set-cookie": "[REDACTED]"}


def test_an_http_error_of_urllib_is_read_although_its_class_wraps_a_file():
    headers = email.message.Message()
    headers["Retry-After"] = "3"
    error = failed(urllib.error.HTTPError("http://x", 503, "busy", headers, None))

    assert isinstance(error, urllib.error.HTTPError)
    assert (error.code, error.status, error.reason) == (503, 503, "busy")
    assert error.headers["Retry-After"] == "3"
    assert isinstance(error, OSError)


def test_an_error_in_an_error_is_caught_with_its_state():
    reason = ConnectionRefusedError(111, "refused")
    error = failed(urllib.error.URLError(reason))

    assert isinstance(error.reason, ConnectionRefusedError)
    assert error.reason.errno == 111
    assert error.args[0].errno == 111


def test_an_object_of_the_users_keeps_its_data_and_names_what_it_lacks():
    rebuilt = failed(Refused(1, response=Response()))

    assert rebuilt.response.status_code == 503
    assert rebuilt.response.retry == {"after": 3}
    assert rebuilt.response.token == "[REDACTED]"
    with pytest.raises(AttributeError, match="'lock' is not kept"):
        _ = rebuilt.response.lock
    assert "status_code=503" in repr(rebuilt.response)
    assert pickle.loads(pickle.dumps(rebuilt.response)).status_code == 503


@pytest.mark.parametrize("value", [threading.Lock(), open, subprocess, "x" * 1_000_000, Response])
def test_an_attribute_that_is_not_kept_says_so_even_if_its_class_has_a_default(value: Any):
    rebuilt = failed(Refused(1, response=value))

    with pytest.raises(AttributeError) as info:
        _ = rebuilt.response

    text = str(info.value)
    assert "Refused of task 'load' of run 01run is a recorded error" in text
    assert "'response' is not kept, since" in text
    assert "kept are: args, code" in text
    assert "error.traceback" in text
    assert not hasattr(rebuilt, "response")
    assert not hasattr(rebuilt, "no_such")


def test_an_argument_that_is_no_data_does_not_hide_the_others():
    rebuilt = failed(ValueError("busy", threading.Lock(), 3))

    assert rebuilt.args[0] == "busy"
    assert rebuilt.args[2] == 3
    assert "recorded lock" in repr(rebuilt.args[1])


def test_the_object_of_an_attribute_error_does_not_break_its_traceback():
    rebuilt = failed(raised_by(lambda: getattr(threading, "no_such")))  # noqa: B009 - it fails

    assert "no_such" in "".join(traceback.format_exception(rebuilt))
    assert rebuilt.name == "no_such"


def test_notes_are_kept_and_those_of_a_parent_are_added():
    error = ValueError("no")
    error.add_note("of the function")
    rebuilt = failed(error)
    assert rebuilt.__notes__ == ["of the function", f"TaskFailed: task 'load', run {RUN}"]

    rebuilt.add_note("of the parent")

    passed_on = failed(rebuilt)
    assert passed_on.__notes__[:2] == ["of the function", "of the parent"]
    assert len(passed_on.__notes__) == 3


def test_a_class_that_makes_others_of_itself_makes_originals():
    """It is the idiom `raise type(error)("more") from error`."""
    again = type(failed(KeyError("k")))("more")

    assert type(again) is KeyError
    assert again.args == ("more",)


def test_no_state_grows_without_limit():
    error: Any = ValueError(
        "x" * 100_000, list(range(100_000)), *("y" * 10_000 for _ in range(100))
    )
    error.rows = [{"a": "z" * 10_000}] * 100

    failure = failures.from_task_error(error, "load", 1, RUN)

    assert len(json.dumps(failure.state)) < 100_000


def test_what_refers_to_itself_ends():
    rows: list[Any] = [threading.Lock()]
    rows.append(rows)
    error: Any = ValueError("loop")
    error.rows = rows
    error.error = error

    assert failed(error).args == ("loop",)


def test_secrets_are_hidden_in_the_state_also_in_bytes():
    error = Refused(1, response={"key": "enigma", "raw": b"an enigma", "n": 5})
    error.args = ("enigma", 2)

    rebuilt = failed(error, secrets={"enigma"})

    assert rebuilt.args == ("[REDACTED]", 2)
    assert rebuilt.response == {"key": "[REDACTED]", "raw": "[REDACTED]", "n": 5}


@pytest.mark.parametrize(
    "state",
    [
        {"args": 5},
        {"attributes": {"errno": {"no such form": 1}, "__class__": {"v": 3}, "x": {"arg": 99}}},
        {"bases": [["os"]], "members": [1], "group": None},
        {"made": ["builtins", "OSError", "mro", {"v": 1}], "lost": "text", "notes": [1]},
    ],
)
def test_a_damaged_state_leaves_class_and_message(state: Any):
    failure = Failure("OSError", "builtins", "broken", state=state)

    rebuilt = failures.rebuild(failure, "load", RUN)

    assert isinstance(rebuilt, OSError)
    assert str(rebuilt) == "broken"
    assert "load" in "".join(traceback.format_exception(rebuilt))


# -- groups ----------------------------------------------------------------------------------------


def several() -> Any:
    inner = ExceptionGroup("inner", [OSError(2, "gone", "f"), KeyError("k")])
    return failed(ExceptionGroup("outer", [ValueError(1), inner]))


def test_a_group_is_caught_with_its_members_and_their_state():
    group = several()

    assert isinstance(group, ExceptionGroup)
    assert isinstance(group, TaskFailed)
    assert (group.message, str(group)) == ("outer", "outer (2 sub-exceptions)")
    first, inner = group.exceptions
    nested: Any = inner
    assert first.args == (1,)
    assert nested.exceptions[0].filename == "f"
    assert nested.exceptions[1].args == ("k",)
    assert group.args == ("outer", [first, inner])


def test_a_group_is_split_by_except_and_its_rest_is_the_failure_of_the_task():
    seen: list[Any] = []
    with pytest.raises(ExceptionGroup) as info:
        try:
            raise several()
        except* OSError as part:
            seen.append(part)
    rest = info.value

    assert type(seen[0]).__name__ == "ExceptionGroup"
    assert seen[0].exceptions[0].exceptions[0].errno == 2
    assert isinstance(rest, TaskFailed)
    assert (rest.path, rest.run_id, rest.message) == ("load", RUN, "outer")
    assert rest.subgroup(OSError) is None
    assert rest.subgroup(KeyError) is not None


def test_a_group_of_the_users_keeps_its_class_and_attributes():
    group = Group("own", [ValueError(1)])
    group.hint = "look"

    rebuilt = failed(group)

    assert isinstance(rebuilt, Group)
    assert rebuilt.hint == "look"
    assert isinstance(rebuilt.subgroup(ValueError), Group)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_keeps_class_and_state(again: Any):
    for error in (failed(Coded(28)), several(), failed(invalid(n="x"))):
        copied = again(error)

        assert type(copied) is type(error)
        assert str(copied) == str(error)
        assert copied.path == "load"
    assert again(failed(Coded(28))).errno == 28


# -- through the engine ----------------------------------------------------------------------------


def stop() -> None:
    raise StopIteration("empty")


@pytest.mark.parametrize("options", [None, nb.TaskOptions(inline=True), nb.TaskOptions(once=True)])
def test_a_stop_iteration_is_caught_as_one_where_the_call_blocks(options: nb.TaskOptions | None):
    @nb.job(f"failures-stop-{options}")
    def body(io: nb.SyncIO) -> Any:
        def parent() -> None:
            nb.current_io().run_task("child", stop, options=options)

        found = []
        for key, fn in (("own", stop), ("passed on", parent)):
            try:
                io.run_task(key, fn, options=options)
            except StopIteration as error:
                found.append([key, error.value, error.args])
        return found

    for _ in range(2):
        assert body.run().output == [
            ["own", "empty", ("empty",)],
            ["passed on", "empty", ("empty",)],
        ]


@pytest.mark.parametrize("timeout", [None, 60])
@pytest.mark.parametrize("inline", [False, True])
def test_a_stop_iteration_of_an_awaited_task_says_why_it_is_a_runtime_error(
    inline: bool, timeout: float | None
):
    caught: list[BaseException] = []

    @nb.job(f"failures-awaited-stop-{inline}-{timeout}")
    async def body(io: nb.AsyncIO) -> Any:
        options = nb.TaskOptions(inline=inline)
        try:
            await io.run_task("own", stop, timeout=timeout, options=options)
        except RuntimeError as error:
            caught.append(error)
        try:
            await io.map("items", int_or_stop, [1, 0], options=options)
        except nb.MapFailed as error:
            caught.append(error.failed[1])
        await io.run_task("last", stop, options=options)

    for _ in range(2):
        with pytest.raises(StopIteration) as info:
            body.run()
        assert info.value.value == "empty"
        assert isinstance(info.value, TaskFailed)
        assert info.value.path == "last"
        error, item = caught
        caught.clear()
        assert isinstance(error, TaskFailed)
        assert (error.type, error.path, error.message) == ("StopIteration", "own", "empty")
        assert str(error) == "coroutine raised StopIteration"
        assert any("PEP 479" in note for note in error.__notes__)
        assert isinstance(item, StopIteration)


def int_or_stop(value: int) -> int:
    if value:
        return value
    raise StopIteration("none")


def test_a_stop_iteration_in_a_pool_of_threads_is_the_tasks_failure():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:

        @nb.job("failures-pool-stop")
        async def body(io: nb.AsyncIO) -> str:
            try:
                await io.run_task("own", stop, options=nb.TaskOptions(on=pool))
            except RuntimeError as error:
                return str(getattr(error, "type", None))
            return ""

        assert body.run().output == "StopIteration"


def test_a_part_of_a_group_that_ends_the_run_makes_its_task_run_again():
    fixed = False

    def groups() -> str:
        if fixed:
            return "fine"
        raise ExceptionGroup("two", [ValueError(1), KeyError(2)])

    @nb.job("failures-group-rest")
    def body(io: nb.SyncIO) -> Any:
        try:
            return io.run_task("groups", groups)
        except* KeyError:
            pass

    with pytest.raises(ExceptionGroup):
        body.run()
    fixed = True

    assert body.run().output == "fine"


def test_a_caught_error_has_the_same_state_on_replay():
    @nb.job("failures-state-replayed")
    def body(io: nb.SyncIO) -> Any:
        try:
            io.run_task("open", open, "/no/such/file")
        except FileNotFoundError as error:
            return error.errno, error.filename, error.args, str(error)

    first = body.run().output

    assert first[:2] == (2, "/no/such/file")
    assert body.run().output == first
