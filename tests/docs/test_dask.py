"""The pages that send work to Dask: their cells run on a small cluster, and some on a stand-in."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import nbtasks as nb
from tests.docs.cells import cells, restart
from tests.docs.test_cells import ended
from tests.notebook.shells import Shell
from tests.thorough import only_thorough

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


@dataclass
class Clusters:
    """Clusters that the cells have started.

    Attributes:
        processes: Whether the next one has a worker that is a process, and is started again when it
            dies, or two in this process.
        started: All of them.
    """

    processes: bool = False
    started: list[Any] = field(default_factory=list)


@pytest.fixture
def clusters(notebook: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clusters]:
    """Small clusters in the place of those of the cells, on free ports, and closed at the end."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    made = Clusters()
    local: Any = distributed.LocalCluster

    class Small(local):
        def __init__(self, **options: Any) -> None:
            super().__init__(
                **options | {"n_workers": 1 if made.processes else 2},
                processes=made.processes,
                protocol="tcp",
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
            )
            made.started.append(self)

    monkeypatch.setattr(distributed, "LocalCluster", Small)
    yield made
    for value in notebook.names.values():
        if isinstance(value, distributed.Client):
            value.close()
    for cluster in made.started:
        cluster.close()


@only_thorough
def test_the_recipe_loses_a_worker_and_a_kernel_and_computes_nothing_twice(
    notebook: Shell, clusters: Clusters
) -> None:
    load, job, table, define, dies, connect = cells("docs/recipes/dask.md")
    clusters.processes = True
    notebook.ok(load)
    assert notebook.ok(job).value == pytest.approx(3.14, abs=0.05)
    assert len(notebook.ok(table).value) == 24
    notebook.ok(define)
    assert notebook.ok(dies).value is True
    assert notebook.names["died"].exists()
    paths = ended()
    assert len(paths) == 2 * (24 + 1)  # and the maps
    assert nb.logs(notebook.names["run"]).message.str.endswith("of 10,000").sum() == 24

    restart(notebook)
    clusters.processes = False
    notebook.ok(load)
    notebook.names["client"].close()
    address = clusters.started[0].scheduler_address
    notebook.ok(connect.replace("tcp://scheduler:8786", address))
    assert notebook.names["client"].scheduler.address == address
    for cell in (job, table, define, dies):
        notebook.ok(cell)
    assert ended() == paths


class Slurm:
    """Stand-in for dask-jobqueue, whose jobs are workers in this process."""

    def __init__(self, cluster: type[Any]) -> None:
        self.asked: dict[str, Any] = {}

        class SLURMCluster(cluster):
            def __init__(inner, **options: Any) -> None:
                self.asked |= options
                super().__init__()

            def adapt(inner, **options: Any) -> None:
                self.asked |= options

        self.module = types.SimpleNamespace(SLURMCluster=SLURMCluster)


def test_the_guide_runs_on_a_laptop_and_by_a_stand_in_for_slurm(
    notebook: Shell, clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = Slurm(distributed.LocalCluster)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", slurm.module)
    load, job, queue, train = cells("docs/more-than-one-machine.md")
    notebook.ok(load)
    notebook.ok(job)
    assert notebook.names["models"] == [4.0, 8.0]
    laptop = notebook.names["cluster"]

    notebook.ok(queue)
    assert slurm.asked["maximum_jobs"] == 20
    notebook.ok(job.replace("fits", "fits --new", 1))
    assert notebook.names["models"] == [4.0, 8.0]
    notebook.ok(train)
    laptop.close()

    assert len(clusters.started) == 2
    assert nb.tasks().worker.dropna().nunique() > 1
