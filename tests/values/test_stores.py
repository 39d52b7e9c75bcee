"""Large values in a store: written once, referred to, and loaded only as they were written."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.values import codec, signing
from nbtasks.values.content import LazyBytes
from nbtasks.values.stores import objects, refs

MB = 1 << 20


class Fitted:
    """Object that only a pickle keeps."""

    def __init__(self, size: int) -> None:
        self.data = np.arange(size // 8)


VALUES: dict[str, Any] = {
    "arrow": pd.DataFrame({"x": np.arange(200_000.0)}),
    "npy": np.arange(200_000),
    "parts": {"a": np.arange(200_000), "b": [1, "x"]},
    "json": list(range(300_000)),
    "pickle": Fitted(2 * MB),
}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


def kept(store: str, value: Any) -> nb.Ref:
    about = objects.keep(store, value)
    assert isinstance(about, dict)
    return refs.Ref.signed(about, store, "run", "make")


FIELDS = ("shape", "nbytes", "kind", "digest", "url", "run_id", "path", "signature")


def made_by(ref: nb.Ref, **changed: Any) -> nb.Ref:
    """The same reference, with fields that somebody has changed."""
    return refs.Ref(**{**dict(zip(FIELDS, ref.record, strict=True)), **changed})


def files(store: str) -> list[Path]:
    root = Path(store.removeprefix("file://"))
    return [path for path in root.rglob("*") if path.is_file()]


def same(one: Any, other: Any) -> bool:
    return cloudpickle.dumps(one) == cloudpickle.dumps(other)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_is_loaded_as_it_was_made(store, kind):
    ref = kept(store, VALUES[kind])

    assert ref.kind == kind
    assert ref.nbytes >= MB
    assert type(ref.load()) is type(VALUES[kind])
    assert same(vars(ref.load()) if kind == "pickle" else ref.load(),
                vars(VALUES[kind]) if kind == "pickle" else VALUES[kind])  # fmt: skip
    assert ref == kept(store, VALUES[kind])
    assert len(files(store)) == 1


def test_what_is_small_is_sent_back(store):
    data = objects.keep(store, np.arange(1000))

    assert isinstance(data, bytes)
    assert pickle.loads(data).sum() == 499_500
    assert files(store) == []


def test_a_ref_says_what_it_refers_to(store):
    assert repr(kept(store, VALUES["arrow"])) == "<nb.Ref DataFrame 200,000 x 1, 2 MB>"
    assert repr(kept(store, VALUES["parts"])) == "<nb.Ref dict of 2, 2 MB>"
    assert repr(kept(store, VALUES["pickle"])) == "<nb.Ref Fitted, 2 MB>"


def test_names_are_those_of_blobs():
    for size in (0, 5, 4 * MB, 4 * MB + 1, 9 * MB):
        data = bytes(range(256)) * (size // 256 + 1)
        assert objects.digest(data[:size]) == LazyBytes.of(data[:size]).hash()


def test_a_ref_is_recorded_as_data(store):
    ref = kept(store, VALUES["npy"])
    encoded = codec.encode({"of": [ref]})

    assert encoded.kind == "tagged"
    back = codec.decode(encoded.kind, encoded.text)["of"][0]
    assert (back, back.record, back.is_trusted) == (ref, ref.record, True)
    assert pickle.loads(pickle.dumps(ref)).record == ref.record


@pytest.mark.parametrize("kind", ["npy", "pickle"])
def test_bytes_that_are_gone_or_differ_are_never_loaded(store, kind, monkeypatch):
    ref = kept(store, VALUES[kind])
    (file,) = files(store)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(nb.UnreadableValueError, match=r"bytes have changed.*reset\('make'\)"):
        ref.load()
    with pytest.raises(objects.Lost):
        objects.fetch(store, ref.digest, kind)
    file.unlink()
    with pytest.raises(nb.UnreadableValueError, match=r"not there any more.*reset\('make'\)"):
        ref.load()


@pytest.mark.parametrize("kind", ["npy", "pickle"])
def test_a_strangers_ref_reads_nothing_until_it_is_trusted(store, kind, monkeypatch):
    ref = kept(store, VALUES[kind])
    stranger = made_by(ref, signature="0" * 64)

    with monkeypatch.context() as patched:
        patched.setattr(objects, "read", lambda *_: pytest.fail("it was read"))
        with pytest.raises(nb.UntrustedValueError, match=r"nb\.trust\('run'\)"):
            stranger.load()
    nb.configure(store=store)
    if kind == "npy":  # data in the user's own store
        elsewhere = made_by(ref, url=f"{store}/h", signature="0" * 64)
        elsewhere.check()
    signing.trust([stranger.token])
    assert type(stranger.load()) is type(VALUES[kind])
    nb.configure(store=None)


def test_a_signature_of_one_ref_is_none_of_another(store):
    ref, other = kept(store, VALUES["npy"]), kept(store, VALUES["pickle"])
    forged = made_by(ref, digest=other.digest)

    assert not forged.is_trusted


@pytest.mark.parametrize("record", [None, [], ["x"] * 8, ["x", 1, "npy", "d", "u", "r", "p", None]])
def test_a_record_that_is_no_ref_is_refused(record):
    import orjson

    with pytest.raises(nb.UnreadableValueError):
        codec.decode("tagged", orjson.dumps({"$ref": record}).decode())


def test_a_store_that_cannot_be_opened_says_what_to_do():
    with pytest.raises(objects.Refused, match="nosuch"):
        objects.open_store("nosuch://bucket")
    ref = refs.Ref("x", 1, "npy", "0" * 40, "nosuch://bucket", "run", "make")
    ref._signature = signing.sign(ref.token)

    with pytest.raises(nb.StoreError, match=r"nosuch.*nb\.configure\(store=URL\)"):
        ref.load()


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(objects.Refused, match=r"(NotADirectory|FileExists)Error"):
        objects.keep((tmp_path / "file").as_uri(), VALUES["npy"])


def test_passwords_stand_in_no_record(store):
    about = {"shape": "x", "nbytes": 1, "kind": "npy", "digest": "0" * 40}
    ref = refs.Ref.signed(about, "sftp://ada:secret@host/runs/h", "run", "make")

    assert "secret" not in str(ref.record)
    nb.configure(store="sftp://ada:secret@host/runs")
    assert ref.place == "sftp://ada:secret@host/runs/h"
    nb.configure(store=None)


def test_refs_among_arguments_are_found_and_loaded(store):
    ref = kept(store, VALUES["npy"])

    assert refs.holds([{"a": (1, ref)}])
    assert not refs.holds([{"a": (1, 2)}, {ref}])
    found = refs.loaded(({"a": [ref, 1]}, "x"))
    assert found[0]["a"][0].sum() == VALUES["npy"].sum()
    assert found[1] == "x"


@pytest.mark.slow
def test_a_worker_without_nbtasks_keeps_and_fetches(store):
    """The code goes there by value."""
    work = refs.by_value(_round_trip, objects.__name__, __name__)
    script = (
        "import sys, pickle; sys.modules['nbtasks'] = None; "
        "print(pickle.loads(sys.stdin.buffer.read())(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, store], input=work, capture_output=True, check=False
    )

    assert done.stdout.decode().strip() == "('pickle', 1999999000000)", done.stderr.decode()


def _round_trip(store: str) -> Any:
    about: Any = keep(store, np.arange(2_000_000))
    return about["kind"], int(fetch(store, about["digest"], about["kind"]).sum())


keep, fetch = objects.keep, objects.fetch


def test_outcomes_are_taken_only_with_their_secret(store):
    objects.leave(store, "run/1", "secret", {"outcome": 1})
    objects.leave(store, "run/1", "secret", {"outcome": 2})  # the same attempt, once more
    fs, folder = objects.open_store(store)
    path = f"{folder}/outcomes/run/1"

    assert objects.take(fs, path, "run/1", "secret") == {"outcome": 1}
    assert objects.take(fs, path, "run/1", "another") is None
    assert objects.take(fs, path, "run/2", "secret") is None
    assert objects.take(fs, f"{folder}/outcomes/run/3", "run/3", "secret") is None
