"""Values of names that are recorded together, and read one by one."""

from __future__ import annotations

import numpy as np
import pytest

from nbtasks.errors import UntrustedValueError
from nbtasks.values import codec, signing, tagged_json
from nbtasks.values.libraries.bindings import Bindings


class Local:
    """A class that only a pickle can keep."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> tuple[type, tuple[object]]:
        return Local, (self.value,)


def recorded(size: int = 3) -> codec.Encoded:
    shared = [1]
    return codec.encode(
        Bindings(
            [
                (["n"], tagged_json.tag_or_pickle(3)),
                (["array"], tagged_json.tag_or_pickle(np.arange(size))),
                (["a", "b"], tagged_json.pickled((shared, [shared]))),
                (["local"], tagged_json.tag_or_pickle(Local(5))),
            ],
            {"kept": True},
        )
    )


@pytest.mark.parametrize("size", [3, 300_000], ids=["in the row", "in a file"])
def test_each_name_has_its_value_again(size: int) -> None:
    encoded = recorded(size)
    data = None if encoded.blob is None else bytes(encoded.blob)
    read = (
        codec.decode(encoded.kind, encoded.text)
        if data is None
        else codec.decode_blob(encoded.kind, encoded.text, data)
    )

    assert encoded.kind == "bindings"
    assert list(read) == ["n", "array", "a", "b", "local"]
    assert read.facts == {"kept": True}
    assert read["n"] == 3
    assert read["array"].sum() == np.arange(size).sum()
    assert read["b"][0] is read["a"]
    assert read["local"].value == 5
    assert "c" not in read
    with pytest.raises(KeyError):
        read["c"]


def test_a_strangers_pickle_is_read_neither_at_once_nor_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = recorded()
    monkeypatch.setattr(signing, "verify", lambda *_: False)

    read = codec.decode(encoded.kind, encoded.text)

    assert read["n"] == 3
    for name in ("a", "local"):
        with pytest.raises(UntrustedValueError):
            read[name]
    assert len(codec.pickles_in(encoded.kind, encoded.text, None)) == 2
