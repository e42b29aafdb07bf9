"""The controls, one row each: how its utterances are put to the model, and what it must give where the gain is the voice's.

On pairs two of them are 0 whatever the model hears. Text-only puts one question for both voices, so the verdicts v and −v cancel out;
with every second pair exchanged, what a model that hears wins in one half it loses in the other. They check the pipeline. The control
that can fail is swapped-audio: there a model that hears scores minus its own score, and whatever else made the gain keeps its sign.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from undertone.records import Score

PREFIX = "control/"
"""What stands before a control's name in the suite of its scores."""

Name = Literal["text-only", "shuffled-audio", "swapped-audio", "oracle-label"]


class Control(NamedTuple):
    """What a control does: words are `typed` instead of heard, the true note is `told`, or in one of `every` so many pairs (0: in none)
    the two voices change places; and its PA-score, where the gain is the voice's: chance (0), opposite (minus the own), or a ceiling."""

    meaning: str
    expected: Literal["chance", "opposite", "ceiling"]
    every: int = 0
    typed: bool = False
    told: bool = False


CONTROLS: Mapping[str, Control] = MappingProxyType(
    {
        "text-only": Control(
            "the words typed, no voice. Both voices of a pair are one question then: on pairs 0 by design, a check of the pipeline only",
            "chance",
            typed=True,
        ),
        "shuffled-audio": Control(
            "in every second pair the two voices change places. On pairs about 0 by design, for a model that hears as for a deaf one",
            "chance",
            every=2,
        ),
        "swapped-audio": Control(
            "in every pair the two voices change places: if it is the voice, the PA-score is minus the own one", "opposite", every=1
        ),
        "oracle-label": Control(
            "the voice with the true speaker note in words: what is reached when the voice need not be heard", "ceiling", told=True
        ),
    }
)


def of_control(scores: Iterable[Score], name: str) -> Iterator[Score]:
    """The `scores` of group all under the control called `name`, with their suite as group."""
    for row in scores:
        if row.group == "all":
            yield row.model_copy(update={"suite": PREFIX + name, "group": row.suite.removeprefix("pa/")})
