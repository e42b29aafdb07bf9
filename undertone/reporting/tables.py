"""Estimates → tables of cells: what stands where, what is best, what lies inside the noise of the best. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.controls import PREFIX
from undertone.reporting import numbers
from undertone.reporting.estimates import WALK, Estimate, Estimates, Key, groups, overlap, runs

Mark = Literal["", "best", "noise"]
VERDICTS = ("p_plus", "p_zero", "p_minus")
LEADS = ("pa_score", "pa_rate", "exact", "accuracy", "own_likeliest", "ua", "acc_gt", "leakage", "hs", "ratio")
SUITES = {
    "frozen/synthesised": "Frozen road, simulated voices",
    "frozen/leaning": "Frozen road, does the style’s own reply come first?",
    "frozen/ravdess4": "Frozen road, RAVDESS, four emotions",
    "frozen/ravdess6": "Frozen road, RAVDESS, six emotions",
    "frozen/age": "Frozen road, child or adult",
    "frozen/emodb4": "Frozen road, EmoDB (German), four emotions",
    "child-safety": "Child safety",
    "content": "Content kept",
    "estimate": "finetune --estimate beside a step that is taken",
    "adch": "Auxiliary head (ADCH)",
}

KINDS = {
    "recognition": "Recognition of ",
    "ser": "Names the voice: ",
    "leakage": "Words that leak into what is named: ",
    "conflict": "Words against voice: ",
    "accent": "English as spoken in ",
}
"""Titles of suites that come in several, by what stands before the stroke."""

BY_STYLE = ("reply_rouge_l", "reply_kl", "matched")
"""Metrics beside the leading one that are shown group by group although they are known of all together, too."""


class Shares(NamedTuple):
    """p₊, p₀, p₋ as fractions."""

    plus: float
    zero: float
    minus: float


class Cell(NamedTuple):
    """A number with all that belongs to it; `estimate` None: not measured."""

    estimate: Estimate | None
    mark: Mark = ""
    shares: Shares | None = None

    @property
    def text(self) -> str:
        """The value as its metric writes it."""
        return numbers.shown(self.estimate.key.metric, self.estimate.value) if self.estimate else "–"

    @property
    def interval(self) -> str:
        """The 95 % interval; empty where none is stated."""
        return numbers.interval(self.estimate.key.metric, self.estimate.low, self.estimate.high) if self.estimate else ""

    @property
    def spread(self) -> str:
        """Least to greatest seed; empty with one seed."""
        if self.estimate is None or len(self.estimate.counts) < 2:
            return ""
        return numbers.interval(self.estimate.key.metric, self.estimate.least, self.estimate.most)


class Column(NamedTuple):
    """A metric of a group, its head and what it means."""

    metric: str
    group: str
    head: str
    meaning: str


class Line(NamedTuple):
    """A run and its cells."""

    run: str
    cells: tuple[Cell, ...]


class Table(NamedTuple):
    """A line per run."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def barred(self) -> bool:
        """Whether the first column carries verdict shares."""
        return any(line.cells[0].shares is not None for line in self.lines)


class Section(NamedTuple):
    """A suite: all voices together (None where nobody measured it so), and metric → its table group by group, the leading metric first."""

    suite: str
    title: str
    lead: str
    overall: Table | None
    finer: Mapping[str, Table]


def suites(keys: Iterable[Key]) -> list[str]:
    """The suites of the tables, categories first; controls and costs have sections of their own."""
    found = {key.suite for key in keys if not key.suite.startswith(PREFIX) and key.suite != "cost"}
    order = [*(f"pa/{name}" for name in ATTRIBUTES), *SUITES]
    return sorted(found, key=lambda suite: ([*order, suite].index(suite), suite))


def of_replies(suite: str) -> bool:
    """Whether a suite scores replies, and not weights or heads."""
    return not suite.startswith(PREFIX) and suite not in ("cost", "adch", "frozen")


def section(table: Estimates, suite: str) -> Section:
    """The tables of one suite."""
    own = {key: one for key, one in table.items() if key.suite == suite}
    lead = leading(own, suite)
    measured = sorted(
        {key.metric for key in own if key.group == "all"} - set(VERDICTS), key=lambda name: (name != lead, numbers.rank(name))
    )
    overall = [Column(name, "all", numbers.metric(name).label, numbers.metric(name).meaning) for name in measured]
    return Section(suite, suite_title(suite), lead, tabulate(own, suite, lead, overall), finer(own, suite, lead, measured))


