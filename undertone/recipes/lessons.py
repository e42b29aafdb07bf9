"""What `align` trains in a stage: the objective, what is drawn for it, and how that becomes a batch."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.recipes.choosing import choose
from undertone.recipes.finetune import schedule
from undertone.recipes.opening import kept_in
from undertone.recipes.pupils import ClassRoom
from undertone.speech.folder import Data
from undertone.speech.prosody import course
from undertone.training import acoustic
from undertone.training.acoustic import Acoustic, AcousticEncoder
from undertone.training.alignment import Alignment, AlignmentEncoder, Weights, vocabulary
from undertone.training.batches import Mixture
from undertone.training.frames import Frames
from undertone.training.loop import Encode, Schedule
from undertone.training.objectives import Objective
from undertone.training.ranks import ranks
from undertone.training.tasks import ACOUSTIC, SEMANTIC, VERSIONS, Drill, Exercise, TaskName, Wording
from undertone.training.teacher import Teacher

SCALED = 500
"""Training clips whose courses say on what scale all are predicted."""


class Lessons(NamedTuple):
    """What `training.loop.train` is called with."""

    objective: Objective
    drill: Drill
    dev: Sequence[Exercise]
    encode: Encode
    plan: Schedule


def asked(chosen: settings.Align) -> dict[TaskName, float]:
    """The shares of the tasks that stage and version have."""
    if chosen.stage == "acoustic":
        return dict.fromkeys(ACOUSTIC, 1.0)
    tasks = VERSIONS[chosen.version] if chosen.stage == "style" else SEMANTIC
    shares: dict[TaskName, float] = {task: getattr(chosen.tasks, task) for task in tasks}
    if not any(shares.values()):
        raise ValueError(f"tasks: none of {', '.join(tasks)} has a share; stage {chosen.stage}, version {chosen.version} has no other")
    return {task: share for task, share in shares.items() if share}


def lessons(chosen: settings.Align, model: FrozenLLM, room: ClassRoom, data: Data, folder: Path) -> Lessons:
    """Those of the stage."""
    return _acoustic(chosen, model, room) if chosen.stage == "acoustic" else _behaviour(chosen, model, room, data, folder)


def _acoustic(chosen: settings.Align, model: FrozenLLM, room: ClassRoom) -> Lessons:
    """Masked acoustic prediction: what the encoder can learn from sound alone."""
    courses = Frames(room.sounds.wave, partial(course, rate=model.sample_rate))
    drill = Drill(Mixture(room.rows, chosen.replay, {}, chosen.seed), room.shares, chosen.seed)
    plan = schedule(chosen, len(room.rows))
    some = drill.until(-(-SCALED // plan.batch_size), plan.batch_size)[:SCALED]
    scale = [courses.plain(one.row) for one in bar("measuring courses")(some)]
    weights = acoustic.Weights(**{name: getattr(chosen.objectives, name) for name in acoustic.Weights._fields})
    objective = Acoustic(model, weights, scale).to(model.device)
    return Lessons(objective, drill, room.dev, AcousticEncoder(model, room.frames.changed, courses.plain), plan)


def _behaviour(chosen: settings.Align, model: FrozenLLM, room: ClassRoom, data: Data, folder: Path) -> Lessons:
    """Behavioural alignment: what the frozen language model says to the words, plain or with the note (METHOD B.3)."""
    rows = choose(chosen, model, room.frames, room.rows) if chosen.note == "chosen" else room.rows
    wording = Wording(chosen.recognition, chosen.captioning)
    tagged = chosen.stage == "style" and not chosen.untagged
    classes = vocabulary(model, [row.text for row in rows])
    plan = schedule(chosen, len(rows))
    drill = Drill(Mixture(rows, chosen.replay, {}, chosen.seed), room.shares, chosen.seed)
    with ranks(model.device).main_process_first():  # the others read what it has asked
        candidates = chosen.objectives.candidates if chosen.objectives.distillation or chosen.objectives.contrast else 0
        teacher = Teacher(kept_in(chosen, data, folder, "teacher"), model, candidates, chosen.max_new_tokens)
        asks = [one.question(wording, tagged) for one in [*drill.until(plan.steps, plan.batch_size), *room.dev]]
        teacher.fill(asks, chosen.batch, bar("the teacher answers"))
    encode = AlignmentEncoder(model, teacher, room.frames.changed, wording, tagged, classes, chosen.engine == "packed")
    weights = Weights(**{name: getattr(chosen.objectives, name) for name in Weights._fields})
    still = not (chosen.augment or chosen.spec_augment)
    objective = Alignment(model, weights, chosen.objectives.temperature, list(classes), chosen.trains, still).to(model.device)
    return Lessons(objective, drill, room.dev, encode, plan)
