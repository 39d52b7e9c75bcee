"""Questions, calls and messages of io in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import nbtasks as nb
from tests.notebook.kernels import Kernel
from tests.thorough import only_thorough

pytestmark = pytest.mark.slow  # each has a kernel of its own

ASK = """
%%job blocking
answer = io.ask("<b>how many</b>", {"n": 3, "kind": ["a", "b"], "day": date, "more": [1]})
answer["n"], answer["kind"], answer["day"].year, answer["more"]
"""
PRESS = """
from ipywidgets.widgets import widget
made = list(widget._instances.values())
inputs = {one.description: one for one in made if hasattr(one, "description")}
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(tmp_path, tmp_path / "home") as kernel:
        kernel.run(
            "%load_ext nbtasks\nimport asyncio\nfrom datetime import date\nimport nbtasks as nb"
        )
        yield kernel


@only_thorough
def test_the_form_of_a_cell_that_blocks_is_filled_in_after_it(
    kernel: Kernel, tmp_path: Path
) -> None:
    asked = kernel.run(ASK.strip())

    assert "Execute it again then" in asked.error
    kernel.run(f"{PRESS}\nhtml = [one for one in made if type(one).__name__ == 'HTML']")
    assert "&lt;b&gt;how many&lt;/b&gt;" in kernel.ask("html[-1].value")
    kernel.run("inputs['Send'].click()")
    told = kernel.ask("html[0].value")
    assert "Not sent:" in told
    assert "kind" in told
    kernel.run(
        "inputs['n'].value, inputs['kind'].value = 5, 'b'\n"
        "inputs['day'].value, inputs['more'].value = date(2026, 3, 1), 1\n"
        "inputs['Send'].click()"
    )
    assert "Sent." in kernel.ask("html[0].value")
    assert kernel.ask("inputs['Send'].disabled") == "True"

    assert kernel.run(ASK.strip()).value == "(5, 'b', 2026, 1)"
    with nb.config.overridden(home=tmp_path / "home"):
        assert nb.last_run().executions == 2


def test_in_a_cell_io_finds_the_integrations_of_the_notebook(kernel: Kernel) -> None:
    kernel.run(
        "class Chat:\n    def post(self, text): return text.upper()\n"
        "chat = nb.integration(Chat())\nother = Chat()"
    )

    assert kernel.run("%%job one\nio.chat.post('post', 'hello')").value == "'HELLO'"
    assert kernel.run("%%job two\nawait io.chat.post('post', 'hello')").value == "'HELLO'"
    refused = kernel.run("%%job three\nio.other.post('post', 'hello')")
    assert "SyncIO has no 'other'. Its integrations: chat." in refused.error


def test_an_event_runs_its_jobs_in_a_cell_that_awaits_too(kernel: Kernel) -> None:
    kernel.run(
        "@nb.job('hears', trigger=nb.event_trigger('go'))\n"
        "async def hears(payload, io):\n"
        "    return await io.run_task('double', lambda: payload * 2)"
    )

    done = kernel.run("await asyncio.sleep(0)\nnb.send_event('go', 21).runs[0].output")

    assert done.value == "42"
