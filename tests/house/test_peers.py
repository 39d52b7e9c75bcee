"""The table of `python -m benchmarks.peers`, without installing a peer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.peers.environments import PEERS, Peer, Unavailable, execute, python_of
from benchmarks.peers.table import Round, lines, read, rotated
from tests.house.code import ROOT

OURS = PEERS[0]
QUICK = Round("1.0", imported=0.1, step=0.0002, spent=5e-5, bare=0.0001, run=0.0003, again=0.00002)
SLOW = Round("2.0", imported=0.0, step=0.004, spent=0.003, bare=0.0002, run=0.004)


def test_a_round_is_read_from_the_last_line_whatever_a_peer_prints() -> None:
    times = {"version": "1", "imported": 0.1, "step": 2.0, "spent": 1.5, "bare": 1.0, "run": 3.0}
    first = f"Welcome!\n{json.dumps(times)}\n"
    again = f"{json.dumps({**times, 'step': None, 'bare': None, 'run': 0.5})}\n"

    assert read(first) == Round("1", 0.1, 2.0, 1.5, 1.0, 3.0)
    assert read(first, again) == Round("1", 0.1, 2.0, 1.5, 1.0, 3.0, again=0.5)


def test_each_peer_begins_a_round() -> None:
    assert [rotated("abc", turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]
    assert rotated("abc", 2) == ["c", "a", "b"]


def test_peers_are_compared_by_what_a_bare_record_took_beside_them() -> None:
    other = Peer("other", "Other", "other", "no")

    *_, bare, ours, theirs = lines({OURS: [QUICK] * 3, other: [SLOW, SLOW, QUICK]}, OURS)

    assert bare.split() == ["a", "bare", "record", "10,000", "1.00", "each", "record"]
    assert ours.split() == [
        *("nbtasks", "1.0", "5,000", "0.50", "1.0", "x", "50", "us"),
        *("3,333", "1.0", "x", "50,000", "1.0", "x", "100", "ms", "each", "step"),
    ]
    # 20 bare records a step against 2 of ours; with their starts 20 against 3.
    assert theirs.split() == [
        *("Other", "2.0", "250", "0.05", "10.0", "x", "3,000", "us"),
        *("250", "6.7", "x", "50,000", "1.0", "x", "-", "no"),
    ]


def test_a_peer_that_never_executes_a_run_again_has_no_figure_for_it() -> None:
    other = Peer("other", "Other", "other", "no")

    *_, theirs = lines({OURS: [QUICK], other: [SLOW]}, OURS)

    assert theirs.split() == [
        *("Other", "2.0", "250", "0.05", "10.0", "x", "3,000", "us"),
        *("250", "6.7", "x", "-", "-", "-", "no"),
    ]


def test_every_peer_has_a_worker_and_one_version() -> None:
    folder = ROOT / "benchmarks" / "peers"

    assert [peer for peer in PEERS if not (folder / f"{peer.module}.py").is_file()] == []
    assert {len(name.split("==")) for peer in PEERS for name in peer.requirements} == {2}
    assert len({peer.requirements for peer in PEERS}) == len({peer.name for peer in PEERS}) - 1


def test_an_installed_peer_is_not_installed_again(tmp_path: Path) -> None:
    peer = Peer("other", "Other", "other", "no", ("other==1.0",))
    folder = tmp_path / f"other-{sys.version_info.major}.{sys.version_info.minor}"
    folder.mkdir()
    (folder / "installed.txt").write_text("other==1.0")

    assert python_of(peer, tmp_path) == str(folder / "bin" / "python")
    assert python_of(OURS, tmp_path) == sys.executable


@pytest.mark.slow
def test_a_worker_measures_a_run_and_calls_nothing_again(tmp_path: Path) -> None:
    mark = next(peer for peer in PEERS if peer.name == "sqlite")

    first, again = (
        execute(sys.executable, mark, tmp_path, 120, mode, 60) for mode in ("first", "again")
    )

    made = read(first, again)
    assert made.bare > 0
    assert 0 < made.step < 1
    assert made.again


@pytest.mark.slow
def test_a_worker_that_fails_or_takes_too_long_says_why(tmp_path: Path) -> None:
    mark = next(peer for peer in PEERS if peer.name == "sqlite")
    absent = Peer("other", "Other", "not_there", "no")

    with pytest.raises(Unavailable, match="not_there"):
        execute(sys.executable, absent, tmp_path, 1, "first", 60)
    with pytest.raises(Unavailable, match="steps were called, not 0"):
        execute(sys.executable, mark, tmp_path, 1, "again", 60)
    with pytest.raises(Unavailable, match="not done after 0 s"):
        execute(sys.executable, mark, tmp_path, 10**9, "first", 0.3)
