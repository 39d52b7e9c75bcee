"""The database in memory that queries of a journal in memory share."""

from __future__ import annotations

import os

import pytest

from nbtasks.errors import JournalError
from nbtasks.journal.database import schema
from nbtasks.journal.memory import MemoryJournal
from nbtasks.views import frames


@pytest.fixture
def asked(rows) -> MemoryJournal:
    """A journal with a run, which has been queried."""
    journal = MemoryJournal()
    rows.finished(journal, "first", tasks=3)
    assert len(frames.sql(journal, "from tasks")) == 3
    return journal


def test_rows_of_one_journal_are_not_in_the_next_nor_twice_in_their_own(asked):
    assert frames.sql(MemoryJournal(), "from tasks").empty
    assert frames.sql(MemoryJournal(), "from runs").empty
    assert len(frames.sql(asked, "from tasks")) == 3


def test_a_query_that_is_refused_spoils_no_later_one(asked):
    with pytest.raises(JournalError, match="no_such_column"):
        frames.sql(asked, "select no_such_column from tasks")

    assert len(frames.sql(asked, "from tasks")) == 3


def test_the_frame_of_one_query_is_unknown_to_the_next(asked):
    query = "select count(*) as n from tasks join mine using (path)"
    assert frames.sql(asked, query, frames={"mine": frames.sql(asked, "from tasks")}).n[0] == 3

    with pytest.raises(JournalError, match="mine"):
        frames.sql(asked, query)


def test_queries_at_the_same_time_see_their_own_rows(asked):
    with schema.emptied() as con:
        con.execute("insert into segment values ('other', 1)")

        assert frames.sql(asked, "select count(*) as n from segment").n[0] == 0
        assert con.execute("select count(*) from segment").fetchone() == (1,)


def test_it_reads_nothing_beside_it(asked, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")

    with pytest.raises(JournalError, match="disabled"):
        frames.sql(asked, f"from '{tmp_path / 'secret.csv'}'")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # pytest has threads of its own
def test_a_forked_child_makes_its_own(asked):
    with schema.emptied():
        child = os.fork()
        if child == 0:
            os._exit(0 if len(frames.sql(asked, "from tasks")) == 3 else 1)

        assert os.waitpid(child, 0)[1] == 0
