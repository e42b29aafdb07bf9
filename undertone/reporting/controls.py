"""The controls: what is left of a score when the voice is taken away, swapped, or stated in words."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from undertone.reporting.estimates import Estimate, Estimates, Key, groups, runs
from undertone.reporting.tables import Cell, leading

PREFIX = "control/"
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "text-only": "the words typed, no voice: nothing but the words can be used",
        "shuffled-audio": "in every second pair the two voices change places: the voice no longer tells the speaker",
        "oracle-label": "the voice with the true speaker note in words: what is reached when the voice need not be heard",
    }
)
CEILINGS = ("oracle-label",)
"""controls that state the truth: an upper bound, not a chance level"""


class Control(NamedTuple):
    """One control of one run: group → number, and whether chance (PA-score 0) lies in every interval; None: cannot be said."""

    run: str
    name: str
    cells: Mapping[str, Cell]
    at_chance: bool | None

    @property
    def meaning(self) -> str:
        """What the control takes away."""
        return MEANINGS.get(self.name, "")

    @property
    def ceiling(self) -> bool:
        """Whether it states the truth, so that its score is an upper bound."""
        return self.name in CEILINGS


def controls(table: Estimates) -> list[Control]:
    """Every control suite of every run."""
    own = {key: one for key, one in table.items() if key.suite.startswith(PREFIX)}
    names = sorted(
        {key.suite for key in own}, key=lambda suite: ([*MEANINGS, suite.removeprefix(PREFIX)].index(suite.removeprefix(PREFIX)), suite)
    )
    return [
        _control({key: one for key, one in own.items() if (key.suite, key.run) == (suite, run)})
        for suite in names
        for run in _runs(own, suite)
    ]


def _runs(own: Iterable[Key], suite: str) -> list[str]:
    return runs(key for key in own if key.suite == suite)


def _control(mine: Estimates) -> Control:
    run, suite, *_ = next(iter(mine))
    lead = leading(mine, suite)
    cells = {group: Cell(mine[key]) for group in groups(mine) if (key := Key(run, suite, lead, group)) in mine}
    name = suite.removeprefix(PREFIX)
    judged = lead == "pa_score" and name not in CEILINGS
    return Control(
        run, name, MappingProxyType(cells), holds_zero([mine[Key(run, suite, lead, group)] for group in cells]) if judged else None
    )


def holds_zero(found: Iterable[Estimate]) -> bool | None:
    """Whether 0 lies in every interval; None where an interval is missing."""
    bounds = [(one.low, one.high) for one in found]
    if any(low is None or high is None for low, high in bounds):
        return None
    return all(low <= 0 <= high for low, high in bounds if low is not None and high is not None)
