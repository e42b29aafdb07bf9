"""`undertone align`: behavioural alignment (METHOD B.3) and its baselines.

The language model is frozen; speech encoder and projector learn to make it say, on hearing a clip, what it says on reading the words and a
note on the speaker. First the semantic stage (recognition, replies to the plain words), then the style stage.
"""

import random
from functools import partial
from pathlib import Path

from undertone import settings
from undertone.models.digest import module_digest
from undertone.progress import bar
from undertone.recipes.finetune import schedule, tensorboard
from undertone.recipes.opening import begin, kept_in, read_data
from undertone.recipes.pupils import asked, every, heard, noted, open_pupil
from undertone.run import Journal, write_rows
from undertone.speech.augment import Augment
from undertone.speech.folder import load_wave
from undertone.training.alignment import Alignment, AlignmentEncoder, Weights, save_heads, vocabulary
from undertone.training.batches import Mixture
from undertone.training.frames import Frames
from undertone.training.loop import train
from undertone.training.ranks import ranks
from undertone.training.tasks import Drill, Wording, draw, suits
from undertone.training.teacher import Teacher


def align(chosen: settings.Align) -> Path:
    """Train and save encoder and projector; returns the model's folder, which every recipe opens with --model."""
    run = begin(chosen, chosen.name)
    folder = run.folder / "model"
    if (run.folder / "scores.jsonl").exists():
        return folder
    rejected = Journal(run.folder / "rejected.jsonl")
    data = read_data(chosen, rejected)
    model = open_pupil(chosen)
    before = module_digest(model.module)

    rate = model.sample_rate
    frames = Frames(partial(load_wave, data, rate=rate), model.frames, lambda wave, rng: Augment()(wave, rate, rng), chosen.augment)
    shares = asked(chosen)
    rows = {
        split: [row for row in data.utterances if row.split == split and any(suits(row, task) for task in shares)]
        for split in ("train", "dev")
    }
    rows = {split: heard(some, frames, rejected, chosen.strict) for split, some in rows.items()}
    if not rows["train"]:
        raise ValueError(f"{chosen.data}: no clip in split train that says its words or attributes; align needs some")
    rows["train"] = noted(rows["train"], chosen)
    rng = random.Random(chosen.seed)
    dev = [draw(row, shares, rng) for row in rows["dev"] or rows["train"][:200]]

    wording = Wording(chosen.recognition, chosen.captioning)
    teacher = Teacher(kept_in(chosen, run.folder, "teacher"), model, chosen.objectives.candidates, chosen.max_new_tokens)
    tagged = chosen.stage == "style" and not chosen.untagged
    classes = vocabulary(model, [row.text for row in rows["train"]])
    encode = AlignmentEncoder(model, teacher, frames.changed, wording, tagged, classes)
    together = ranks(model.device)
    with together.main_process_first():
        lessons = [one.question(wording, tagged) for one in [*every(rows["train"], shares), *dev]]
        teacher.fill(lessons, chosen.batch, bar("the teacher answers"))

    weights = Weights(**{name: getattr(chosen.objectives, name) for name in Weights._fields})
    objective = Alignment(model, weights, chosen.objectives.temperature, list(classes)).to(model.device)
    drill = Drill(Mixture(rows["train"], chosen.replay, {}, chosen.seed), shares, chosen.seed)
    plan = schedule(chosen, len(rows["train"]))
    progress = train(objective, drill, dev, encode, plan, run.folder, tensorboard(run.folder / "logs"), bar("aligning"))

    after = module_digest(model.module)
    details = {
        "steps": progress.step,
        "best_step": progress.best_step,
        "language_model": chosen.language_model,
        "sha256": after,
        "before": before,
    }
    trained = sum(value.numel() for value in model.front.parameters())
    if together.is_main_process:
        model.save(folder)
        if objective.styles is not None:
            save_heads(objective.styles, folder)
        scores = [
            run.score("frozen", "weights_identical", "all", float(before == after), 1, details=details),
            run.score("cost", "trainable_parameters", "all", trained, 1, details=details),
            run.score("cost", "seconds", "training", progress.seconds, 1, details=details),
            run.score("cost", "dev_loss", "all", progress.best, len(dev), details=details),
        ]
        write_rows(run.folder / "scores.jsonl", scores)
    return folder
