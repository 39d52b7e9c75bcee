"""The words of the page are those of Python: the page computes them anew between two messages."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from nbtasks.core import durations
from nbtasks.core.model import RunRow, TaskRow
from nbtasks.notebook.widgets import tree_widget
from nbtasks.views.tree import progress, words
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.snapshot import TreeSnapshot

NOW = 1_700_000_000_000_000
S = 1_000_000
WANTED = "Store, age, soFar, dueIn, exact, local, when, rateLabel, perSecond, marksOf, markLabel,\
 progressWords, countsLine, notesOf, timeOf, progressOf, REACHED"


@pytest.fixture(scope="module")
def page(chrome: Any) -> Iterator[Any]:
    """An empty page that has the widget's functions, in a zone of its own."""
    context = chrome.new_context(timezone_id="Asia/Kolkata")
    found = context.new_page()
    module = tree_widget._module().replace("export default", "globalThis.made =")
    found.evaluate(f"() => {{ {module}\n globalThis.its = {{ {WANTED} }}; }}")
    yield found
    context.close()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


def test_durations_rates_and_instants_read_the_same(page: Any, zone: None) -> None:
    chance = random.Random(2013)
    spans = [round(10 ** chance.uniform(0, 13)) // 1000 * 1000 for _ in range(300)]
    # Halves are rounded to even numbers in Python, and up in JavaScript.
    spans = [us for us in spans if us % 500_000]
    ages = [chance.randrange(10**14) // 1000 * 1000 for _ in range(100)]
    rates = [10 ** chance.uniform(-6, 4) for _ in range(100)]

    assert page.evaluate("all => all.map(ms => its.age(ms))", [us / 1000 for us in spans]) == [
        durations.format_duration(us) for us in spans
    ]
    assert page.evaluate("all => all.map(ms => its.soFar(ms))", [us / 1000 for us in spans]) == [
        durations.format_countdown(us) for us in spans
    ]
    assert page.evaluate("all => all.map(rate => its.rateLabel(rate))", rates) == [
        progress.rate_label(rate) for rate in rates
    ]
    look = "([all, now]) => all.map(ms => [its.when(now - ms, now), its.exact(now - ms)])"
    assert page.evaluate(look, [[us / 1000 for us in ages], NOW / 1000]) == [
        [durations.format_when(NOW - us, NOW), durations.format_exact(NOW - us)] for us in ages
    ]


def test_the_head_and_the_notes_of_a_run_read_the_same(page: Any, zone: None) -> None:
    chance = random.Random(7)
    for status in ("RUNNING", "FAILED", "COMPLETED", "CANCELED") * 6:
        run = RunRow(
            "r1", "delays", "delays", "1", "2013", status=status, executions=2,
            started_us=NOW - 3600 * S, execution_us=NOW - 60 * S,
            finished_us=None if status == "RUNNING" else NOW,
        )  # fmt: skip
        rows = list(drawn_rows(chance))
        tree, snapshot = build(run, rows), TreeSnapshot(run, rows).to_dict()
        snapshot["head"]["now"] = NOW / 1000
        found = page.evaluate(LOOK, json.loads(json.dumps([snapshot, NOW / 1000])))
        head = words.head_of(tree, NOW)
        nodes = sorted(tree.walk(), key=lambda node: [row.path for row in rows].index(node.path))

        assert found[:3] == [head.progress, head.counts, head.exact]
        assert found[3] == [words.time_label(node, NOW) for node in nodes]
        assert found[4] == [words.notes_of(node, tree, NOW) for node in nodes]


LOOK = """([snapshot, now]) => {
  const store = new its.Store();
  Date.now = () => now;
  store.load(snapshot);
  const summary = store.summary();
  const all = store.path.map((_, i) => i);
  const notes = (i) => {
    const own = its.notesOf(store, i, store.states[summary.state[i]], false);
    return [its.progressOf(store, i)?.words, ...own].filter(Boolean);
  };
  return [
    its.progressWords(store, summary.progress), ...its.countsLine(store, summary),
    all.map(i => its.timeOf(store, i)), all.map(notes),
  ];
}"""


def drawn_rows(chance: random.Random) -> Iterator[TaskRow]:
    seq = 0
    for top in range(chance.randint(1, 5)):
        kids = chance.choice([0, 0, 3, 8])
        states = [
            chance.choice(["RUNNING", "COMPLETED", "FAILED", "WAITING", "CANCELED", "SKIPPED"])
            for _ in range(kids + 1)
        ]
        done = sum(state in ("COMPLETED", "SKIPPED", "FAILED") for state in states[1:])
        for at, status in enumerate(states):
            began = NOW - chance.randint(2, 3000) * S
            yield TaskRow(
                "r1", f"t{top}" if at == 0 else f"t{top}/{at}", seq, status=status,
                execution=chance.choice([1, 2, 2]), reused=chance.random() < 0.3,
                started_us=began, attempt_us=began, attempts=chance.randint(1, 2),
                finished_us=None if status in ("RUNNING", "WAITING") else began + 1_250_000,
                due_us=NOW + 90 * S if status == "WAITING" else None,
                done=None if at else done, total=None if at or not kids else kids + 5,
                done_before=chance.choice([None, 0, 1]),
                queued_on=chance.choice([None, None, "Dask"]),
            )  # fmt: skip
            seq += 1


def test_the_marks_of_the_axis_are_round_and_few(page: Any) -> None:
    chance = random.Random(1)
    windows = [[chance.uniform(-1e6, 1e9), 10 ** chance.uniform(0, 11.5)] for _ in range(200)]
    look = "all => all.map(([from, span]) => its.marksOf(from, span, 7))"
    for (begin, span), found in zip(windows, page.evaluate(look, windows), strict=True):
        step, marks = found["step"], found["marks"]
        assert 1 <= len(marks) <= 8 or span < 2 * step
        assert all(begin <= mark <= begin + span and mark % step == 0 for mark in marks)
    labels = "all => all.map(([ms, step]) => its.markLabel(ms, step))"
    asked = [[0, 1000], [90_000, 30_000], [5_400_000, 1_800_000], [61_500, 500], [250, 50]]
    assert page.evaluate(labels, asked) == ["0 s", "1 min 30 s", "1 h 30 min", "61.5 s", "250 ms"]
