"""Runner of a task's function in another process, where nbtasks need not be installed.

`RUNNER` goes there by value: with the code below, which therefore imports nothing but Python's own
library and cloudpickle, and refers only to modules of this package that go along with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import inspect
import io
import itertools
import os
import pickle
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any

from nbtasks.engine.remote.task_there import (
    TaskThere,
    capturing,
    now_us,
    reporting,
    shared,
)
from nbtasks.values.pickles.promises import explain, find, is_awaited
from nbtasks.values.stores.objects import Refused, give, leave_reply

__all__ = ["FLAT_RUNNER", "POOL_RUNNER", "RUNNER", "run", "unpack"]


#: Call as bytes, and the values of the engine's own futures among its arguments.
Call = tuple[bytes, Sequence[Any]]


class _Runner:
    """Function of this module, which any pickler sends by value.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[..., list[dict[str, Any]]]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> list[dict[str, Any]]:
        return self._function(*args)

    @cached_property
    def digest(self) -> str:
        """Digest of the code, the same in each process."""
        code = "".join(inspect.getsource(module) for module in _modules())
        return hashlib.sha256(code.encode()).hexdigest()[:16]

    def __reduce__(self) -> tuple[Any, ...]:
        with _pickling:
            return pickle.loads, (_by_value(self._function),)


def _modules() -> list[types.ModuleType]:
    names = (__name__, TaskThere.__module__, Refused.__module__, explain.__module__)
    return [sys.modules[name] for name in names]


#: Some engines pickle in threads of their own, and cloudpickle knows modules for all of them.
_pickling = threading.Lock()


@cache
def _by_value(function: Any) -> bytes:
    import cloudpickle

    for module in _modules():
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function))
    finally:
        for module in _modules():
            cloudpickle.unregister_pickle_by_value(module)


# -- there -----------------------------------------------------------------------------------------


def run(calls: list[Call], *function: Any) -> list[dict[str, Any]]:
    """Call a pickled function in a worker process, once for each task, one after the other.

    Args:
        calls: The calls. Each has, pickled, the facts of its task, its longest time in seconds or
            None, and its arguments as bytes.
        function: The function: pickled, the values of the futures that it refers to, and the name
            by which this process keeps it for its next calls if it is large.

    Returns:
        The replies. The `outcome` of each is `("value", bytes)`; `("refused", reason)` if the value
        cannot be pickled, `("promise", reason)` if it is still to come; `("error", (bytes,
        traceback))`; `("unreadable", reason)` if the function cannot be loaded; or `("late",
        None)`. Beside it stand the lines of its log, its metrics, its progress, when it began and
        ended in microseconds since 1970, and the host, the process and the worker.
    """
    return [_run_one(call, function) for call in calls]


def run_in_pool(
    calls: list[Call], function: bytes, values: Sequence[Any], name: str, mark: str
) -> list[dict[str, Any]]:
    """Call a pickled function as `run` does, until a file exists: then nobody waits for the rest.

    A pool hands calls to its processes before they begin, and does not take those back.

    Args:
        calls: The calls.
        function: The function, pickled.
        values: The values of the futures that it refers to.
        name: The name by which this process keeps it.
        mark: The path of the file. On another machine it never exists.

    Returns:
        The replies to the calls that were made.
    """
    awaited = itertools.takewhile(lambda _: not os.path.exists(mark), calls)  # noqa: PTH110 - faster
    return [_run_one(call, (function, values, name)) for call in awaited]


def run_flat(
    payloads: list[bytes], function: bytes, name: str, counts: list[int], *values: Any
) -> list[dict[str, Any]]:
    """Call a pickled function as `run` does.

    Args:
        payloads: The calls, without values of futures.
        function: The function, pickled.
        name: The name by which this process keeps it.
        counts: The number of values for the function, and for each call.
        values: The values of the futures.

    Returns:
        The replies.
    """
    remaining = iter(values)
    shared, *of_calls = [list(itertools.islice(remaining, count)) for count in counts]
    return run(list(zip(payloads, of_calls, strict=True)), function, shared, name)


RUNNER, FLAT_RUNNER, POOL_RUNNER = _Runner(run), _Runner(run_flat), _Runner(run_in_pool)


def _run_one(call: Call, function: tuple[Any, ...]) -> dict[str, Any]:
    payload, values = call
    facts, timeout, args = _loads(payload, ())
    store: dict[str, str] | None = facts.pop("store", None)
    own, task = shared(), TaskThere(**facts)

    def work() -> Any:
        own.task.set(task)
        inherited = sys.modules.get("nbtasks.engine.effects")
        if inherited is not None:  # from a process that this one was forked from
            inherited.current.set(None)
        return _outcome(function, (args, values), store)

    context = contextvars.copy_context()  # with what the engine has put into it
    with capturing(own), reporting(own, task):
        if timeout is None:
            outcome = context.run(work)
        else:
            outcome = _within(timeout, lambda: context.run(work))
    task.close()
    reply = {
        "outcome": outcome, "lines": task.lines, "dropped": task.dropped, "metrics": task.metrics,
        "progress": task.done, "began_us": task.began_us, "ended_us": now_us(), **task.where,
    }  # fmt: skip
    leave_reply(store, reply)
    return reply


