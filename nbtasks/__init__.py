"""Durable cells for Jupyter: executing a cell again resumes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

# First, so that the functions of these names, and not the modules, are `nb.tree` and `nb.job`.
import nbtasks.job
import nbtasks.tree  # noqa: F401 - for its effect on the name `tree`, as said
from nbtasks import asking as _asking
from nbtasks import displays as _displays
from nbtasks.callbacks import RequestUrl
from nbtasks.errors import (
    Cancelled,
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
    NoRunError,
    NotFoundError,
    NotRecordedError,
    PortTakenError,
    RunBusyError,
    RunEndedError,
    SharedFileError,
    StaleTaskError,
    StaleTaskWarning,
    Suspended,
    TaskFailed,
    UnreadableValueError,
    UntrustedValueError,
    ValueNotKeptError,
    WaitTimeout,
    WrongFaceError,
)
from nbtasks.event import Event
from nbtasks.here import current_io, current_task
from nbtasks.integration import Integration, integration
from nbtasks.io import AsyncIO, SyncIO
from nbtasks.job import Job
from nbtasks.keys import numbered
from nbtasks.kit import cancel, configure, get_run, job, last_run
from nbtasks.kit import kit as _kit
from nbtasks.lookup import (
    attempts,
    due,
    logs,
    runs,
    sql,
    tasks,
    tree,
)
from nbtasks.options import TaskOptions, task
from nbtasks.replay import Retry
from nbtasks.run import Run
from nbtasks.sending import events, send_event
from nbtasks.session import Context
from nbtasks.settings import config
from nbtasks.triggers import (
    Tick,
    cron_trigger,
    event_trigger,
    interval_trigger,
    invoke_trigger,
)
from nbtasks.verdicts import retry_at, skip_retrying

if TYPE_CHECKING:
    from nbtasks.analysis import compare, history, plot_history, summary
    from nbtasks.asking import Submit
    from nbtasks.engine import Execution
    from nbtasks.fetching import Response
    from nbtasks.questions import Question
    from nbtasks.ratelimit import RateLimit
    from nbtasks.session import Watcher
    from nbtasks.sharing import Shared, export_run, import_run
    from nbtasks.sharing import open_shared as open  # noqa: A004 - the name of the contract
    from nbtasks.sharing import trust_run as trust
    from nbtasks.upkeep import doctor, gc
    from nbtasks.values.figures import Picture
    from nbtasks.values.registry import register_codec
    from nbtasks.working import worker

__version__ = "0.1.0"

__all__ = [
    "AsyncIO",
    "Cancelled",
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
    "NoRunError",
    "NotFoundError",
    "NotRecordedError",
    "Picture",
    "PortTakenError",
    "RateLimit",
    "RequestUrl",
    "Response",
    "Retry",
    "Run",
    "RunBusyError",
    "RunEndedError",
    "Shared",
    "SharedFileError",
    "StaleTaskError",
    "StaleTaskWarning",
    "Suspended",
    "SyncIO",
    "TaskFailed",
    "TaskOptions",
    "Tick",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
    "WaitTimeout",
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
    "register_codec",
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
    "Picture": "nbtasks.values.figures",
    "Shared": "nbtasks.sharing",
    "compare": "nbtasks.analysis",
    "history": "nbtasks.analysis",
    "plot_history": "nbtasks.analysis",
    "summary": "nbtasks.analysis",
    "export_run": "nbtasks.sharing",
    "gc": "nbtasks.upkeep",
    "doctor": "nbtasks.upkeep",
    "import_run": "nbtasks.sharing",
    "RateLimit": "nbtasks.ratelimit",
    "Response": "nbtasks.fetching",
    "register_codec": "nbtasks.values.registry",
    "trust": "nbtasks.sharing",
    "open": "nbtasks.sharing",
    "worker": "nbtasks.working",
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
    name = job.id if isinstance(job, Job) else job
    if "IPython" not in sys.modules:
        print(runs(name).tail(20))  # noqa: T201 - the purpose of the call
        return
    from nbtasks.notebook import watch as _watching

    _watching.watch(name)


def load_ipython_extension(shell: Any) -> None:
    """Register `%%job` and its companions, for `%load_ext nbtasks`."""
    from nbtasks.notebook import magic

    magic.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove `%%job` and its companions, for `%unload_ext nbtasks`."""
    from nbtasks.notebook import magic

    magic.unload(shell)


def _view(execution: Execution) -> Watcher | None:
    """Return a view of an execution; None without IPython."""
    if "IPython" not in sys.modules:
        return None
    from nbtasks.notebook import living

    return living.view_of(execution)


def _panel(tree: Any) -> dict[str, Any] | None:
    """Return the live view of a recorded run; None without a page to show it on."""
    if "ipykernel" not in sys.modules:
        return None
    from nbtasks.notebook import living

    return living.bundle(tree)


def _present(title: str, question: Question, submit: Submit) -> bool:
    """Show a question in the notebook; return False if there is none."""
    if "IPython" not in sys.modules:
        return False
    from nbtasks.notebook import form

    return form.present(title, question, submit)


_kit.watch = _view
_asking.use(_present)
_displays.use_panels(_panel)
