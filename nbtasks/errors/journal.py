"""Errors of the journal and of the values in it."""

from __future__ import annotations

from nbtasks.errors.base import NbtasksError

__all__ = [
    "JournalDamaged",
    "JournalError",
    "JournalFormatError",
    "JournalLockedError",
    "JournalWriteError",
    "NetworkHomeWarning",
    "RunDivergedError",
    "SharedFileError",
    "StoreError",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
]


class ValueNotKeptError(NbtasksError, TypeError):
    """Error for a value that cannot be recorded, such as a generator returned by a task.

    ```python
    import nbtasks as nb


    def numbers():
        yield from (1, 2, 3)


    @nb.job("not-kept-example")
    def body(io: nb.SyncIO) -> list[int]:
        try:
            return io.run_task("generator", numbers)
        except nb.ValueNotKeptError:
            return io.run_task("list", lambda: list(numbers()))


    assert body.run().output == [1, 2, 3]
    ```
    """


class UnreadableValueError(NbtasksError):
    """Error for a recorded value that cannot be read back.

    ```python
    import shutil

    import nbtasks as nb


    @nb.job("unreadable-example")
    def body(io: nb.SyncIO) -> int:
        return len(io.run_task("large", lambda: "x" * 2_000_000))


    run = body.run()
    shutil.rmtree(nb.config.home / "blobs")  # somebody freed disk space in the wrong place
    try:
        body.run()
    except nb.UnreadableValueError:  # never a silent second call of the function
        run = body.run(new=True)
    assert (run.output, run.executions) == (2_000_000, 1)
    ```
    """


class UntrustedValueError(UnreadableValueError):
    """Error for a recorded pickle that is not loaded because another user's key signed it.

    Loading a pickle may run any code. The tables and the tree of a journal from somebody else are
    safe to look at: they load no pickle.

    ```python
    import re

    import nbtasks as nb


    @nb.job("untrusted-example")
    def body(io: nb.SyncIO) -> bool:
        words = io.run_task("compile", re.compile, "[a-z]+")  # recorded as a pickle
        return bool(words.fullmatch("fly"))


    run = body.run()
    try:
        words = run["compile"]  # signed by this very user
    except nb.UntrustedValueError:
        run = body.run(new=True)  # computed by your code, signed with your key
    assert run.output
    ```
    """


class JournalError(NbtasksError):
    """Error for an operation that the journal cannot perform.

    ```python
    import nbtasks as nb

    try:
        nb.sql("delete from tasks")
    except nb.JournalError as error:
        problem = str(error)
    assert "read-only" in problem
    ```
    """


class JournalWriteError(JournalError, OSError):
    """Error for a journal that cannot be written: the disk is full, or the home is read-only.

    ```python
    from pathlib import Path

    import nbtasks as nb


    @nb.job("write-example")
    def body(io: nb.SyncIO) -> None: ...


    Path("report.txt").touch()
    nb.configure(home="report.txt/journal")  # a file is in the way
    try:
        body.run()
    except nb.JournalWriteError:
        nb.configure(home=None)  # make room or choose another place, and then run it again
    assert body.run().status == "COMPLETED"
    ```
    """


class JournalLockedError(JournalError):
    """Error for a `journal.duckdb` that another program has locked against readers.

    A program that opens the file with `read_only=True` locks nobody out.

    ```python
    import nbtasks as nb

    try:
        runs = nb.runs()
    except nb.JournalLockedError as error:
        print(error)  # close the file in that program, and try again
    else:
        assert runs.empty
    ```
    """


class StoreError(JournalError):
    """Error for a store of large values that cannot be read or written, here or by a worker.

    The task did not fail: its run can be executed again as soon as the store can be used.

    ```python
    from concurrent.futures import ProcessPoolExecutor

    import nbtasks as nb


    def body(io: nb.SyncIO, pool: ProcessPoolExecutor) -> int:
        try:
            return io.run_task("use", len, io.run_task("make", bytes, 2_000_000))
        except nb.StoreError as error:
            print(error)  # names the store, and why it refuses
            raise
    ```
    """


class JournalFormatError(JournalError):
    """Error for a home that a newer nbtasks has written.

    ```python
    import nbtasks as nb

    try:
        runs = nb.runs()
    except nb.JournalFormatError as error:
        print(error)  # upgrade nbtasks, or choose another home with nb.configure
    else:
        assert runs.empty
    ```
    """


class RunDivergedError(JournalError):
    """Error for an import of a run that has gone further both in this home and in the other one.

    A run that has gone further only there continues here. If it has on both sides, each copy holds
    something that the other lacks, so nothing is imported.

    ```python
    import nbtasks as nb


    @nb.job("diverged-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    run = body.run()
    file = nb.export_run(run, "answer.nbrun")
    run.reset("answer")  # in this home ...
    here = nb.config.home
    nb.configure(home="another-home")
    nb.import_run(file)[0].set("answer", 43)  # ... and in another one
    nb.export_run(nb.last_run(), file)
    nb.configure(home=here)
    try:
        nb.import_run(file)
    except nb.RunDivergedError:
        theirs = nb.open(file).last_run()  # look at it, or import it into another home
    assert theirs["answer"] == 43
    ```
    """


class SharedFileError(JournalError):
    """Error for a shared file that cannot be read safely: the whole file is refused.

    ```python
    from pathlib import Path

    import nbtasks as nb

    Path("study.nbrun").write_bytes(b"not what it seems")
    try:
        nb.open("study.nbrun")
    except nb.SharedFileError as error:
        problem = str(error)
    assert "study.nbrun is refused" in problem
    ```
    """


class JournalDamaged(UserWarning):
    """Warning for a damaged part of a journal; everything else was saved.

    That is a write-ahead segment or a log of DuckDB with an unreadable part, or a file into which
    DuckDB refuses to merge.

    It is only a warning, issued once, because the runs can still be read and continued. Where
    nobody sees warnings, as in a nightly job, collect it:

    ```python
    import warnings

    import nbtasks as nb

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", nb.JournalDamaged)
        runs = nb.runs()
    assert caught == []  # otherwise each warning names the file and the place in it
    ```
    """


class NetworkHomeWarning(UserWarning):
    """Warning for a home on a network file system, issued when a process first uses it.

    A journal relies on file locks and syncs, which are unreliable on such file systems: two
    machines may execute one run at once. Keep the home on a local disk, and share what it holds.

    ```python
    import warnings

    import nbtasks as nb

    with warnings.catch_warnings():
        warnings.simplefilter("error", nb.NetworkHomeWarning)  # refuse such a home
        runs = nb.runs()
    ```
    """
