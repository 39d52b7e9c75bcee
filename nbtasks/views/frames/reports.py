"""Reports of maintenance as frames: pickles, runs to remove, findings of a check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbtasks.journal.bundle.published import Month
    from nbtasks.journal.bundle.trust import Pickled
    from nbtasks.journal.home.doctor import Finding
    from nbtasks.journal.home.gc import Candidate
    from nbtasks.views.frames.dataframe import DataFrame

__all__ = ["ended", "findings", "pickles", "published"]


def pickles(rows: list[Pickled]) -> DataFrame:
    """Return the pickles of a run."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["path", "bytes", "imports", "trusted", "hash"])
    types = {"path": "str", "bytes": "int64", "imports": "str", "trusted": "bool"}
    return frame.drop(columns="hash").astype(types)


def ended(runs: Sequence[Candidate]) -> DataFrame:
    """Return runs that have ended."""
    import pandas as pd

    rows = [(run.run_id, run.job, run.status, run.ended_us, run.bytes) for run in runs]
    frame = pd.DataFrame(rows, columns=["run_id", "job", "status", "finished_at", "bytes"])
    frame["finished_at"] = pd.to_datetime(frame.finished_at.astype("int64"), unit="us", utc=True)
    return frame.astype({"run_id": "str", "job": "str", "status": "str", "bytes": "int64"})


def findings(rows: Sequence[Finding]) -> DataFrame:
    """Return the findings of a check of a home."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["what", "state", "detail", "remedy"])
    return frame.astype("str")


def published(rows: Sequence[Month]) -> DataFrame:
    """Return the months of a home that were published."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["month", "state", "runs", "tasks", "logs"])
    return frame.astype({"month": "str", "state": "str"})
