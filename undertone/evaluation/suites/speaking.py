"""Questions that somebody wrote, spoken by our synthesiser in the voices that a suite asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from undertone.lookup import resolve
from undertone.progress import bar
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.speech.pairs import Planned
from undertone.speech.rendering import ids, jobs, render
from undertone.speech.synthesisers import SYNTHESISERS
from undertone.speech.writers.grammar import Query

VOICES = 900_000
"""Numbers of the simulated speakers that suites speak with: nothing was ever trained on them."""


class Spoken(NamedTuple):
    """Rows of clips that lie in the folder, and those that were turned away."""

    rows: Sequence[Utterance]
    rejected: Sequence[Rejected]


def question(text: str, category: str, topic: str) -> Query:
    """A text of somebody else's: nobody says what would be right to answer."""
    return Query(text, topic, topic, category, False, "", dict.fromkeys(("child", "adult", "male", "female"), ""))


def speak(planned: Sequence[Planned], folder: Path, workers: int = 0, synthesiser: str = "espeak") -> Spoken:
    """Every rendering in `folder`, in the order of the plan; one that is there already is not made again."""
    make = resolve(SYNTHESISERS, synthesiser, "synthesiser")
    kept, rejected, speaker = Journal(folder / ".kept.jsonl"), Journal(folder / ".rejected.jsonl"), make()
    done = {row.id for row in kept.rows(Utterance)} | {row.id for row in rejected.rows(Rejected)}
    work = jobs(planned)
    missing = [job for job in work if not done.issuperset(ids(job, speaker))]
    for rendered in bar("speaking", len(missing))(render(missing, make, folder, workers)):
        kept.append(rendered.kept)
        rejected.append(rendered.rejected)
    place = {name: i for i, name in enumerate(name for job in work for name in ids(job, speaker))}
    rows = {row.id: row for row in kept.rows(Utterance) if row.id in place}
    gone = {row.id: row for row in rejected.rows(Rejected) if row.id in place}
    return Spoken(sorted(rows.values(), key=lambda row: place[row.id]), list(gone.values()))
