"""`undertone finetune`: PE-FT (METHOD A.3) and its baselines.

LoRA in the selected language-model layers; everything else frozen; loss = SFT on the reply that suits the voice + λ · ADCH at the
output of the last adapted layer; a share of attribute-free queries is replayed; a dev split picks the checkpoint; heads are dropped.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.progress import bar
from undertone.recipes.adapters import located
from undertone.recipes.opening import begin, open_corridor
from undertone.recipes.rows import named, with_dev
from undertone.records import CONTENT, Utterance
from undertone.run import naming, write_rows
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train, validate
from undertone.training.lora import MadeWith, adapt, choose_layers, save_adapter
from undertone.training.objectives import PeFt
from undertone.training.ranks import ranks
from undertone.training.recompute import recompute

LEVELS = ("category", "attribute")


def finetune(chosen: settings.Finetune) -> Path:
    """Train and save the adapter in PEFT's own format; returns its folder."""
    run = begin(chosen, chosen.name)
    adapter = run.folder / "adapter"
    if (run.folder / "scores.jsonl").exists():
        return adapter
    corridor = open_corridor(chosen, run.folder)
    said = with_dev(named(corridor.data.utterances, chosen.naming) if chosen.naming else corridor.data.utterances, chosen.seed)
    rows = {split: [row for row in said if row.split == split and row.reply] for split in ("train", "dev")}
    rows["test"] = unseen(said, chosen.seed) if chosen.adch.weight else []
    heard = {row.id for row in corridor.listen([row for some in rows.values() for row in some], chosen.batch)}
    rows = {split: [row for row in some if row.id in heard] for split, some in rows.items()}
    for split in ("train", "dev"):
        if not rows[split]:
            raise ValueError(f"{chosen.data}: no utterance with a reply in split {split!r}; finetune needs train and dev")

    layers = choose_layers(chosen.layers, corridor.model, chosen.seed)
    adapted = adapt(corridor.model, layers, chosen.lora.targets, chosen.lora.rank, chosen.lora.alpha, chosen.lora.dropout, chosen.seed)
    if chosen.recompute:
        recompute(corridor.model)
    head = layers[-1] if chosen.adch.layer is None else choose_layers(str(chosen.adch.layer), corridor.model)[0]
    width = corridor.heard[rows["dev"][0].id].shape[-1]
    objective = PeFt(corridor.model, adapted, head, chosen.adch.weight, width)
    system = ATTRIBUTES[chosen.naming].question if chosen.naming else chosen.system
    encode = Encoder(corridor.model, corridor.heard.__getitem__, system, chosen.engine == "packed" and corridor.model.packs)
    mixture = Mixture(rows["train"], chosen.replay, chosen.mixture, chosen.seed)
    plan = schedule(chosen, mixture.clips)
    progress = train(objective, mixture, rows["dev"], encode, plan, run.folder, tensorboard(run.folder / "logs"), bar("fine-tuning"))
    together = ranks(corridor.model.device)  # of several processes, one writes
    numbers = ",".join(str(layer.index) for layer in layers)
    if together.is_main_process:
        save_adapter(adapted, adapter, MadeWith(located(chosen.model), system, numbers, run.commit))

    details = {"layers": numbers, "steps": progress.step, "best_step": progress.best_step, "processes": together.num_processes}
    weights = sum(value.numel() for value in adapted.parameters() if value.requires_grad)
    scores = [
        run.score("cost", "trainable_parameters", "all", weights, 1, details=details),
        run.score("cost", "seconds", "training", progress.seconds, 1, details=details),
        run.score("cost", "dev_loss", "all", progress.best, len(rows["dev"]), details=details),
    ]
    if objective.adch is not None:
        for split in ("dev", "test"):
            if paired := encode.sizes(rows[split]).clips:
                reached = validate(objective, rows[split], encode, plan.part(together.num_processes))
                scores += [run.score("adch", "accuracy", f"{of}, {split}", reached[f"{of}_accuracy"], paired) for of in LEVELS]
    if together.is_main_process:
        write_rows(run.folder / "scores.jsonl", scores)
    return adapter


def unseen(utterances: Sequence[Utterance], seed: int, most: int = 500) -> list[Utterance]:
    """A sample of the test split's clips that have a category: what the heads are asked about and nothing was chosen by."""
    rows = [row for row in utterances if row.split == "test" and row.category != CONTENT]
    return random.Random(seed).sample(rows, min(most, len(rows)))


def schedule(chosen: settings.Finetune | settings.Align, clips: int) -> Schedule:
    """The schedule that the settings ask for; `epochs` of the `clips` that are drawn are turned into steps."""
    return Schedule(
        chosen.steps or max(1, round(chosen.epochs * clips / chosen.batch_size)),
        chosen.batch_size,
        chosen.accumulate,
        chosen.learning_rate,
        chosen.warmup,
        chosen.weight_decay,
        chosen.clip,
        chosen.check_every,
    )


def tensorboard(folder: Path) -> Callable[[Mapping[str, float], int], None]:
    """A logger of scalars for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)  # type: ignore[no-untyped-call]

    def log(values: Mapping[str, float], step: int) -> None:
        with naming(folder):
            for name, value in values.items():
                writer.add_scalar(name, value, step)  # type: ignore[no-untyped-call]
            writer.flush()  # type: ignore[no-untyped-call]

    return log
