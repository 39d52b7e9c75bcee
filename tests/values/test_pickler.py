"""Pickles of values: what is refused, and what a subclass keeps."""

from __future__ import annotations

import collections
import gzip
import io
import pickle
import socket
import sys
import tempfile
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from unittest import mock

import pytest

import nbtasks as nb
from nbtasks.values import codec


def again(value: object) -> Any:
    """The value as a later execution gets it."""
    encoded = codec.encode(value)
    return codec.decode(encoded.kind, encoded.text)


class Holder:
    def __init__(self, part: Any) -> None:
        self.part = part


class Parent:
    pass


class ChildOf(Parent):
    def parent(self) -> Any:
        return super()


KEPT = Parent()


async def coroutine() -> None: ...


def opened(tmp_path: Path, mode: str = "r") -> Any:
    path = tmp_path / "data.txt"
    path.write_text("a\nb\n")
    return path.open(mode)


LIVING: dict[str, Callable[[Path], Any]] = {
    "file": opened,
    "file of bytes": lambda tmp_path: opened(tmp_path, "rb"),
    "file to write": lambda tmp_path: opened(tmp_path, "w"),
    "file to append": lambda tmp_path: opened(tmp_path, "a+"),
    "raw file": lambda tmp_path: io.FileIO(opened(tmp_path).name),
    "temporary file": lambda _: tempfile.NamedTemporaryFile("w+"),  # noqa: SIM115 - closed below
    "gzip": lambda tmp_path: gzip.open(tmp_path / "a.gz", "wt"),  # noqa: SIM115 - closed below
    "text over bytes": lambda _: io.TextIOWrapper(io.BytesIO(b"a")),
    "stderr": lambda _: sys.__stderr__,
    "stdout": lambda _: sys.stdout,
    "lines of a file": lambda tmp_path: enumerate(opened(tmp_path)),
    "method of a file": lambda tmp_path: opened(tmp_path).read,
    "memoryview": lambda _: memoryview(b"abc"),
    "socket": lambda _: socket.socket(),
    "generator": lambda _: (number for number in (1, 2)),
    "coroutine": lambda _: coroutine(),
    "weak set": lambda _: weakref.WeakSet([KEPT]),
    "weak reference": lambda _: weakref.ref(KEPT),
    "weak proxy": lambda _: weakref.proxy(KEPT),
    "super": lambda _: ChildOf().parent(),
    "version of Python": lambda _: sys.version_info,
    "flags of Python": lambda _: sys.flags,
    "descriptor that hides itself": lambda _: type.__dict__["__dict__"],
    "iterator of a dict": lambda _: iter({1: 2}),
    "iterator of values": lambda _: iter({1: 2}.values()),
    "iterator of a set": lambda _: iter({1}),
    "reversed dict": lambda _: reversed({1: 2}),
    "iterator of an OrderedDict": lambda _: iter(collections.OrderedDict(a=1).items()),
}


@pytest.mark.parametrize(
    "around", [lambda v: v, lambda v: {"f": [v]}, Holder], ids=["alone", "list", "object"]
)
@pytest.mark.parametrize("what", LIVING)
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_what_would_come_back_as_another_type_is_refused(
    what: str, around: Callable[[Any], Any], tmp_path: Path
):
    value = LIVING[what](tmp_path)
    try:
        with pytest.raises(nb.ValueNotKeptError, match="cannot be recorded"):
            codec.encode(around(value))
    finally:
        if value not in (sys.stdout, sys.__stderr__):
            getattr(value, "close", lambda: None)()


def test_a_buffer_for_pickles_is_refused():
    with pytest.raises(nb.ValueNotKeptError, match="would come back as bytes"):
        codec.encode(pickle.PickleBuffer(b"abc"))


@pytest.mark.parametrize("kind", [mock.Mock, mock.MagicMock, mock.AsyncMock])
def test_a_mock_is_refused_since_it_could_not_be_read_back(kind: type[mock.Mock]):
    with pytest.raises(nb.ValueNotKeptError, match="return what it has recorded"):
        codec.encode([kind(return_value=1)])


def test_a_refusal_says_where_the_file_is_and_what_to_return(tmp_path: Path):
    with opened(tmp_path) as file, pytest.raises(nb.ValueNotKeptError) as refused:
        codec.encode({"log": Holder(file)})

    assert "_io.TextIOWrapper at ['log'].part of the output" in str(refused.value)
    assert "return its path or content" in str(refused.value)


class Reopened(io.RawIOBase):
    """A stream that knows how to be pickled, as those of fsspec do."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Reopened, (self.path,)


KEEPING: dict[str, Any] = {
    "stream with a pickle of its own": Reopened("a"),
    "empty weak set": weakref.WeakSet(),
    "type": types.SimpleNamespace,
    "bytes in memory": io.BytesIO(b"abc"),
    "text in memory": io.StringIO("abc"),
    "iterator of a list": iter([1, 2]),
    "iterator of a range": iter(range(3)),
    "keys": {1: 2}.keys(),
    "values": {1: 2}.values(),
    "items of an OrderedDict": collections.OrderedDict(a=1).items(),
    "deque": collections.deque([1]),
    "method of a number": (1).__add__,
    "property": property(len),
}


@pytest.mark.parametrize("what", KEEPING)
def test_what_keeps_its_type_is_kept(what: str):
    assert type(again(KEEPING[what])) is type(KEEPING[what])


# -- subclasses: from their state, whatever their constructors take -------------------------------


class Coded(ValueError):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Fahrenheit(float):
    def __new__(cls, celsius: float) -> Self:
        return super().__new__(cls, celsius * 1.8 + 32)


class Counted(collections.Counter[str]):
    source = ""


def test_an_exception_keeps_its_message_and_its_attributes():
    error = again(Coded(5))

    assert (type(error), str(error), error.args, error.code) == (Coded, "code 5", ("code 5",), 5)


def test_a_number_is_not_converted_twice():
    assert again([Fahrenheit(20), {1}, len])[0] == 68.0


def test_attributes_are_kept_that_a_base_class_forgets():
    counted = Counted("aab")
    counted.source = "here"

    assert (again(counted), again(counted).source) == (counted, "here")


def test_an_instance_of_a_reloaded_module_is_one_of_the_class_that_the_module_has(monkeypatch):
    old = Holder(1)
    monkeypatch.setattr(
        sys.modules[__name__], "Holder", type("Holder", (), {"__module__": __name__})
    )

    assert type(again(old)) is Holder
    assert again(old).part == 1
