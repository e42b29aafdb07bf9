"""The controls: what is left of a score when the voice is taken away, swapped, or stated in words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from undertone.evaluation.controls import CONTROLS, PREFIX
from undertone.reporting.estimates import Estimate, Estimates, Key, groups, overlap, runs
from undertone.reporting.tables import Cell, leading

READINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"chance": ("at chance", "not at chance"), "opposite": ("minus its own score", "not minus its own score")}
)
"""What is said of a control by what was expected of it: it came, it did not come."""


class Control(NamedTuple):
    """One control of one run: group → number, and whether what was expected of it lies in every interval; None: cannot be said."""

    run: str
    name: str
    cells: Mapping[str, Cell]
    holds: bool | None

    @property
    def meaning(self) -> str:
        """What the control takes away."""
        return CONTROLS[self.name].meaning if self.name in CONTROLS else ""

    @property
    def expected(self) -> str:
        """What it gives where the gain is the voice's: chance, opposite or ceiling."""
        return CONTROLS[self.name].expected if self.name in CONTROLS else "chance"

    @property
    def reading(self) -> str:
        """Its outcome in words; a dash where it cannot be told."""
        if self.expected == "ceiling":
            return "upper bound"
        return "–" if self.holds is None else READINGS[self.expected][0 if self.holds else 1]


def controls(table: Estimates) -> list[Control]:
    """Every control suite of every run."""
    found = {key.suite for key in table if key.suite.startswith(PREFIX)}
    order = [PREFIX + name for name in CONTROLS]
    names = sorted(found, key=lambda suite: ([*order, suite].index(suite), suite))
    return [_control(table, suite, run) for suite in names for run in runs(key for key in table if key.suite == suite)]


def _control(table: Estimates, suite: str, run: str) -> Control:
    mine = {key: one for key, one in table.items() if (key.suite, key.run) == (suite, run)}
    lead, name = leading(mine, suite), suite.removeprefix(PREFIX)
    cells = {group: Cell(mine[key]) for group in groups(mine) if (key := Key(run, suite, lead, group)) in mine}
    unjudged = Control(run, name, MappingProxyType(cells), None)
    if lead != "pa_score" or unjudged.expected == "ceiling":
        return unjudged
    verdicts = [_holds(table, run, unjudged.expected, group, cell.estimate) for group, cell in cells.items() if cell.estimate]
    return unjudged._replace(holds=None if None in verdicts else all(verdicts))


def _holds(table: Estimates, run: str, expected: str, group: str, one: Estimate) -> bool | None:
    if expected == "opposite":
        return mirrors(one, own(table, run, group))
    return None if one.low is None or one.high is None else one.low <= 0 <= one.high


def own(table: Estimates, run: str, group: str) -> Estimate | None:
    """The run's PA-score without control, of the suite that a control names as its `group`."""
    found = (table.get(Key(run, suite, "pa_score", "all")) for suite in (f"pa/{group}", group))
    return next((one for one in found if one is not None), None)


def mirrors(one: Estimate, other: Estimate | None) -> bool | None:
    """Whether `one` is minus `other` within their intervals; None where one is missing, or `other` is nothing that could turn round."""
    if other is None or other.low is None or other.high is None or other.low <= 0:
        return None
    turned = other._replace(low=-other.high, high=-other.low)
    return overlap(one, turned) if one.high is None else bool(overlap(one, turned)) and one.high < 0
