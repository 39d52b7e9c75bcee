"""Errors in the definition or use of a job, a cell or an io call."""

from __future__ import annotations

from nbtasks.errors.base import NbtasksError

__all__ = [
    "DuplicateKeyError",
    "InDoubtError",
    "InvalidJobError",
    "InvalidKeyError",
    "InvalidOptionError",
    "InvalidPayloadError",
    "JobBusyError",
    "NoRunError",
    "NotAwaitedError",
    "NotFoundError",
    "NotRecordedError",
    "RunBusyError",
    "RunEndedError",
    "WorkerLostError",
    "WrongFaceError",
]


class InvalidKeyError(NbtasksError, ValueError):
    """Error for a task key that isn't a non-empty string, an int, or a list of these.

    ```python
    import nbtasks as nb


    @nb.job("invalid-key-example")
    def body(io: nb.SyncIO) -> int:
        try:
            return io.run_task(3.0, pow, 3, 2)
        except nb.InvalidKeyError:
            return io.run_task(["square", 3], pow, 3, 2)


    assert body.run().tasks().path.tolist() == ["square[3]"]
    ```
    """


class InvalidOptionError(NbtasksError, ValueError):
    """Error for an option of a task or a job with an invalid value.

    ```python
    import nbtasks as nb

    try:
        nb.TaskOptions(on_change="maybe")  # type: ignore[arg-type]  # to show it
    except nb.InvalidOptionError as error:
        problem = str(error)
    assert "warn, rerun, error, ignore" in problem
    ```
    """


class DuplicateKeyError(NbtasksError, ValueError):
    """Error for a key that siblings use twice in one execution.

    ```python
    import nbtasks as nb


    @nb.job("duplicate-key-example")
    def body(io: nb.SyncIO) -> list[int]:
        try:
            return [io.run_task("square", pow, n, 2) for n in range(3)]
        except nb.DuplicateKeyError:  # before the second task is called
            return [io.run_task(["square", n], pow, n, 2) for n in range(3)]


    assert body.run().output == [0, 1, 4]
    ```
    """


class InvalidPayloadError(NbtasksError, ValueError):
    """Error for a payload that does not match the parameters of the job's function.

    ```python
    import nbtasks as nb


    @nb.job("invalid-payload-example")
    def report(month: int, region: str = "EU") -> str:
        return f"{region}, month {month}"


    try:
        report.run(month="three")
    except nb.InvalidPayloadError as error:
        problem = str(error)
    assert "parameter month: Input should be a valid integer" in problem
    assert nb.runs().empty  # no run has started
    ```
    """


class InvalidJobError(NbtasksError, ValueError):
    """Error for a job with an invalid id, version, option or signature.

    ```python
    import nbtasks as nb

    try:

        @nb.job("invalid-job-example")
        def body(io: nb.SyncIO, **months: int) -> None: ...

    except nb.InvalidJobError as error:
        problem = str(error)
    assert "**months has no names" in problem
    ```
    """


class NotAwaitedError(NbtasksError, RuntimeError):
    """Error for io calls of asynchronous code that were never awaited: their tasks never started.

    It ends the body or the task that made the calls, so that nothing is silently left out. Write
    `await` before each call that the message lists. Calls that were closed or canceled, and those
    of a body that fails by another error, are not reported.

    ```python
    import nbtasks as nb


    @nb.job("not-awaited-example")
    async def body(io: nb.AsyncIO) -> int:
        rows = await io.run_task("load", list, "abc")
        io.run_task("save", len, rows)  # returns a coroutine, and does nothing
        return len(rows)


    try:
        body.run()
    except nb.NotAwaitedError as error:
        problem = str(error)
    assert "task 'save' at " in problem
    ```
    """


class NotFoundError(NbtasksError, LookupError):
    """Error for a run, job or task that is missing in this home.

    ```python
    import nbtasks as nb

    try:
        run = nb.last_run("never begun")
    except nb.NotFoundError:
        run = None  # nb.runs() lists what there is
    assert run is None
    ```
    """


class NotRecordedError(NbtasksError, LookupError):
    """Error for a task or run without a recorded outcome, with `replay="only"`.

    No task has run, and nothing has been written. Execute the cell or job without `replay` to
    record the outcome.

    ```python
    import nbtasks as nb


    @nb.job("not-recorded-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    try:
        body.run(replay="only")
    except nb.NotRecordedError:
        assert nb.runs().empty  # no run was started
    body.run()
    assert body.run(replay="only").output == 42
    ```
    """


