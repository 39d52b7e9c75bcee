"""A DuckDB file of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import DuckDB


@pytest.mark.slow
def test_duckdb_answers_queries_with_frames_that_are_recorded(tmp_path: Path):
    db = DuckDB(tmp_path / "users.duckdb")

    @nb.job("asks", integrations={"db": db})
    def asks(io: Any) -> Any:
        io.db.execute("create", "create table users (name varchar, age integer)")
        io.db.execute("insert", "insert into users values (?, ?), ('Al', 20)", ["Ada", 36])
        return io.db.query("old", "select * from users where age > $age", {"age": 30})

    first = asks.run().output
    assert first.to_dict("records") == [{"name": "Ada", "age": 36}]
    assert asks.run().output.equals(first)

    @nb.job("reads", integrations={"db": DuckDB(tmp_path / "users.duckdb", read_only=True)})
    async def reads(io: Any) -> Any:
        with pytest.raises(nb.TaskFailed, match="read-only"):
            await io.db.execute("drop", "drop table users")
        return len(await io.db.query("all", "from users"))

    assert reads.run().output == 2
