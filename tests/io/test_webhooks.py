"""Requests that runs wait for: over a real connection, by a real client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.thorough import only_thorough


class Listening:
    """A run that waits for a request, in a thread."""

    def __init__(self, timeout: float = 30) -> None:
        self.urls: list[nb.RequestUrl] = []

        @nb.job("listens")
        def listens(io: nb.SyncIO) -> Any:
            return io.wait_for_request("listen", self.urls.append, timeout=timeout)

        self.job = listens
        self.run: nb.Run | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        until(lambda: self.urls)

    def _work(self) -> None:
        self.run = self.job.run()

    @property
    def url(self) -> nb.RequestUrl:
        return self.urls[0]

    def output(self) -> Any:
        self._thread.join(30)
        assert self.run is not None
        return self.run.output


def until(holds: Callable[[], object]) -> None:
    rest, end = threading.Event(), time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        rest.wait(0.02)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"json": {"a": [1, None]}}, {"a": [1, None]}),
        ({"data": {"a": "1", "b": ["2", "3"]}}, {"a": "1", "b": ["2", "3"]}),
        ({"files": {"a": (None, "1")}}, {"a": "1"}),
        ({"content": "hello", "headers": {"Content-Type": "text/plain"}}, "hello"),
        ({"content": b"\xff\x00"}, b"\xff\x00"),
        ({}, None),
    ],
)
def test_what_is_posted_is_the_value(said: dict[str, Any], value: Any):
    listening = Listening()

    answer = httpx.post(listening.url, **said)

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "first": True})
    assert listening.output() == value
    assert listening.job.run().output == value
    assert len(listening.urls) == 1


@pytest.mark.slow
def test_the_second_request_counts_for_nothing():
    listening = Listening()

    assert httpx.post(listening.url, json=1).json()["first"] is True
    assert httpx.post(listening.url, json=2).json()["first"] is False

    assert listening.output() == 1
    assert httpx.post(listening.url, json=3).json() == {"ok": True, "first": False}
    assert listening.job.run().output == 1


@pytest.mark.slow
def test_what_is_not_right_is_refused_and_the_run_goes_on_waiting():
    listening = Listening()
    base = listening.url.rpartition("/")[0]
    token = listening.url.rpartition("/")[2]

    assert len(token) >= 43  # 256 bits
    assert httpx.post(f"{base}/{token[:-1]}x", json=1).status_code == 404
    assert httpx.post(f"{base}/x", json=1).status_code == 404
    assert httpx.post(f"{base}/../etc/passwd", json=1).status_code == 404
    assert httpx.get(listening.url).status_code == 405
    wrong = {"content": "{", "headers": {"Content-Type": "application/json"}}
    answer = httpx.post(listening.url, **wrong)  # type: ignore[arg-type]  # as written above
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["error"]

    assert httpx.post(listening.url, json="right").status_code == 200
    assert listening.output() == "right"


@pytest.mark.slow
def test_a_body_that_is_too_large_is_refused():
    listening = Listening()

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    assert refused(listening.url, content=b"x" * (1 << 20) + b"x")
    assert refused(listening.url, content=chunks())

    assert httpx.post(listening.url, content=b"x" * (1 << 20)).status_code == 200
    assert listening.output() == "x" * (1 << 20)


def refused(url: str, **said: Any) -> bool:
    """Return True if a body is refused, by a status or by the end of the connection."""
    try:
        return httpx.post(url, **said).status_code == 413
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return True


@pytest.mark.slow
def test_the_address_is_given_as_it_is_through_a_proxy_too(monkeypatch: pytest.MonkeyPatch):
    listening = Listening()
    assert listening.url.proxied == listening.url.replace("http://127.0.0.1:", "/proxy/")
    httpx.post(listening.url)
    listening.output()

    monkeypatch.setenv("JUPYTERHUB_HOST", "https://hub.example")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    runtime.journal.runs()
    other = _once("another")

    assert other.proxied.startswith("https://hub.example/user/ada/proxy/")


def _once(job: str) -> nb.RequestUrl:
    urls: list[nb.RequestUrl] = []

    def tell(url: nb.RequestUrl) -> None:
        urls.append(url)
        httpx.post(url)

    @nb.job(job)
    def body(io: nb.SyncIO) -> None:
        io.wait_for_request("listen", tell, timeout=30)

    body.run()
    return urls[0]


@pytest.mark.slow
def test_nobody_sees_the_address_in_the_journal_views():
    url = _once("secret")

    token = url.rpartition("/")[2]
    for view in ("tasks", "logs", "runs"):
        assert token not in nb.sql(f"select * from {view}").to_csv()
    assert token not in str(nb.last_run().tree())


def test_what_is_no_function_is_refused():
    @nb.job("listens")
    def listens(io: nb.SyncIO) -> None:
        io.wait_for_request("listen", "https://example.org")  # type: ignore[arg-type]  # to be refused

    with pytest.raises(TypeError, match="takes a function that receives the address"):
        listens.run()


LISTENS = """
    import os, sys, threading
    import nbtasks as nb

    def tell(url):
        print(url, flush=True)

    @nb.job("listens")
    async def listens(io):
        return await io.wait_for_request("listen", tell, timeout=60)

    print("output", listens.run().output, flush=True)
"""


@pytest.fixture
def start(nb_home: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started = []

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(LISTENS)],
            env={**os.environ, "NBTASKS_HOME": str(nb.config.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.slow
def test_after_a_killed_process_the_address_is_the_same(
    start: Callable[[], subprocess.Popen[str]],
):
    process = start()
    url = line(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json=1)

    process = start()
    until(lambda: _answers(url))

    assert output(process, url) == "output 7"


def output(process: subprocess.Popen[str], url: str) -> str:
    """Return the output of the process, which prints the same address twice if it was killed
    between sending it and recording that."""
    said = line(process)
    return line(process) if said == url else said


def _answers(url: str) -> bool:
    try:
        return httpx.post(url, json=7).status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.slow
@only_thorough
def test_a_port_that_is_taken_meanwhile_is_a_clear_error(
    start: Callable[[], subprocess.Popen[str]],
):
    process = start()
    url = line(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    port = int(url.split(":")[2].split("/")[0])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        _, err = start().communicate(timeout=60)

    assert f"waits for a request at port {port}, which another program uses now" in err
    assert "run.reset('listen')" in err
    process = start()
    until(lambda: _answers(url))
    assert output(process, url) == "output 7"


@pytest.mark.slow
def test_the_journal_keeps_what_is_awaited():
    @nb.job("listens")
    def listens(io: nb.SyncIO) -> None:
        io.wait_for_request("listen", str, timeout=3600)

    run = listens.run(suspend_after=1)

    (row,) = runtime.journal.find("task", run_id=run.id, path="listen")
    port, token = json.loads(row.awaits)["request"]
    assert httpx.post(f"http://127.0.0.1:{port}/{token}", json=5).json()["first"] is True
    assert nb.due().run_id.tolist() == [run.id]
    listens.run()
    assert run["listen"] == 5
