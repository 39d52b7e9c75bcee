"""Types of the API, as a user's editor and type checker see them. Never run: mypy reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type
from uuid import UUID

import pandas as pd
import pydantic
from matplotlib.axes import Axes

import nbtasks as nb
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import RunHandle
from nbtasks.testing import (
    Crash,
    CrashingJournal,
    FakeClock,
    ReplayError,
    always_replay,
    run_job,
    use_journal,
)


def load(rows: int) -> list[int]:
    return list(range(rows))


async def fetch(url: str) -> bytes:
    return url.encode()


class Fetcher:
    async def get(self, url: str) -> bytes:
        return url.encode()

    def __call__(self, url: str) -> float:
        return float(len(url))


@nb.task(name="Marked", retry=3, retry_on=OSError, timeout=5, once=False, inline=True, rate="10/s")
def marked(text: str) -> int:
    return int(text)


@nb.task
def fitted(carrier: str, alpha: float = 1.0) -> list[float]:
    return [len(carrier) * alpha]


@nb.task(key=lambda url: url, rate="60/min", on_error=None)
async def fetched(url: str) -> bytes:
    return url.encode()


class Model:
    @nb.task(key="{n}")
    def predict(self, n: int) -> float:
        return float(n)


def task_functions() -> None:
    assert_type(fitted("AA"), list[float])
    assert_type(fitted("AA", alpha=0.1), list[float])
    assert_type(fitted.with_options(key="{carrier}", retry=3)("AA"), list[float])
    assert_type(fitted.__wrapped__("AA"), list[float])
    assert_type(fitted.map(["AA", "HA"], concurrency=4, key="each"), Any)
    assert_type(nb.task(load)(3), list[int])
    assert_type(nb.task(load, retry=3, once=True)(rows=3), list[int])
    assert_type(marked("42"), int)
    assert_type(Model().predict(3), float)
    assert_type(Model.predict(Model(), 3), float)
    fitted(3)  # type: ignore[arg-type]  # the signature of the function holds
    fitted("AA", beta=1)  # type: ignore[call-arg]  # as above
    Model().predict("3")  # type: ignore[arg-type]  # as above
    fitted.with_options(retries=3)  # type: ignore[call-arg]  # it is called retry
    nb.task(retry="3")  # type: ignore[call-overload]  # a text is no number


async def task_functions_awaited() -> None:
    assert_type(await fetched("url"), bytes)
    started: Coroutine[Any, Any, bytes] = fetched("url")
    assert_type(await started, bytes)
    assert_type(await fetched.with_options(timeout="5s")("url"), bytes)


def len_key(url: str) -> list[str | int]:
    return [url, len(url)]


def told(error: Exception, task: object) -> object:
    if isinstance(error, ValueError):
        return nb.skip_retrying()
    return nb.retry_at(timedelta(minutes=5)) if isinstance(error, OSError) else nb.retry_at(30)


async def told_async(error: Exception, task: object) -> Exception:
    return RuntimeError("instead")


def heard(run: nb.Run) -> None:
    assert_type(run.status, str)


async def heard_async(run: nb.Run) -> None: ...


@nb.job(
    "hooked",
    on_success=heard,
    on_failure=heard_async,
    on_cancel=heard,
    concurrency_limit=2,
    enabled=False,
)
def hooked(io: nb.SyncIO) -> None: ...


# -- jobs, and the bodies that they are made of ---------------------------------------------------


@nb.job("numbers")
def numbers(io: nb.SyncIO) -> int:
    loaded = io.run_task("load", load, 3)
    assert_type(loaded, list[int])
    assert_type(io.run_task(["load", 2], load, 3, name="Load", retry=3), list[int])
    assert_type(io.run_task("parse", int, "42", retry=nb.Retry.standard()), int)
    assert_type(io.run_task(nb.numbered("poll"), load, 3), list[int])
    assert_type(io.run_task("count", lambda: {"rows": len(loaded)}), dict[str, int])
    assert_type(io.run_task("call", Fetcher(), "url"), float)
    # an async function's task gives what its awaitable gives, also to a body that cannot await
    assert_type(io.run_task("fetch", fetch, "url"), bytes)
    assert_type(io.run_task("get", Fetcher().get, "url"), bytes)
    assert_type(io.run_task("marked", marked, "42", timeout=timedelta(seconds=5)), int)
    options = nb.TaskOptions(once=True, on_change="rerun", ttl=60, properties={"rows": 3})
    assert_type(io.run_task("options", load, 3, retry_on=(OSError,), options=options), list[int])
    assert_type(io.run_task("keywords", load, rows=3, retry=3), list[int])
    assert_type(io.run_task("function", fitted, "AA", alpha=0.1), list[float])
    assert_type(io.run_task("awaited", fetched, url="url"), bytes)
    assert_type(
        io.run_task("asked", load, 3, retry=2, retry_on=lambda e: "busy" in str(e)), list[int]
    )
    assert_type(io.map("sizes", len, ["a", "b"]), list[int])
    assert_type(io.map("pages", fetch, ["url"], concurrency=4, key_of=str.lower), list[bytes])
    assert_type(io.map("marked", marked, iter("12"), key_of=lambda text: ["n", text]), list[int])
    assert_type(io.map("on", len, ["a"], on=ThreadPoolExecutor(), options=options), list[int])
    assert_type(io.map("rate", len, ["a"], rate="60/min"), list[int])
    assert_type(io.map("batch", len, ["a"], on="cluster", batch="auto"), list[int])
    assert_type(io.map("gpu", len, ["a"], on="cluster", resources={"GPU": 1}), list[int])
    io.map("batch", len, ["a"], batch="all")  # type: ignore[call-overload]  # "auto" or a number
    io.map("rate", len, ["a"], rate=60)  # type: ignore[call-overload]  # 60 per what?
    # some may be missing, so what is in the list is not known
    assert_type(io.map("some", len, ["a", "b"], min_ok=1), list[Any])
    assert_type(io.map("most", fetch, ["a", "b"], max_failures=1), list[Any])
    assert_type(io.run_task("told", load, 3, on_error=told), list[int])
    assert_type(io.run_task("told async", load, 3, on_error=told_async), list[int])
    io.wait("an hour", 3600)
    io.wait("a day", timedelta(days=1))
    io.wait("a while", "1h30m")
    assert_type(io.yield_("let others go first"), None)
    io.wait("until", until=datetime(2026, 1, 31, 9, tzinfo=UTC))
    io.logger.debug("loaded", rows=3)
    io.logger.info("loaded", rows=3)
    io.logger.warn("loaded", rows=3)  # noqa: G010 - ours, which has no `warning`
    io.logger.error("loaded", rows=3)
    return sum(loaded)


@nb.job("pages", name="Pages", version="1.0.0", retry=nb.Retry(attempts=3), log_level="debug")
async def pages(payload: list[str], io: nb.AsyncIO, ctx: nb.Context) -> int:
    assert_type(await io.run_task("load", load, 3), list[int])
    assert_type(await io.run_task("fetch", fetch, payload[0], retry=2), bytes)
    assert_type(await io.run_task("get", Fetcher().get, payload[0]), bytes)
    assert_type(await io.run_task("call", Fetcher(), payload[0]), float)
    assert_type(await io.map("sizes", len, ["a", "b"]), list[int])
    assert_type(await io.map("pages", fetch, payload, concurrency=4, key_of=len_key), list[bytes])
    assert_type(await io.map("some", fetch, payload, min_ok=1, max_failures=3), list[Any])
    options = nb.TaskOptions(ttl="30d", rate="5/2s")
    on = ThreadPoolExecutor()
    assert_type(await io.map("on", len, payload, on=on, options=options), list[int])
    assert_type(await io.map("rate", fetch, payload, rate="10/s"), list[bytes])
    assert_type(await io.run_task("told", fetch, "url", timeout="90s", on_error=told), bytes)
    assert_type(await io.run_task("keywords", fetch, url="url", name="Fetch"), bytes)
    assert_type(await io.run_task("function", fetched, "url"), bytes)
    assert_type(await io.map("functions", fetched, payload), list[bytes])
    await io.run_task("load", load, 3, retry="3")  # type: ignore[call-overload]  # a text is no number
    await io.map("load", load, [3], min_okay=1)  # type: ignore[call-overload]  # it is called min_ok
    await io.wait("a minute", 60)
    assert_type(await io.yield_("let others go first"), None)
    io.logger.info("done")
    assert_type(ctx, nb.Context)
    assert_type(ctx.job.id, str)
    assert_type(ctx.job.version, str)
    assert_type(ctx.run.execution, int)
    assert_type(ctx.run.started_at, datetime)
    assert_type(ctx.run.is_new, bool)
    return len(payload)


@nb.job
def report(month: int, region: str = "EU", *, io: nb.SyncIO) -> int:
    report.invoke("other", month=3)
    report.invoke_and_wait("ended", {"month": 3}, timeout="5m", region="US")
    return month


def jobs() -> None:
    assert_type(numbers, nb.Job)
    assert_type(nb.job("made by hand"), Callable[[Callable[..., Any]], nb.Job])
    assert_type(nb.job(version="1"), Callable[[Callable[..., Any]], nb.Job])
    assert_type(nb.job(load), nb.Job)
    assert_type(report, nb.Job)
    assert_type(report.run(month=3), nb.Run)
    assert_type(report.run({"month": 3}, region="US", key="today"), nb.Run)
    assert_type(numbers.id, str)
    assert_type(numbers.name, str)
    assert_type(numbers.version, str)
    assert_type(numbers.run(), nb.Run)
    assert_type(pages.run(["url"], key="today", new=True, tree=False), nb.Run)
    run = pages.run(["url"], max_time=60, suspend_after=timedelta(minutes=5))
    assert_type(run.cancel(), None)
    assert_type(nb.cancel(run), None)
    assert_type(nb.cancel(run.id), None)
    assert_type(nb.Suspended("later").resume_at, datetime | None)
    assert_type(nb.Cancelled("over").run_id, str)
    assert_type(pages.run(["url"], replay="only"), nb.Run)


async def jobs_awaited() -> None:
    assert_type(await pages.arun(["url"], key="today", new=True, tree=False), nb.Run)
    assert_type(await pages.arun(["url"], replay="only"), nb.Run)
    run = await report.arun(month=3, new=True)
    assert_type(run, nb.Run)
    assert_type(await run.aresume(), nb.Run)


def wrong(io: nb.SyncIO) -> None:
    # mypy itself tests these: an ignore that is not needed is an error
    io.run_task("load", load(3))  # type: ignore[call-overload]  # a list is no function
    io.run_task(3.0, load, 3)  # type: ignore[call-overload]  # nor is a float a key
    io.map("sizes", len, 3)  # type: ignore[call-overload]  # nor is a number iterable
    io.run_task("load", load, 3, retry="3")  # type: ignore[call-overload]  # a text is no number
    io.run_task("load", load, 3, timeout=[5])  # type: ignore[call-overload]  # a list is no time
    io.map("sizes", len, ["a"], limit=3)  # type: ignore[call-overload]  # it is called concurrency
    io.map("sizes", len, ["a"], key_of=3)  # type: ignore[call-overload]  # nor is it a function
    nb.job("numbers", version=1)  # type: ignore[call-overload]  # a version is a string
    numbers.run(replay="all")  # type: ignore[arg-type]  # it is "only" or None
    nb.runs(3)  # type: ignore[arg-type]  # nor is a number a job


# -- inside a task --------------------------------------------------------------------------------


def inside() -> None:
    io = nb.current_io()
    assert_type(io, nb.SyncIO | nb.AsyncIO)
    if isinstance(io, nb.SyncIO):
        assert_type(io.run_task("load", load, 3), list[int])
    task = nb.current_task()
    assert_type(task.key, str)
    assert_type(task.path, str)
    assert_type(task.run_id, str)
    assert_type(task.attempt, int)
    assert_type(task.idempotency_key, str)
    task.log("half way", level="debug", done=0.5)
    task.progress(1, 2)
    task.metric(r2=0.93, epochs=12)


# -- a run and its history ------------------------------------------------------------------------


def reference(ref: nb.Ref) -> None:
    assert_type(ref.nbytes, int)
    assert_type(ref.kind, str)
    assert_type(ref.url, str)
    assert_type(ref.load(), Any)


def history(run: nb.Run) -> None:
    assert_type(run.id, str)
    assert_type(run.job, str)
    assert_type(run.key, str)
    assert_type(run.status, str)
    assert_type(run.output, Any)
    assert_type(run.executions, int)
    assert_type(run.started_at, datetime)
    assert_type(run.finished_at, datetime | None)
    assert_type(run["fit/AA"], Any)
    assert_type(run[["fit", "AA"]], Any)
    run.reset("fit/AA")
    run.reset(["fit", ["fold", 2]])
    run.set("fit/AA", {"r2": 0.9})
    run.skip("fit/BB")
    assert_type(run.resume(), nb.Run)
    assert_type(run.rerun(), nb.Run)
    assert_type(run.rerun(from_="fit/AA"), nb.Run)
    assert_type(run.fork(), nb.Run)
    assert_type(run.fork(from_=["fit", "AA"], payload={"year": 2013}), nb.Run)
    assert_type(run.tasks(), pd.DataFrame)
    assert_type(run.logs(), pd.DataFrame)
    if run.error is not None:
        assert_type(run.error.type, str)
        assert_type(run.error.message, str)
        assert_type(run.error.traceback, str)
        assert_type(run.error.path, str)

    assert_type(nb.get_run(run.id), nb.Run)
    assert_type(nb.last_run(), nb.Run)
    assert_type(nb.last_run(numbers), nb.Run)
    assert_type(nb.last_run("numbers"), nb.Run)
    assert_type(nb.runs(), pd.DataFrame)
    assert_type(nb.runs(numbers), pd.DataFrame)
    assert_type(nb.tasks(), pd.DataFrame)
    assert_type(nb.tasks(run), pd.DataFrame)
    since = timedelta(days=1)
    assert_type(nb.tasks(job="numbers", status=["FAILED"], since=since, path="fit"), pd.DataFrame)
    assert_type(nb.tasks(path=["fit", "AA"], outputs=True, metrics=True), pd.DataFrame)
    assert_type(nb.runs("numbers", status="FAILED", since="7d", outputs=True), pd.DataFrame)
    assert_type(nb.compare(run, run.id, metrics=True), pd.DataFrame)
    assert_type(nb.history("numbers", path=["fit", ["AA", 1]]), pd.DataFrame)
    assert_type(nb.summary(), pd.DataFrame)
    assert_type(nb.plot_history("numbers", metric="fit.rmse"), Axes)
    assert_type(run.plot(), Axes)
    assert_type(nb.attempts(run.id), pd.DataFrame)
    assert_type(nb.logs(run), pd.DataFrame)
    nb.configure(store="s3://bucket/nbtasks")
    assert_type(nb.config.store, str | None)
    nb.register_engine("cluster", ThreadPoolExecutor(1))
    assert_type(nb.due(), pd.DataFrame)
    assert_type(nb.sql("select * from tasks where job = ?", ["numbers"]), pd.DataFrame)
    assert_type(str(nb.tree()), str)
    assert_type(nb.tree(run).to_html("tree.html"), None)
    assert_type(nb.tree(run).to_trace(Path("trace.json")), None)
    nb.watch()
    nb.watch(numbers)


# -- tests of one's own jobs ----------------------------------------------------------------------


def tested(nb_home: Path, fake_clock: FakeClock) -> None:
    assert_type(run_job(pages, ["url"], tasks={"fetch": b"<html>"}), nb.Run)
    assert_type(run_job(report, month=3, tasks={"fetch": b"<html>"}), nb.Run)
    values: dict[tuple[str, ...], object] = {("fit", "AA"): OSError("gone")}
    assert_type(run_job(numbers, tasks=values), nb.Run)
    run_job(load, 3)  # type: ignore[arg-type]  # a function is no job
    run_job(numbers, tasks={3: "value"})  # type: ignore[type-var]  # nor is a number a path
    assert_type(fake_clock.now(), datetime)
    fake_clock.advance(3600)
    with FakeClock(datetime(2026, 1, 31, tzinfo=UTC)) as clock, always_replay(limit=50):
        assert_type(clock, FakeClock)
    journal = CrashingJournal(MemoryJournal(), at=3, when="after")
    with use_journal(journal):
        assert_type(journal.crashed, bool)


@always_replay
def replayed(payload: int) -> str:
    return str(payload)


@always_replay(limit=50)
async def replayed_async(payload: int) -> str:
    return str(payload)


async def replayed_awaited() -> None:
    assert_type(replayed(3), str)
    assert_type(await replayed_async(3), str)


# -- settings -------------------------------------------------------------------------------------


def settings() -> None:
    nb.configure(home="journal", durability="relaxed", tree=False)
    assert_type(repr(nb.config), str)
    retry = nb.Retry(attempts=4, factor=2, min_delay=0.5, max_delay=30, jitter=False)
    assert_type(retry.delay(1), float)
    assert_type(nb.Retry.standard(), nb.Retry)
    assert_type(nb.Retry.exponential(), nb.Retry)


# -- errors: each can be caught as what it is, and as the builtin that it resembles ---------------


def failing(io: nb.SyncIO) -> None:
    try:
        io.run_task("load", load, 3)
    except nb.TaskFailed as error:
        assert_type(error.path, str)
        assert_type(error.type, str)
        assert_type(error.message, str)
        assert_type(error.traceback, str)
        assert_type(error.attempts, int)
        assert_type(error.run_id, str)


def failing_map(io: nb.SyncIO) -> None:
    try:
        io.map("load", load, [1, 2])
    except nb.MapFailed as error:
        assert_type(error.succeeded, dict[int, Any])
        assert_type(error.failed, dict[int, nb.TaskFailed])


def draws(io: nb.SyncIO) -> None:
    assert_type(io.random("share", min=1, max=2), float)
    assert_type(io.now("began"), datetime)
    assert_type(io.uuid("order"), UUID)
    io.create_status("import", "Importing", "loading").update("done", state="success")
    assert_type(io.create_status("status", "Importing").now.label, str)
    assert_type(io.store.job.has("known", "user"), bool)
    assert_type(io.store.env.delete("forget", "user"), bool)
    assert_type(io.store.run.get("read", "user"), Any)


async def drawn(io: nb.AsyncIO) -> None:
    assert_type(await io.random("share", round=True), float)
    assert_type(await io.now("began"), datetime)
    assert_type(await io.uuid("order"), UUID)
    status = await io.create_status("import", "Importing", "loading")
    assert_type(await status.update("done", data={"rows": 3}), None)
    assert_type(await io.store.job.has("known", "user"), bool)
    assert_type(await io.store.run.set("write", "user", 1), None)


TIMEOUT: type[TimeoutError] = nb.WaitTimeout
OURS: list[type[nb.NbtasksError]] = [
    nb.TaskFailed,
    nb.JournalError,
    nb.StoreError,
    nb.UnreadableValueError,
]
VALUE_ERRORS: list[type[ValueError]] = [
    nb.InvalidKeyError,
    nb.DuplicateKeyError,
    nb.InvalidPayloadError,
    nb.InvalidJobError,
]
RUNTIME_ERRORS: list[type[RuntimeError]] = [
    nb.NoRunError,
    nb.NotAwaitedError,
    nb.WrongFaceError,
    nb.WorkerLostError,
    nb.RunBusyError,
    nb.RunEndedError,
    nb.ExecutorError,
    nb.InDoubtError,
]
FAILED: type[nb.TaskFailed] = nb.MapFailed
BUSY: type[nb.RunBusyError] = nb.JobBusyError
OPTION_ERROR: type[ValueError] = nb.InvalidOptionError
LOOKUP_ERRORS: list[type[LookupError]] = [nb.NotFoundError, nb.NotRecordedError]
TYPE_ERROR: type[TypeError] = nb.ValueNotKeptError
UNREADABLE: type[nb.UnreadableValueError] = nb.UntrustedValueError
JOURNAL_ERRORS: list[type[nb.JournalError]] = [
    nb.JournalWriteError,
    nb.RunDivergedError,
    nb.JournalLockedError,
    nb.JournalFormatError,
]
OS_ERROR: type[OSError] = nb.JournalWriteError
WARNINGS: list[type[Warning]] = [
    nb.JournalDamaged,
    nb.NetworkHomeWarning,
    nb.StaleTaskWarning,
    nb.ChangedArgumentWarning,
]
STALE: type[nb.NbtasksError] = nb.StaleTaskError
NO_ERROR: type[BaseException] = nb.Interrupt
INTERRUPT: type[nb.Interrupt] = nb.Cancelled
CRASH: type[nb.Interrupt] = Crash
REPLAY_OURS: type[nb.NbtasksError] = ReplayError
REPLAY_ASSERTS: type[AssertionError] = ReplayError


# -- events, triggers, other runs -----------------------------------------------------------------


@nb.job("hears", trigger=nb.event_trigger(["order"], schema=dict[str, int], filter={"n": [1]}))
def hears(payload: dict[str, int], io: nb.SyncIO) -> None:
    event = io.send_event("send", "order", 1, id="1", source="me", deliver_after=timedelta(1))
    assert_type(event, nb.Event)
    assert_type(event.runs, list[RunHandle])
    assert_type(event.runs[0].output, Any)
    assert_type(io.send_events("both", [("a", 1), {"name": "b"}]), list[nb.Event])
    assert_type(io.get_event("look", "1"), nb.Event | None)
    assert_type(io.cancel_event("cancel", "1"), nb.Event)
    assert_type(io.wait_for_event("listen", "order", schema=int, timeout=60).at, datetime)


@nb.job("each minute", trigger=nb.interval_trigger(timedelta(minutes=1)))
async def each_minute(payload: nb.Tick, io: nb.AsyncIO) -> None:
    assert_type(payload.last, datetime | None)
    assert_type(await io.send_event("send", "order"), nb.Event)
    assert_type(await io.wait_for_event("listen", ["a", "b"]), nb.Event)
    await hears.invoke("begin", {"n": 1})
    await hears.invoke_and_wait("wait", {"n": 1}, timeout=5)
    await hears.batch_invoke_and_wait("several", [{"n": 1}])


at_nine = nb.job("at nine", trigger=nb.cron_trigger("0 9 * * *", timezone="Europe/Berlin"))
invoked = nb.job("invoked", trigger=nb.invoke_trigger(schema=int))


class Choice(pydantic.BaseModel):
    depth: int = 3


def post(url: nb.RequestUrl) -> None:
    assert_type(url.proxied, str)


@nb.job("asks")
async def asks(io: nb.AsyncIO) -> None:
    assert_type(await io.ask("choose", Choice, timeout=60), Any)
    try:
        assert_type(await io.wait_for_request("listen", post), Any)
    except nb.PortTakenError as error:
        assert_type(error, nb.PortTakenError)


def outside() -> None:
    assert_type(nb.send_event("order", {"n": 1}, deliver_at=datetime.now(UTC)), nb.Event[nb.Run])
    assert_type(nb.events(), pd.DataFrame)
    nb.worker.start(resume=True)
    nb.worker.stop()


# -- requests that are made -----------------------------------------------------------------------


def is_done(response: nb.Response) -> bool:
    assert_type(response.headers, dict[str, str])
    return response.ok


@nb.job("fetches")
def fetches(io: nb.SyncIO) -> None:
    retry: dict[str, nb.Retry | nb.RateLimit] = {"5xx": nb.Retry()}
    retry["429"] = nb.RateLimit("x-reset", "iso_8601")
    try:
        assert_type(io.background_fetch("ask", "http://localhost", body={}, retry=retry), Any)
    except nb.FetchError as error:
        assert_type(error.status, int | None)
    assert_type(io.background_poll("poll", "http://localhost", until=is_done), Any)


# -- integrations ---------------------------------------------------------------------------------


class WithMails(nb.SyncIO):
    mails: nb.Integration


@nb.job("mails", integrations={"mails": nb.integration(Fetcher(), retry=3, redact=["key"])})
def mails(io: WithMails) -> None:
    assert_type(io.mails.get("ask", "http://localhost"), Any)


def values() -> None:
    nb.register_codec(Fetcher, encode=lambda fetcher: fetcher(""), decode=lambda _: Fetcher())
    nb.register_codec(Fetcher, encode=lambda _: [], decode=lambda _: 1)  # type: ignore[arg-type, return-value]  # it gives no Fetcher
    assert_type(nb.Picture(b"").png, bytes)


def shared(run: nb.Run) -> None:
    file = nb.export_run([run, run.id], Path("study.nbrun"))
    assert_type(file, Path)
    assert_type(nb.export_run(run, "s3://team/study.nbrun"), Path | Any)
    assert_type(nb.import_run(file), list[nb.Run])
    assert_type(nb.publish("s3://team/nbtasks"), pd.DataFrame)
    assert_type(nb.tasks(run, over=file), pd.DataFrame)
    assert_type(nb.sql("from runs", over="s3://team/nbtasks"), pd.DataFrame)
    with nb.open(file) as opened:
        assert_type(opened, nb.Shared)
        assert_type(opened.runs(status="FAILED", since="7d"), pd.DataFrame)
        assert_type(opened.tasks(run, path="fit", outputs=True), pd.DataFrame)
        assert_type(opened.last_run(), nb.Run)
    try:
        assert_type(nb.trust(run, dry_run=True), pd.DataFrame)
    except nb.SharedFileError as error:
        assert_type(error, nb.SharedFileError)


def kept_in_order() -> None:
    assert_type(nb.gc(older_than=timedelta(days=30), keep=5, max_bytes=10), pd.DataFrame)
    assert_type(nb.doctor(repair=True), pd.DataFrame)
