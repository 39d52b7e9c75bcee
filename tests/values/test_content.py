"""Values in parts: where they stand, and what damage to them comes to."""

from __future__ import annotations

import io

import numpy as np
import pytest

from nbtasks.errors import UnreadableValueError
from nbtasks.values import codec
from nbtasks.values.content import LazyBytes, join, split
from tests.kinds import frame


def test_parts_stand_where_they_can_be_mapped():
    whole = join(b'{"a":[0,1]}', [LazyBytes.of(b"x" * 5), LazyBytes.of(b"y" * 70)])
    data = memoryview(bytes(whole))

    found = split(data)

    assert found is not None
    value, parts = found
    assert (value, list(map(bytes, parts))) == ({"a": [0, 1]}, [b"x" * 5, b"y" * 70])
    assert bytes(data).index(b"x") % 64 == bytes(data).index(b"y") % 64 == 0


@pytest.mark.parametrize("make", [frame, lambda: np.arange(100)], ids=["frame", "array"])
def test_a_damaged_value_is_an_error_and_nothing_worse(make, monkeypatch):
    monkeypatch.setattr(codec, "INLINE_BYTES", 10)
    encoded = codec.encode(make())
    assert encoded.blob is not None
    whole = bytearray(bytes(encoded.blob))
    chance = np.random.default_rng(20130101)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in chance.integers(0, len(data), 8):
            data[place] = chance.integers(0, 256)
        cut = data[: chance.integers(1, len(data))]
        for damaged in (data, cut):
            try:
                codec.decode_blob(encoded.kind, None, memoryview(damaged))
            except UnreadableValueError:
                refused += 1
    assert refused > 60


def test_an_array_that_says_it_is_larger_than_it_is_is_refused():
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    )
    text = codec.encode(np.zeros(1))._replace(text=None)
    whole = join(b'{"$npy":0}', [LazyBytes.of(file.getvalue())])

    with pytest.raises(UnreadableValueError):
        codec.decode_blob(text.kind, None, bytes(whole))
