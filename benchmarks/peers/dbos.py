"""Worker of DBOS: a workflow with a step for each, in SQLite.

DBOS answers a finished workflow as a whole. So this one dies before its end, and the next process
recovers it. The time of that is taken from its first step, as a queue polls for it once a second.
The option `wal` sets the file to SQLite's WAL mode beforehand, which DBOS leaves as it is.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from importlib import metadata
from time import perf_counter

from benchmarks.peers.work import Work, start, step


def main(work: Work) -> None:
    """Run the workflow, and die."""
    with work.importing():
        from dbos import DBOS, DBOSConfig, SetWorkflowID
    work.version = metadata.version("dbos")
    path = work.folder / "system.sqlite"
    if work.option == "wal":
        sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    recorded = DBOS.step()(step)

    def body() -> None:
        status = 1
        try:
            began = perf_counter()
            for number in work:
                recorded(number)
            work.report(perf_counter() - began)
            status = 0
        finally:
            os._exit(status)

    workflow = DBOS.workflow()(body)
    config: DBOSConfig = {
        "name": "peers",
        "system_database_url": f"sqlite:///{path}",
        "application_version": "1",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    if work.first:
        with SetWorkflowID("peers"):
            workflow()
    threading.Event().wait()  # launch() recovers the workflow in the background


if __name__ == "__main__":
    start(main)
