"""Outputs of reused tasks in a real kernel: texts, displays and plots, shown again once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbtasks.notebook.output import echo as output_echo
from tests.notebook.kernels import Execution, Kernel
from tests.notebook.shells import Shell
from tests.thorough import only_thorough

LOAD = "%load_ext nbtasks\nimport nbtasks as nb"
CELL = """%%job shows
import sys
import pandas as pd
from IPython.display import HTML, clear_output, display

def load():
    print("loading")
    display(pd.DataFrame({"delay": [1.5]}))
    print("careful", file=sys.stderr)
    nb.current_task().display("loaded")

def live():
    step = display("step 0", display_id=True)
    step.update("step 1")
    print("cleared")
    clear_output(wait=True)
    print("kept")

print("body before")
io.run_task("load", load)
print("body between")
io.run_task("live", live)
io.map("each", lambda item: print("item", item), ["x", "y"], concurrency=1);
"""
PLOTS = """%%job plots
import matplotlib.pyplot as plt

def plot(title):
    print("drawing", title)
    plt.figure()
    plt.plot([1, 2])
    plt.title(title)
    if title == "shown":
        plt.show()
        print("after the plot")

def returned():
    figure, axes = plt.subplots()
    return figure

io.run_task("shown", plot, "shown")
io.run_task("left", plot, "left open")
figure = io.run_task("figure", returned)
plt.figure()
plt.plot([2, 1])
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Any]:
    kernels: list[Kernel] = []

    def start() -> Kernel:
        kernels.append(Kernel(tmp_path, tmp_path / "home"))
        kernels[-1].ask(LOAD)
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


def displays(done: Execution) -> list[dict[str, Any]]:
    """The displays of a cell, without trees."""
    assert done.status == "ok", done.error
    found = [o["data"] for o in done.outputs if o["type"] == "display_data"]
    return [data for data in found if 'class="nbtasks-tree"' not in data.get("text/html", "")]


def in_order(html: str, *parts: str) -> bool:
    place = 0
    for part in parts:
        place = html.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


@pytest.mark.slow
def test_a_reused_task_shows_again_what_it_showed_in_one_folded_block_below_the_tree(home: Any):
    kernel = home()
    first = kernel.run(CELL)
    assert len(displays(first)) == 3
    kernel.kill()
    kernel = home()

    done = kernel.run(CELL)

    (block,) = displays(done)
    html = block["text/html"]
    assert html.count("<details>") == 1
    assert in_order(
        html, "load<", "<pre>loading</pre>", "<td>1.5</td>", '<pre class="stderr">careful</pre>',
        "&#x27;loaded&#x27;", "live<", "<pre>kept</pre>", "each/0<", "item x", "each/1<", "item y",
    )  # fmt: skip
    assert "cleared" not in html
    assert "step" not in html
    assert "5 lines and 2 displays of 4 reused tasks, recorded just now" in html
    assert done.text == "body before\nbody between\n"
    kinds = [o["type"] for o in done.outputs]  # the tree, the block, in place of the first text
    assert kinds == ["display_data", "stream", "display_data", "stream"]
    assert len(displays(kernel.run(CELL))) == 1
    kernel.ask("nb.configure(echo='hide')")
    assert displays(kernel.run(CELL)) == []


@pytest.mark.slow
@only_thorough
def test_what_runs_is_shown_by_itself_and_only_what_is_reused_again(home: Any):
    kernel = home()
    kernel.run(CELL)

    done = kernel.run(CELL + 'io.run_task("new", lambda: print("new"))')

    (block,) = displays(done)
    assert "new" not in block["text/html"]
    assert done.text.endswith("body between\nnew\n")


@pytest.mark.slow
@only_thorough
def test_plots_show_again_also_those_that_the_cell_shows_at_its_end(home: Any):
    kernel = home()
    first = displays(kernel.run(PLOTS))
    assert [("image/png" in data) for data in first] == [True] * 4
    kernel = home()

    block, *flushed = displays(kernel.run(PLOTS))

    html = block["text/html"]
    assert in_order(
        html, "drawing shown", "<img", "after the plot", "left<", "drawing left", "<img"
    )
    assert html.count("<img ") == 3
    assert len(flushed) == 1  # that of the body: a recorded figure is not open again
    assert kernel.ask("plt.get_fignums()") == "[]"
    shown, left, figure, _ = (data["image/png"].replace("\n", "") for data in first)
    assert shown in html
    assert left in html
    assert figure in html


