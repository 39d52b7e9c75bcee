"""What all errors have in common, and what is no error."""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "Interrupt",
    "NbtasksError",
]


class NbtasksError(Exception):
    """The base of every error of nbtasks.

    ```python
    import nbtasks as nb

    try:
        nb.get_run("no such run")
    except nb.NbtasksError as error:
        assert "no such run" in str(error)
    ```
    """

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback: a user's mistake is one line."""
        return [f"{type(self).__name__}: {self}"]


class Interrupt(BaseException):
    """Leaves an execution early. Not an error.

    It derives from `BaseException` so that `except Exception` in a body never swallows it.
    Do not write a bare `except:` around io calls; write `except Exception:`.

    ```python
    import nbtasks as nb

    assert issubclass(nb.Interrupt, BaseException)
    assert not issubclass(nb.Interrupt, Exception)
    ```
    """


class Cancelled(Interrupt):
    """The run was cancelled.

    ```python
    import nbtasks as nb

    assert issubclass(nb.Cancelled, nb.Interrupt)
    assert not issubclass(nb.Cancelled, nb.NbtasksError)
    ```
    """
