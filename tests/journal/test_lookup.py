"""Look-up of runs: what the error for a run that is not there says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import RunRow
from nbtasks.journal import lookup
from nbtasks.journal.memory import MemoryJournal

IDS = ["01jz0000000000000000aaaaaa", "01jz0000000000000000bbbbbb", "01kk1111111111111111cccccc"]


@pytest.fixture
def journal() -> MemoryJournal:
    journal = MemoryJournal()
    for second, (run_id, job) in enumerate(zip(IDS, ["load", "fit", "fit"], strict=True)):
        journal.put(RunRow(run_id, job, job, "1.0.0", "default", started_us=second))
    return journal


def refusal(journal: MemoryJournal, run_id: str) -> str:
    with pytest.raises(nb.NotFoundError) as refused:
        lookup.require_run(journal, run_id)
    return str(refused.value)


def test_a_run_is_found_by_its_id(journal: MemoryJournal):
    assert lookup.require_run(journal, IDS[1]).job == "fit"


def test_a_job_stands_for_its_latest_run(journal: MemoryJournal):
    assert lookup.require_run(journal, "fit").run_id == IDS[2]
    assert lookup.require_run(journal, "load").run_id == IDS[0]


@pytest.mark.slow
@pytest.mark.parametrize("by_id", [True, False])
def test_a_job_stands_for_its_latest_run_wherever_a_run_is_meant(tmp_path: Path, by_id: bool):
    @nb.job("mean")
    def mean(payload: int, io: nb.SyncIO) -> int:
        io.run_task("log", lambda: nb.current_task().log(f"number {payload}"))
        return io.run_task("add", int.__add__, payload, 1)

    mean.run(1)
    latest = mean.run(2)
    job: Any = "mean" if by_id else mean

    assert nb.tasks(job).run_id.unique().tolist() == [latest.id]
    assert nb.logs(job).message.tolist() == ["number 2"]
    assert nb.attempts(job).run_id.unique().tolist() == [latest.id]
    assert f"run {latest.id}" in str(nb.tree(job))
    assert nb.compare(job, latest).output_changed.tolist() == [False, False]
    assert nb.trust(job, dry_run=True).empty
    file = nb.export_run(job, tmp_path / "latest.nbrun")
    assert nb.open(file).runs().run_id.tolist() == [latest.id]
    nb.cancel(job)  # it has ended, so this changes nothing
    if by_id:
        assert nb.get_run("mean").id == latest.id
        assert nb.open(file).get_run("mean").id == latest.id
    nb.publish(tmp_path / "team")
    assert nb.tasks(job, over=tmp_path / "team").run_id.unique().tolist() == [latest.id]


@pytest.mark.parametrize(
    ("missing", "meant"),
    [
        (IDS[1][-6:], IDS[1]),  # as the list of the runs shows it
        (IDS[2][:12], IDS[2]),
        (IDS[2].upper(), IDS[2]),
        (IDS[0].replace("a", "e", 1), IDS[0]),
        ("fti", IDS[2]),  # the latest of the job
    ],
    ids=["its end", "its beginning", "capitals", "a slip", "a slip in a job"],
)
def test_an_id_that_is_nearly_right_is_answered_with_the_right_one(
    journal: MemoryJournal, missing: str, meant: str
):
    job = lookup.require_run(journal, meant).job

    assert refusal(journal, missing).endswith(f" The nearest: {meant!r} of job {job!r}.")


@pytest.mark.parametrize("missing", ["", "01", "nope", "01m2zyxw987654321098zzzzzz"])
def test_an_id_like_no_other_names_no_nearest_run(journal: MemoryJournal, missing: str):
    message = refusal(journal, missing)

    assert message.startswith(f"There is no run {missing!r} in this journal. nb.runs() lists all")
    assert "nearest" not in message


def test_the_home_is_named():
    with pytest.raises(nb.NotFoundError) as refused:
        nb.get_run("nope")

    assert f"There is no run 'nope' in {nb.config.home}. nb.runs() lists" in str(refused.value)


def test_a_shared_file_is_named_and_how_to_list_its_runs(tmp_path: Path):
    @nb.job("shared")
    def body(io: nb.SyncIO) -> None: ...

    file = nb.export_run(body.run(), tmp_path / "shared.nbrun")

    with pytest.raises(nb.NotFoundError) as refused:
        nb.open(file).get_run("nope")
    assert f"in {file}. nb.open({str(file)!r}).runs() lists all runs." in str(refused.value)


def test_the_last_run_is_that_of_the_job(journal: MemoryJournal):
    assert lookup.require_last_run(journal).run_id == IDS[2]
    assert lookup.require_last_run(journal, "load").run_id == IDS[0]


def test_where_no_run_is_there_is_no_last_one(journal: MemoryJournal):
    with pytest.raises(nb.NotFoundError, match=r"no run of job 'other' in this journal yet\. nb\."):
        lookup.require_last_run(journal, "other")
    with pytest.raises(nb.NotFoundError, match=r"no run of job 'laod' .* The nearest: 'load'\."):
        lookup.require_last_run(journal, "laod")
    with pytest.raises(nb.NotFoundError, match=r"^There is no run in this journal yet\.$"):
        lookup.require_last_run(MemoryJournal())
