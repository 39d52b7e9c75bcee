"""Lines that a run logs."""

from __future__ import annotations

import nbtasks as nb


def test_logs_are_written_once_and_may_repeat() -> None:
    @nb.job("logs")
    def body(io: nb.SyncIO) -> None:
        for _ in range(2):
            io.logger.info("the same", n=1)
        io.logger.debug("not kept")
        io.run_task("fit", lambda: nb.current_task().log("inside", r2=0.9))

    body.run()
    body.run()

    logs = nb.logs()
    assert logs.message.tolist() == ["the same", "the same", "inside"]
    assert logs.data.tolist() == ['{"n":1}', '{"n":1}', '{"r2":0.9}']
    assert logs.path.fillna("").tolist() == ["", "", "fit"]


def test_the_log_level_says_what_is_kept() -> None:
    @nb.job("levels", log_level="warn")
    def body(io: nb.SyncIO) -> None:
        for level in ("debug", "info", "warn", "error"):
            getattr(io.logger, level)(level)

    assert body.run().logs().level.tolist() == ["warn", "error"]
