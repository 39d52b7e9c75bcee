"""Error and warnings for tasks whose code or inputs change."""

from __future__ import annotations

from nbtasks.errors.base import NbtasksError

__all__ = ["ChangedArgumentWarning", "StaleTaskError", "StaleTaskWarning"]


class StaleTaskError(NbtasksError):
    """Error for changed code or inputs of a recorded task with `on_change="error"`.

    The task has not run, and its record stays unchanged. The message holds the difference.

    ```python
    import nbtasks as nb


    @nb.job("stale-error-example", on_change="error")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("double", pow, factor, 2)


    factor = 3
    body.run()
    factor = 4
    try:
        body.run()
    except nb.StaleTaskError as error:
        assert "base is 4, was 3" in str(error)
    ```
    """


class StaleTaskWarning(UserWarning):
    """Warning for reused outputs of tasks whose code or inputs have changed.

    It is issued once at the end of an execution, for all tasks.

    ```python
    import warnings

    import nbtasks as nb


    @nb.job("stale-warning-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("double", pow, factor, 2)


    factor = 3
    body.run()
    factor = 4
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert body.run().output == 9
    assert caught[0].category is nb.StaleTaskWarning
    ```
    """


class ChangedArgumentWarning(UserWarning):
    """Warning for arguments that a task has changed in place and does not return.

    It is issued once at the end of an execution, for all tasks. A later execution reuses the task's
    output, so the argument is not changed then, and code that reads it afterwards sees a different
    value. Return the changed value and use what the task returns, or change a copy.

    ```python
    import warnings

    import nbtasks as nb


    @nb.job("changed-argument-example")
    def body(io: nb.SyncIO) -> int:
        rows = [1, 2]
        io.run_task("add", rows.append, 3)
        return sum(rows)


    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        body.run()
    assert caught[0].category is nb.ChangedArgumentWarning
    ```
    """
