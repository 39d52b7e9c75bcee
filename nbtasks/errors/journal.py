"""What can happen to the journal, and to the values in it."""

from __future__ import annotations

from nbtasks.errors.base import NbtasksError

__all__ = [
    "JournalDamaged",
    "JournalError",
    "JournalFormatError",
    "JournalLockedError",
    "JournalWriteError",
    "SharedFileError",
    "UnreadableValueError",
    "UntrustedValueError",
    "ValueNotKeptError",
]


class ValueNotKeptError(NbtasksError, TypeError):
    """A task returned a value that cannot be recorded.

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
    """A recorded value cannot be read back.

    ```python
    import shutil

    import nbtasks as nb


    @nb.job("unreadable-example")
    def body(io: nb.SyncIO) -> int:
        return len(io.run_task("large", lambda: "x" * 2_000_000))


    run = body.run()
    shutil.rmtree(nb.config.home / "blobs")  # somebody made room in the wrong place
    try:
        body.run()
    except nb.UnreadableValueError:  # never a silent second call of the function
        run = body.run(new=True)
    assert (run.output, run.executions) == (2_000_000, 1)
    ```
    """


class UntrustedValueError(UnreadableValueError):
    """A recorded pickle was signed with another user's key, so it is not loaded.

    Loading a pickle may run any code. The tables and the tree of a journal that came from somebody
    else can be looked at all the same: they load none.

    ```python
    import re

    import nbtasks as nb


    @nb.job("untrusted-example")
    def body(io: nb.SyncIO) -> bool:
        words = io.run_task("compile", re.compile, "[a-z]+")  # kept as a pickle
        return bool(words.fullmatch("fly"))


    run = body.run()
    try:
        words = run["compile"]  # signed by this very user
    except nb.UntrustedValueError:
        run = body.run(new=True)  # by one's own code, and with one's own signature
    assert run.output
    ```
    """


class JournalError(NbtasksError):
    """The journal cannot do what was asked.

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
    """The journal could not be written: the disk is full, or the home is read-only.

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
    """Another program holds `journal.duckdb` in a way that shuts readers out.

    Whoever only reads the file, with `read_only=True`, is in nobody's way.

    ```python
    import nbtasks as nb

    try:
        runs = nb.runs()
    except nb.JournalLockedError as error:
        print(error)  # close the file in that program, and ask again
    else:
        assert runs.empty
    ```
    """


class JournalFormatError(JournalError):
    """The home was written by a newer nbtasks.

    ```python
    import nbtasks as nb

    try:
        runs = nb.runs()
    except nb.JournalFormatError as error:
        print(error)  # upgrade nbtasks, or give another home to nb.configure
    else:
        assert runs.empty
    ```
    """


class SharedFileError(JournalError):
    """A file of shared runs cannot be read, or not safely: it was refused as a whole.

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
    """Part of a write-ahead segment was unreadable; everything else was saved.

    A warning, and given once, since the runs can be looked at and go on. Where nobody sees
    warnings, as in a nightly job, collect it:

    ```python
    import warnings

    import nbtasks as nb

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", nb.JournalDamaged)
        runs = nb.runs()
    assert caught == []  # else each says which file it is, and where
    ```
    """
