"""`undertone align`: behavioural alignment (METHOD B.3) and its baselines.

The language model is frozen; speech encoder and projector learn to make it say, on hearing a clip, what it says on reading the words and a
note on the speaker. First the semantic stage (recognition, replies to the plain words), then the style stage. Before both, an encoder that
learnt nothing yet can be pre-trained on clips without words or labels (acoustic stage).
"""

from pathlib import Path

from undertone import settings
from undertone.models.digest import module_digest
from undertone.progress import bar, tensorboard
from undertone.recipes.adapters import remember
from undertone.recipes.lessons import asked, lessons
from undertone.recipes.opening import begin, read_data
from undertone.recipes.pupils import class_room, open_pupil
from undertone.recipes.watch import Memory, training_costs
from undertone.run import Journal, write_rows
from undertone.training.loop import train
from undertone.training.ranks import ranks


def align(chosen: settings.Align) -> Path:
    """Train and save encoder and projector; returns the model's folder, which every recipe opens with --model."""
    run = begin(chosen, chosen.name)
    folder = run.folder / "model"
    if (run.folder / "scores.jsonl").exists():
        return folder
    data = read_data(chosen, rejected := Journal(run.folder / "rejected.jsonl"))
    model = open_pupil(chosen)
    before = module_digest(model.module)
    room = class_room(chosen, model, data, rejected, asked(chosen))
    given = lessons(chosen, model, room, data, run.folder)
    memory = Memory(model.device)
    progress = train(*given, run.folder, tensorboard(run.folder / "logs"), bar("aligning"))

    after = module_digest(model.module)
    known = {"language_model": model.language_model.name, "checkpoint": model.language_model.sha256}
    details = {"steps": progress.step, "best_step": progress.best_step, "before": before, "sha256": after} | known
    learnt = [value for value in model.front.parameters() if value.requires_grad]
    if ranks(model.device).is_main_process:
        model.save(folder)
        remember(chosen, folder)
        given.objective.save_beside(folder)
        scores = [
            run.score("frozen", "weights_identical", "all", float(before == after), 1, details=details),
            *training_costs(run, learnt, progress, memory, len(given.dev), details),
        ]
        write_rows(run.folder / "scores.jsonl", scores)
    return folder
