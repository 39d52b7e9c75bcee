"""Calls in an executor: a pool of threads or processes, or a cluster.

The journal stays in this process. A function goes to another process as bytes, pickled by
cloudpickle so that functions of a notebook can go, too. Its value or error comes back as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from types import MethodType
from typing import Any

from nbtasks.core import tracebacks
from nbtasks.core.parameters import unwrapped
from nbtasks.engine.drivers import nested_pools
from nbtasks.engine.effects import CallFunction
from nbtasks.errors import ExecutorError, ValueNotKeptError
from nbtasks.values.failures import stops

__all__ = ["blocking", "run_pickled", "waiting"]

#: Function that carries out a `CallFunction` without an executor, in the calling thread.
Inline = Callable[[CallFunction], Any]


def blocking(call: CallFunction, inline: Inline) -> Any:
    """Call a function in its executor, and block until it is done.

    Raises:
        ExecutorError: The executor could not call the function.
        ValueNotKeptError: The function's result cannot be sent back.
        Exception: The function's own error.
    """
    with _explain_errors(call):
        reply = nested_pools.result_of(
            call.on, _submit(call, inline), functools.partial(_call_here, call, inline)
        )
    return _unpack_reply(reply, call)


async def waiting(call: CallFunction, inline: Inline) -> Any:
    """Call a function in its executor, and await its result; see `blocking`. A cancellation also
    cancels the call in the executor if it has not begun."""
    with _explain_errors(call):
        future = _submit(call, inline)
        try:
            with nested_pools.steal(call.on, future) as place:
                if place is not None:
                    reply = place(functools.partial(_call_here, call, inline))
                else:
                    reply = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise CancelledError from None  # the executor was stopped, not the task
            raise
    return _unpack_reply(reply, call)


def run_pickled(payload: bytes) -> tuple[str, Any]:
    """Call a pickled function, in a worker process.

    Args:
        payload: The function and its arguments, pickled.

    Returns:
        `("value", bytes)`; `("refused", reason)` if the value cannot be pickled; or `("error",
        (bytes, traceback))`.
    """
    # In a new context: a forked process would inherit the current task and act as part of the run.
    return contextvars.Context().run(_carry_out, payload)


def _carry_out(payload: bytes) -> tuple[str, Any]:
    import cloudpickle

    try:
        fn, args = cloudpickle.loads(payload)
        value = fn(*args)
        if inspect.isawaitable(value):
            with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run leaves its loop open
                value = runner.run(_await(value))
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises
        return "error", (_pack_error(error), tracebacks.text(error))
    try:
        return "value", cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever pickling it raises
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        return "refused", f"a {kind}: {type(error).__name__}: {error}"


async def _await(value: Any) -> Any:
    return await value


# -- to the executor ------------------------------------------------------------------------------


def _submit(call: CallFunction, inline: Inline) -> Future[Any]:
    if _has_ended(call):  # the run was stopped while this thread was on its way here
        raise CancelledError
    executor = call.on
    if not isinstance(executor, Executor):  # a distributed.Client
        executor = executor.get_executor(pure=False)  # equal calls are separate tasks
    if _shares_memory(executor):
        local_invoke = call._replace(on=None)
        # Carrying, since no future of asyncio takes a StopIteration.
        work = stops.carrying(functools.partial(inline, local_invoke))
        future: Future[Any] = executor.submit(
            contextvars.copy_context().run,
            functools.partial(nested_pools.occupy, executor, work),
        )
    else:
        future = executor.submit(run_pickled, _pack(call))
    pending = call.context.execution.pending
    pending.add(future)
    future.add_done_callback(pending.discard)
    if _has_ended(call):  # stopped just now, so the stop may have missed this future
        future.cancel()
    return future


def _call_here(call: CallFunction, inline: Inline) -> Any:
    """Call a function in place of its executor, which shares memory with this thread."""
    if _has_ended(call):
        raise CancelledError
    return inline(call._replace(on=None))


def _has_ended(call: CallFunction) -> bool:
    return not call.context.execution.is_open


def _shares_memory(executor: Executor) -> bool:
    # Checked by module, since Python 3.14's interpreter pool is a ThreadPoolExecutor, too.
    return isinstance(executor, ThreadPoolExecutor) and "interpreter" not in str(
        type(executor).__module__
    )


def _pack(call: CallFunction) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((_importable(call.fn), call.args)))
    except Exception as error:
        subject, value = f"function {_name(call.fn)}", None
        named = call.fn.keywords if type(call.fn) is functools.partial else {}
        for number, value in (*enumerate(call.args), *named.items()):
            try:
                cloudpickle.dumps(value)
            except Exception:  # noqa: BLE001 - whatever pickling it raises
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                subject = f"argument {number} (a {kind}) of function {_name(call.fn)}"
                break
        raise ExecutorError(
            f"Task {call.context.path!r}: the {subject} cannot be sent to another process: "
            f"{type(error).__name__}: {error}. Use a function that needs only its arguments, "
            "and open files, connections and locks inside of it; or use a pool of threads, "
            "which share memory."
        ) from error


def _importable(fn: Any) -> Any:
    """Return the task function of a plain function whose module has only that one under its name.

    Another process imports it. There is no run there, so it is the plain function.
    """
    if type(fn) is functools.partial:
        return functools.partial(_importable(fn.func), *fn.args, **fn.keywords)
    if type(fn) is MethodType:
        return MethodType(_importable(fn.__func__), fn.__self__)
    module = getattr(fn, "__module__", None) or "__main__"
    if module == "__main__":  # sent by value, as it is
        return fn
    found: Any = sys.modules.get(module)
    for name in str(getattr(fn, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found if unwrapped(found) is fn else fn


def _plain(fn: Any) -> Any:
    return _plain(fn.func) if type(fn) is functools.partial else fn


def _name(fn: Any) -> str:
    fn = _plain(fn)
    return str(getattr(fn, "__qualname__", None) or repr(fn))


@contextlib.contextmanager
def _explain_errors(call: CallFunction) -> Iterator[None]:
    """Turn the executor's own errors into an ExecutorError that says what to do."""
    task = f"Task {call.context.path!r} of run {call.context.execution.run.run_id}"
    advice = (
        "Nothing that was recorded is lost: make a new executor and execute the run again; it "
        "resumes with the tasks that are missing."
    )
    try:
        yield
    except BrokenExecutor as error:
        raise ExecutorError(
            f"{task}: the executor broke while it ran {_name(call.fn)} or another task. Usually "
            "a worker process died: out of memory, killed, or by a crash in compiled code. "
            f"{advice}"
        ) from error
    except CancelledError as error:
        raise ExecutorError(
            f"{task}: its executor was shut down before it finished. {advice}"
        ) from error
    except RuntimeError as error:
        if "cannot schedule new futures" not in str(error):
            raise  # the function's own
        raise ExecutorError(f"{task}: its executor has been shut down. {advice}") from error


