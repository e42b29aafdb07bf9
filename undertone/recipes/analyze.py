"""`undertone analyze`: where in the network is the voice, where is it lost? Six analyses, read together (METHOD A.2)."""

import json
from collections.abc import Sequence

import numpy as np

from undertone import settings
from undertone.analysis import curves
from undertone.analysis.activations import collect
from undertone.analysis.curves import Bootstrap
from undertone.analysis.patching import Contrast
from undertone.analysis.selection import select
from undertone.models import device_name
from undertone.models.base import Prompt
from undertone.progress import bar
from undertone.recipes.opening import open_corridor
from undertone.records import Utterance
from undertone.run import open_run, write_atomic, write_rows
from undertone.training.lora import load_adapter


def analyze(chosen: settings.Analyze) -> None:
    """Writes layers.jsonl, selection.json and a settings file for finetune into the run folder."""
    run = open_run(chosen.out, "analyze", chosen.model_dump(mode="json"), chosen.seed, device_name(chosen.device))
    if (run.folder / "selection.json").exists():
        return
    corridor = open_corridor(chosen, run.folder)
    rows = sample([row for row in corridor.data.utterances if row.split in chosen.splits], chosen.limit, chosen.seed)
    rows = corridor.listen(rows, chosen.batch)
    if not rows:
        raise ValueError(f"{chosen.data}: no utterance to analyse in {', '.join(chosen.splits)}")
    if chosen.adapter is not None:
        load_adapter(corridor.model, chosen.adapter)

    def heard(row: Utterance) -> Prompt:
        return Prompt(audio=corridor.heard[row.id], system=chosen.system)

    def contrast(giver: Utterance, receiver: Utterance) -> Contrast:
        return Contrast(heard(giver), heard(receiver), giver.reply or "", receiver.reply or "")

    replies = [row.content_reply for row in rows if row.content_reply]
    spoken = collect(
        corridor.model, [heard(row) for row in rows], replies if len(replies) == len(rows) else None, chosen.batch, bar("speech")
    )
    written = collect(corridor.model, [Prompt(text=row.text, system=chosen.system) for row in rows], None, chosen.batch, bar("text only"))

    draw = Bootstrap(chosen.bootstrap, chosen.seed)
    layers = [
        *curves.probes(spoken, rows, "probe", chosen.folds, draw),
        *curves.probes(written, rows, "probe-text-only", chosen.folds, draw),
        *curves.intent(spoken, rows, chosen.folds, draw),
        *curves.similarities(spoken, rows, draw),
        *curves.logit_lens(spoken, rows, draw),
        *curves.patching(corridor.model, spoken, rows, contrast, chosen.patch_pairs, chosen.batch, draw),
    ]
    write_rows(run.folder / "layers.jsonl", layers)

    selection = select(layers)
    first, last = selection.adapt
    write_atomic(run.folder / "finetune.toml", f'# chosen by undertone analyze; see selection.json\nlayers = "{first}-{last}"\n')
    write_atomic(run.folder / "selection.json", json.dumps(selection._asdict(), indent=2) + "\n")
    print(*selection.evidence, f"Adapt layers {first}-{last}: {run.folder / 'finetune.toml'}", sep="\n")


def sample(rows: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    """Whole pairs and singles in random order, as many as fit into `limit` clips (0: all)."""
    groups: dict[str, list[Utterance]] = {}
    for row in rows:
        groups.setdefault(row.pair or row.id, []).append(row)
    members = list(groups.values())
    chosen: list[Utterance] = []
    for i in np.random.default_rng(seed).permutation(len(members)):
        if not limit or len(chosen) + len(members[i]) <= limit:
            chosen += members[i]
    return chosen
