"""The four tasks of behavioural alignment (METHOD B.3): what the student hears and is asked, what the teacher reads instead."""

import random
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from undertone.attributes import ATTRIBUTES, note
from undertone.models.base import Prompt
from undertone.records import Utterance
from undertone.training.teacher import Question

TaskName = Literal["reply", "recognition", "captioning", "naming", "noted", "listening"]

ACOUSTIC: tuple[TaskName, ...] = ("listening",)
"""What the acoustic stage does with a clip: nothing is asked about it, and nothing need be known of it."""

SEMANTIC: tuple[TaskName, ...] = ("reply", "recognition", "noted")
"""Tasks of the semantic stage: the words, and the words beside a written note, which has nothing to do with the voice [O]."""

VERSIONS: Mapping[str, tuple[TaskName, ...]] = {
    "v1": ("reply", "recognition"),
    "v2": ("reply", "recognition", "captioning"),
    "v3": ("reply", "recognition", "captioning", "naming"),
}
"""Tasks are added up from version to version, in an order that is ours [O]; naming: emotion recognition and its like."""


class Wording(NamedTuple):
    """The system prompts of the tasks; a naming task asks the question of its attribute (`ATTRIBUTES`)."""

    recognition: str
    captioning: str


class Exercise(NamedTuple):
    """A clip and what is asked about it; `attribute` is what a naming task names."""

    row: Utterance
    task: TaskName
    attribute: str = ""

    def system(self, wording: Wording) -> str:
        """The system prompt, the same for student and teacher."""
        if self.task == "naming":
            return ATTRIBUTES[self.attribute].question
        return {"recognition": wording.recognition, "captioning": wording.captioning}.get(self.task, "")

    @property
    def written(self) -> str:
        """The note that stands in writing beside the audio, of a noted task: anybody's, but always the same for a clip."""
        rng = random.Random(self.row.id)
        return note({row.name: rng.choice(row.names) for row in ATTRIBUTES.values() if rng.random() < 0.8}) if self.task == "noted" else ""

    def question(self, wording: Wording, noted: bool) -> Question:
        """What the teacher reads: the words, and what is known of the speaker as a note (`noted`). Words and values are forced on it where
        they are known; replies and captions are its own."""
        heard = (noted and self.task == "reply") or self.task in ("captioning", "naming")
        told = note(self.row.attributes) if heard else self.written
        forced = {"recognition": self.row.text, "naming": self.row.attributes.get(self.attribute, "")}.get(self.task, "")
        return Question(Prompt(text=self.row.text, system=self.system(wording), note=told), forced)


class Rows(Protocol):
    """Draws utterances step by step (`batches.Mixture`)."""

    def batch(self, step: int, size: int) -> Sequence[Utterance]: ...


class Drill(NamedTuple):
    """Draws exercises: clips as `rows` draws them, tasks by their `shares`; a clip that a task does not suit is asked another."""

    rows: Rows
    shares: Mapping[TaskName, float]
    seed: int

    def batch(self, step: int, size: int) -> list[Exercise]:
        """The exercises of a step, a function of the step alone."""
        rng = random.Random(f"{self.seed} {step}")
        return [draw(row, self.shares, rng) for row in self.rows.batch(step, size)]

    def until(self, steps: int, size: int) -> list[Exercise]:
        """The exercises of all steps before step number `steps`."""
        return [one for step in range(steps) for one in self.batch(step, size)]


def draw(row: Utterance, shares: Mapping[TaskName, float], rng: random.Random) -> Exercise:
    """One exercise on `row`; ValueError where none of the tasks suits it."""
    able = {task: share for task, share in shares.items() if share > 0 and suits(row, task)}
    if not able:
        raise ValueError(f"{row.id}: none of the tasks {', '.join(shares)} suits this clip; it has neither words nor attributes they need")
    (task,) = rng.choices(list(able), list(able.values()))
    return Exercise(row, task, rng.choice(sorted(row.attributes)) if task == "naming" else "")


def suits(row: Utterance, task: TaskName) -> bool:
    """Whether `task` can be asked of the clip: naming and captioning need an attribute, all others but listening the words."""
    return task == "listening" or bool(row.attributes if task in ("captioning", "naming") else row.text)
