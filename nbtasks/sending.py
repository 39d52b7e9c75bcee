"""Events from outside of a run: `nb.send_event`, and what was sent."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbtasks import claims, clock
from nbtasks.errors import Cancelled, RunBusyError
from nbtasks.event import SOURCE, Event
from nbtasks.event_calls import draft
from nbtasks.kit import kit
from nbtasks.model import Status
from nbtasks.options import Duration

if TYPE_CHECKING:
    from nbtasks.frames import DataFrame
    from nbtasks.run import Run

__all__ = ["events", "send_event"]

#: Seconds between two looks whether a run that somebody else executes has ended.
_REST = 0.1


def send_event(
    name: str,
    payload: Any = None,
    *,
    id: str | None = None,  # noqa: A002 - the name of the contract
    source: str = SOURCE,
    deliver_at: datetime | None = None,
    deliver_after: Duration | None = None,
) -> Event[Run]:
    """Sends an event from outside of a run: those who wait for it go on, and each job of this
    process with a trigger that takes it is run, here and now, one after the other. What their
    bodies raise is in their runs, and not raised here.

    Workers (`nbtasks worker`) run the jobs that they know, and not this process, on their own.

    Args:
        name: The event's name.
        payload: What it says.
        id: Its id, by default a new one. One that is delivered is never delivered again: what was
            sent then is given. One that is not yet is changed.
        source: Whose it is.
        deliver_at: When it is to be delivered, by a worker; an aware datetime. By default at once.
        deliver_after: Or in how long, in seconds or as a timedelta.

    Returns:
        The event, with its `runs`.

    Raises:
        InvalidOptionError: It cannot be sent so.
        JournalWriteError: The home cannot be written.

    ```python
    import nbtasks as nb


    @nb.job("send-event-outside", trigger=nb.event_trigger("paid"))
    def thank(payload: int, io: nb.SyncIO) -> str:
        return io.run_task("thank", lambda: f"thanks for {payload}")


    event = nb.send_event("paid", 5, id="payment-1")
    assert [run.output for run in event.runs] == ["thanks for 5"]
    again = nb.send_event("paid", 5, id="payment-1")  # an id is delivered once
    assert [run.executions for run in again.runs] == [1]
    ```
    """
    args = (name, payload, id, source, deliver_at, deliver_after)
    sent = draft("nb.send_event", *args)
    sent = sent._replace(id=sent.id or clock.new_id())
    (event,) = kit.desk.send([sent])
    for run in event.runs:
        _execute(run.id)
    return event


def events() -> DataFrame:
    """All events of the home, as a DataFrame: a row an event, oldest first.

    ```python
    import nbtasks as nb

    nb.send_event("note", {"text": "hello"})
    assert nb.events().name.tolist() == ["note"]
    ```
    """
    from nbtasks import frames

    return frames.events(kit.journal)


def _execute(run_id: str) -> None:
    """Executes a run that an event began, unless it has ended; waits if somebody else does."""
    rest = threading.Event()
    while True:
        (run,) = kit.journal.runs(run_id=run_id)
        if run.status not in (Status.WAITING, Status.INTERRUPTED, Status.RUNNING) or (
            run.status == Status.WAITING and run.executions
        ):
            return
        try:
            start = kit.starter(run, claims.payload_of(run))
            start(claims.to_rerun(run))
        except RunBusyError:
            rest.wait(_REST)
        except Cancelled as error:
            if error.run_id != run_id:
                raise
            return
        except Exception:  # noqa: BLE001 - its run says it
            return
        else:
            return
