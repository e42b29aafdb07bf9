"""Rows of a study and its grid → the papers' tables and their claims, as Markdown. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from undertone.evaluation.comparison import Cell as Place
from undertone.records import Score
from undertone.reporting import numbers
from undertone.reporting.estimates import Estimates, Key, as_trained, estimates, label
from undertone.reporting.markdown import grid as lines
from undertone.reporting.markdown import heading, written
from undertone.reporting.tables import Cell, mark, suite_title

if TYPE_CHECKING:
    from undertone.settings.study import Grid

CLAIMS = "claims"
"""The suite of a study's comparisons; their details say what was compared and the verdict."""

OTHER = "other-voices/"
"""What stands before the suites of a test in another synthesiser's voices."""
VERDICTS = {"supported": "supported", "not supported": "**not supported**", "undecided": "undecided at this size"}


def page(scores: Sequence[Score], grid: "Grid", source: str) -> str:
    """Claims first, then every table. ValueError where there is no row."""
    if not scores:
        raise ValueError(f"{source}: holds no score")
    measured = [row for row in scores if row.suite != CLAIMS]
    known = estimates(as_trained(measured))
    parts = [heading(measured, source), claims(scores)]
    ran = {key.run for key in known}
    rows = {one.title: ([name for name in one.arms if name in ran], one.cells) for one in grid.tables}
    parts += [f"## {title}\n\n{table(known, grid, names, cells)}" for title, (names, cells) in rows.items() if len(names) > 1]
    if absent := [name for name in grid.arms if name not in ran]:
        parts.append(f"Not run: {', '.join(absent)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def claims(scores: Sequence[Score]) -> str:
    """Every claim with its difference, its p-value among all of them, and the verdict; nothing without claims."""
    found = [row for row in scores if row.suite == CLAIMS]
    if not found:
        return ""
    trainings = max(int(row.details.get("trainings") or 0) for row in found)
    said = (
        f"Each claim beside what was measured over {trainings} training{'s' * (trainings != 1)} an arm: the difference with its 95 % "
        "interval (texts and trainings drawn again), the least and greatest of single trainings, and p adjusted for all claims (Holm). A "
        "verdict needs p < 0.05 and all trainings on one side."
    )
    heads = ["Claim", "Compared", "Difference", "Trainings", "p", "Verdict"]
    return "## Claims\n\n" + said + "\n\n" + lines(heads, [claim(row) for row in found])


def claim(row: Score) -> list[str]:
    """One claim's line."""
    told: dict[str, Any] = dict(row.details)
    cell, than_cell = str(told["cell"]), str(told.get("than_cell") or "")
    than = f" − {label(told['than'])}" if told["than"] else ""
    than += f" ({head(than_cell)})" if than_cell else ""
    bound = {"above": ">", "below": "<", "within": "±"}[told["lies"]]
    value = numbers.signed(row.value or 0.0)
    spread = f"{numbers.signed(told['least'])} to {numbers.signed(told['most'])}"
    return [
        row.group,
        f"{label(row.run)}{than}: {head(cell)} {bound} {numbers.plain(told['margin'])}",
        f"{value} [{numbers.signed(row.low or 0.0)} to {numbers.signed(row.high or 0.0)}], n {row.n:,}",
        spread,
        f"{told['p']:.3f}" if told["p"] >= 0.001 else "<0.001",
        VERDICTS[told["verdict"]],
    ]


def head(text: str) -> str:
    """A cell in words: suite, metric, and the group where it is one voice."""
    suite, metric, group = Place.read(text)
    other = " of other voices" if suite.startswith(OTHER) else ""
    voice = f", {group}" if group != "all" else ""
    return f"{suite_title(suite.removeprefix(OTHER))}{other} {numbers.metric(metric).label}{voice}"


def table(known: Estimates, grid: "Grid", names: Sequence[str], texts: Sequence[str]) -> str:
    """A table; behind our number stands what was published of each model, where anything was."""
    places = [Place.read(text) for text in texts]
    columns = [[known.get(Key(name, *place)) for name in names] for place in places]
    marks = [mark(column, place.metric) for column, place in zip(columns, places, strict=True)]
    rows = []
    for at, name in enumerate(names):
        cells = [written(Cell(column[at], marked[at])) for column, marked in zip(columns, marks, strict=True)]
        beside = [published(grid, name, text) for text in texts]
        rows.append([label(name), *(f"{ours}{theirs}" for ours, theirs in zip(cells, beside, strict=True))])
    return lines(["Run", *map(head, texts)], rows)


def published(grid: "Grid", arm: str, cell: str) -> str:
    """What papers say of an arm, model by model."""
    metric = Place.read(cell).metric
    found = {model: values[arm][cell] for model, values in grid.published.items() if cell in values.get(arm, {})}
    said = ", ".join(f"{model} {numbers.shown(metric, value)}" for model, value in found.items())
    return f"; published: {said}" if said else ""
