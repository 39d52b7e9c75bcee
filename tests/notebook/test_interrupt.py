"""Stop, cancel and suspension in a real kernel: in every place where a job can be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty
from time import monotonic, sleep

import pytest

import nbtasks as nb
from tests.notebook.kernels import Execution, Kernel
from tests.thorough import some

pytestmark = pytest.mark.slow  # each waits for a kernel

#: Where a cell has to end after Stop is 0.5 s; a busy machine may take this long. Each of these
#: cells would go on for half a minute.
GENEROUS = 1.0

PREPARE = """
import asyncio, time
from pathlib import Path
import nbtasks as nb
%load_ext nbtasks
nb.configure(home={home!r}, on_change="ignore")
go = Path({go!r})
def seconds():
    return 0 if go.exists() else 30
def nap(n=0):
    time.sleep(seconds())
    return n
async def async_nap(n=0):
    try:
        await asyncio.sleep(seconds())
        return n
    finally:
        await asyncio.sleep(0)
        print("finally", flush=True)
def broken():
    if not go.exists():
        raise OSError("down")
    return "up"
def statuses(run):
    return run.tasks().set_index("path").status.astype(str).to_dict()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tmp_path / "home"  # as the one of this process


@pytest.fixture
def kernel(shared: Kernel, home: Path, tmp_path: Path) -> Iterator[Kernel]:
    """The shared kernel, with a home and a folder of the test's own."""
    shared.ask(PREPARE.format(home=str(home), go=str(tmp_path / "go")))
    yield shared
    shared.ask("%reset -f\nimport nbtasks.journal.current\nnbtasks.journal.current.close()")


RETRY = "retry=nb.Retry(2, min_delay=30, max_delay=30, jitter=False)"
#: Each place with the body of a cell that is there for long, the task that is then recorded, and
#: its status after a Stop.
PLACES = {
    "in sync code": ("nap()\nio.run_task('t', nap)", None, None),
    "in a blocking task": ("io.run_task('t', nap)", "t", "CANCELED"),
    "in a blocking wait": ("io.wait('w', seconds())", "w", "CANCELED"),
    "in a blocking back-off": (f"io.run_task('b', broken, {RETRY})", "b", "CANCELED"),
    "in a blocking map": (
        "io.map('m', nap, range(20), concurrency=4)[-1]", "m/3", "CANCELED",
    ),
    "in an async task of a blocking body": ("io.run_task('t', async_nap)", "t", "CANCELED"),
    "in an await": (
        "await asyncio.sleep(seconds())\nawait io.run_task('t', async_nap)", None, None,
    ),
    "in an awaited task": ("await io.run_task('t', async_nap)", "t", "CANCELED"),
    "in a thread of an awaiting body": ("await io.run_task('t', nap)", "t", "CANCELED"),
    "in an awaited wait": ("await io.wait('w', seconds())", "w", "CANCELED"),
    "in an awaited back-off": (f"await io.run_task('b', broken, {RETRY})", "b", "CANCELED"),
    "in an awaited map": (
        "(await io.map('m', async_nap, range(20), concurrency=4))[-1]", "m/3", "CANCELED",
    ),
}  # fmt: skip


def begun(kernel: Kernel, body: str, path: str | None) -> Execution:
    """A cell that has come to where it stays."""
    execution = kernel.start(f"%%job j --as run\nprint('begun', flush=True)\n{body}")
    execution.wait_for_text("begun")
    while path is not None and path not in nb.tasks().path.tolist():
        sleep(0.02)
    sleep(0.1)
    return execution