# -- from the executor ----------------------------------------------------------------------------


def _unpack_reply(reply: Any, call: CallFunction) -> Any:
    if not isinstance(call.on, Executor) or not _shares_memory(call.on):
        kind, content = reply
        if kind == "refused":
            raise ValueNotKeptError(
                f"The result of {_name(call.fn)} cannot be sent back from its process, {content}."
                " Return plain data, or use a pool of threads."
            )
        from nbtasks.values import unpickler  # it leaves the notebook's classes as they are

        if kind == "error":
            error = _unpack_error(unpickler.loads(content[0]))
            error.__cause__ = tracebacks.Remote(
                tracebacks.locate_source(content[1], _plain(call.fn))
            )
            raise stops.carry(error)
        return unpickler.loads(content)
    return reply


def _pack_error(error: Exception) -> bytes:
    """Return an exception as bytes, as complete as possible: many exceptions cannot be pickled, and
    even more cannot be loaded again."""
    import cloudpickle

    kind = type(error)
    for form in (error, (kind, error.args, vars(error)), (kind, (str(error),), {})):
        try:
            data = bytes(cloudpickle.dumps(form))
            if type(_unpack_error(cloudpickle.loads(data))) is kind:
                return data
        except Exception:  # noqa: BLE001, S112 - the next form keeps less, and needs less
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