FIGURES = {
    "the body imports it, then draws, then a task ends": """
import matplotlib.pyplot as plt
plt.figure()
io.run_task("a", abs, 1)
expected = {}
""",
    "a task imports it and draws, and another ends": """
def a():
    import matplotlib.pyplot as plt
    plt.figure(); plt.figure()
io.run_task("a", a)
io.run_task("b", abs, 1)
expected = {"a": 2}
""",
    "a task imports it, the body draws, and another ends": """
def a():
    import matplotlib.pyplot
io.run_task("a", a)
import matplotlib.pyplot as plt
plt.figure()
io.run_task("b", abs, 1)
expected = {}
""",
    "a task ends beside the one that imports it": """
import threading
drawn, ended = threading.Event(), threading.Event()
def draw():
    import matplotlib.pyplot as plt
    plt.figure(); drawn.set(); assert ended.wait(30)
def wait():
    assert drawn.wait(30)
def end():
    io.run_task("waits", wait)
    ended.set()
io.map("each", lambda fn: fn(), [draw, end], concurrency=2)
expected = {"each/0": 1}
""",
    "a failed attempt has drawn": """
tries = []
def a():
    import matplotlib.pyplot as plt
    plt.figure(); tries.append(1)
    assert len(tries) == 2
io.run_task("a", a, options=nb.TaskOptions(retry=2))
expected = {"a": 2}
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FIGURES)
@only_thorough
def test_a_figure_belongs_to_the_attempt_that_made_it_and_to_no_other(home: Any, case: str) -> None:
    kernel = home()
    done = kernel.run(f"%%job figures --no-tree --as run{FIGURES[case]}")
    assert done.status == "ok", done.error

    kernel.ask(
        "from collections import Counter\nfrom nbtasks.jobs.runtime import runtime\n"
        "rows = runtime.journal.find('display', run_id=run.id); import sys"
    )
    assert kernel.ask("dict(Counter(row.path for row in rows)) == expected") == "True"
    if case == "a failed attempt has drawn":
        assert kernel.ask("sorted(row.attempt for row in rows)") == "[1, 2]"
    assert kernel.ask("[str(one) for one in sys.meta_path if 'nbtasks' in repr(one)]") == "[]"


@pytest.mark.slow
def test_a_block_grows_while_the_cell_runs_and_what_is_reused_later_is_in_it(home: Any):
    kernel = home()
    cell = """%%job grows
import threading
io.run_task("one", lambda: print("first"))
io.run_task("two", lambda: print("second"))
threading.Event().wait(pause)
"""
    kernel.ask("pause = 0")
    kernel.run(cell)
    kernel.ask("pause = 60")

    running = kernel.start(cell)
    running.wait_until(
        lambda seen: any("second" in o["data"].get("text/html", "") for o in seen.outputs
                         if o["type"] == "display_data"), "the second task"
    )  # fmt: skip
    kernel.stop(running)

    assert sum('class="nbtasks-echo"' in str(o.get("data")) for o in running.outputs) == 1


@only_thorough
@pytest.mark.slow
def test_scripts_stand_below_the_block(home: Any):
    kernel = home()
    cell = """%%job scripts
from IPython.display import HTML
def plot():
    display(HTML("<div id=plot></div><script>draw()</script>"), metadata={"a": 1})
io.run_task("plot", plot)
"""
    kernel.run(cell)

    block, title, plot = displays(kernel.run(cell))

    assert "(shown below)" in block["text/html"]
    assert title["text/plain"] == "↺ plot: reused, recorded just now"
    assert plot["text/html"] == "<div id=plot></div><script>draw()</script>"


@pytest.mark.slow
@only_thorough
def test_html_of_a_foreign_journal_is_not_shown_until_it_is_trusted(home: Any, tmp_path: Path):
    cell = """%%job foreign
from IPython.display import HTML, Javascript
def show():
    display(HTML("<b>bold</b>"), Javascript("draw()"))
    print("<b>text</b>")
io.run_task("show", show)
"""
    kernel = home()
    kernel.run(cell)
    kernel.ask("nb.export_run(nb.last_run(), 'run.nbrun')")
    other = Kernel(tmp_path, tmp_path / "elsewhere")
    try:
        other.ask(f"import os; os.environ['XDG_DATA_HOME'] = {str(tmp_path / 'other')!r}")
        other.ask(f"{LOAD}\nimported = nb.import_run('run.nbrun')")

        (block,) = displays(other.run(cell))

        assert "<b>bold</b>" not in block["text/html"]
        assert "&lt;b&gt;text&lt;/b&gt;" in block["text/html"]
        assert "Somebody else recorded this run" in block["text/html"]
        trusted = other.ask("nb.trust(nb.last_run()).imports.tolist()")
        assert trusted == "['displays text/html', 'displays application/javascript']"
        block, *apart = displays(other.run(cell))
        assert "<b>bold</b>" in block["text/html"]
        assert apart[1]["application/javascript"] == "draw()"
    finally:
        other.close()


@only_thorough
@pytest.mark.slow
def test_executed_by_nbclient_and_exported_it_stands_there_folded_and_once(tmp_path: Path):
    import nbformat  # these take seconds to load
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter, MarkdownExporter

    sources = [f"{LOAD}\nnb.configure(home={str(tmp_path / 'home')!r})", CELL, PLOTS]
    book = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    for _ in range(3):
        NotebookClient(book, timeout=60, kernel_name="python3").execute()
        outputs = [
            output.data["text/html"]
            for cell in book.cells
            for output in cell.outputs
            if 'class="nbtasks-echo"' in output.get("data", {}).get("text/html", "")
        ]
    page, _ = HTMLExporter().from_notebook_node(book)
    text, _ = MarkdownExporter().from_notebook_node(book)

    assert len(outputs) == 2
    assert page.count('<div class="nbtasks-echo"><details><summary') == 2
    assert "reused task" in text


def test_progress_bars_show_their_last_state_and_widgets_nothing(shell: Shell):
    cell = """%%job bars
import sys
from IPython.display import display
class Widget:
    def _repr_mimebundle_(self, **_):
        view = {"application/vnd.jupyter.widget-view+json": {}}
        return {**view, "text/plain": "Progress(value=0)"}
def load():
    for done in range(3):
        sys.stderr.write(f"\\r{done} of 2")
    sys.stderr.write("\\n")
    display(Widget())
io.run_task("load", load)
"""
    shell.ok(cell)

    assert shell.ok(cell).lines == [
        "↺ 1 line of 1 reused task, recorded just now",
        "  load",
        "    2 of 2",
    ]


def test_in_a_terminal_the_first_lines_show_and_how_to_see_the_rest(shell: Shell):
    cell = """%%job shows
from IPython.display import display
def load():
    print("loading")
    display({"rows": 3})
    print(*range(8), sep="\\n")
io.run_task("load", load)
"""
    assert shell.ok(cell).text == "loading\n{'rows': 3}\n0\n1\n2\n3\n4\n5\n6\n7\n"

    assert shell.ok(cell).lines == [
        "↺ 9 lines and 1 display of 1 reused task, recorded just now",
        "  load",
        "    loading",
        "    {'rows': 3}",
        "    0",
        "    1",
        "    2",
        '  … nb.configure(echo="show") shows all of it',
    ]


def test_a_task_that_cleared_all_it_showed_shows_nothing(shell: Shell):
    cell = """%%job cleared
from IPython.display import clear_output, display
def load():
    print("loading")
    display(1)
    clear_output()
io.run_task("load", load)
"""
    shell.ok(cell)

    assert shell.ok(cell).text == ""


def test_a_block_that_cannot_be_drawn_is_named_as_what_it_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("the disk is gone")

    cell = "%%job broken\nio.run_task('load', print, 'loading')\n'done'"
    shell.ok(cell)
    monkeypatch.setattr(output_echo, "recorded", broken)

    with pytest.warns(RuntimeWarning, match="What reused tasks showed could not be drawn") as told:
        assert shell.ok(cell).value == "done"

    assert "OSError: the disk is gone" in str(told[0].message)
    assert "nb.logs() has the lines" in str(told[0].message)


@pytest.mark.parametrize("count", [20, 21, 30])
def test_displays_below_the_block_that_are_left_out_are_counted(
    shell: Shell, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = f"""%%job scripts
from IPython.display import Javascript, display
io.run_task("load", lambda: [display(Javascript(f"draw({{n}})")) for n in range({count})] and None)
"""
    shell.ok(cell)
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(
        shell.shell.display_pub, "publish", lambda data, *_, **__: shown.append(data)
    )
    shell.ok(cell)

    assert sum("application/javascript" in data for data in shown) == min(count, 20)
    notes = [data["text/plain"] for data in shown if data["text/plain"].startswith("… and")]
    assert notes == {20: [], 21: ["… and 1 more display"], 30: ["… and 10 more displays"]}[count]


def test_a_cell_says_for_itself_whether_it_shows_them(shell: Shell):
    cell = "%%job shows{}\nio.run_task('load', lambda: print(*range(8), sep='\\n'))"
    shell.ok(cell.format(""))

    assert len(shell.ok(cell.format("")).lines) == 8
    assert len(shell.ok(cell.format(" --echo show")).lines) == 10
    assert shell.ok(cell.format(" --echo=hide")).text == ""
    assert "--echo" in shell.refused(cell.format(" --echo all"))


def test_the_publisher_of_the_shell_is_as_it_was_after_the_cell(shell: Shell):
    publisher: Any = shell.shell.display_pub
    before = dict(vars(publisher))

    shell.ok("%%job shows\nio.run_task('load', lambda: display(1))")

    assert {name: vars(publisher).get(name) for name in before} == before
    assert not {"publish", "clear_output"} & vars(publisher).keys()


PROGRAM = """
import nbtasks as nb
@nb.job("program")
def body(io): return io.run_task("say", print, "said once")
body.run()
print("done")
"""


@pytest.mark.slow
@only_thorough
def test_a_program_without_a_shell_shows_it_only_when_it_is_asked_to(tmp_path: Path):
    def run(**env: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={**os.environ, **env},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    home = {"NBTASKS_HOME": str(tmp_path / "home")}
    assert run(**home) == ["said once", "done"]
    assert run(**home) == ["done"]
    assert "    said once" in run(**home, NBTASKS_ECHO="show")
