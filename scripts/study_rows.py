"""The rows of benchmarks/results/study_GRID.jsonl from studies of one grid.

    python scripts/study_rows.py pe_ft ALL/scores.jsonl SEEDS/scores.jsonl

Of a row that several studies hold the last one's is kept, and claims and facts are the last study's alone: they are adjusted for one
another. Rows that no table of the grid reads are left out, for a study has thousands; shares of verdicts stay beside their score.
"""

import argparse
from pathlib import Path

from undertone.evaluation.comparison import Cell
from undertone.records import CLAIMS, Score, read_rows
from undertone.reporting.tables import VERDICTS
from undertone.run import write_rows
from undertone.settings import read_grid

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


def kept(grid: str, files: list[Path]) -> list[Score]:
    """What the page of the grid is made of."""
    cells = {Cell.read(text) for table in read_grid(grid).tables for text in table.cells}
    studies = [list(read_rows(path, Score)) for path in files]
    rows = {(row.run, row.suite, row.metric, row.group, row.seed): row for study in studies for row in study if row.suite != CLAIMS}
    judged = {cell._replace(metric=share) for cell in cells if cell.metric in ("pa_score", "pa_rate") for share in VERDICTS}
    read = [row for row in rows.values() if Cell(row.suite, row.metric, row.group) in cells | judged]
    return [*read, *(row for row in studies[-1] if row.suite == CLAIMS)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grid")
    parser.add_argument("files", type=Path, nargs="+", help="scores.jsonl of studies, the one whose claims are kept last")
    chosen = parser.parse_args()
    write_rows(RESULTS / f"study_{chosen.grid}.jsonl", kept(chosen.grid, chosen.files))