def _within(timeout: float, call: Callable[[], Any]) -> Any:
    """Call in a thread for at most `timeout` seconds. Nothing ends a thread, so it is abandoned."""
    found: list[Any] = []
    dask = sys.modules.get("distributed.worker")
    state = dict(vars(dask.thread_state)) if dask is not None else {}

    def work() -> None:
        if dask is not None:
            vars(dask.thread_state).update(state)  # by which `get_worker` finds its worker
        found.append(call())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    return found[0] if found else ("late", None)


class _Unpickler(pickle.Unpickler):
    """Unpickler of data in which numbers stand for the values of futures."""

    def __init__(self, data: bytes, buffers: list[bytearray], values: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._values = values

    def persistent_load(self, pid: int) -> Any:
        return self._values[pid]


def _loads(data: bytes, values: Sequence[Any]) -> Any:
    """Return a value from bytes: from a pickle, or from one with large buffers behind it."""
    buffers: list[bytearray] = []
    if data[:1] == b"\0":
        whole, start = memoryview(data), 8 + int.from_bytes(data[:8])
        data, sizes = _loads(data[8:start], ())
        for size in sizes:
            buffers.append(bytearray(whole[start : start + size]))  # may be changed, as here
            start += size
    return _Unpickler(data, buffers, values).load()


def _function(data: bytes, values: Sequence[Any] = (), name: str = "") -> Any:
    """Return a function, and keep the last one that has a name."""
    own = shared()
    kept, found = own.function  # at once: another thread may replace it
    if not name or kept != name:
        found = _loads(data, values)
        own.function = (name, found) if name else own.function
    return found


def _outcome(
    function: tuple[Any, ...], arguments: Call, store: dict[str, str] | None
) -> tuple[str, Any]:
    try:
        fn, args = _function(*function), _loads(*arguments)
    except Exception as error:  # noqa: BLE001 - a module that is missing here, say
        kind = getattr(type(error), "nbtasks_outcome", "unreadable")
        return kind, f"{type(error).__name__}: {error}"
    try:
        value = fn(*args)
        if inspect.isawaitable(value) and is_awaited(value):
            with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run leaves its loop open
                value = runner.run(_await(value))
    except KeyboardInterrupt:
        raise
    except SystemExit as error:  # it would end the worker, and with it the tasks of others
        failure: Exception = RuntimeError(f"SystemExit: {error.code}")
        return "error", (_pack(failure), _trace(error))
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises
        return "error", (_pack(error), _trace(error))
    except BaseException as error:  # noqa: BLE001 - one of the user's own
        return "error", (_pack(RuntimeError(f"{type(error).__qualname__}: {error}")), _trace(error))
    return _given(store, value)


def _given(store: dict[str, str] | None, value: Any) -> tuple[str, Any]:
    """Return the outcome of a call that has returned a value."""
    if reason := explain(type(value)):
        return "promise", f"it is {reason}"
    try:
        return give(store, value)
    except Exception as error:  # noqa: BLE001 - whatever pickling it raises
        if (found := find(value)) is not None:
            return "promise", f"at {found[0]} of it is {found[1]}"
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        return "refused", f"a {kind}: {type(error).__name__}: {error}"


async def _await(value: Any) -> Any:
    return await value


def _trace(error: BaseException) -> str:
    """Return the error as Python prints it, without the frames above the user's function."""
    tb, own = error.__traceback__, (_outcome.__code__, _await.__code__)
    while tb is not None and (tb.tb_frame.f_code in own or _is_of_asyncio(tb.tb_frame)):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb)).rstrip()


def _is_of_asyncio(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio"


def _pack(error: Exception) -> bytes:
    """Return an exception as bytes, as complete as possible: many exceptions cannot be pickled, and
    even more cannot be loaded again."""
    import cloudpickle

    kind = type(error)
    for form in (error, (kind, error.args, vars(error)), (kind, (str(error),), {})):
        try:
            data = bytes(cloudpickle.dumps(form))
            if type(unpack(cloudpickle.loads(data))) is kind:
                return data
        except Exception:  # noqa: BLE001, S112 - the next form keeps less, and needs less
            continue
    return bytes(cloudpickle.dumps(RuntimeError(f"{kind.__qualname__}: {error}")))


def unpack(form: Any) -> Exception:
    """Return an exception from the form in which a reply has it."""
    if isinstance(form, Exception):
        return form
    kind, args, state = form
    error: Exception = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
