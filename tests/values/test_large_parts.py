"""Large parts of values: kept in files of their own, once for all values that share them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pydantic
import pytest

import nbtasks as nb
from nbtasks.journal import outputs
from nbtasks.journal.memory import MemoryJournal
from nbtasks.values import codec
from nbtasks.values.content import LazyBytes
from nbtasks.values.large.parts import TAG

MB = 1_000_000
RESULT = 140_000 * 8


@dataclass
class Pair:
    left: Any
    right: Any


class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
    data: Any
    name: str = "m"


class Fitted:
    """Object that only a pickle keeps."""

    def __init__(self, weights: Any, shared: Any = None) -> None:
        self.weights, self.shared = weights, shared


def equal(one: Any, other: Any) -> bool:
    """Tells whether values are equal in type and value."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, pd.DataFrame):
        return bool(one.equals(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, Pair | Model | Fitted):
        return equal(vars(one), vars(other))
    return bool(one == other)


class Files(dict[str, bytes]):
    """Files of large values by name."""

    def put(self, content: LazyBytes) -> str:
        data = bytes(content)
        name = LazyBytes.of(data).hash()
        self[name] = data
        return name

    def read(self, name: str) -> memoryview:
        return memoryview(self[name])

    def load(self, kind: str, text: str | None, blob: str | None) -> Any:
        def refer(content: Any) -> Any:
            kind, name, _, signature = content
            return self.load(kind, signature, name)

        if blob is None:
            return codec.decode(kind, text, refer)
        return codec.decode_blob(kind, text, self[blob], refer)

    def keep(self, value: Any) -> tuple[str, str | None, str | None]:
        encoded = codec.encode(value, put=self.put)
        blob = None if encoded.blob is None else self.put(encoded.blob)
        return encoded.kind, encoded.text, blob


def array(seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(140_000)


LEAVES: dict[str, Callable[[int], Any]] = {
    "an array": array,
    "a frame": lambda n: pd.DataFrame({"x": array(n)}),
    "bytes": lambda n: np.random.default_rng(n).bytes(MB + 100_000),
    "a text": lambda n: f"{n}" * 1_100_000,
    "a list of numbers": lambda n: list(range(n, 180_000 + n)),
    "a dict of lists": lambda n: {"a": list(range(n, 180_000 + n)), "b": [n]},
    "a tuple": lambda n: (array(n), n),
    "nested lists": lambda n: [[array(n)], [array(n + 100), "x" * 1_100_000]],
}
AROUND: dict[str, Callable[[list[Any]], Any]] = {
    "a list": list,
    "a tuple": tuple,
    "a dict": lambda items: dict(zip("abc", items, strict=False)),
    "a dict with other keys": lambda items: dict(enumerate(items)),
    "a dataclass": lambda items: Pair(items[0], items[1:]),
    "a model": lambda items: Model(data=items),
    "lists of lists": lambda items: [[items[0]], [[items[1]], {"$x": items[2]}]],
}


@pytest.mark.slow
@pytest.mark.parametrize("leaf", LEAVES)
def test_a_list_refers_to_the_files_of_what_it_holds(leaf):
    files = Files()
    items = [LEAVES[leaf](n) for n in range(3)]
    for item in items:
        files.keep(item)
    before = set(files)

    kind, text, blob = files.keep(items)

    assert (kind, blob) == ("parts", None)
    assert set(files) == before
    assert len(text or "") < 2000
    assert equal(files.load(kind, text, blob), items)


@pytest.mark.parametrize("around", AROUND)
def test_large_parts_are_found_in_whatever_holds_them(around):
    files = Files()
    items = [array(n) for n in range(3)]
    names = {files.keep(item)[2] for item in items}

    kind, text, blob = files.keep(AROUND[around](items))

    assert (kind, blob, set(files)) == ("parts", None, names)
    assert set(codec.files(kind, text, blob, files.read)) == names
    assert equal(files.load(kind, text, blob), AROUND[around](items))


def test_what_is_small_stays_in_the_row():
    files = Files()
    value = {"small": [np.arange(3), b"x", "y"], "large": array()}

    kind, text, blob = files.keep(value)

    assert blob is None
    assert len(files) == 1
    assert (text or "").count(TAG) == 1
    assert equal(files.load(kind, text, blob), value)


@pytest.mark.slow
def test_a_list_that_is_large_itself_has_a_file_with_references():
    files = Files()
    value = [*range(180_000), array()]

    kind, text, blob = files.keep(value)

    assert (kind, text) == ("parts", None)
    assert set(codec.files(kind, text, blob, files.read)) == set(files)
    assert len(files) == 2
    assert equal(files.load(kind, text, blob), value)


def test_objects_that_share_nothing_are_pickled_each_on_its_own():
    files = Files()
    fitted = [Fitted({"w": array(n)}) for n in range(3)]
    for one in fitted:
        files.keep(one)
    before = set(files)

    kind, text, blob = files.keep(fitted)
    back = files.load(kind, text, blob)

    assert (kind, blob, set(files)) == ("parts", None, before)
    assert [type(one) for one in back] == [Fitted] * 3
    assert all(
        (one.weights["w"] == was.weights["w"]).all() for one, was in zip(back, fitted, strict=True)
    )
    assert len(codec.pickles_in(kind, text, None, files.read)) == 3


@pytest.mark.parametrize("place", ["below", "beside", "twice"])
def test_objects_that_share_one_are_pickled_together(place):
    files, common = Files(), {"settings": [1]}
    value: Any = {
        "below": [Fitted(array(1), common), Fitted(array(2), common)],
        "beside": [Fitted(array(1), common), Pair(array(2), common)],
        "twice": [one := Fitted(array(1)), one],
    }[place]

    kind, text, blob = files.keep(value)
    back = files.load(kind, text, blob)

    assert kind == "pickle"
    if place == "below":
        assert back[0].shared is back[1].shared
    elif place == "beside":
        assert back[0].shared is back[1].right
    else:
        assert back[0] is back[1]


def test_a_part_that_was_pickled_by_somebody_else_is_not_loaded(monkeypatch):
    files = Files()
    kind, text, blob = files.keep([Fitted(array(1)), Fitted(array(2))])
    monkeypatch.setattr("nbtasks.values.signing.verify", lambda *_: False)

    with pytest.raises(nb.UntrustedValueError, match="would import"):
        files.load(kind, text, blob)


@pytest.mark.parametrize("content", ["null", "[]", '["npy"]', '["npy",1,2,null]', '{"a":1}'])
def test_a_reference_that_is_none_is_refused(content):
    with pytest.raises(nb.UnreadableValueError):
        list(codec.files("parts", f'[{{"{TAG}":{content}}}]', None, Files().read))


def test_a_value_of_a_user_that_looks_like_a_reference_is_none():
    files = Files()
    value = [{TAG: ["npy", "0" * 40, 1, None]}, {1, 2}, "x" * 1_100_000]

    assert files.load(*files.keep(value)) == value


# -- in runs ---------------------------------------------------------------------------------------


def folder_bytes() -> int:
    return sum(
        path.stat().st_size for path in (nb.config.home / "blobs").rglob("*") if path.is_file()
    )


def big(n: int) -> Any:
    return np.random.default_rng(n).random(140_000)


def of_a_map(io: nb.SyncIO) -> Any:
    return io.map("make", big, range(4))


def of_models(io: nb.SyncIO) -> Any:
    return io.map("make", lambda n: Fitted(big(n)), range(4))


def of_maps(io: nb.SyncIO) -> Any:
    return io.map("outer", lambda n: nb.current_io().map("make", big, [n, n + 1]), [0, 2])


def of_a_parent(io: nb.SyncIO) -> Any:
    def parent() -> Any:
        made = io.map("make", big, range(3))
        return {"all": made, "last": io.run_task("last", big, 3), "first": made[0]}

    return io.run_task("parent", parent)


def of_one_that_passes_on(io: nb.SyncIO) -> Any:
    return io.run_task("outer", lambda: io.map("make", big, range(4)))


def of_the_store(io: nb.SyncIO) -> Any:
    io.store.run.set("set", "all", io.map("make", big, range(4)))
    return io.store.run.get("get", "all")


BODIES = [of_a_map, of_models, of_maps, of_a_parent, of_one_that_passes_on, of_the_store]


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_the_disk_has_each_result_once(body):
    job = nb.job("once-on-disk")(body)

    run = job.run()

    assert folder_bytes() < 4 * RESULT * 1.1
    again = job.run(replay="only")
    assert equal(again.output, run.output)
    assert equal(nb.get_run(run.id).output, run.output)


@pytest.fixture
def mapped() -> nb.Run:
    return nb.job("mapped")(of_a_map).run()


def aged() -> None:
    for path in (nb.config.home / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))


@pytest.mark.slow
def test_a_file_stays_as_long_as_any_record_refers_to_it(mapped):
    mapped.set("make/0", None)  # the map, and the run, still refer to what it was
    aged()

    nb.gc(older_than=0, keep=1, dry_run=False)

    assert folder_bytes() > 4 * RESULT
    assert all(finding.state == "ok" for finding in nb.doctor().itertuples())
    assert equal(mapped["make"], [big(n) for n in range(4)])


@pytest.mark.slow
def test_files_go_with_the_last_record_that_refers_to_them(mapped):
    aged()

    nb.gc(older_than=0, keep=0, dry_run=False)

    assert folder_bytes() == 0


@pytest.mark.slow
def test_a_shared_file_has_the_parts_of_its_values(mapped, tmp_path):
    mapped.reset("make/0")  # now no task names the file of its own
    mapped.reset("make/1")
    file = nb.export_run(mapped, tmp_path / "mapped")
    nb.configure(home=tmp_path / "another")

    opened = nb.open(file).get_run(mapped.id)
    (run,) = nb.import_run(file)

    for one in (opened, run):
        assert equal(one.output, [big(n) for n in range(4)])
    nb.configure(home=None)


@pytest.mark.slow
def test_a_fork_shares_the_files(mapped):
    before = folder_bytes()

    fork = mapped.fork(from_="make")

    assert folder_bytes() == before
    assert equal(fork.output, mapped.output)


@pytest.mark.slow
def test_an_item_that_is_reset_is_made_again_and_the_map_with_it():
    calls: list[int] = []

    def make(n: int) -> Any:
        calls.append(n)
        return big(n + 10 * calls.count(n))

    run = nb.job("again")(lambda io: io.map("make", make, range(3))).run()
    run.reset("make/1")
    again = run.resume()

    assert sorted(calls) == [0, 1, 1, 2]
    assert equal(again.output, [big(10), big(21), big(12)])
    assert equal(again.output, again["make"])


def test_items_that_failed_leave_none_beside_the_references():
    def flaky(n: int) -> Any:
        if n == 1:
            raise ValueError(n)
        return big(n)

    job = nb.job("flaky")(lambda io: io.map("make", flaky, range(3), max_failures=1))

    run = job.run()

    assert folder_bytes() < 2 * RESULT * 1.1
    assert equal(job.run(replay="only").output, [big(0), None, big(2)])
    assert run["make"][1] is None


@pytest.mark.slow
def test_a_large_value_that_is_hidden_stays_hidden(tmp_path):
    secret = nb.task(big, redact=["$"])
    run = nb.job("hidden")(lambda io: len(io.map("make", secret, range(3)))).run()

    assert TAG not in str(nb.tasks(run).output.tolist())
    opened = nb.open(nb.export_run(run, tmp_path / "hidden")).get_run(run.id)
    with pytest.raises(nb.UnreadableValueError, match="hidden"):
        opened["make"]
    assert folder_bytes() < 3 * RESULT * 1.1
    assert len(run["make"]) == 3


@pytest.mark.slow
def test_a_changed_file_of_a_part_is_an_error_that_names_it(mapped):
    path = next(path for path in (nb.config.home / "blobs").rglob("*") if path.is_file())
    data = bytearray(path.read_bytes())
    data[MB] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(nb.UnreadableValueError, match=f"was changed: blobs/{path.name}"):
        mapped.output  # noqa: B018 - reads it
    assert (nb.doctor().state == "problem").any()


def test_a_value_from_a_map_counts_the_same_in_a_replay():
    calls: list[float] = []

    def make(n: int) -> Fitted:
        return Fitted(big(n))

    def use(one: Fitted) -> float:
        calls.append(float(one.weights.sum()))
        return calls[-1]

    @nb.job("use", on_change="rerun")
    def body(io: nb.SyncIO) -> list[float]:
        return io.map("use", use, io.map("make", make, range(2)))

    assert body.run().output == body.run().output
    assert len(calls) == 2


def test_files_that_refer_to_one_another_many_times_are_not_read_for_ever(monkeypatch):
    files, name = Files(), None
    for _ in range(30):  # each twice to the one before: two to the power of thirty
        part = [1] if name is None else [{TAG: ["parts", name, 1, None]}] * 2
        name = files.put(LazyBytes.of(orjson.dumps(part)))
    monkeypatch.setattr("nbtasks.journal.outputs._MOST_PARTS", 1000)
    journal: Any = MemoryJournal()
    for data in files.values():
        journal.put_blob(LazyBytes.of(data))

    assert len(codec.files("parts", None, name, files.read)) == 30
    with pytest.raises(nb.UnreadableValueError, match="more than 1,000 parts"):
        outputs.load(journal, "parts", None, name)
