"""`%%runs_sql`: a cell in SQL over the journal."""

from __future__ import annotations

import pytest

from tests.notebook.shells import Shell

JOB = "%%job squares\n[io.run_task(['square', n], square, n) for n in range(3)];"


def test_a_cell_of_sql_gives_a_dataframe(shell: Shell) -> None:
    import pandas as pd

    shell.ok(JOB)

    frame = shell.ok("%%runs_sql\nselect path, output from tasks order by seq\n").value

    assert isinstance(frame, pd.DataFrame)
    assert frame.output.tolist() == ["0", "1", "4"]


@pytest.mark.slow
def test_the_result_is_bound_to_a_name_and_a_semicolon_silences_it(shell: Shell) -> None:
    shell.ok(JOB)

    seen = shell.ok("%%runs_sql --as found\nselect count(*) as n from tasks;")

    assert shell.names["found"].n.tolist() == [3]
    assert seen.text == ""


@pytest.mark.slow
def test_a_cell_sees_variables_and_dataframes_of_the_notebook(shell: Shell) -> None:
    shell.ok(JOB)
    shell.ok(
        "import pandas as pd\nleast = 2\nwords = pd.DataFrame({'output': ['4'], 'word': ['four']})"
    )

    frame = shell.ok(
        "%%runs_sql\n"
        "select word from tasks join words using (output)\n"
        "where output::int > $least -- not $this\n"
        "and path <> '$nor_this'"
    ).value

    assert frame.word.tolist() == ["four"]


@pytest.mark.slow
def test_a_mistake_is_one_line(shell: Shell) -> None:
    shell.ok(JOB)

    for cell, told in (
        ("%%runs_sql --into x\nfrom runs", "%%runs_sql has no option --into. It takes --as."),
        ("%%runs_sql --as 2x\nfrom runs", "'2x' cannot be the name of a variable. Write --as VAR."),
        ("%%runs_sql from runs\nfrom runs", "'from'. Write the query in the lines below."),
        ("%%runs_sql\nselect ?", "a placeholder must name a variable, as $month does"),
        ("%%runs_sql\nselect $nowhere", "The query uses $nowhere"),
        ("%%runs_sql\nfrom nowhere", "There is no view 'nowhere', and no DataFrame of that name"),
        ("%%runs_sql\ndelete from run", "the journal is read-only"),
    ):
        seen = shell.run(cell)
        assert seen.error is not None
        assert told in seen.text, seen.text
        assert "Traceback" not in seen.text
        assert seen.text.rstrip().endswith(f"(nbtasks explain {type(seen.error).__name__})")
