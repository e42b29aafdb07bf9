"""Everything a run folder holds → one HTML page that needs nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from undertone.reporting import numbers
from undertone.reporting.audio import Player, embed
from undertone.reporting.controls import controls
from undertone.reporting.estimates import RUNS, as_trained, estimates, label, runs
from undertone.reporting.findings import changes, findings, tuned
from undertone.reporting.folder import Example, Folder, Voice
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


def page(folder: Folder, title: str, command: str = "") -> str:
    """The page. `command`: what makes the run again. Replies and names are untrusted and escaped; sounds are embedded."""
    table = estimates(as_trained(folder.scores))
    after = tuned(table)
    html: str = _template().render(
        title=title,
        folder=folder,
        command=command,
        findings=findings(table),
        changes=changes(table),
        after=after,
        runs=[(run, RUNS.get(run, ("", ""))[1]) for run in runs(table)],
        panels=panels(folder.layers, folder.selection) if folder.layers else [],
        sections=[section(table, suite) for suite in suites(table)],
        strengths=over_refusal(folder.scores, after) if after else [],
        cost=cost(table),
        controls=controls(table),
        pairs=[heard(example, folder.path) for example in spread(folder.examples, PAIRS)],
        settings=flat(folder.settings),
        seeds=sorted({row.seed for row in folder.scores}),
        commits=sorted({row.commit for row in folder.scores}),
    )
    return html


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


def heard(example: Example, folder: Path) -> Pair:
    """The pair with its sounds; file names are taken from the run folder where they are relative."""
    return Pair(example, tuple(Heard(voice, embed(folder / voice.file), tuple(_answers(voice))) for voice in example.voices))


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
