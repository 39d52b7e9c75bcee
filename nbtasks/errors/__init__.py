"""Everything that nbtasks raises, as one tree.

    NbtasksError(Exception)
    ├── TaskFailed                      a task gave up (also the original exception's class)
    │   └── MapFailed                   more items of a map failed than may
    ├── WaitTimeout(TimeoutError)       nothing came in time of what a task waited for
    ├── ExecutorError(RuntimeError)     an executor that could not carry out a function
    ├── StaleTaskError                  a recorded task whose code or inputs changed
    ├── InvalidKeyError(ValueError)     a key that cannot be one
    ├── DuplicateKeyError(ValueError)   one key, used twice among siblings
    ├── InvalidPayloadError(ValueError) a payload that its job does not take
    ├── InvalidJobError(ValueError)     a job that cannot be one
    ├── NotFoundError(LookupError)      no such run, job or task
    ├── NotRecordedError(LookupError)   nothing to replay of a task or run that may not run
    ├── NoRunError(RuntimeError)        an io call where no run is
    ├── WrongFaceError(RuntimeError)    the asynchronous io where nothing awaits it
    ├── InDoubtError(RuntimeError)      what came of a task is not known, and it may run but once
    ├── RunBusyError(RuntimeError)      somebody else executes the run now
    │   └── JobBusyError                as many runs of the job as may are executed now
    ├── FetchError(OSError)             a request that was not answered as it should
    ├── PortTakenError(OSError)         where a run waited for a request another program is now
    ├── RunEndedError(RuntimeError)     an io call after its run's execution has ended
    ├── ValueNotKeptError(TypeError)    a value that no journal can hold
    ├── UnreadableValueError            a recorded value that cannot be read back
    │   └── UntrustedValueError         a pickle that somebody else signed
    └── JournalError                    the journal itself
        ├── JournalWriteError(OSError)  the disk refused (full, read-only)
        ├── JournalLockedError          another program holds the DuckDB file
        ├── JournalFormatError          written by a newer nbtasks
        └── SharedFileError             a file of shared runs that cannot be read safely

    Interrupt(BaseException)            control flow, not an error: `except Exception` lets it pass
    ├── Cancelled                       the run was cancelled
    └── Suspended                       the run waits for a time

    JournalDamaged(UserWarning)         a segment lost bytes; what could be saved was
    StaleTaskWarning(UserWarning)       recorded tasks were reused although they changed

The messages say what happened, to which run and task, and what to do next.
"""

from __future__ import annotations

from nbtasks.errors.base import (
    Cancelled,
    Interrupt,
    NbtasksError,
    Suspended,
)
from nbtasks.errors.job import (
    DuplicateKeyError,
    InDoubtError,
    InvalidJobError,
    InvalidKeyError,
    InvalidOptionError,
    InvalidPayloadError,
    JobBusyError,
    NoRunError,
    NotFoundError,
    NotRecordedError,
    RunBusyError,
    RunEndedError,
    WrongFaceError,
)
from nbtasks.errors.journal import (
    JournalDamaged,
    JournalError,
    JournalFormatError,
    JournalLockedError,
    JournalWriteError,
    SharedFileError,
    UnreadableValueError,
    UntrustedValueError,
    ValueNotKeptError,
)
from nbtasks.errors.parallel import ExecutorError, MapFailed
from nbtasks.errors.stale import StaleTaskError, StaleTaskWarning
from nbtasks.errors.task import FetchError, PortTakenError, TaskFailed, WaitTimeout

__all__ = [
    "Cancelled",
    "DuplicateKeyError",
    "ExecutorError",
    "FetchError",
    "InDoubtError",
    "Interrupt",
    "InvalidJobError",
    "InvalidKeyError",
    "InvalidOptionError",
    "InvalidPayloadError",
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
    "PortTakenError",
    "RunBusyError",
    "RunEndedError",
    "SharedFileError",
    "StaleTaskError",
    "StaleTaskWarning",
    "Suspended",
    "TaskFailed",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
    "WaitTimeout",
    "WrongFaceError",
]