class NoRunError(NbtasksError, RuntimeError):
    """Error for a call of `current_io()` outside a run, or of `current_task()` outside a task.

    ```python
    import nbtasks as nb


    def price() -> int:
        try:
            nb.current_task().log("asking for the price")
        except nb.NoRunError:
            pass  # called by hand: there is nothing to log to
        return 7


    @nb.job("no-run-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("price", price)


    assert price() == body.run().output == 7
    ```
    """


class WrongFaceError(NbtasksError, RuntimeError):
    """Error for a call of the asynchronous io where no event loop runs that could await it.

    ```python
    import nbtasks as nb


    @nb.job("wrong-form-example")
    async def body(io: nb.AsyncIO) -> int:
        def parent() -> int:  # plain, so it runs in a worker thread
            try:
                io.run_task("child", pow, 2, 3)
            except nb.WrongFaceError:
                return nb.current_io().run_task("child", pow, 2, 3)

        return await io.run_task("parent", parent)


    assert body.run().output == 8
    ```
    """


class RunBusyError(NbtasksError, RuntimeError):
    """Error for a run that another process, thread or cell is executing now.

    Wait for that execution or stop it. With another key, or `new=True`, you start another run.

    ```python
    import nbtasks as nb


    @nb.job("busy-example")
    def body(io: nb.SyncIO) -> str:
        try:
            body.run()  # the run that is executing this line
        except nb.RunBusyError as error:
            return str(error)  # the process that executes it, and since when


    assert "is being executed by" in body.run().output
    ```
    """


class JobBusyError(RunBusyError):
    """Error for a run that can never start, because its job's `concurrency_limit` is reached.

    A run beyond the limit normally waits until another run ends. This error is raised only inside
    a run of the same job, which would wait for itself.

    ```python
    import nbtasks as nb


    @nb.job("job-busy-example", concurrency_limit=1)
    def body(payload: int, io: nb.SyncIO) -> int:
        return body.run(payload - 1).output if payload else 0


    try:
        body.run(2)
    except nb.JobBusyError as error:
        problem = str(error)
    assert "concurrency_limit=1" in problem
    ```
    """


class RunEndedError(NbtasksError, RuntimeError):
    """Error for an io call after the end of its execution.

    ```python
    import nbtasks as nb

    kept = []


    @nb.job("ended-example")
    def body(io: nb.SyncIO) -> None:
        kept.append(io)  # do not: each execution gets an io of its own


    body.run()
    try:
        kept[0].run_task("late", list)
    except nb.RunEndedError as error:
        problem = str(error)
    assert "before the end of the cell or job" in problem
    ```
    """


class WorkerLostError(NbtasksError, RuntimeError):
    """Error of a run that was left alone because it killed its worker several times in a row.

    The run killed the process that executed it, by `os._exit`, a crash in a library, or by using
    too much memory. Workers resume such a run twice, then it is FAILED with this error, which is
    recorded and not raised. Its finished tasks are kept: once you have fixed the cause,
    `run.resume()` or `nbtasks resume RUN` executes it again.

    ```python
    import nbtasks as nb

    runs = nb.runs()
    lost = runs[runs.error_type == nb.WorkerLostError.__name__]
    for run_id, message in zip(lost.run_id, lost.error_message):
        print(message)  # which task it died in, and where
    assert lost.empty
    ```
    """


class InDoubtError(NbtasksError, RuntimeError):
    """Error for a task with `once=True` that started and whose outcome is unknown.

    Its process died, it was stopped, or it exceeded its `timeout`. Its function is not called again
    until you have settled the outcome: call `run.set(path, value)` if the task did its work, or
    `run.reset(path)` if it did not.

    ```python
    import nbtasks as nb


    def pay(amount: int) -> str:
        raise KeyboardInterrupt  # Stop, in the middle of it


    @nb.job("in-doubt-example")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, 10, options=nb.TaskOptions(once=True))


    try:
        body.run()
    except KeyboardInterrupt:
        pass
    try:
        body.run()
    except nb.InDoubtError as error:
        problem = str(error)
    assert '.set("pay", value)' in problem and '.reset("pay")' in problem
    ```
    """
