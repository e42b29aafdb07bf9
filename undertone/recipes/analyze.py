"""`undertone analyze`: where in the network is the voice, where is it lost? Six analyses, read together (METHOD A.2)."""

import json
from collections.abc import Sequence

from undertone import settings
from undertone.analysis import ANALYSES
from undertone.analysis.activations import collect
from undertone.analysis.curves import Bootstrap, Material
from undertone.analysis.selection import PREFIX, Selection, select
from undertone.lookup import resolve
from undertone.models.base import Prompt
from undertone.progress import bar
from undertone.recipes.adapters import as_trained
from undertone.recipes.opening import begin, open_corridor
from undertone.recipes.rows import require, sample
from undertone.records import LAYERS, LayerScore, Score, Utterance
from undertone.run import Run, write_atomic, write_rows
from undertone.training.lora import load_adapter


def analyze(chosen: settings.Analyze) -> None:
    """Writes layers.jsonl, scores.jsonl, selection.json and a settings file for finetune into the run folder."""
    analyses = [resolve(ANALYSES, name, "analysis") for name in chosen.analyses]
    chosen = as_trained(chosen)
    run = begin(chosen, "analyze")
    if (run.folder / "selection.json").exists():
        return
    corridor = open_corridor(chosen, run.folder)
    rows = sample([row for row in corridor.data.utterances if row.split in chosen.splits], chosen.limit, chosen.seed)
    require(rows, chosen.data, "attributes", "text")
    rows = corridor.listen(rows, chosen.batch)
    if not rows:
        raise ValueError(f"{chosen.data}: no utterance to analyse in {', '.join(chosen.splits)}")
    if chosen.adapter is not None:
        load_adapter(corridor.model, chosen.adapter)

    def heard(row: Utterance) -> Prompt:
        return Prompt(audio=corridor.heard[row.id], system=chosen.system)

    replies = [row.content_reply for row in rows if row.content_reply]
    model, batch, packed = corridor.model, chosen.batch, chosen.engine == "packed"
    forced = replies if len(replies) == len(rows) else None
    spoken = collect(model, [heard(row) for row in rows], forced, batch, bar("speech"), packed)
    typed = [Prompt(text=row.text, system=chosen.system) for row in rows]
    written = collect(model, typed, None, batch, bar("text only"), packed, lens=False)

    draw = Bootstrap(chosen.bootstrap, chosen.seed)
    material = Material(model, rows, heard, spoken, written, chosen.folds, chosen.patch_pairs, batch, draw, packed)
    layers = [score for analysis in analyses for score in analysis(material)]
    write_rows(run.folder / "layers.jsonl", layers)

    selection = select(layers)
    write_rows(run.folder / "scores.jsonl", summary(run, selection, layers, len(rows)))
    first, last = selection.adapt
    write_atomic(run.folder / "finetune.toml", following(chosen, first, last))
    write_atomic(run.folder / "selection.json", json.dumps(selection._asdict(), indent=2) + "\n")
    print(*selection.evidence, f"Adapt layers {first}-{last}: {run.folder / 'finetune.toml'}", sep="\n")


def summary(run: Run, selection: Selection, layers: Sequence[LayerScore], clips: int) -> list[Score]:
    """What was found, as scores of the suite "layers": the ranges' ends, and each attribute's best probe of the language model. That one
    is the best of many, so its interval is a little too high."""
    ends = {name: getattr(selection, name)[1] for name in ("paralinguistic", "semantic", "adapt")}
    found = {f"{name}_last": end for name, end in ends.items()} | {"hand_over": selection.hand_over}
    scores = [run.score(LAYERS, name, "all", layer, clips) for name, layer in found.items()]
    probes = [row for row in layers if row.analysis == "probe" and row.layer.startswith(PREFIX)]
    for attribute in dict.fromkeys(row.attribute for row in probes):
        best = max((row for row in probes if row.attribute == attribute), key=lambda row: row.value)
        more = {"low": best.low, "high": best.high, "details": {"layer": best.layer}}
        scores.append(run.score(LAYERS, "probe_accuracy", attribute, best.value, best.n, **more))
    return scores


def following(chosen: settings.Analyze, first: int, last: int) -> str:
    """Settings of the fine-tuning that follows, as TOML: the same model, asked the same way of the same data, in the layers found."""
    same = settings.Model(**{name: getattr(chosen, name) for name in settings.Model.model_fields})
    found = f'# layers chosen by undertone analyze; see selection.json\nlayers = "{first}-{last}"\n'
    return found + settings.to_toml(same, only_changed=True)
