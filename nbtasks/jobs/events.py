"""Events sent from outside a run: `nb.send_event` and `nb.events`."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock
from nbtasks.core.durations import Duration
from nbtasks.core.model import OPEN, Status
from nbtasks.core.parameters import with_nearest_option
from nbtasks.errors import Cancelled, RunBusyError
from nbtasks.io.events.tasks import new_event
from nbtasks.jobs import claims
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.events import SOURCE, Event
from nbtasks.journal.lookup import require_run

if TYPE_CHECKING:
    from nbtasks.jobs.run import Run
    from nbtasks.views.frames import DataFrame

__all__ = ["events", "send_event"]

#: Seconds between two checks that a run executed elsewhere has ended.
_POLL_SECONDS = 0.1


@with_nearest_option("nb.send_event")
def send_event(
    name: str,
    payload: Any = None,
    *,
    id: str | None = None,  # noqa: A002 - the name of the contract
    source: str = SOURCE,
    deliver_at: datetime | None = None,
    deliver_after: Duration | None = None,
) -> Event[Run]:
    """Send an event from outside a run.

    Tasks that wait for the event continue. Each job of this process whose trigger matches is run
    now, one job after the other, before this function returns. Errors of their bodies are recorded
    in their runs and not raised here. Jobs that only a worker (`nbtasks worker`) has registered
    are run by that worker.

    Args:
        name: The event's name.
        payload: The event's payload.
        id: The event's id, by default a new one. An event is delivered once: sending the id of a
            delivered event again returns the recorded event; sending the id of an event that is
            not yet delivered replaces that event.
        source: The sender of the event.
        deliver_at: The instant at which a worker delivers the event, as an aware datetime; by
            default it is delivered at once.
        deliver_after: Alternatively, the delay: seconds, a timedelta, or text such as "5m".

    Returns:
        The event, with its `runs`.

    Raises:
        InvalidOptionError: An argument has no valid value.
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
    new = new_event("nb.send_event", *args)
    new = new._replace(id=new.id or clock.new_id())
    (event,) = runtime.dispatcher.send([new])
    for run in event.runs:
        _execute(run.id)
    return event


def events() -> DataFrame:
    """Return all events of the home as a DataFrame with a row per event, oldest first.

    ```python
    import nbtasks as nb

    nb.send_event("note", {"text": "hello"})
    assert nb.events().name.tolist() == ["note"]
    ```
    """
    from nbtasks.views import frames

    return frames.events(runtime.journal)


def _execute(run_id: str) -> None:
    """Execute a run that an event started, unless it has ended; wait if another process does."""
    never_set = threading.Event()  # waiting on it sleeps in real time, whatever the clock says
    while True:
        run = require_run(runtime.journal, run_id)
        if run.status not in OPEN or (run.status == Status.WAITING and run.executions):
            return
        try:
            starter = runtime.starter(run, claims.load_payload(run))
            starter.start(claims.continue_claim(run))
        except RunBusyError:
            never_set.wait(_POLL_SECONDS)
        except Cancelled as error:
            if error.run_id != run_id:
                raise
            return
        except Exception:  # noqa: BLE001 - the run records it
            return
        else:
            return
