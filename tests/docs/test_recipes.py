"""The recipes, and those of which a stand-in answers the requests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.docs.cells import cells, fences, restart
from tests.docs.stand_ins import Books, Llm
from tests.house.code import ROOT
from tests.notebook.shells import Shell
from tests.servers import serving
from tests.thorough import only_thorough

FOLDER = ROOT / "docs" / "recipes"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.fixture
def _no_waits() -> Iterator[None]:
    with FakeClock():
        yield


@every_page
def test_it_begins_with_the_solution_and_ends_with_what_to_do_when_it_fails(page: Path) -> None:
    lines = page.read_text().splitlines()
    headings = [line for line in lines if line.startswith("## ")]

    assert min(n for n, line in enumerate(lines) if line.startswith("```python")) < 9
    assert headings[-1] == "## When it fails"
    assert f"]({page.name})" in (FOLDER / "index.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_waits")
def test_no_call_of_a_paid_api_is_paid_twice_and_the_budget_stops_the_run(
    notebook: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    load, job, cost = cells("docs/recipes/paid-api.md")
    api = Llm()
    with serving(api) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        notebook.ok(load)
        notebook.names["BUDGET"] = 0.001
        stopped = notebook.run(job)
        assert isinstance(stopped.error, RuntimeError)
        assert "of $0.00 is spent" in str(stopped.error)
        asked = api.prompts.total()

        restart(notebook)
        notebook.ok(load)
        assert notebook.ok(job).value == 20
        counts = notebook.ok(cost).value
        restart(notebook)

    assert asked == 20
    assert set(api.prompts.values()) == {1}
    assert api.prompts.total() == 40
    assert nb.attempts().query("status == 'FAILED'").error_type.tolist()[0] == "RateLimitError"
    assert counts["metrics.tokens"] == 40 * 330
    assert "sk-secret" not in nb.tasks().to_csv()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_waits")
def test_each_page_of_a_site_is_fetched_once(notebook: Shell) -> None:
    load, job = cells("docs/recipes/scraping.md")
    site = Books()
    with serving(site) as server:
        here = load.replace("https://books.example.org", server.url)
        notebook.ok(here)
        assert notebook.ok(job).value.price.tolist() == [1.5, 2.5, 3.5]

        restart(notebook)
        notebook.ok(re.sub(r"\\d\+\\.\\d\\d", r"\\d+\\.\\d+", here))  # the pattern, improved
        assert len(notebook.ok(job).value) == 3
        restart(notebook)

    assert site.paths == {"/robots.txt": 1, **{f"/page-{n}.html": 1 for n in (1, 2, 3)}}


@pytest.mark.slow
@pytest.mark.usefixtures("_no_waits")
@pytest.mark.parametrize("status", [404, 410])
def test_a_site_without_rules_may_be_scraped(notebook: Shell, status: int) -> None:
    load, job = cells("docs/recipes/scraping.md")
    with serving(Books(rules=status)) as server:
        notebook.ok(load.replace("https://books.example.org", server.url))
        assert len(notebook.ok(job).value) == 3
        assert notebook.ok("rules.can_fetch(AGENT, SITE + '/private/')").value is True
        restart(notebook)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_waits")
@pytest.mark.parametrize(("status", "tries"), [(403, 1), (503, 5)])
def test_a_site_whose_rules_cannot_be_read_is_not_scraped(
    notebook: Shell, status: int, tries: int
) -> None:
    load, job = cells("docs/recipes/scraping.md")
    site = Books(rules=status)
    with serving(site) as server:
        notebook.ok(load.replace("https://books.example.org", server.url))
        assert type(notebook.run(job).error).__name__ == "HTTPStatusError"
        restart(notebook)

    assert site.paths == {"/robots.txt": tries}


@pytest.mark.slow
@only_thorough
def test_each_line_for_cron_runs_the_notebook_of_its_day(tmp_path: Path) -> None:
    import nbformat  # takes seconds to load

    page = "docs/recipes/nightly-notebook.md"
    (tmp_path / "nightly.ipynb").write_text(notebook_of(*cells(page)))
    crontab = next(fence.text for fence in fences(page) if fence.language == "sh")
    for line in crontab.splitlines():
        command = line.split(maxsplit=5)[5].replace(r"\%", "%").replace("/srv/study", str(tmp_path))
        subprocess.run(["bash", "-euc", command], check=True, env=here(), capture_output=True)

        (out,) = (tmp_path / "out").glob("*.ipynb")
        *_, last = nbformat.read(out, as_version=4).cells
        assert "'3 flights, 8 minutes late at most'" in str(last.outputs)
        out.unlink()

    assert len(nb.runs(job="nightly")) == 1, "both are runs of one day"
    assert nb.runs(job="nightly").executions.tolist() == [2]
    assert nb.attempts().status.tolist() == ["COMPLETED"] * 2


def notebook_of(*sources: str) -> str:
    """Return a notebook whose first cell sets its parameters."""
    from nbformat import v4, writes

    made = [v4.new_code_cell(source) for source in sources]
    made[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return str(writes(v4.new_notebook(cells=made, metadata={"kernelspec": kernel})))


def here() -> dict[str, str]:
    """Return an environment in which a shell finds the commands of this one."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
