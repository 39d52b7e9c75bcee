"""Owners of segments: which of them live, as far as their locks and their signs of life show."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Any

from nbtasks.core import clock, disk
from nbtasks.journal.wal import SegmentReader, pid_namespace, process_start

__all__ = ["SILENT_SECONDS", "is_alive", "other_host", "release"]

#: A process of another machine is dead if its segment has not changed for so long. The locks of
#: some file systems do not reach across machines, so a lock that is free proves nothing.
SILENT_SECONDS = 300


def is_alive(path: Path, header: dict[str, Any] | None) -> bool:
    """Return True if the owner of a segment lives.

    On this machine the lock decides: it ends with the process, however that dies. Only if the lock
    is held although the process is gone, by a child that foreign code has forked, the process
    decides. The owner on another machine gives signs of life, too, and is dead once these stop.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that two processes that check at once do not see each other as owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return not header or not _is_gone(header)
    else:
        return other_host(path, header) is not None and not _is_silent(os.fstat(fd).st_mtime)
    finally:
        os.close(fd)


def other_host(path: Path, header: dict[str, Any] | None) -> str | None:
    """Return the machine of the owner of a segment, if the locks of this one may not reach it.

    Containers of one machine have names of their own, and a laptop gets another name with another
    network, yet there is one kernel, whose locks reach all of them until it is started again. Not
    where each container has mounted a network file system for itself.
    """
    host = (header or {}).get("host")
    if header is None or not isinstance(host, str) or host == socket.gethostname():
        return None
    is_same_boot = header.get("boot_id") == clock.boot_id() is not None
    return None if is_same_boot and disk.network(path) is None else host


def release(home: Path, host: str) -> list[str]:
    """Count the processes of another machine as dead, and return the names of their segments.

    Whoever lives there after all says so again within seconds.
    """
    names = []
    for path in sorted((home / "wal").glob("*.log")):
        header = SegmentReader(path).read_header()
        if other_host(path, header) == host and is_alive(path, header):
            os.utime(path, (0, 0))
            names.append(path.name)
    return names


def _is_silent(changed: float) -> bool:
    return clock.micros() / 1e6 - changed > SILENT_SECONDS


def _is_gone(header: dict[str, Any]) -> bool:
    """Return True if the process of a segment does not exist; False if that cannot be told.

    Another container has numbers of its own for its processes, even where it has the same name.
    """
    here = clock.boot_id(), pid_namespace()
    pid, started = header.get("pid"), header.get("process_start")
    is_seen_here = (header.get("boot_id"), header.get("pid_namespace")) == here
    if None in here or not is_seen_here or not isinstance(pid, int) or started is None:
        return False
    now = process_start(pid)
    return now != str(started) if now is not None else not _exists(pid)


def _exists(pid: int) -> bool:
    """Return True if there is a process, also one of another user that `/proc` hides."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
