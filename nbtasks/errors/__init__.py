"""All exceptions and warnings of nbtasks, as one tree.

    NbtasksError(Exception)
    ├── TaskFailed                      a task failed for good (also the original exception's class)
    │   └── MapFailed                   more items of a map failed than allowed
    ├── WaitTimeout(TimeoutError)       nothing arrived before a task's wait timed out
    ├── ExecutorError(RuntimeError)     an executor could not run a function
    ├── StaleTaskError                  the code or inputs of a recorded task changed
    ├── InvalidKeyError(ValueError)     an invalid task key
    ├── DuplicateKeyError(ValueError)   a key used twice among siblings
    ├── InvalidPayloadError(ValueError) a payload that the job does not accept
    ├── InvalidJobError(ValueError)     an invalid job definition
    ├── NotFoundError(LookupError)      no such run, job or task
    ├── NotRecordedError(LookupError)   no recorded result, and replay runs nothing
    ├── NoRunError(RuntimeError)        an io call outside a run
    ├── NotAwaitedError(RuntimeError)   an io call of asynchronous code that was never awaited
    ├── WrongFaceError(RuntimeError)    the asynchronous io outside an event loop
    ├── WorkerLostError(RuntimeError)   a run that killed its worker again and again
    ├── InDoubtError(RuntimeError)      unknown outcome of a task that may run only once
    ├── RunBusyError(RuntimeError)      the run is already being executed
    │   └── JobBusyError                the job's concurrency limit is reached
    ├── FetchError(OSError)             an HTTP response with an error status
    ├── PortTakenError(OSError)         another program uses the port this run was listening on
    ├── RunEndedError(RuntimeError)     an io call after the end of its execution
    ├── ValueNotKeptError(TypeError)    a value that cannot be recorded
    ├── UnreadableValueError            a recorded value that cannot be read back
    │   └── UntrustedValueError         a pickle signed with another user's key
    └── JournalError                    a failure of the journal
        ├── JournalWriteError(OSError)  writing failed (disk full, read-only)
        ├── JournalLockedError          another program has locked the DuckDB file
        ├── JournalFormatError          the home was written by a newer nbtasks
        ├── RunDivergedError            an imported run that has gone further here and there
        └── SharedFileError             a shared file that cannot be read safely

    Interrupt(BaseException)            control flow, no error: not caught by `except Exception`
    ├── Cancelled                       the run was canceled
    └── Suspended                       the run waits and can be resumed later

    JournalDamaged(UserWarning)         a segment lost bytes; all readable records were saved
    NetworkHomeWarning(UserWarning)     the home is on a network file system
    StaleTaskWarning(UserWarning)       changed tasks were answered from the journal
    ChangedArgumentWarning(UserWarning) a task changed its argument in place

Each message says what happened, to which run and task, and what to do next.
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
    NotAwaitedError,
    NotFoundError,
    NotRecordedError,
    RunBusyError,
    RunEndedError,
    WorkerLostError,
    WrongFaceError,
)
from nbtasks.errors.journal import (
    JournalDamaged,
    JournalError,
    JournalFormatError,
    JournalLockedError,
    JournalWriteError,
    NetworkHomeWarning,
    RunDivergedError,
    SharedFileError,
    StoreError,
    UnreadableValueError,
    UntrustedValueError,
    ValueNotKeptError,
)
from nbtasks.errors.parallel import ExecutorError, MapFailed
from nbtasks.errors.stale import ChangedArgumentWarning, StaleTaskError, StaleTaskWarning
from nbtasks.errors.task import FetchError, PortTakenError, TaskFailed, WaitTimeout

__all__ = [
    "Cancelled",
    "ChangedArgumentWarning",
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
    "NetworkHomeWarning",
    "NoRunError",
    "NotAwaitedError",
    "NotFoundError",
    "NotRecordedError",
    "PortTakenError",
    "RunBusyError",
    "RunDivergedError",
    "RunEndedError",
    "SharedFileError",
    "StaleTaskError",
    "StaleTaskWarning",
    "StoreError",
    "Suspended",
    "TaskFailed",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
    "WaitTimeout",
    "WorkerLostError",
    "WrongFaceError",
]
