"""Worker of joblib: a cached function."""

from __future__ import annotations

from importlib import metadata

from benchmarks.peers.work import Work, start, step


def main(work: Work) -> None:
    """Call the cached function for each step."""
    with work.importing():
        from joblib import Memory
    work.version = metadata.version("joblib")
    recorded = Memory(work.folder / "cache", verbose=0).cache(step)

    def body() -> None:
        for number in work:
            recorded(number)

    work.execute(body)


if __name__ == "__main__":
    start(main)
