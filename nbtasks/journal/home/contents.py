"""Contents of a home as they are now: from its board where that knows them, else from DuckDB."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from nbtasks.core.model import RunRow
from nbtasks.journal.database import queries as stored
from nbtasks.journal.database.schema import offsets
from nbtasks.journal.database.segments import SegmentFolder, Tails
from nbtasks.journal.database.store import DuckStore
from nbtasks.journal.home import board_rows
from nbtasks.journal.home.board import Board

__all__ = ["Contents", "Snapshot"]

#: Questions to DuckDB before the board is loaded: a script that sends one event needs none.
_PATIENCE = 2
#: ... and after the home was too large for one.
_LONG_PATIENCE = 1_000


class Contents:
    """Contents of a home. The caller holds the home, and has flushed the rows it has put.

    Args:
        store: The DuckDB side of the home.
        segments: Its segments.
    """

    def __init__(self, store: DuckStore, segments: SegmentFolder) -> None:
        self._store = store
        self._segments = segments
        self._board: Board | None = None
        self._tails = Tails(segments, {})
        self._revision = ""
        self._patience = _PATIENCE

    @contextlib.contextmanager
    def now(self) -> Iterator[Snapshot]:
        """Yield the contents as they are now."""
        with contextlib.ExitStack() as closing:
            yield Snapshot(self._require_board(), self._store, closing)

    def board(self) -> Board | None:
        """Return the board as it is now; None if there is none."""
        board, self._board = self._board, None  # gone, unless all of this succeeds
        if board is not None and self._revision == self._store.contents.id:
            batch = self._tails.read()
            if batch is not None and board.update(batch, self._tails.is_alive):
                self._board = board
        return self._board

    def _require_board(self) -> Board | None:
        """Return the board, loaded if that is worth while."""
        if (board := self.board()) is not None:
            return board
        self._patience -= 1
        if self._patience > 0:
            return None
        with self._store.reading(tidy=False) as con:
            rows, ends = board_rows.load(con), offsets(con)
        self._patience = _LONG_PATIENCE if rows is None else _PATIENCE
        if rows is not None:
            # Only now: reading may have removed segments.
            self._tails, self._revision = Tails(self._segments, ends), self._store.contents.id
            self._board = Board(rows)
        return self.board()


class Snapshot:
    """Contents of a home for as long as its caller holds the home.

    Args:
        board: The board; None if there is none.
        store: The DuckDB side of the home, opened where the board cannot answer.
        closing: Stack that closes it.
    """

    def __init__(
        self, board: Board | None, store: DuckStore, closing: contextlib.ExitStack
    ) -> None:
        self._board = board
        self._store = store
        self._closing = closing
        self._con: Any = None

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Implement `Journal.find`."""
        found = None if self._board is None else self._board.find(kind, since=since, **equal)
        return stored.find_rows(self.con, kind, since=since, **equal) if found is None else found

    def run(self, run_id: str) -> list[RunRow]:
        """Return the run with an id, if there is one."""
        run = None if self._board is None else self._board.run(run_id)
        return stored.runs(self.con, run_id=run_id) if run is None else [run]

    def place(self, rows: Iterable[Any]) -> bool:
        """Give the new runs among rows their places in the order of the runs of a home.

        Return True if there are any.

        Rows that replace those of runs must not be merged together with these: see `merge.Batch`.
        """
        runs = [row for row in rows if isinstance(row, RunRow)]
        new = [run for run in runs if not run.number]
        con = self.con if self._board is None or new != runs else None
        if self._board is None:
            stored.place(con, new)
        else:
            for number, run in enumerate(new, self._board.last_number + 1):
                run.number = number
        return bool(new)

    @property
    def con(self) -> Any:
        """A connection that sees everything."""
        if self._con is None:
            self._con = self._closing.enter_context(self._store.reading(tidy=False))
        return self._con