def finer(own: Estimates, suite: str, lead: str, overall: Collection[str]) -> dict[str, Table]:
    """Metric → its table group by group: of the leading metric, of those that some group alone has, and of how consistent replies are."""
    found: dict[str, Table] = {}
    by_group = {key.metric for key in own if key.group != "all"} - set(VERDICTS)
    for metric in [lead, *sorted(by_group - {lead}, key=numbers.rank)]:
        if metric == lead or metric in BY_STYLE or metric not in overall:
            told = {key.group for key in own if key.metric == metric}
            columns = [Column(metric, group, group, numbers.metric(metric).meaning) for group in groups(own) if group in told - {"all"}]
            if table := tabulate(own, suite, lead, columns):
                found[metric] = table
    return found


def suite_title(suite: str) -> str:
    """The suite's name as people read it."""
    kind, _, rest = suite.partition("/")
    return SUITES.get(suite, f"{KINDS[kind]}{rest}" if kind in KINDS and rest else suite.removeprefix("pa/").capitalize())


def leading(own: Iterable[Key], suite: str) -> str:
    """The metric that speaks for a suite: the published one is PA-rate for child safety, PA-score elsewhere (METHOD A.5)."""
    found = {key.metric for key in own}
    wanted = ("pa_rate", *LEADS) if suite == "child-safety" else LEADS
    return next((name for name in wanted if name in found), min(found, key=numbers.rank))


def cost(table: Estimates) -> Table | None:
    """What each run took, the walk as a whole left out; None where nobody measured."""
    own = {key: one for key, one in table.items() if key.suite == "cost" and key.run != WALK}
    order = ("all", "training", "asking")
    wanted = sorted(
        {(key.metric, key.group) for key in own},
        key=lambda pair: (numbers.rank(pair[0]), order.index(pair[1]) if pair[1] in order else len(order), pair[1]),
    )
    columns = [Column(name, group, _head(name, group), numbers.metric(name).meaning) for name, group in wanted]
    return tabulate(own, "cost", "", columns)


def _head(name: str, group: str) -> str:
    return numbers.metric(name).label + ("" if group == "all" else f", {group}")


def tabulate(own: Estimates, suite: str, lead: str, columns: Sequence[Column]) -> Table | None:
    """The runs of `own` against `columns`, marked column by column; cells of `lead` carry the verdict shares.

    Runs that nobody measured so are left out; None without columns."""
    names = [run for run in runs(own) if any(Key(run, suite, column.metric, column.group) in own for column in columns)]
    found = [[own.get(Key(run, suite, column.metric, column.group)) for run in names] for column in columns]
    marks = [mark(cells, column.metric) for cells, column in zip(found, columns, strict=True)]
    lines = tuple(
        Line(
            run,
            tuple(
                Cell(found[at][row], marks[at][row], shares(own, Key(run, suite, lead, column.group)) if column.metric == lead else None)
                for at, column in enumerate(columns)
            ),
        )
        for row, run in enumerate(names)
    )
    return Table(tuple(columns), lines) if columns else None


def shares(own: Estimates, key: Key) -> Shares | None:
    """p₊, p₀, p₋ beside the number of `key`; None unless all three were measured."""
    found = [own.get(key._replace(metric=name)) for name in VERDICTS]
    values = [one.value for one in found if one is not None and one.value is not None]
    return Shares(*values) if len(values) == len(VERDICTS) else None


def mark(column: Sequence[Estimate | None], name: str) -> list[Mark]:
    """best: the best value of a column; noise: its interval meets the best one's, so the order may be chance."""
    better = numbers.metric(name).better
    valued = [(one.value * better, one) for one in column if one is not None and one.value is not None]
    if not better or len(valued) < 2:
        return ["" for _ in column]
    top = max(valued, key=lambda pair: pair[0])[1]
    return [_mark(one, top) for one in column]


def _mark(one: Estimate | None, top: Estimate) -> Mark:
    if one is None or one.value is None:
        return ""
    if one.value == top.value:
        return "best"
    return "noise" if overlap(one, top) else ""
