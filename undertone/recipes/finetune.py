"""`undertone finetune`: PE-FT (METHOD A.3) and its baselines.

LoRA in the selected language-model layers; everything else frozen; loss = SFT on the reply that suits the voice + λ · ADCH at the
output of the last adapted layer, and DPO against the contrast's reply where that is asked for; a share of attribute-free queries is
replayed; a dev split picks the checkpoint; heads are dropped.
"""

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.models.base import Prompt
from undertone.progress import bar, tensorboard
from undertone.recipes.adapters import located
from undertone.recipes.opening import Corridor, begin, open_corridor
from undertone.recipes.rows import named, with_dev
from undertone.recipes.watch import Memory, training_costs
from undertone.records import CONTENT, Utterance
from undertone.run import Journal, write_rows
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train, validate
from undertone.training.lora import MadeWith, adapt, choose_layers, save_adapter
from undertone.training.objectives import Objective, PeFt
from undertone.training.preference import PairEncoder, PreferencePeFt, has_pair, margins
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

    system = ATTRIBUTES[chosen.naming].question if chosen.naming else chosen.system
    before = preferred_so_far(chosen, corridor, [*rows["train"], *rows["dev"], *rows["test"]], system, run.folder)
    layers = choose_layers(chosen.layers, corridor.model, chosen.seed)
    adapted = adapt(corridor.model, layers, chosen.lora.targets, chosen.lora.rank, chosen.lora.alpha, chosen.lora.dropout, chosen.seed)
    if chosen.recompute:
        recompute(corridor.model)
    head = layers[-1] if chosen.adch.layer is None else choose_layers(str(chosen.adch.layer), corridor.model)[0]
    width = corridor.heard[rows["dev"][0].id].shape[-1]
    parts = (corridor.model, adapted, head, chosen.adch.weight, width)
    objective: Objective = PreferencePeFt(*parts, share=chosen.dpo.weight, beta=chosen.dpo.beta) if before else PeFt(*parts)
    hear, tokens = corridor.heard.__getitem__, lru_cache(maxsize=None)(lambda name: len(corridor.heard[name]))
    alone = Encoder(corridor.model, hear, system, chosen.engine == "packed" and corridor.model.packs, tokens)
    encode = PairEncoder(alone, before) if before else alone
    mixture = Mixture(rows["train"], chosen.replay, chosen.mixture, chosen.seed)
    plan = schedule(chosen, mixture.clips)
    memory = Memory(corridor.model.device)
    progress = train(objective, mixture, rows["dev"], encode, plan, run.folder, tensorboard(run.folder / "logs"), bar("fine-tuning"))
    together = ranks(corridor.model.device)  # of several processes, one writes
    numbers = ",".join(str(layer.index) for layer in layers)
    if together.is_main_process:
        save_adapter(adapted, adapter, MadeWith(located(chosen.model), system, numbers, run.commit))

    details = {"layers": numbers, "steps": progress.step, "best_step": progress.best_step, "processes": together.num_processes}
    learnt = [value for value in adapted.parameters() if value.requires_grad]
    scores = training_costs(run, learnt, progress, memory, len(rows["dev"]), details)
    if chosen.adch.weight:
        for split in ("dev", "test"):
            if paired := encode.sizes(rows[split]).clips:
                reached = validate(objective, rows[split], encode, plan.part(together.num_processes))
                scores += [run.score("adch", "accuracy", f"{of}, {split}", reached[f"{of}_accuracy"], paired) for of in LEVELS]
    if together.is_main_process:
        write_rows(run.folder / "scores.jsonl", scores)
    return adapter


def preferred_so_far(
    chosen: settings.Finetune, corridor: Corridor, rows: Sequence[Utterance], system: str, folder: Path
) -> Mapping[str, float]:
    """For DPO, how much the model as it is prefers the right reply to the contrast's, clip by clip; nothing where no DPO is asked for."""
    if not chosen.dpo.weight:
        return {}
    if not any(map(has_pair, rows)):
        raise ValueError(f"dpo.weight: {chosen.data} has no clip with a right reply and the contrast's (contrast_reply); set it to 0")

    def ask(row: Utterance) -> Prompt:
        return Prompt(audio=corridor.heard[row.id], system=system)

    with ranks(corridor.model.device).main_process_first():
        return margins(corridor.model, rows, ask, chosen.batch, Journal(folder / "reference.jsonl"), bar("preferring"))


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
        chosen.max_tokens,
    )
