"""Functions that run in an executor: in a pool of threads or processes, or on a cluster.

The journal stays here. A function that goes to another process goes as bytes, by cloudpickle,
so that functions of a notebook can go, too; what comes back is bytes again, of the value or of
the error.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from typing import Any

from nbtasks import tracebacks
from nbtasks.calls import Invoke
from nbtasks.errors import ExecutorError, ValueNotKeptError

__all__ = ["blocking", "carry_out", "waiting"]

#: Carries out an `Invoke` without an executor, in the thread that calls it.
Inline = Callable[[Invoke], Any]


def blocking(invoke: Invoke, inline: Inline) -> Any:
    """Calls a function in its executor and blocks until it is done.

    Raises:
        ExecutorError: The executor could not carry it out.
        ValueNotKeptError: What it returned cannot be sent back.
        Exception: What it raised.
    """
    with _explained(invoke):
        reply = _submit(invoke, inline).result()
    return _received(reply, invoke)


async def waiting(invoke: Invoke, inline: Inline) -> Any:
    """As `blocking`, without blocking the loop. Cancelled, it cancels the function if that has
    not begun."""
    with _explained(invoke):
        future = _submit(invoke, inline)
        try:
            reply = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise CancelledError from None  # not the task but the executor was stopped
            raise
    return _received(reply, invoke)


def carry_out(payload: bytes) -> tuple[str, Any]:
    """What a worker process does: calls the function that was sent.

    Args:
        payload: The function and its arguments.

    Returns:
        `("value", bytes)`; `("refused", why)` of a value that cannot be sent; or `("error",
        (bytes, traceback))`.
    """
    # In a context of its own: a forked process would take itself for a part of the run.
    return contextvars.Context().run(_carry_out, payload)


def _carry_out(payload: bytes) -> tuple[str, Any]:
    import cloudpickle

    try:
        fn, args = cloudpickle.loads(payload)
        value = fn(*args)
        if inspect.isawaitable(value):
            with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run leaves its loop open
                value = runner.run(_awaited(value))
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises
        return "error", (_pack_error(error), tracebacks.text(error))
    try:
        return "value", cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever pickling it raises
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        return "refused", f"a {kind}: {type(error).__name__}: {error}"


async def _awaited(value: Any) -> Any:
    return await value


# -- to the executor ------------------------------------------------------------------------------


def _submit(invoke: Invoke, inline: Inline) -> Future[Any]:
    if _has_ended(invoke):  # it was stopped while this thread was on its way here
        raise CancelledError
    executor = invoke.on
    if not isinstance(executor, Executor):  # a distributed.Client
        executor = executor.get_executor(pure=False)  # two equal calls are two tasks
    if _shares_memory(executor):
        here = invoke._replace(on=None)
        future: Future[Any] = executor.submit(contextvars.copy_context().run, inline, here)
    else:
        future = executor.submit(carry_out, _pack(invoke))
    pending = invoke.scope.execution.pending
    pending.add(future)
    future.add_done_callback(pending.discard)
    if _has_ended(invoke):  # or just now, and then nobody else takes it back
        future.cancel()
    return future


def _has_ended(invoke: Invoke) -> bool:
    return not invoke.scope.execution.is_open


def _shares_memory(executor: Executor) -> bool:
    # by its module, since Python 3.14's pool of interpreters is one of threads, too
    return isinstance(executor, ThreadPoolExecutor) and "interpreter" not in str(
        type(executor).__module__
    )


def _pack(invoke: Invoke) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((invoke.fn, invoke.args)))
    except Exception as error:
        what, value = f"function {_name(invoke.fn)}", None
        for number, value in enumerate(invoke.args):
            try:
                cloudpickle.dumps(value)
            except Exception:  # noqa: BLE001 - whatever pickling it raises
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                what = f"argument {number} (a {kind}) of function {_name(invoke.fn)}"
                break
        raise ExecutorError(
            f"Task {invoke.scope.path!r}: the {what} cannot be sent to another process: "
            f"{type(error).__name__}: {error}. Use a function that needs only its arguments, "
            "and open files, connections and locks inside of it; or take a pool of threads, "
            "which share memory."
        ) from error


def _name(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__qualname__", None) or repr(fn))


@contextlib.contextmanager
def _explained(invoke: Invoke) -> Iterator[None]:
    """What an executor itself raises, in words that say what to do."""
    task = f"Task {invoke.scope.path!r} of run {invoke.scope.execution.run.run_id}"
    again = (
        "Nothing that was recorded is lost: make a new executor and execute the run again, and it "
        "goes on with what is missing."
    )
    try:
        yield
    except BrokenExecutor as error:
        raise ExecutorError(
            f"{task}: the executor broke while it ran {_name(invoke.fn)} or another task. Mostly "
            "a worker process died: out of memory, killed, or by a crash in compiled code. "
            f"{again}"
        ) from error
    except CancelledError as error:
        raise ExecutorError(f"{task}: its executor was shut down before. {again}") from error
    except RuntimeError as error:
        if "cannot schedule new futures" not in str(error):
            raise  # the function's own
        raise ExecutorError(f"{task}: its executor has been shut down. {again}") from error


# -- and back -------------------------------------------------------------------------------------


def _received(reply: Any, invoke: Invoke) -> Any:
    if not isinstance(invoke.on, Executor) or not _shares_memory(invoke.on):
        word, content = reply
        if word == "refused":
            raise ValueNotKeptError(
                f"What {_name(invoke.fn)} returned cannot be sent back from its process, {content}."
                " Return plain data, or take a pool of threads."
            )
        import cloudpickle

        if word == "error":
            error = _unpack_error(cloudpickle.loads(content[0]))
            raise error from tracebacks.Remote(tracebacks.located(content[1], invoke.fn))
        return cloudpickle.loads(content)
    return reply


def _pack_error(error: Exception) -> bytes:
    """An exception as bytes from which it, or one as close as can be, is made again: many cannot
    be pickled, and more cannot be loaded."""
    import cloudpickle

    kind = type(error)
    for form in (error, (kind, error.args, vars(error)), (kind, (str(error),), {})):
        try:
            data = bytes(cloudpickle.dumps(form))
            if type(_unpack_error(cloudpickle.loads(data))) is kind:
                return data
        except Exception:  # noqa: BLE001, S112 - the next form says less and needs less
            continue
    return bytes(cloudpickle.dumps(RuntimeError(f"{kind.__qualname__}: {error}")))


def _unpack_error(form: Any) -> Exception:
    if isinstance(form, Exception):
        return form
    kind, args, state = form
    error: Exception = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
