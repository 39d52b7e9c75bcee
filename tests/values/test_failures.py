"""From an exception to what is kept of it, and back to one that can be caught."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import subprocess
import sys
import traceback
import types
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.core.model import Failure
from nbtasks.errors import DuplicateKeyError, TaskFailed
from nbtasks.values import failures
from tests.thorough import only_thorough

RUN = "01run"


def raised(error: BaseException) -> BaseException:
    """The same error, with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - also those that are no Exception
        return caught


def failed(error: BaseException, path: str = "load", run_id: str = RUN) -> TaskFailed:
    """Return the error that the caller gets of a task whose function raised `error`."""
    failure = failures.from_task_error(raised(error), path, 1, run_id)
    return failures.rebuild(failures.loads(failures.dumps(failure)), path, run_id)


# -- it is an instance of the original class -------------------------------------------------------


class Plain(Exception):
    pass


class Picky(Exception):
    """It cannot be made without what it wants."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class OwnNew(ValueError):
    def __new__(cls, code: int) -> OwnNew:  # noqa: PYI034 - as users write it
        made = super().__new__(cls)
        made.code = code
        return made

    code: int


class OwnText(KeyError):
    def __str__(self) -> str:
        return "words of its own"


class Slotted(Exception):
    __slots__ = ("detail",)

    def __init__(self, detail: str) -> None:
        self.detail = detail


@dataclasses.dataclass
class Data(Exception):
    code: int


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Final(Exception):
    """It says that it cannot be derived from."""

    def __init_subclass__(cls) -> None:
        raise TypeError("final")


class Registered(Exception):
    """It counts the classes that derive from it."""

    known: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        cls.known.append(cls)


class Holder:
    class Nested(LookupError):
        pass


def unicode_error() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("missing"),
        IndexError(3),
        ZeroDivisionError("division by zero"),
        TypeError(),
        RuntimeError("a", "b"),
        OSError(28, "No space left on device", "file.txt"),
        FileNotFoundError(2, "No such file", "file.txt"),
        TimeoutError("late"),
        ConnectionResetError(104, "reset"),
        unicode_error(),
        SyntaxError("bad", ("cell.py", 1, 2, "a b", 1, 3)),
        ImportError("no", name="module"),
        ModuleNotFoundError("no", name="module"),
        NameError("x", name="x"),
        AttributeError("x", name="x", obj=3),
        AssertionError(),
        StopAsyncIteration(),
        RecursionError("deep"),
        MemoryError(),
        UserWarning("made an error"),
        json.JSONDecodeError("no", "{", 1),
        subprocess.CalledProcessError(1, ["false"]),
        Plain("own"),
        Picky(5, reason="odd"),
        OwnText("a"),
        Slotted("a"),
        Data(4),
        Holder.Nested("a"),
        DuplicateKeyError("twice"),
        OwnNew(3),
        Frozen(4),
        Final("a"),
        Registered("a"),
        StopIteration(3),
    ],
    ids=lambda error: type(error).__qualname__,
)
def test_it_is_caught_as_the_original_class_and_says_what_the_original_said(error: Exception):
    rebuilt = failed(error)

    assert isinstance(rebuilt, TaskFailed)
    assert isinstance(rebuilt, type(error))
    assert rebuilt.type == type(error).__qualname__
    assert rebuilt.message == str(error)
    assert rebuilt.path == "load"
    assert rebuilt.run_id == RUN
    assert str(rebuilt) == str(error)
    assert repr(rebuilt).startswith(type(error).__name__)
    shown = "".join(traceback.format_exception(rebuilt))  # whatever the class wants printed of it
    assert f"TaskFailed: task 'load', run {RUN}" in shown


def test_an_error_of_a_class_of_a_function_is_caught_as_its_base():
    class Local(ValueError):
        pass

    rebuilt = failed(Local("a"))

    assert isinstance(rebuilt, ValueError)
    assert rebuilt.type.endswith("Local")


def test_a_class_that_counts_its_subclasses_does_not_count_ours():
    failed(Registered("a"))

    assert Registered.known == []


def test_one_class_is_made_for_each_original_class():
    assert type(failed(ValueError(1))) is type(failed(ValueError(2)))
    assert type(failed(ValueError(1))) is not type(failed(KeyError(1)))


MODULE = """
class Refused(ValueError):
    def __init__(self, code, reason):
        super().__init__(code, reason)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the user's own."""
    (tmp_path / "nbtasks_test_errors.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nbtasks_test_errors", raising=False)
    import nbtasks_test_errors  # type: ignore[import-not-found]  # written above

    found: types.ModuleType = nbtasks_test_errors
    return found


