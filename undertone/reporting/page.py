"""Everything that run folders hold → one HTML page that needs nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from undertone.reporting import numbers, study
from undertone.reporting.audio import Player, embed
from undertone.reporting.controls import controls
from undertone.reporting.estimates import RUNS, as_trained, before, estimates, label, runs
from undertone.reporting.findings import changes, findings, tuned
from undertone.reporting.folder import Example, Shown, Voice
from undertone.reporting.plots import panels
from undertone.reporting.strengths import over_refusal
from undertone.reporting.tables import cost, section, suites

PAIRS = 12
"""pairs that a page embeds at most"""


class Heard(NamedTuple):
    """A voice with its player and its answers: run, reply, verdict (a word that is also its look)."""

    voice: Voice
    player: Player
    answers: tuple[tuple[str, str, str], ...]


class Pair(NamedTuple):
    """The same words, heard in several voices."""

    example: Example
    heard: tuple[Heard, ...]


def page(shown: Shown, title: str, commands: Sequence[str] = (), silence: str = "") -> str:
    """The page. `commands` make it again; `silence` says why there are no pairs to listen to. Replies and names are untrusted and escaped;
    sounds are embedded."""
    table = estimates(as_trained(shown.scores))
    after = tuned(table)
    html: str = _template().render(
        title=title,
        shown=shown,
        commands=commands,
        silence=silence,
        findings=findings(table),
        changes=changes(table),
        before=before(table),
        after=after,
        runs=[(run, RUNS.get(run, ("", ""))[1]) for run in runs(table)],
        panels=panels(shown.layers, shown.selection) if shown.layers else [],
        sections=[section(table, suite) for suite in suites(table)],
        strengths=over_refusal(shown.scores, after) if after else [],
        claims=(study.how(shown.scores), weighed) if (weighed := study.weighed(shown.scores)) else None,
        cost=cost(table),
        controls=controls(table),
        pairs=[heard(example) for example in spread(shown.examples, PAIRS)],
        settings=[(source.path, flat(source.settings)) for source in shown.sources if source.settings],
        provenance=merged([dict(flat(source.provenance)) for source in shown.sources]),
        seeds=sorted({row.seed for row in shown.scores}),
        commits=sorted({row.commit for row in shown.scores}),
    )
    return html


def merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name → its value, or its several values where the tables differ."""
    values: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for table in tables:
        for name, value in table.items():
            values[name.removeprefix("packages.")]["not installed" if value is None else str(value)] = None
    return {name: " / ".join(found) for name, found in values.items()}


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("undertone.reporting", package_path=".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "label": label,
        "percent": numbers.percent,
        "plain": numbers.plain,
        "metric": lambda name: numbers.metric(name).label,
    }
    return environment.get_template("page.html")


def spread(examples: Sequence[Example], most: int) -> list[Example]:
    """At most `most` examples, taken from the categories in turn."""
    kinds: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        kinds[example.category].append(example)
    turns = chain.from_iterable(zip_longest(*kinds.values()))
    return [example for example in turns if example is not None][:most]


def heard(example: Example) -> Pair:
    """The pair with its sounds."""
    return Pair(example, tuple(Heard(voice, embed(Path(voice.file)), tuple(_answers(voice))) for voice in example.voices))


def _answers(voice: Voice) -> Iterable[tuple[str, str, str]]:
    known = [*RUNS, *voice.replies]
    for run in sorted(voice.replies, key=known.index):
        yield run, voice.replies[run], verdict(voice.verdicts.get(run))


def verdict(value: float | None) -> str:
    """A judge's number as a word."""
    if value is None:
        return "unscored"
    return "suits" if value > 0 else "unsuited" if value < 0 else "neutral"


def flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted names and values."""
    rows: list[tuple[str, Any]] = []
    for name, value in table.items():
        rows += flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else [(prefix + name, value)]
    return rows
