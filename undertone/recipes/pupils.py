"""What `align` begins with: the model that learns, the tasks it is given, and the clips with the notes that its teacher reads."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.audio import BadSound
from undertone.models import open_model, open_student
from undertone.models.encoders import Conformer
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.recipes.sounds import Sounds
from undertone.records import CONTENT, Rejected, Utterance
from undertone.run import Journal
from undertone.speech.augment import Augment
from undertone.speech.folder import Data
from undertone.speech.speakers import Scale, scales
from undertone.training.frames import Frames
from undertone.training.tasks import VERSIONS, Exercise, TaskName, draw, suits


def open_pupil(chosen: settings.Align) -> FrozenLLM:
    """The model to go on from, or a fresh one."""
    if not chosen.model:
        projector = chosen.projector.model_dump()
        return open_student(chosen.language_model, chosen.encoder, projector, chosen.device, chosen.dtype, chosen.seed)
    model = open_model(chosen.model, "frozen_llm", chosen.device, chosen.dtype)
    assert isinstance(model, FrozenLLM)
    return model


class ClassRoom(NamedTuple):
    """The clips' frames, those that are trained on, and the exercises that choose the checkpoint."""

    frames: Frames
    rows: list[Utterance]
    dev: list[Exercise]


def class_room(chosen: settings.Align, model: FrozenLLM, data: Data, rejected: Journal, shares: Mapping[TaskName, float]) -> ClassRoom:
    """Open the clips, give the encoder the prosody where it is asked for, and write the notes that the teacher reads."""
    sounds, augment = Sounds(data, model, per_speaker=chosen.per_speaker), Augment()
    if chosen.prosody:
        give_prosody(model)
    frames = Frames(sounds.wave, model.frames, lambda wave, rng: augment(wave, model.sample_rate, rng), chosen.augment)
    wanted = [row for row in data.utterances if any(suits(row, task) for task in shares)]
    rows = {split: heard([row for row in wanted if row.split == split], frames, rejected, chosen.strict) for split in ("train", "dev")}
    if not rows["train"]:
        raise ValueError(f"{chosen.data}: no clip in split train that says its words or attributes; align needs some")
    if chosen.prosody:
        usual = scales(rows["train"], lambda row: frames.plain(row).numpy(), of=lambda row: "")[""]
        give_prosody(model, usual)
    if chosen.per_speaker:
        own = scales([*rows["train"], *rows["dev"]], lambda row: frames.plain(row).numpy())
        frames.adjust = lambda row, made: model.front.encoder.of_speaker(made, own[row.speaker])
    train, rng = noted(rows["train"], chosen), random.Random(chosen.seed)
    return ClassRoom(frames, train, [draw(row, shares, rng) for row in rows["dev"] or train[:200]])


def give_prosody(model: FrozenLLM, usual: Scale | None = None) -> None:
    """Let the embedded conformer be told the prosody, if it was not before; `usual` is the scale of what is trained on."""
    encoder = model.front.encoder
    if not isinstance(encoder, Conformer):
        raise ValueError(f"prosody: only the encoder conformer can be given it, this one is {encoder.settings['model_type']}")
    if encoder.told is None:
        model.front.encoder = encoder.with_prosody()
    if usual is not None:
        model.front.encoder.get_buffer("mean").copy_(torch.from_numpy(usual.mean))
        model.front.encoder.get_buffer("spread").copy_(torch.from_numpy(usual.spread))


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