def test_a_class_of_a_module_that_is_not_loaded_is_not_imported(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
):
    """A class that an `except` names is loaded already; and a record may be a stranger's."""
    failure = failures.from_task_error(raised(module.Refused(1, "no")), "load", 1, RUN)
    monkeypatch.delitem(sys.modules, "nbtasks_test_errors")

    rebuilt = failures.rebuild(failure, "load", RUN)

    assert isinstance(rebuilt, ValueError)  # its base, which is there
    assert rebuilt.type == "Refused"
    assert "nbtasks_test_errors" not in sys.modules


def test_a_class_that_a_cell_defined_anew_is_caught_as_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
):
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("class Refused(ValueError): pass", vars(main))
    failure = failures.from_task_error(raised(main.Refused("no")), "load", 1, RUN)
    assert isinstance(failures.rebuild(failure, "load", RUN), main.Refused)

    exec("class Refused(ValueError): pass", vars(main))

    assert isinstance(failures.rebuild(failure, "load", RUN), main.Refused)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("no.such.module", "Error"),
        ("builtins", "NoSuchError"),
        ("builtins", "print"),
        ("builtins", "int"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "SystemExit"),
        ("", ""),
        ("nbtasks.errors", "TaskFailed"),
    ],
)
def test_a_class_that_is_gone_or_none_gives_a_plain_task_failed(where: str, name: str):
    rebuilt = failures.rebuild(Failure(name, where, "text"), "load", RUN)

    assert type(rebuilt) is TaskFailed
    assert rebuilt.message == "text"


# -- what is kept ----------------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_printed_is_kept_all_the_same():
    failure = failures.from_task_error(raised(Mute()), "load", 1, RUN)

    assert failure.type == "Mute"
    assert "no words" in failure.message


def test_a_message_that_is_no_valid_unicode_is_kept_as_far_as_it_is():
    failure = failures.from_task_error(raised(ValueError("a\ud800b")), "load", 1, RUN)

    assert failures.loads(failures.dumps(failure)) == failure
    assert failure.message.startswith("a")
    assert failure.message.endswith("b")


def test_the_traceback_that_is_kept_ends_with_the_error():
    failure = failures.from_task_error(raised(ValueError("no")), "load", 3, RUN)

    assert failure.traceback.splitlines()[0] == "Traceback (most recent call last):"
    assert failure.traceback.splitlines()[-1] == "ValueError: no"
    assert failure.attempts == 3
    assert failure.path == "load"
    assert failure.cause is None


def test_more_than_one_attempt_is_said():
    rebuilt = failures.rebuild(Failure("ValueError", "builtins", "no", attempts=3), "load", RUN)

    assert rebuilt.__notes__ == [f"TaskFailed: task 'load' after 3 attempts, run {RUN}"]


@pytest.mark.slow
@given(
    st.builds(
        Failure,
        type=st.text(),
        module=st.text(),
        message=st.text(),
        traceback=st.text(),
        path=st.text(),
        attempts=st.integers(1, 99),
        cause=st.none() | st.text(),
    )
)
@only_thorough
def test_a_record_is_read_back_as_it_was_written(failure: Failure):
    assert failures.loads(failures.dumps(failure)) == failure


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known():
    text = json.dumps({"type": "E", "module": "m", "message": "t", "severity": 3})

    assert failures.loads(text) == Failure("E", "m", "t")


@pytest.mark.parametrize("error", [ValueError("no"), OSError(2, "gone"), Plain("own"), Mute()])
def test_the_first_failure_and_its_replay_are_the_same(error: Exception):
    first = failures.from_task_error(raised(error), "load", 2, RUN)
    replayed = failures.from_body_error(failures.rebuild(first, "load", RUN))

    assert replayed == first


# -- failures that are passed on -------------------------------------------------------------------


