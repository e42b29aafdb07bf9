"""What `align` begins with: the model that learns, the tasks it is given, and the clips with the notes that its teacher reads."""

import logging
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.audio import BadSound
from undertone.models import open_model, open_student
from undertone.models.chosen import Chosen
from undertone.models.encoders import Conformer
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.recipes.sounds import Sounds
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.speech.augment import Augment, Draw
from undertone.speech.folder import Data
from undertone.speech.speakers import Scale, scales
from undertone.training.frames import Frames
from undertone.training.tasks import Exercise, TaskName, draw, suits


def open_pupil(chosen: settings.Align) -> FrozenLLM:
    """The model to go on from, or a fresh one."""
    if not chosen.model:
        projector = chosen.projector.model_dump() | {"note_tokens": chosen.note_tokens}
        return open_student(chosen.language_model, chosen.encoder, projector, chosen.device, chosen.dtype, chosen.seed)
    model = open_model(chosen.model, "frozen_llm", chosen.device, chosen.dtype)
    assert isinstance(model, FrozenLLM)
    had = model.front.projector
    if chosen.note_tokens and (chosen.note_tokens != had.note_tokens or isinstance(had.note, Chosen)):
        torch.manual_seed(chosen.seed)
        model.front.with_note(chosen.note_tokens)
    own, usual = model.language_model.name, settings.Align.model_fields["language_model"].default
    if chosen.language_model not in (own, usual):
        raise ValueError(f"language_model: {chosen.model} belongs to {own}, not to {chosen.language_model}; leave language_model out")
    return model


class ClassRoom(NamedTuple):
    """The clips' sounds and frames, those that are trained on, the share of each task, and the exercises that choose the checkpoint."""

    sounds: Sounds
    frames: Frames
    rows: list[Utterance]
    shares: Mapping[TaskName, float]
    dev: list[Exercise]


def class_room(chosen: settings.Align, model: FrozenLLM, data: Data, rejected: Journal, shares: Mapping[TaskName, float]) -> ClassRoom:
    """Open the clips, give the encoder the prosody where it is asked for, and write the notes that the teacher reads."""
    sounds = Sounds(data, model, per_speaker=chosen.per_speaker)
    # Another speed is another pitch and other formants: not where age and gender are learnt.
    told = {name for row in data.utterances for name in row.attributes if name in (chosen.attributes or ATTRIBUTES)}
    augment = Augment(speed=Draw(0.0, 1.0, 1.0)) if told & {"age", "gender"} else Augment()
    if chosen.prosody:
        give_prosody(model)
    frames = Frames(sounds.wave, model.frames, lambda wave, rng: augment(wave, model.sample_rate, rng), chosen.augment, chosen.spec_augment)
    known = [row for row in data.utterances if not chosen.among or set(row.attributes.values()) & set(chosen.among)]
    wanted = [row for row in noted(known, chosen) if any(suits(row, task) for task in shares)]
    rows = {split: heard([row for row in wanted if row.split == split], frames, rejected, chosen.strict) for split in ("train", "dev")}
    if not rows["train"]:
        raise ValueError(f"{chosen.data}: no clip in split train that says its words or attributes; align needs some")
    if chosen.prosody:
        give_prosody(model, scales(rows["train"], lambda row: frames.plain(row).numpy(), of=lambda row: "")[""])
    if chosen.per_speaker:
        own = scales([*rows["train"], *rows["dev"]], lambda row: frames.plain(row).numpy())
        frames.adjust = lambda row, made: model.front.encoder.of_speaker(made, own[row.speaker])
    if not rows["dev"]:
        logging.getLogger(__name__).warning("%s: no split dev; the checkpoint is chosen on training clips, so prefer the last", chosen.data)
    rng = random.Random(chosen.seed)
    return ClassRoom(sounds, frames, rows["train"], shares, [draw(row, shares, rng) for row in rows["dev"] or rows["train"][:200]])


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
    """The clips with the attributes that the teacher is told, those that are spoken of: their own, another clip's (`shuffled`), or for a
    share of them others in each (`wrong_notes`). Everything else stays, so that they are drawn as they would be."""
    rng = random.Random(f"{chosen.seed} notes")
    told = [{name: row.attributes[name] for name in chosen.attributes or ATTRIBUTES if name in row.attributes} for row in rows]
    if chosen.shuffled:
        rng.shuffle(told)
    wrong = [_another(said, rng) if rng.random() < chosen.wrong_notes else said for said in told]
    return [row.model_copy(update={"attributes": said}) for row, said in zip(rows, wrong, strict=True)]


def _another(said: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    return {name: rng.choice([one for one in ATTRIBUTES[name].names if one != value]) for name, value in said.items()}
