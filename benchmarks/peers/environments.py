"""Peers, and an environment of its own for each."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Peer", "Unavailable", "execute", "python_of"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of the table.

    Attributes:
        name: Name for the command line; variants of a peer share it.
        title: What is measured, as the table has it.
        module: Worker, a module of this folder.
        synced: What has reached the disk when the next step begins.
        requirements: What is installed for it; nothing for those that run in this environment.
        option: Variant, for the worker.
        replays: False if the peer never executes a run of finished steps again.
    """

    name: str
    title: str
    module: str
    synced: str
    requirements: tuple[str, ...] = ()
    option: str = ""
    replays: bool = True


_DBOS = ("dbos==3.4.0",)
_LANGGRAPH = ("langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2")
PEERS = (
    Peer("nbtasks", "nbtasks", "ours", "each step"),
    Peer("sqlite", "SQLite, a commit a step", "sqlite", "each step"),
    Peer("dbos", "DBOS on SQLite", "dbos", "each step", _DBOS),
    Peer("dbos", "  its file in WAL mode", "dbos", "each step", _DBOS, option="wal"),
    Peer("langgraph", "LangGraph, @task", "langgraph", "a moment later", _LANGGRAPH),
    Peer(
        "langgraph", "  a graph that waits", "langgraph", "each step", _LANGGRAPH,
        option="graph", replays=False,
    ),
    Peer("joblib", "joblib.Memory", "joblib", "no", ("joblib==1.6.0",)),
    Peer("prefect", "Prefect", "prefect", "no", ("prefect==3.9.1",)),
)  # fmt: skip

#: Nothing is reported to anybody, and nothing is sent but to this machine.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
}
_OTHERS = ("PYTHON", "VIRTUAL_ENV", "NBTASKS", "DBOS", "LANGCHAIN", "LANGSMITH", "PREFECT")
_INSTALLING = 900.0  # seconds


class Unavailable(Exception):  # noqa: N818 - no error: the peer is left out
    """A peer that could not be installed or did not work; says why."""


def python_of(peer: Peer, environments: Path) -> str:
    """Return the interpreter of a peer; install the peer if it isn't there yet."""
    if not peer.requirements:
        return sys.executable
    folder = environments / f"{peer.name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = " ".join(peer.requirements)
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing {wanted}", file=sys.stderr, flush=True)
        _call([sys.executable, "-m", "venv", "--clear", str(folder)], _INSTALLING)
        _call([str(python), "-m", "pip", "install", "--quiet", *peer.requirements], _INSTALLING)
        stamp.write_text(wanted)
    return str(python)


def execute(python: str, peer: Peer, folder: Path, count: int, mode: str, limit: float) -> str:
    """Execute a worker, and return what it printed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OTHERS)}
    places = {"HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}
    command = [python, "-m", f"benchmarks.peers.{peer.module}", str(folder), str(count), mode]
    if peer.option:
        command.append(peer.option)
    environment = {**kept, **_QUIET, **places, "PYTHONPATH": str(ROOT)}
    return _call(command, limit, environment, folder)


def _call(
    command: Sequence[str],
    limit: float,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Return the output of a command. After the time limit, end it with all that it started."""
    with subprocess.Popen(
        command, env=environment, cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            output, complaint = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"not done after {limit:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # none is left, not even a server
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = complaint.strip().splitlines() or [f"exit status {process.returncode}"]
        raise Unavailable(lines[-1])
    return output