def test_a_parent_that_passes_on_a_subtasks_failure_names_the_innermost_task():
    inner = failed(ValueError("no"), "fit/AA")
    outer = failures.from_task_error(raised(inner), "fit", 1, RUN)

    assert (outer.path, outer.cause, outer.type) == ("fit/AA", "fit/AA", "ValueError")
    rebuilt = failures.rebuild(outer, "fit", RUN)
    assert isinstance(rebuilt, ValueError)
    assert rebuilt.path == "fit/AA"
    assert failures.task_path(rebuilt) == "fit"


def test_a_parent_that_raises_its_own_error_from_a_subtasks_failure_links_to_it():
    inner = failed(ValueError("no"), "fit/AA")
    own = KeyError("own")
    own.__cause__ = inner

    outer = failures.from_task_error(raised(own), "fit", 1, RUN)

    assert (outer.type, outer.path, outer.cause) == ("KeyError", "fit", "fit/AA")


def test_a_failure_of_another_run_is_no_link():
    """An invoked job's failure is not one of this run's tasks."""
    other = failed(ValueError("no"), "load", run_id="another run")

    outer = failures.from_task_error(raised(other), "child", 1, RUN)

    assert outer.cause is None
    assert outer.type == "ValueError"


def test_the_chain_is_all_that_caused_was_handled_or_is_held_by_a_group():
    cause, context, member, deep = (
        failed(ValueError(name), name) for name in ("cause", "context", "member", "deep")
    )
    own = KeyError("own")
    own.__context__ = deep
    cause.__cause__ = ExceptionGroup("several", [member, own])
    top = RuntimeError("top")
    top.__cause__, top.__context__ = cause, context

    assert {e.path for e in failures.iter_task_failures(top)} == {
        "cause",
        "context",
        "member",
        "deep",
    }


def test_the_chain_begins_with_the_outermost():
    inner = failed(ValueError("no"), "fit/AA")
    outer = failed(KeyError("own"), "fit")
    outer.__cause__ = inner

    assert [e.path for e in failures.iter_task_failures(outer)] == ["fit", "fit/AA"]


def test_a_chain_that_bites_its_tail_ends():
    one, other = failed(ValueError(1), "a"), failed(ValueError(2), "b")
    one.__context__, other.__context__ = other, one

    assert [e.path for e in failures.iter_task_failures(one)] == ["a", "b"]


def test_nothing_has_no_chain():
    assert list(failures.iter_task_failures(None)) == []
    assert list(failures.iter_task_failures(ValueError())) == []


# -- copies ----------------------------------------------------------------------------------------


FIELDS = ("path", "type", "message", "traceback", "attempts", "run_id")


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
@pytest.mark.parametrize("error", [ValueError("no"), OSError(2, "gone"), Picky(1, reason="odd")])
def test_it_can_be_copied_and_sent_to_another_process(again: Any, error: Exception):
    rebuilt = failed(error)

    copied = again(rebuilt)

    assert isinstance(copied, TaskFailed)
    assert [getattr(copied, name) for name in FIELDS] == [getattr(rebuilt, name) for name in FIELDS]
    assert str(copied) == str(rebuilt)


# -- through the engine ----------------------------------------------------------------------------


def test_a_stop_iteration_of_a_task_is_its_failure_and_not_the_engines():
    """`next()` on what is empty, the most frequent of them."""

    @nb.job("failures-stop-iteration")
    def body(io: nb.SyncIO) -> None:
        io.run_task("first", lambda: next(iter(())))

    for _ in range(2):
        with pytest.raises(StopIteration) as info:
            body.run()
        assert isinstance(info.value, TaskFailed)
        assert (info.value.type, info.value.path) == ("StopIteration", "first")


def test_a_stop_iteration_in_a_worker_thread_is_the_tasks_failure_too():
    @nb.job("failures-stop-iteration-thread")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("first", lambda: next(iter(())))

    with pytest.raises(TaskFailed) as info:
        body.run()

    assert info.value.path == "first"


def test_a_caught_failure_is_caught_the_same_way_on_replay():
    caught: list[ValueError] = []

    @nb.job("failures-caught")
    def body(io: nb.SyncIO) -> str:
        with pytest.raises(ValueError, match="twelve") as info:
            io.run_task("parse", int, "twelve")
        caught.append(info.value)
        return "went on"

    first, again = body.run(), body.run()

    assert first.id == again.id
    assert again.output == "went on"
    one, other = caught
    assert isinstance(one, TaskFailed)
    assert type(one) is type(other)
    assert [getattr(one, name) for name in FIELDS] == [getattr(other, name) for name in FIELDS]
