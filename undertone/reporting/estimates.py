"""Score rows → one estimate per run, suite, metric and group, seeds taken together. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import CLAIMS, LAYERS, Score

RUNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "vanilla": ("Vanilla", "the model as it came"),
        "semantic": ("Semantic stage", "frozen language model, ears taught the words alone"),
        "words-only": ("Words only", "frozen language model, the words typed"),
        "untaught": ("Untaught", "the base as it came, which knows simulated voices and no recording"),
        "untagged": ("Untagged", "ears taught on replies to the words without a speaker note"),
        "statistics": ("Statistics", "a logistic regression on MFCC and F0 statistics of the same clips; no model hears them"),
        "classifier": ("Classifier", "a standalone classifier on the same encoder and data; it answers nothing"),
        "labels-only": ("Labels only", "ears taught to name the voice, without behavioural alignment"),
        "shuffled": ("Shuffled labels", "control: aligned to another clip’s speaker note"),
        "oracle": ("Oracle note", "frozen language model, the words typed with the true speaker note: the ceiling"),
        "prompted": ("Prompted", "vanilla, told to mind how the speaker sounds"),
        "cascade": ("Cascade", "a classifier on the audio tower’s output writes a speaker note as text"),
        "all-layer": ("All layers", "LoRA in every layer of the language model"),
        "random-layers": ("Random layers", "LoRA in as many layers, drawn at random"),
        "selective": ("Selective", "LoRA in the chosen layers, no auxiliary head"),
        "by-note": ("Aligned, by note", "the aligned model, which caption of the voice it finds likeliest"),
        "aligned": ("Aligned", "behavioural alignment: ears taught what the frozen language model says to words and speaker note"),
        "pe-ft-recorded": ("PE-FT on recordings", "PE-FT, fine-tuned to name the labels of a corpus' other speakers"),
        "pe-ft": ("PE-FT", "LoRA in the chosen layers, trained with the auxiliary head (ADCH)"),
    }
)
"""Runs in the order of the tables: name → label, what it is."""

BEFORE = ("vanilla", "semantic")
"""the model before anything was trained for voices, on either road"""
WALK = "demo"
"""the run whose costs are those of everything that the demo did"""
UNTRAINED = (*BEFORE, "prompted", "cascade", "words-only", "oracle")
"""runs without an adapter, which no strength scales"""


class Key(NamedTuple):
    """What a number is of."""

    run: str
    suite: str
    metric: str
    group: str


class Estimate(NamedTuple):
    """A number over its seeds: mean, the interval that holds the 95 % intervals of all seeds, n of each seed, least and greatest seed."""

    key: Key
    value: float | None
    low: float | None
    high: float | None
    counts: tuple[int, ...]
    unscored: int
    least: float | None
    most: float | None

    @property
    def n(self) -> str:
        """ "420"; over seeds "3 × 420", or "420 + 418 + 420" where they differ."""
        first, *rest = self.counts
        if rest and set(rest) == {first}:
            return f"{len(self.counts)} × {first:,}"
        return " + ".join(f"{one:,}" for one in self.counts)


Estimates = Mapping[Key, Estimate]


def strength(score: Score) -> tuple[str, float | None]:
    """The run without its "@0.25", and the adapter's strength where one is stated (details win over the name); ValueError names the run."""
    name, at, said = score.run.partition("@")
    stated = score.details.get("strength")
    try:
        return name, float(stated) if stated is not None else float(said) if at else None
    except ValueError:
        raise ValueError(f"run {score.run!r}: what follows @ is the adapter's strength, a number such as 0.25") from None


def as_trained(scores: Iterable[Score]) -> list[Score]:
    """The rows of adapters at full strength: what tables compare. Rows named RUN@STRENGTH belong to the strength curve alone, those of
    suite layers to the layer curves, those of suite claims to a study's comparisons."""
    replied = [row for row in scores if row.suite not in (LAYERS, CLAIMS)]
    return [row for row in replied if row.run in UNTRAINED or ("@" not in row.run and strength(row)[1] in (None, 1.0))]


def estimates(scores: Iterable[Score]) -> dict[Key, Estimate]:
    """One estimate a key, in order of appearance; ValueError where a seed has two different rows for one key."""
    seeds: defaultdict[Key, dict[int, Score]] = defaultdict(dict)
    for row in scores:
        key = Key(row.run, row.suite, row.metric, row.group)
        if seeds[key].setdefault(row.seed, row) != row:
            raise ValueError(f"two rows say different things of {' · '.join(key)} at seed {row.seed}; evaluate one under another --name")
    return {key: pool(key, list(rows.values())) for key, rows in seeds.items()}


def pool(key: Key, rows: Sequence[Score]) -> Estimate:
    """Mean over seeds; rows without a value are in no mean, yet their unscored count."""
    held = [row for row in rows if row.value is not None]
    values = [row.value for row in held if row.value is not None]
    return Estimate(
        key,
        sum(values) / len(values) if values else None,
        _outer(min, [row.low for row in held]),
        _outer(max, [row.high for row in held]),
        tuple(row.n for row in rows),
        sum(row.unscored for row in rows),
        min(values, default=None),
        max(values, default=None),
    )


def _outer(pick: Callable[[list[float]], float], bounds: Sequence[float | None]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return pick(known) if known and len(known) == len(bounds) else None


def overlap(one: Estimate, other: Estimate) -> bool | None:
    """Whether the two intervals meet; None where one is missing, so that nobody can say."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    return one.low <= other.high and other.low <= one.high


def label(run: str) -> str:
    """The run's name as people read it."""
    return RUNS[run][0] if run in RUNS else run


def before(table: Iterable[Key]) -> str:
    """The run that the trained ones are compared with."""
    found = {key.run for key in table}
    return next((run for run in BEFORE if run in found), BEFORE[0])


def runs(table: Iterable[Key]) -> list[str]:
    """The runs that answered or were trained, known ones first and in order."""
    return sorted({key.run for key in table} - {WALK}, key=lambda run: (list(RUNS).index(run) if run in RUNS else len(RUNS), run))


def groups(table: Iterable[Key]) -> list[str]:
    """The groups: all, then values in the order of the attribute table, then the rest."""
    known = ["all", *ATTRIBUTES, *(value for row in ATTRIBUTES.values() for value in row.names)]
    return sorted({key.group for key in table}, key=lambda group: (known.index(group) if group in known else len(known), group))
