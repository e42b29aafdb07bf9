"""The tables of docs/results.md: every cell with interval, n and seeds; nothing breaks the table."""

import pytest
from report_rows import before_and_after, score

from undertone.reporting.markdown import grid, results


def test_cells_carry_interval_n_seeds_and_unscored() -> None:
    rows = [
        score("pe-ft", "pa/age", "pa_score", "all", value, 0.02, n=420, seed=seed, unscored=seed) for seed, value in enumerate((0.94, 0.96))
    ]
    text = results([score("vanilla", "pa/age", "pa_score", "all", 0.0, 0.09, n=420), *rows], "rows.jsonl")
    assert "| PE-FT | **0.950** [0.920 to 0.980], n 2 × 420, seeds 0.940 to 0.960, 1 unscored |" in text
    assert "| Vanilla | 0.000 [−0.090 to 0.090], n 420 |" in text
    assert "`rows.jsonl` (3 rows, commit `abc123`, seeds 0, 1)" in text


def test_every_section_is_there() -> None:
    text = results(before_and_after(), "rows.jsonl").replace("\u202f", " ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Age",
        "## Child safety",
        "## Content kept",
        "## Controls",
        "## Cost",
    ]
    assert "**0.950** [0.930 to 0.970] (97.0 % / 1.0 % / 2.0 %), n 420" in text
    assert "| text-only | PE-FT | age | 0.003 [−0.047 to 0.053], n 200 | at chance |" in text


def test_every_line_of_a_table_has_as_many_cells() -> None:
    for block in results(before_and_after(), "rows.jsonl").split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
    assert grid(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"


def test_no_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"rows.jsonl: holds no score"):
        results([], "rows.jsonl")
