"""Worker of nbtasks: a job with a task for each step, in a body that blocks."""

from __future__ import annotations

from benchmarks.peers.work import Work, start, step


def main(work: Work) -> None:
    """Run the job."""
    with work.importing():
        import nbtasks as nb
    work.version = nb.__version__
    nb.configure(home=work.folder / "home")

    @nb.job("peers")
    def body(io: nb.SyncIO) -> None:
        for number in work:
            io.run_task(["step", number], step, number)

    work.execute(lambda: body.run(tree=False))


if __name__ == "__main__":
    start(main)
