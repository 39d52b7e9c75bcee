"""Calls of a run on a cluster of Dask: heard while they run, and held when the driver dies.

The scheduler holds a task for as long as a client desires it. A call is desired by a client of the
run's own name, too, which no connection stands for: so the scheduler holds it when this process has
died, and the same run joins it under the same key. It is released once its outcome is recorded.

A Stop takes back what has not begun. What has begun cannot be stopped there. It is held for a
while, since the restart of a kernel begins with a Stop, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.engine.remote.reports import Report, Sent
from nbtasks.engine.remote.task_there import topic_of

if TYPE_CHECKING:
    from nbtasks.engine.effects import Running

__all__ = ["expect", "explain_killed", "hold"]

#: Time between two looks at what can be released, in seconds.
_PAUSE: Final = 0.25
#: Time for which what has begun is held after a Stop, in seconds: longer than the end of a kernel.
_GRACE: Final = 5.0
#: Time after which a cluster without a worker is reported, in seconds.
_PATIENCE: Final = 60.0


def expect(client: Any, report: Report, execution: Running, key: str) -> Sent:
    """Return the reply to a call that is about to be sent to a cluster.

    Args:
        client: The client.
        report: The report of the call.
        execution: The execution that makes the call.
        key: The name of the call.
    """
    with _lock:
        run = _runs.get((execution, client))
        if run is None:
            run = _runs[execution, client] = _RunThere(client, execution)
    return run.expect(report, key)


def hold(client: Any, execution: Running, key: str, names: list[str]) -> None:
    """Let the scheduler hold calls that have been sent, until their outcomes are recorded.

    Args:
        client: The client.
        execution: The execution that makes the calls.
        key: The key of the calls in the cluster.
        names: The names of the calls.
    """
    with _lock:
        run = _runs.get((execution, client))
    if run is not None:
        run.hold(key, names)


def explain_killed(error: BaseException, name: str) -> str:
    """Return why Dask has given up on a function whose workers died, and what to do; empty for any
    other error.

    Args:
        error: The error.
        name: The name of the function.
    """
    if type(error).__name__ != "KilledWorker":
        return ""
    last = getattr(getattr(error, "last_worker", None), "address", "unknown")
    count = getattr(error, "allowed_failures", 0) + 1
    workers = f"{count} workers have died with it" if count > 1 else "its worker has died"
    return _KILLED.format(name=name, workers=workers, last=last)


class _RunThere:
    """Calls that one execution of a run has in a cluster."""

    def __init__(self, client: Any, execution: Running) -> None:
        self._client = client
        self._execution = execution
        self._name = topic_of(execution.run.run_id)
        self._address = client.scheduler.address
        self._calls: dict[str, Sent] = {}
        self._left: dict[str, set[str]] = {}  # names of calls that are held, by their key there
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()
        self._comm: Any = None
        self._is_over = threading.Event()
        self._lonely_us: int | None = None
        self._is_wanted = threading.Event()  # by the next execution
        if (before := _held.pop((self._name, client), None)) is not None:
            before._is_wanted.set()  # noqa: SLF001 - another of this class
        execution.pending.add(self)  # whose end calls `cancel`
        threading.Thread(target=self._watch, name=f"{self._name}-watch", daemon=True).start()

    def expect(self, report: Report, key: str) -> Sent:
        """Return the reply to a call."""
        sent = Sent(report, lambda: self._take_back(key))
        self._calls[key] = sent
        self._listen()
        return sent

    def hold(self, key: str, names: list[str]) -> None:
        """Let the scheduler hold calls that have one key there."""
        with self._lock:
            left = self._left[key] = {name for name in names if name in self._calls}
            self._keys.update(dict.fromkeys(left, key))
        if left:
            self._tell("client-desires-keys", keys=[key])

    def cancel(self) -> None:
        """Take back what has not begun, and release everything: the execution has ended."""
        self._is_over.set()
        calls, self._calls = self._calls, {}
        with contextlib.suppress(Exception):  # the client is closed, say
            self._client.unsubscribe_topic(self._name)
        begun = {key for key, sent in calls.items() if self._is_kept(sent)}
        if begun:
            self._let_go([key for key in calls if key not in begun])
            _held[self._name, self._client] = self
            hold = threading.Thread(target=self._hold, args=([calls[key] for key in begun],))
            hold.daemon = True
            hold.start()
        else:
            self._tell("close-client")  # all that is held for the run, by earlier executions, too
        for sent in calls.values():
            sent.cancel()
        self._execution.pending.discard(self)
        with _lock:
            _runs.pop((self._execution, self._client), None)

    def _is_kept(self, sent: Sent) -> bool:
        """Return True for a call that may be joined although the execution was stopped."""
        has_begun = sent.report.has_begun or (sent.done() and not sent.cancelled())
        is_stopped = self._execution.cancellation.touched
        return is_stopped and has_begun and not sent.report.is_settled

    def _hold(self, sent: list[Sent]) -> None:
        """Hold calls for a while, unless the next execution joins them."""
        if not self._is_wanted.wait(_GRACE):
            _held.pop((self._name, self._client), None)
            if self._client.status == "running":
                self._tell("close-client")
            elif self._client.cluster is None:  # else it has been closed with its cluster
                self._close_anew()
        sent.clear()

    def _close_anew(self) -> None:
        """Release everything by a connection of its own: that of the execution is closed."""
        with contextlib.suppress(Exception):  # the cluster is gone, too
            client = type(self._client)(self._address, timeout=5, set_as_default=False)
            with client:
                tell = client._send_to_scheduler  # noqa: SLF001 - as below
                tell({"op": "close-client", "client": self._name})

    def _take_back(self, key: str) -> bool:
        """Let the cluster forget a call that is canceled; return False to keep it."""
        sent = self._calls.get(key)
        if sent is not None and self._is_kept(sent):
            return False
        if sent is not None:
            sent.report.settle()
            self._release([key])
        return True

    def _listen(self) -> None:
        """Subscribe to the reports of the run; again if the scheduler is a different one by now."""
        if self._comm is not self._client.scheduler_comm or self._comm is None:
            self._comm = self._client.scheduler_comm
            self._client.subscribe_topic(self._name, self._hear)

    def _hear(self, event: Any) -> None:
        with contextlib.suppress(Exception):  # the reply says it again
            message = json.loads(event[1])
            sent = self._calls.get(message["call"])
            if sent is not None:
                sent.report.hear(message)

    def _release(self, keys: list[str]) -> None:
        for key in keys:
            self._calls.pop(key, None)
        self._let_go(keys)

    def _let_go(self, names: list[str]) -> None:
        keys = []
        with self._lock:
            for name in names:
                key = self._keys.pop(name, "")
                left = self._left.get(key, set())
                left.discard(name)
                if key and not left:
                    keys.append(key)
                    del self._left[key]
        if not keys:
            return
        # A scheduler that does not know a client by its name would close the connection.
        self._tell("client-desires-keys", keys=[])
        self._tell("client-releases-keys", keys=keys)

    def _tell(self, op: str, **message: Any) -> None:
        with contextlib.suppress(Exception):  # the client is closed, say
            # As `distributed.fire_and_forget` does, which holds a task only until it has finished.
            tell = self._client._send_to_scheduler  # noqa: SLF001 - there is no public one
            tell({"op": op, "client": self._name, **message})

    def _watch(self) -> None:
        """Release what is recorded, until the execution ends."""
        recorded: set[str] = set()
        while not self._is_over.wait(_PAUSE):
            calls = self._calls.copy()  # at once: other threads add some meanwhile
            done = {key for key, sent in calls.items() if sent.report.is_recorded}
            before, recorded = recorded, done
            if keys := sorted(before & recorded):
                with contextlib.suppress(Exception):  # tried again
                    self._execution.journal.sync()
                    self._release(keys)
            if any(sent.report.row.queued_on for sent in calls.values()):
                self._look_for_workers()

    def _look_for_workers(self) -> None:
        known = getattr(self._client, "_scheduler_identity", None) or {}
        now = clock.micros()
        if known.get("n_workers", len(known.get("workers", ()))):
            self._lonely_us = None
        elif self._lonely_us is None:
            self._lonely_us = now
        elif 0 <= self._lonely_us <= now - _PATIENCE * 1e6:
            self._lonely_us = -1  # said
            said = _LONELY.format(_PATIENCE)
            self._execution.run_state.log("warn", said, {}, None)
            print(f"nbtasks: {said}", file=sys.stderr)  # noqa: T201 - whoever looks at the cell


_LONELY: Final = (
    "The Dask cluster has had no worker for {:g} s, and what was sent to it waits. Start workers, "
    "for example by cluster.scale(2): the run continues as soon as there is one. Stop takes back "
    "what waits."
)
_KILLED: Final = (
    "Dask has given up on {name}: {workers} (KilledWorker). Usually it takes more memory than a "
    "worker has, or crashes in compiled code. Look into the log of the last worker, {last}; give "
    "workers more memory or fewer threads, or the function less data. Nothing that was recorded is "
    "lost: execute the run again, and it resumes with the tasks that are missing."
)
_runs: dict[tuple[Running, Any], _RunThere] = {}
_held: dict[tuple[str, Any], _RunThere] = {}  # by run and client
_lock = threading.Lock()