@pytest.mark.parametrize(("body", "path", "status"), PLACES.values(), ids=PLACES)
def test_stop_ends_it_at_once_and_executed_again_it_goes_on(
    kernel: Kernel, tmp_path: Path, body: str, path: str | None, status: str | None
) -> None:
    execution = begun(kernel, body, path)

    took = kernel.stop(execution)

    print(f"Stop took {took:.2f} s")
    assert took < GENEROUS
    assert execution.status == "error"
    assert execution.reply["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert kernel.ask("run.status.value") == "'CANCELED'"
    if path is not None:
        assert kernel.ask(f"statuses(run)[{path!r}]") == repr(status)
    if "async_nap" in body and path is not None:
        assert "finally" in execution.text, "what was cancelled was finalised"
    _goes_on(kernel, tmp_path, body)


@pytest.mark.parametrize(
    ("body", "path", "status"),
    some(PLACES, "in sync code", "in a blocking task", "in a blocking wait", "in an awaited map"),
)
def test_another_process_cancels_it_and_executed_again_it_goes_on(
    kernel: Kernel, tmp_path: Path, body: str, path: str | None, status: str | None
) -> None:
    execution = begun(kernel, body, path)

    began = monotonic()
    nb.last_run("j").cancel()
    execution.finish()

    took = execution.idle_at - began
    print(f"the cancel took {took:.2f} s")
    assert took < GENEROUS
    assert (execution.status, execution.reply["ename"]) == ("error", "Cancelled")
    assert len(execution.error.splitlines()) == 1, "one line says it"
    assert kernel.ask("run.status.value") == "'CANCELED'"
    if path is not None:
        assert kernel.ask(f"statuses(run)[{path!r}]") == repr(status)
    _goes_on(kernel, tmp_path, body)


def _goes_on(kernel: Kernel, folder: Path, body: str) -> None:
    (folder / "go").touch()
    # What waits keeps its due time, so that it cannot be waited for here.
    kernel.ask("for path in ('w', 'b'):\n    if path in statuses(run): run.reset(path)")
    done = kernel.run(f"%%job j --as run\n{body}")
    assert done.status == "ok", done.error
    assert kernel.ask("run.status.value, run.executions") == "('COMPLETED', 2)"


@pytest.mark.parametrize("awaits", ["", "await "], ids=["blocking", "awaiting"])
def test_stopped_twice_in_a_row_it_ends_once_and_the_kernel_goes_on(
    kernel: Kernel, tmp_path: Path, awaits: str
) -> None:
    body = f"{awaits}io.run_task('t', {'async_nap' if awaits else 'nap'})"
    execution = begun(kernel, body, "t")

    kernel.manager.interrupt_kernel()
    kernel.manager.interrupt_kernel()
    execution.wait_until(lambda seen: seen.idle, "idle")
    with contextlib.suppress(Empty):  # the second one may meet ipykernel, which sends no reply then
        kernel.read_reply(5)

    assert execution.reply.get("status", "error") == "error"
    assert nb.last_run("j").status == "CANCELED"
    sleep(0.2)  # a second Stop may reach the kernel after the cell's end, as it does without a job
    assert kernel.run("40 + 2").value in ("42", None)
    assert kernel.ask("40 + 2") == "42"
    _goes_on(kernel, tmp_path, body)


def test_a_cell_is_cancelled_by_a_thread_of_its_own_kernel(kernel: Kernel, tmp_path: Path) -> None:
    kernel.ask("""
import threading
def later():
    time.sleep(0.5)
    nb.last_run("j").cancel()
threading.Thread(target=later).start()""")

    execution = kernel.run("%%job j --as run\nio.run_task('t', nap)")

    assert execution.reply["ename"] == "Cancelled"
    _goes_on(kernel, tmp_path, "io.run_task('t', nap)")


def test_a_job_that_was_started_in_the_background_is_cancelled_by_another_cell(
    kernel: Kernel,
) -> None:
    kernel.ask("""
@nb.job("background")
async def background(io):
    await io.run_task("t", async_nap)
task = asyncio.create_task(background.arun(tree=False))
await asyncio.sleep(0.2)""")

    ended = kernel.ask("""
nb.last_run("background").cancel()
try:
    await task
except nb.Cancelled as cancelled:
    name = type(cancelled).__name__
name, nb.last_run("background").status.value""")

    assert ended == "('Cancelled', 'CANCELED')"


@pytest.mark.parametrize("awaits", ["", "await "], ids=["blocking", "awaiting"])
def test_a_suspended_cell_says_in_one_line_how_to_go_on(kernel: Kernel, awaits: str) -> None:
    cell = f"%%job j --as run --suspend-after 5m\n{awaits}io.wait('cool down', 3600)\n'done'"
    suspended = kernel.start(cell)
    after = kernel.start("after = 1")

    assert (suspended.finish().status, after.finish().status) == ("error", "aborted")
    assert suspended.reply["ename"] == "Suspended"
    (line,) = suspended.error.splitlines()
    assert line.startswith("Suspended: Run ")
    assert "for task 'cool down'" in line
    assert "Execute it again then" in line
    assert kernel.ask("run.status.value, len(nb.due())") == "('WAITING', 0)"
    tree = next(o for o in suspended.outputs if o["type"] == "display_data")
    assert "waiting" in tree["data"]["text/plain"]
    assert "\nresumes " in tree["data"]["text/plain"]

    kernel.ask("run.set('cool down', None)")
    assert kernel.ask(cell) == "'done'"


def test_the_time_of_a_cell_may_be_limited(kernel: Kernel) -> None:
    cell = """%%job j --as run --max-time 0.2s
for n in range(4):
    io.run_task(["t", n], time.sleep, 0.15)
'done'"""
    executions = 0
    while kernel.run(cell).status == "error":
        executions += 1
        assert kernel.ask("run.status.value, len(nb.due())") == "('WAITING', 1)"
    assert 1 <= executions <= 3
    assert kernel.ask("run.status.value") == "'COMPLETED'"


# -- an async client of another cell --------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            sleep(1.5)
        with contextlib.suppress(OSError):  # who asked was stopped, and has hung up
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_async_client_made_in_another_cell_works_in_a_blocking_one(
    kernel: Kernel, url: str
) -> None:
    kernel.ask(f"""
import httpx
client = httpx.AsyncClient(base_url={url!r})
first = (await client.get("/")).text
async def fetch(path):
    return (await client.get(path)).text""")
    assert kernel.ask("import sys\n'nest_asyncio2' in sys.modules") in ("True", "False")

    assert kernel.ask("%%job j --as run\nio.run_task('get', fetch, '/')") == "'hello'"

    slow = kernel.start("%%job k --as run\nprint('begun')\nio.run_task('get', fetch, '/slow')")
    slow.wait_for_text("begun")
    sleep(0.3)
    assert kernel.stop(slow) < GENEROUS
    assert kernel.ask("statuses(run)") == "{'get': 'CANCELED'}"
    assert kernel.ask("(await client.get('/')).text") == "'hello'", "the client lives"
    assert kernel.ask("%%job k --as run\nio.run_task('get', fetch, '/slow')") == "'hello'"
