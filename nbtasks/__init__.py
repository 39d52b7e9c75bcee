"""Durable cells for Jupyter: executing a cell again resumes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nbtasks.core import front_end as _front_end
from nbtasks.core.keys import numbered
from nbtasks.core.settings import config
from nbtasks.engine.drivers.engines import register_engine
from nbtasks.engine.options import TaskOptions
from nbtasks.engine.retries import Retry, retry_at, skip_retrying
from nbtasks.errors import (
    Cancelled,
    ChangedArgumentWarning,
    DuplicateKeyError,
    ExecutorError,
    FetchError,
    InDoubtError,
    Interrupt,
    InvalidJobError,
    InvalidKeyError,
    InvalidOptionError,
    InvalidPayloadError,
    JobBusyError,
    JournalDamaged,
    JournalError,
    JournalFormatError,
    JournalLockedError,
    JournalWriteError,
    MapFailed,
    NbtasksError,
    NetworkHomeWarning,
    NoRunError,
    NotAwaitedError,
    NotFoundError,
    NotRecordedError,
    PortTakenError,
    RunBusyError,
    RunDivergedError,
    RunEndedError,
    SharedFileError,
    StaleTaskError,
    StaleTaskWarning,
    StoreError,
    Suspended,
    TaskFailed,
    UnreadableValueError,
    UntrustedValueError,
    ValueNotKeptError,
    WaitTimeout,
    WorkerLostError,
    WrongFaceError,
)
from nbtasks.io.integration import Integration, integration
from nbtasks.io.io import AsyncIO, SyncIO, current_io, current_task
from nbtasks.io.task_function import task
from nbtasks.io.webhooks.calls import RequestUrl
from nbtasks.jobs.definition.job import Job
from nbtasks.jobs.events import events, send_event
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import cancel, configure, get_run, job, last_run
from nbtasks.jobs.session import Context
from nbtasks.jobs.triggers import (
    Tick,
    cron_trigger,
    event_trigger,
    interval_trigger,
    invoke_trigger,
)
from nbtasks.journal.events import Event
from nbtasks.journal.lookup import job_id as _job_id
from nbtasks.notebook.front_end import NotebookFrontEnd as _NotebookFrontEnd
from nbtasks.views.history import attempts, due, logs, runs, sql, tasks, tree

if TYPE_CHECKING:
    from nbtasks.io.http.rate_limit import RateLimit
    from nbtasks.io.http.request import Response
    from nbtasks.jobs.maintenance import doctor, gc, publish
    from nbtasks.jobs.sharing import Shared, export_run, import_run
    from nbtasks.jobs.sharing import open_shared as open  # noqa: A004 - the name of the contract
    from nbtasks.jobs.sharing import trust_run as trust
    from nbtasks.jobs.worker import worker
    from nbtasks.values.libraries.matplotlib_figures import Picture
    from nbtasks.values.registry import register_codec
    from nbtasks.values.stores.refs import Ref
    from nbtasks.views.analysis import compare, history, plot_history, summary

__version__ = "0.1.0"

__all__ = [
    "AsyncIO",
    "Cancelled",
    "ChangedArgumentWarning",
    "Context",
    "DuplicateKeyError",
    "Event",
    "ExecutorError",
    "FetchError",
    "InDoubtError",
    "Integration",
    "Interrupt",
    "InvalidJobError",
    "InvalidKeyError",
    "InvalidOptionError",
    "InvalidPayloadError",
    "Job",
    "JobBusyError",
    "JournalDamaged",
    "JournalError",
    "JournalFormatError",
    "JournalLockedError",
    "JournalWriteError",
    "MapFailed",
    "NbtasksError",
    "NetworkHomeWarning",
    "NoRunError",
    "NotAwaitedError",
    "NotFoundError",
    "NotRecordedError",
    "Picture",
    "PortTakenError",
    "RateLimit",
    "Ref",
    "RequestUrl",
    "Response",
    "Retry",
    "Run",
    "RunBusyError",
    "RunDivergedError",
    "RunEndedError",
    "Shared",
    "SharedFileError",
    "StaleTaskError",
    "StaleTaskWarning",
    "StoreError",
    "Suspended",
    "SyncIO",
    "TaskFailed",
    "TaskOptions",
    "Tick",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
    "WaitTimeout",
    "WorkerLostError",
    "WrongFaceError",
    "attempts",
    "cancel",
    "compare",
    "config",
    "configure",
    "cron_trigger",
    "current_io",
    "current_task",
    "doctor",
    "due",
    "event_trigger",
    "events",
    "export_run",
    "gc",
    "get_run",
    "history",
    "import_run",
    "integration",
    "interval_trigger",
    "invoke_trigger",
    "job",
    "last_run",
    "logs",
    "numbered",
    "open",
    "plot_history",
    "publish",
    "register_codec",
    "register_engine",
    "retry_at",
    "runs",
    "send_event",
    "skip_retrying",
    "sql",
    "summary",
    "task",
    "tasks",
    "tree",
    "trust",
    "watch",
    "worker",
]


#: Public names that most programs never need, with their modules: loaded on first use.
_LATER = {
    "Picture": "nbtasks.values.libraries.matplotlib_figures",
    "Shared": "nbtasks.jobs.sharing",
    "compare": "nbtasks.views.analysis",
    "history": "nbtasks.views.analysis",
    "plot_history": "nbtasks.views.analysis",
    "summary": "nbtasks.views.analysis",
    "export_run": "nbtasks.jobs.sharing",
    "gc": "nbtasks.jobs.maintenance",
    "doctor": "nbtasks.jobs.maintenance",
    "publish": "nbtasks.jobs.maintenance",
    "import_run": "nbtasks.jobs.sharing",
    "Ref": "nbtasks.values.stores.refs",
    "RateLimit": "nbtasks.io.http.rate_limit",
    "Response": "nbtasks.io.http.request",
    "register_codec": "nbtasks.values.registry",
    "trust": "nbtasks.jobs.sharing",
    "open": "nbtasks.jobs.sharing",
    "worker": "nbtasks.jobs.worker",
}
#: Names in these modules that differ from the public ones.
_AS = {"open": "open_shared", "trust": "trust_run"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'nbtasks' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), _AS.get(name, name))
    return value


def __dir__() -> list[str]:
    return __all__


def watch(job: Job | str | None = None) -> None:
    """Show a live list of all runs of the home, or of one job, whichever kernel executes them.

    Choosing a run shows its tree. Outside a notebook, the latest runs are printed; `nbtasks ui`
    follows them in a terminal.

    ```python
    import nbtasks as nb

    nb.watch()
    ```
    """
    name = _job_id(job)
    if "IPython" not in sys.modules:
        from nbtasks.jobs.runtime import runtime
        from nbtasks.views.tree.runs import RunsTable

        print(RunsTable(runtime.journal, name, 20))  # noqa: T201 - the purpose of the call
        return
    from nbtasks.notebook.widgets import runs_panel as _watching

    _watching.watch(name)


def load_ipython_extension(shell: Any) -> None:
    """Register `%%job` and its companions, for `%load_ext nbtasks`."""
    from nbtasks.notebook import magics

    magics.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove `%%job` and its companions, for `%unload_ext nbtasks`."""
    from nbtasks.notebook import magics

    magics.unload(shell)


_front_end.install(_NotebookFrontEnd())
