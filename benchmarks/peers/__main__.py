"""Command that measures nbtasks beside its neighbors, each in an environment of its own.

`python -m benchmarks.peers [--peer dbos ...] [--tasks N] [--rounds N]`

All do the same: tasks that return a number, one after the other, in the body of one run; then, in a
new process, the same run again, in which nothing may be called. Steps and bare records, synced
appends of 300 bytes, are taken in turns within each run, and the peers in turns, in a rotating
order. The table has medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.peers.environments import PEERS, ROOT, Peer, Unavailable, execute, python_of
from benchmarks.peers.table import Round, lines, read, rotated

OURS = PEERS[0]
MARKS = ("nbtasks", "sqlite")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    names = sorted({peer.name for peer in PEERS} - set(MARKS))
    parser.add_argument("--peer", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--tasks", type=int, default=1_000, help="tasks of a run")
    parser.add_argument("--rounds", type=int, default=5, help="of each peer")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="where to write (default: here)"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / ".cache" / "peers",
        help="where the peers are installed, once (default: .cache/peers of the clone)",
    )
    return parser.parse_args()


def _installed(said: argparse.Namespace) -> dict[Peer, str]:
    """Return the peers with their interpreters; name those that cannot be installed."""
    pythons: dict[Peer, str] = {}
    missing: dict[str, str] = {}
    for peer in PEERS:
        if peer.name in missing or peer.name not in (*MARKS, *said.peer):
            continue
        try:
            pythons[peer] = python_of(peer, said.environments.resolve())
        except Unavailable as why:
            missing[peer.name] = str(why)
            print(f"without {peer.name}, which can't be installed: {why}", flush=True)
    return pythons


def _measure(peer: Peer, python: str, said: argparse.Namespace) -> Round:
    with tempfile.TemporaryDirectory(prefix=".benchmarks-", dir=said.folder.resolve()) as name:
        outputs = [
            execute(python, peer, Path(name), said.tasks, mode, said.timeout)
            for mode in ("first", "again")
            if mode == "first" or peer.replays
        ]
    return read(*outputs)


def main() -> int:
    """Measure, print the table, and return the exit status."""
    said = _parse()
    pythons = _installed(said)
    before = os.getloadavg()[0]
    rounds: dict[Peer, list[Round]] = {peer: [] for peer in pythons}
    for turn in range(said.rounds):
        for peer in rotated(list(rounds), turn):
            try:
                rounds[peer].append(_measure(peer, pythons[peer], said))
            except Unavailable as why:
                if peer is OURS:
                    raise
                del rounds[peer]
                print(f"without {peer.title.strip()}: {why}", flush=True)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {before:.1f}; "
        f"{said.tasks:,} tasks, {said.rounds} rounds\n"
    )
    for line in lines(rounds, OURS):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
