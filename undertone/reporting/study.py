"""Rows of a study and its grid → the papers' tables and their claims, as Markdown. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from undertone.evaluation.comparison import Cell as Place
from undertone.records import CLAIMS, Score
from undertone.reporting import numbers
from undertone.reporting.estimates import Estimates, Key, as_trained, estimates, label
from undertone.reporting.markdown import grid as lines
from undertone.reporting.markdown import heading, written
from undertone.reporting.tables import Cell, mark, suite_title

if TYPE_CHECKING:
    from undertone.settings.study import Grid

OTHER = "other-voices/"
"""What stands before the suites of a test in another synthesiser's voices."""
NOT_WEIGHED, ONE, NOUGHT = "not weighed", "one training", "nought"
"""Verdicts on what cannot be weighed: no reply has a value, both sides are one training, no reply of either is right."""
VERDICTS = {
    "supported": "supported",
    "not supported": "not supported",
    "undecided": "undecided at this size",
    NOT_WEIGHED: "not weighed: no reply has a value",
    ONE: "not weighed: on this model both are one training",
    NOUGHT: "not weighed: no reply of either is right to the letter",
}


class Weighed(NamedTuple):
    """A claim in words and numbers: a line of the table of claims."""

    claim: str
    compared: str
    difference: str
    trainings: str
    p: str
    verdict: str


def page(scores: Sequence[Score], grid: "Grid", source: str) -> str:
    """Claims first, then every table. ValueError where there is no row."""
    if not scores:
        raise ValueError(f"{source}: holds no score")
    measured = [row for row in scores if row.suite != CLAIMS]
    known = estimates(as_trained(measured))
    parts = [heading(measured, source), claims(scores)]
    there = {row.group for row in scores if row.suite == CLAIMS}
    said = [one.said for one in grid.claims] + [one.said for one in grid.facts]
    if left := [one for one in said if one not in there]:
        parts.append(
            "Not weighed in these rows (arms that were not run, questions not asked, claims worded since):\n\n"
            + "\n".join(f"- {one}" for one in left)
        )
    ran = {key.run for key in known}
    rows = {one.title: ([name for name in one.arms if name in ran], one.cells) for one in grid.tables}
    parts += [f"## {title}\n\n{table(known, grid, names, cells)}" for title, (names, cells) in rows.items() if len(names) > 1]
    if absent := [name for name in grid.arms if name not in ran]:
        parts.append(f"Not run: {', '.join(absent)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def claims(scores: Sequence[Score]) -> str:
    """Every claim with its difference, its p-value among all of them, and the verdict; nothing without claims."""
    found = weighed(scores)
    if not found:
        return ""
    heads = ["Claim", "Compared", "Difference", "Trainings", "p", "Verdict"]
    bold = [one._replace(verdict=f"**{one.verdict}**") for one in found]
    return "## Claims\n\n" + how(scores) + "\n\n" + lines(heads, bold)


def how(scores: Sequence[Score]) -> str:
    """How the claims were weighed."""
    trainings = max(int(row.details.get("trainings") or 0) for row in scores if row.suite == CLAIMS)
    return (
        f"Each claim beside what was measured over {trainings} training{'s' * (trainings != 1)} an arm: the difference with its 95 % "
        "interval (texts and trainings drawn again), the least and greatest of single trainings, and p adjusted for all claims (Holm). A "
        "verdict needs p < 0.05 and two trainings or more, all on one side. What is counted and not drawn has no p."
    )


def weighed(scores: Sequence[Score]) -> list[Weighed]:
    """The claims among `scores`."""
    return [claim(row) for row in scores if row.suite == CLAIMS]


def claim(row: Score) -> Weighed:
    """One claim's line."""
    told: dict[str, Any] = dict(row.details)
    if counted := told.get("counted"):
        return Weighed(row.group, label(row.run), str(counted), "–", "–", VERDICTS[told["verdict"]])
    cell, than_cell = str(told["cell"]), str(told.get("than_cell") or "")
    than = f" − {label(told['than'])}" if told["than"] else ""
    than += f" ({head(than_cell)})" if than_cell else ""
    bound = {"above": ">", "below": "<", "within": "±"}[told["lies"]]
    compared = f"{label(row.run)}{than}: {head(cell)} {bound} {numbers.plain(told['margin'])}"
    missing = f", {row.unscored:,} unscored" if row.unscored else ""
    if row.value is None or row.low is None or row.high is None:
        return Weighed(row.group, compared, f"–{missing}", "–", "–", VERDICTS[told["verdict"]])
    return Weighed(
        row.group,
        compared,
        f"{numbers.signed(row.value)} [{numbers.signed(row.low)} to {numbers.signed(row.high)}], n {row.n:,}{missing}",
        f"{numbers.signed(told['least'])} to {numbers.signed(told['most'])}",
        f"{told['p']:.3f}" if told["p"] >= 0.001 else "<0.001",
        VERDICTS[told["verdict"]],
    )


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
    said = ", ".join(f"{model} {value if isinstance(value, str) else numbers.shown(metric, value)}" for model, value in found.items())
    return f"; published: {said}" if said else ""
