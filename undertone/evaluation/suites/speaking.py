"""Questions that somebody wrote, spoken by a synthesiser in the voices that a suite asks for."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from undertone.progress import bar
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.speech.pairs import Planned, utterance
from undertone.speech.rendering import ids, jobs, render, unfinished
from undertone.speech.synthesisers.base import Synthesiser
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


def speak(planned: Sequence[Planned], folder: Path, make: Callable[[], Synthesiser], workers: int = 0, unspoken: bool = False) -> Spoken:
    """Every rendering in `folder`, in the order of the plan; one that is there already is not made again, one that was not spoken is tried
    again. `unspoken`: nothing is, and the rows are of clips that are not there.

    Pairs of which the synthesiser does not render a voice are left out; ValueError where it renders none.
    """
    speaker = make()
    mute = {one.pair for one in planned if not rendered(speaker, one.attributes)}
    if not (able := [one for one in planned if one.pair not in mute]):
        for one in planned:
            speaker.check(one.attributes)
    if mute:
        said = "%d of %d items are left out: the synthesiser %s does not render their voices"
        logging.getLogger(__name__).warning(said, len(planned) - len(able), len(planned), speaker.name)
    if unspoken:
        return Spoken([utterance(one, speaker.name, speaker.version, 0.0, "") for one in able], [])
    kept, rejected = Journal(folder / ".kept.jsonl"), Journal(folder / ".rejected.jsonl")
    work = jobs(able)
    missing = unfinished(work, speaker, kept.rows(Utterance), rejected.rows(Rejected))
    for spoken in bar("speaking", len(missing))(render(missing, make, folder, workers)):
        kept.append(spoken.kept)
        rejected.append(spoken.rejected)
    place = {name: i for i, name in enumerate(name for job in work for name in ids(job, speaker))}
    rows = {row.id: row for row in kept.rows(Utterance) if row.id in place}
    gone = {row.id: row for row in rejected.rows(Rejected) if row.id in place and row.id not in rows}
    return Spoken(sorted(rows.values(), key=lambda row: place[row.id]), list(gone.values()))


def rendered(speaker: Synthesiser, attributes: Mapping[str, str]) -> bool:
    """Whether the synthesiser makes all of `attributes` audible."""
    return all(value in speaker.renders.get(name, ()) for name, value in attributes.items())
