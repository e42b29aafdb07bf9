"""`undertone analyze`: where in the network is the voice, where is it lost? Six analyses, read together (METHOD A.2)."""

import json
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from undertone import settings
from undertone.analysis.activations import Pooled, collect
from undertone.analysis.patching import Contrast, patch
from undertone.analysis.probes import probe, speaker_folds
from undertone.analysis.selection import Selection, select
from undertone.analysis.similarity import content_pairs, cosines
from undertone.attributes import ATTRIBUTES
from undertone.intervals import clustered_mean
from undertone.models.base import Prompt
from undertone.progress import bar
from undertone.recipes.opening import Corridor, open_corridor
from undertone.records import LayerScore, Utterance
from undertone.run import open_run, write_atomic, write_rows


def analyze(chosen: settings.Analyze) -> Selection:
    """Writes layers.jsonl, selection.json and a settings file for finetune into the run folder."""
    run = open_run(chosen.out, "analyze", chosen.model_dump(mode="json"), chosen.seed)
    corridor = open_corridor(chosen, run.folder)
    rows = sample([row for row in corridor.data.utterances if row.split in chosen.splits], chosen.limit, chosen.seed)
    rows = corridor.listen(rows, chosen.batch)
    asked = [Prompt(audio=corridor.heard[row.id], system=chosen.system) for row in rows]
    replies = [row.content_reply for row in rows if row.content_reply]
    spoken = collect(corridor.model, asked, replies if len(replies) == len(rows) else None, chosen.batch, bar("speech"))
    texts = [Prompt(text=row.text, system=chosen.system) for row in rows]
    written = collect(corridor.model, texts, None, chosen.batch, bar("text only"))

    layers = [
        *probes(spoken, rows, "probe", chosen),
        *probes(written, rows, "probe-text-only", chosen),
        *similarities(spoken, rows, chosen),
        *logit_lens(spoken, rows, chosen),
        *patching(corridor, rows, chosen),
    ]
    selection = select(layers)
    write_rows(run.folder / "layers.jsonl", layers)
    write_atomic(run.folder / "selection.json", json.dumps(selection._asdict(), indent=2) + "\n")
    first, last = selection.adapt
    write_atomic(run.folder / "finetune.toml", f'# chosen by undertone analyze; see selection.json\nlayers = "{first}-{last}"\n')
    print(*selection.evidence, f"Adapt layers {first}-{last}: {run.folder / 'finetune.toml'}", sep="\n")
    return selection


def sample(rows: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    """At most `limit` clips, whole pairs, categories evenly."""
    groups: dict[str, list[Utterance]] = {}
    for row in rows:
        groups.setdefault(row.pair or row.id, []).append(row)
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = [row for i in order for row in list(groups.values())[i]]
    return chosen[: limit or None]


def probes(pooled: Pooled, rows: Sequence[Utterance], name: str, chosen: settings.Analyze) -> Iterator[LayerScore]:
    """One probe per layer for each attribute and for what is asked; gender is asked of adults only."""
    for attribute, row in ATTRIBUTES.items():
        keep = [
            i
            for i, clip in enumerate(rows)
            if attribute in clip.attributes and (attribute != "gender" or clip.attributes.get("age") != "child")
        ]
        labels = [row.names.index(rows[i].attributes[attribute]) for i in keep]
        yield from _probe(pooled, [rows[i] for i in keep], keep, labels, name, attribute, chosen)
    if name == "probe":
        topics = sorted({clip.topic for clip in rows})
        yield from _probe(pooled, rows, range(len(rows)), [topics.index(clip.topic) for clip in rows], "intent", "", chosen)


def _probe(
    pooled: Pooled,
    rows: Sequence[Utterance],
    keep: Sequence[int],
    labels: Sequence[int],
    name: str,
    attribute: str,
    chosen: settings.Analyze,
) -> Iterator[LayerScore]:
    if len(set(labels)) < 2:
        return
    speakers = [row.speaker for row in rows]
    right = probe(pooled.states[:, list(keep)], labels, speaker_folds(speakers, chosen.folds, chosen.seed))
    for layer, values in zip(pooled.layers, right, strict=True):
        yield _row(str(layer), name, attribute, values, speakers, chosen)


def similarities(pooled: Pooled, rows: Sequence[Utterance], chosen: settings.Analyze) -> Iterator[LayerScore]:
    """Same content against different content, and the two voices of minimal pairs."""
    pairs = content_pairs([row.intent or row.text for row in rows], [row.speaker for row in rows], 2000, chosen.seed)
    for name, some in (("same-content", pairs.same), ("different-content", pairs.different)):
        for layer, values in zip(pooled.layers, cosines(pooled.states, some).numpy(), strict=True):
            yield _row(str(layer), name, "", values, [rows[i].text for i, _ in some], chosen)
    for category, some in minimal_pairs(rows).items():
        for layer, values in zip(pooled.layers, cosines(pooled.states, some).numpy(), strict=True):
            yield _row(str(layer), "attribute-conditioned", category, values, [rows[i].text for i, _ in some], chosen)


def minimal_pairs(rows: Sequence[Utterance]) -> dict[str, list[tuple[int, int]]]:
    """Category → index pairs of the two voices of a text."""
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.pair:
            members.setdefault(row.pair, []).append(i)
    pairs: dict[str, list[tuple[int, int]]] = {}
    for indices in members.values():
        if len(indices) == 2:
            pairs.setdefault(rows[indices[0]].category, []).append((indices[0], indices[1]))
    return pairs


def logit_lens(pooled: Pooled, rows: Sequence[Utterance], chosen: settings.Analyze) -> Iterator[LayerScore]:
    """Agreement@3 with the final layer's top-1 where the reply is written."""
    for layer, values in zip(pooled.layers, pooled.lens.numpy(), strict=True):
        yield _row(str(layer), "logit-lens", "", values, [row.text for row in rows], chosen)


def patching(corridor: Corridor, rows: Sequence[Utterance], chosen: settings.Analyze) -> Iterator[LayerScore]:
    """Shift of the preference towards the giver's right reply, in nats, and the full distance between the two voices."""
    for category, pairs in minimal_pairs(rows).items():
        some = [pair for pair in pairs if rows[pair[0]].reply != rows[pair[1]].reply][: chosen.patch_pairs]
        if not some:
            continue
        contrasts = [contrast(corridor, rows[i], rows[j], chosen.system) for i, j in some]
        shift, texts = patch(corridor.model, contrasts), [rows[i].text for i, _ in some]
        to_row = partial(_row, attribute=category, clusters=texts, chosen=chosen)
        layers = ("projector.0", *(f"language_model.{i}" for i in range(len(shift.patched) - 1)))
        for layer, values in zip(layers, shift.patched.numpy(), strict=True):
            yield to_row(layer, "patching", values=values)
        yield to_row("all", "patching", values=shift.full.numpy())


def contrast(corridor: Corridor, giver: Utterance, receiver: Utterance, system: str) -> Contrast:
    """A minimal pair as it is patched."""
    one, other = (Prompt(audio=corridor.heard[row.id], system=system) for row in (giver, receiver))
    return Contrast(one, other, giver.reply or "", receiver.reply or "")


def _row(layer: str, analysis: str, attribute: str, values: np.ndarray, clusters: Sequence[str], chosen: settings.Analyze) -> LayerScore:
    estimate = clustered_mean(values, clusters, chosen.bootstrap, chosen.seed)
    return LayerScore(layer=layer, analysis=analysis, attribute=attribute, **{**estimate._asdict(), "value": estimate.value or 0.0})
