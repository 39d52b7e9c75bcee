"""Mark: a loop that commits each step in SQLite, in WAL mode and with a sync for each."""

from __future__ import annotations

import sqlite3

from benchmarks.bare import RECORD
from benchmarks.peers.work import Work, start, step


def main(work: Work) -> None:
    """Record each step in a row of 300 bytes."""
    work.version = sqlite3.sqlite_version
    con = sqlite3.connect(work.folder / "steps.sqlite", isolation_level=None)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = FULL")
    con.execute("CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY, record BLOB)")

    def body() -> None:
        for number in work:
            found = con.execute("SELECT record FROM steps WHERE number = ?", (number,)).fetchone()
            if not found:
                step(number)
                con.execute("INSERT INTO steps VALUES (?, ?)", (number, RECORD))

    work.execute(body)


if __name__ == "__main__":
    start(main)
