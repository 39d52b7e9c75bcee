"""Index, columns, types and time zones survive."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.scenarios.harness import Expect, World


def made() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "carrier": pd.Categorical(["AA", "BB", "AA"]),
            "delay": [1.5, None, -3.0],
            "at": pd.date_range("2026-01-01", periods=3, tz="America/New_York"),
        },
        index=pd.Index([10, 20, 30], name="flight"),
    )


async def body(io: Any, world: World) -> float:
    frame = await io.run_task("load", world.returning(made()))
    pd.testing.assert_frame_equal(frame, made())
    return await io.run_task("mean", world.returning(float(frame.delay.mean())))


EXPECT = Expect(
    output=-0.75,
    calls={"load": 1, "mean": 1},
    statuses={"load": "COMPLETED", "mean": "COMPLETED"},
)
