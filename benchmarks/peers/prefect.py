"""Worker of Prefect: a flow with a task for each step, results kept, a server on loopback.

The server is started by an empty flow before the clock is.
"""

from __future__ import annotations

from importlib import metadata

from benchmarks.peers.work import Work, start, step


def main(work: Work) -> None:
    """Run the flow."""
    with work.importing():
        from prefect import flow, task
        from prefect.cache_policies import INPUTS
    work.version = metadata.version("prefect")
    recorded = task(step, persist_result=True, cache_policy=INPUTS)

    def empty() -> None:
        """Do nothing."""

    def body() -> None:
        for number in work:
            recorded(number)

    flow(empty)()
    work.execute(flow(body))


if __name__ == "__main__":
    start(main)
