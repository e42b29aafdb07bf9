"""What `align` begins with: the model that learns, the tasks it is given, and the clips with the notes that its teacher reads."""

import random
from collections.abc import Sequence

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.audio import BadSound
from undertone.models import open_model, open_student
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.records import CONTENT, Rejected, Utterance
from undertone.run import Journal
from undertone.training.frames import Frames
from undertone.training.tasks import VERSIONS, Exercise, TaskName, suits


def open_pupil(chosen: settings.Align) -> FrozenLLM:
    """The model to go on from, or a fresh one."""
    if not chosen.model:
        projector = chosen.projector.model_dump()
        return open_student(chosen.language_model, chosen.encoder, projector, chosen.device, chosen.dtype, chosen.seed)
    model = open_model(chosen.model, "frozen_llm", chosen.device, chosen.dtype)
    assert isinstance(model, FrozenLLM)
    return model


def asked(chosen: settings.Align) -> dict[TaskName, float]:
    """The shares of the tasks that stage and version have."""
    tasks = VERSIONS[chosen.version] if chosen.stage == "style" else VERSIONS["v1"]
    shares: dict[TaskName, float] = {task: getattr(chosen.tasks, task) for task in tasks}
    if not any(shares.values()):
        raise ValueError(f"tasks: none of {', '.join(tasks)} has a share; stage {chosen.stage}, version {chosen.version} has no other")
    return {task: share for task, share in shares.items() if share}


def heard(rows: Sequence[Utterance], frames: Frames, rejected: Journal, strict: bool) -> list[Utterance]:
    """The `rows` whose sound can be used; the others are noted."""
    known, able = {row.id for row in rejected.rows(Rejected)}, []
    for row in bar("opening clips")(rows):
        try:
            frames.plain(row)
            able.append(row)
        except BadSound as error:
            if strict:
                raise
            if row.id not in known:
                rejected.append([Rejected(id=row.id, file_name=row.file_name, reason=error.reason)])
    return able


def noted(rows: Sequence[Utterance], chosen: settings.Align) -> list[Utterance]:
    """The training clips with the attributes that the teacher is told: their own, another clip's (`shuffled`), or for a share of them
    random ones (`wrong_notes`)."""
    rng = random.Random(f"{chosen.seed} notes")
    told = [row.attributes for row in rows]
    if chosen.shuffled:
        rng.shuffle(told)
    wrong = [{name: rng.choice(ATTRIBUTES[name].names) for name in said} if rng.random() < chosen.wrong_notes else said for said in told]
    return [
        row if said == row.attributes else row.model_copy(update={"attributes": said, "category": CONTENT})
        for row, said in zip(rows, wrong, strict=True)
    ]


def every(rows: Sequence[Utterance], shares: dict[TaskName, float]) -> list[Exercise]:
    """Every exercise that may be drawn of `rows`."""
    return [
        Exercise(row, task, attribute)
        for row in rows
        for task in shares
        if suits(row, task)
        for attribute in (sorted(row.attributes) if task == "naming" else [""])
    ]
