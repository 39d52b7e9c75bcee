"""Pickles: what they would import, whose they are, and what is read of those of others."""

from __future__ import annotations

import ctypes
import hashlib
import warnings
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

import nbtasks as nb
from nbtasks.values import codec, pickles, signing
from tests.kinds import figure, same
from tests.thorough import only_thorough


def again(value: object) -> Any:
    """The value as a later execution gets it, from the row or from the file beside it."""
    encoded = codec.encode(value)
    if encoded.blob is not None:
        data = memoryview(bytes(encoded.blob))
        return codec.decode_blob(encoded.kind, encoded.text, data)
    return codec.decode(encoded.kind, encoded.text)


def test_a_pickle_says_what_it_would_import_without_being_loaded():
    assert pickles.names(pickles.dump(Decimal("1.5"))) == ["decimal.Decimal"]
    assert pickles.names(b"cos\nsystem\n(S'true'\ntR.") == ["os.system"]
    assert pickles.names(b"no pickle") == ["(and names that only loading it would show)"]


def test_no_value_on_the_way_hides_a_name():
    """`json.loads` is put on the stack above `os.system`, and taken away again."""
    evil = b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x04json\x8c\x05loads00\x93\x8c\x04true\x85R."

    assert pickles.names(evil) == ["os.system"]


def test_what_a_pickle_computes_its_names_of_is_told():
    """Its second name is what `str` gives, which is not called here."""
    name = b"\x8c\x08builtins\x8c\x03str\x93\x8c\x06system\x85R"
    evil = b"\x80\x04\x8c\x02os" + name + b"\x93\x8c\x04true\x85R."

    assert pickles.names(evil) == [
        "builtins.str",
        "(and names that only loading it would show)",
    ]


def test_a_number_of_a_pickle_reserves_no_memory():
    assert pickles.names(b"\x80\x02K\x01r\xff\xff\xff\x7f.") == []  # a memo of 2**31 places


def test_a_large_pickle_is_signed_by_the_hash_of_all_its_bytes():
    """However they are cut into pieces for the name of their file."""
    encoded = codec.encode([np.array([{1}], dtype=object), "x" * 5_000_000])

    assert encoded.blob is not None
    whole = hashlib.blake2b(bytes(encoded.blob), digest_size=20).hexdigest()
    assert encoded.blob.hash() != whole
    assert encoded.text == signing.sign(whole)


def test_a_figure_of_somebody_else_comes_back_as_its_picture(monkeypatch):
    encoded = codec.encode({"plot": figure()})
    monkeypatch.setattr(pickles, "is_signed", lambda *_: False)

    picture = codec.decode(encoded.kind, encoded.text)["plot"]

    assert isinstance(picture, nb.Picture)
    assert picture._repr_png_().startswith(b"\x89PNG")
    same(again(picture), picture)  # and may be recorded itself


def test_a_model_of_a_class_that_is_local_to_a_function_comes_back() -> None:
    def make() -> Any:
        class Row(pydantic.BaseModel):
            size: int

        return Row

    row = again(make()(size=1))

    assert row.size == 1
    assert type(row).__name__ == "Row"


def test_arrays_of_ctypes_come_back() -> None:
    value: list[Any] = [(ctypes.c_int * 3)(1, 2, 3), ((ctypes.c_double * 1) * 2)()]
    value[1][1][0] = 0.5

    first, second = again(value)

    assert type(first) is ctypes.c_int * 3
    assert list(first) == [1, 2, 3]
    assert [list(row) for row in second] == [[0.0], [0.5]]


def test_what_is_set_on_a_frame_comes_back() -> None:
    frame: Any = pd.DataFrame({"a": [1]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame.units = {"a": "m"}
    frame.flags.allows_duplicate_labels = False

    value = again(frame)

    assert value.units == {"a": "m"}
    assert not value.flags.allows_duplicate_labels
    assert value.equals(frame)


@pytest.mark.slow
@only_thorough
def test_a_chain_that_is_too_long_is_refused_in_one_short_line() -> None:
    chain: Any = None
    for _ in range(3000):
        chain = SimpleNamespace(next=chain)

    with pytest.raises(nb.ValueNotKeptError, match="nested too deeply") as refused:
        pickles.dump(chain)
    assert len(str(refused.value)) < 600
