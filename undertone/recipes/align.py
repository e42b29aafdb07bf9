"""`undertone align`: behavioural alignment (METHOD B.3) and its baselines.

The language model is frozen; speech encoder and projector learn to make it say, on hearing a clip, what it says on reading the words and a
note on the speaker. First the semantic stage (recognition, replies to the plain words), then the style stage.
"""

from pathlib import Path

from undertone import settings
from undertone.models.digest import module_digest
from undertone.progress import bar, tensorboard
from undertone.recipes.adapters import remember
from undertone.recipes.choosing import choose
from undertone.recipes.finetune import schedule
from undertone.recipes.opening import begin, kept_in, read_data
from undertone.recipes.pupils import asked, class_room, open_pupil
from undertone.recipes.watch import Memory, training_costs
from undertone.run import Journal, write_rows
from undertone.training.alignment import Alignment, AlignmentEncoder, Weights, save_heads, vocabulary
from undertone.training.batches import Mixture
from undertone.training.loop import train
from undertone.training.ranks import ranks
from undertone.training.tasks import Drill, Wording
from undertone.training.teacher import Teacher


def align(chosen: settings.Align) -> Path:
    """Train and save encoder and projector; returns the model's folder, which every recipe opens with --model."""
    run = begin(chosen, chosen.name)
    folder = run.folder / "model"
    if (run.folder / "scores.jsonl").exists():
        return folder
    data = read_data(chosen, rejected := Journal(run.folder / "rejected.jsonl"))
    model = open_pupil(chosen)
    before = module_digest(model.module)
    shares = asked(chosen)
    frames, rows, dev = class_room(chosen, model, data, rejected, shares)
    rows = choose(chosen, model, frames, rows) if chosen.note == "chosen" else rows

    wording = Wording(chosen.recognition, chosen.captioning)
    tagged = chosen.stage == "style" and not chosen.untagged
    classes = vocabulary(model, [row.text for row in rows])
    plan = schedule(chosen, len(rows))
    drill = Drill(Mixture(rows, chosen.replay, {}, chosen.seed), shares, chosen.seed)
    together = ranks(model.device)
    with together.main_process_first():  # the others read what it has asked
        candidates = chosen.objectives.candidates if chosen.objectives.distillation or chosen.objectives.contrast else 0
        teacher = Teacher(kept_in(chosen, data, run.folder, "teacher"), model, candidates, chosen.max_new_tokens)
        lessons = [one.question(wording, tagged) for one in [*drill.until(plan.steps, plan.batch_size), *dev]]
        teacher.fill(lessons, chosen.batch, bar("the teacher answers"))
    encode = AlignmentEncoder(model, teacher, frames.changed, wording, tagged, classes, chosen.engine == "packed")

    weights = Weights(**{name: getattr(chosen.objectives, name) for name in Weights._fields})
    still = not (chosen.augment or chosen.spec_augment)
    objective = Alignment(model, weights, chosen.objectives.temperature, list(classes), chosen.trains, still).to(model.device)
    memory = Memory(model.device)
    progress = train(objective, drill, dev, encode, plan, run.folder, tensorboard(run.folder / "logs"), bar("aligning"))

    after = module_digest(model.module)
    known = {"language_model": model.language_model.name, "checkpoint": model.language_model.sha256}
    details = {"steps": progress.step, "best_step": progress.best_step, "before": before, "sha256": after} | known
    learnt = [value for value in model.front.parameters() if value.requires_grad]
    if together.is_main_process:
        model.save(folder)
        remember(chosen, folder)
        if objective.styles is not None:
            save_heads(objective.styles, folder)
        scores = [
            run.score("frozen", "weights_identical", "all", float(before == after), 1, details=details),
            *training_costs(run, learnt, progress, memory, len(dev), details),
        ]
        write_rows(run.folder / "scores.jsonl", scores)
    return folder
