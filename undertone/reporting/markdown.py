"""Score rows → the tables of docs/results.md."""

from collections.abc import Iterable, Sequence

from undertone.records import Score
from undertone.reporting import numbers
from undertone.reporting.controls import Control, controls
from undertone.reporting.estimates import as_trained, estimates, label
from undertone.reporting.tables import Cell, Section, Table, cost, section, suites


def results(scores: Sequence[Score], source: str) -> str:
    """Every suite, the controls and the costs as Markdown; `source` names the file of the rows. ValueError where there is no row."""
    if not scores:
        raise ValueError(f"{source}: holds no score")
    table = estimates(as_trained(scores))
    parts = [heading(scores, source)]
    parts += [suite(section(table, name)) for name in suites(table)]
    if found := controls(table):
        parts.append("## Controls\n\n" + control_rows(found))
    if took := cost(table):
        parts.append("## Cost\n\n" + rows(took, ""))
    return "\n\n".join(parts) + "\n"


def heading(scores: Iterable[Score], source: str) -> str:
    """Where the numbers come from, and how to read a cell."""
    found = list(scores)
    seeds = ", ".join(str(seed) for seed in sorted({row.seed for row in found}))
    commits = ", ".join(f"`{commit}`" for commit in sorted({row.commit for row in found}))
    return (
        f"Made from `{source}` ({len(found):,} rows, commit {commits}, seeds {seeds}); change the rows, not this page.\n\n"
        "A cell: value [95 % interval], n; over seeds the mean, an interval that holds those of all seeds, and least to greatest seed."
        " **Bold**: best of its column. *Italic*: the interval meets the best one’s, so the order may be chance."
    )


def suite(one: Section) -> str:
    """A suite's tables under its title."""
    parts = [f"## {one.title}"]
    if one.overall is not None:
        parts.append(rows(one.overall, one.lead))
    for metric, table in one.finer.items():
        parts += [f"{numbers.metric(metric).label}, group by group:", rows(table, one.lead)]
    return "\n\n".join(parts)


def rows(table: Table, lead: str) -> str:
    """A table; where the leading metric has verdict shares, p₊ / p₀ / p₋ stand behind its value."""
    heads = ["Run", *(column.head + (" (p₊ / p₀ / p₋)" if table.barred and column.metric == lead else "") for column in table.columns)]
    return grid(heads, [[label(line.run), *map(written, line.cells)] for line in table.lines])


def control_rows(found: Iterable[Control]) -> str:
    """A line per control, run and group."""
    lines = [[one.name, label(one.run), group, written(cell), one.reading] for one in found for group, cell in one.cells.items()]
    return grid(["Control", "Run", "Group", "Value", "Reading"], lines)


def written(cell: Cell) -> str:
    """One cell in a line of text."""
    if cell.estimate is None:
        return "–"
    star = {"best": "**", "noise": "*", "": ""}[cell.mark]
    parts = [f"{star}{cell.text}{star}{f' [{cell.interval}]' if cell.interval else ''}"]
    if cell.shares is not None:
        parts[0] += f" ({' / '.join(numbers.percent(share) for share in cell.shares)})"
    parts.append(f"n {cell.estimate.n}")
    parts += [f"seeds {cell.spread}"] if cell.spread else []
    parts += [f"{cell.estimate.unscored} unscored"] if cell.estimate.unscored else []
    return ", ".join(parts)


def grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(_line(cells) for cells in [heads, ["---"] * len(heads), *lines])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
