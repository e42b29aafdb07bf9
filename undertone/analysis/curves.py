"""The analyses as curves over layers: pooled states of clips → `LayerScore` rows with clustered intervals."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from undertone.analysis.activations import Pooled
from undertone.analysis.patching import Contrast, patch
from undertone.analysis.probes import askable, probe, speaker_folds
from undertone.analysis.similarity import content_pairs, cosines
from undertone.attributes import ATTRIBUTES
from undertone.intervals import clustered_mean
from undertone.models.base import SpeechLM
from undertone.records import LayerScore, Utterance


class Bootstrap(NamedTuple):
    """How intervals are drawn."""

    resamples: int
    seed: int


def probes(pooled: Pooled, rows: Sequence[Utterance], name: str, folds: int, draw: Bootstrap) -> Iterator[LayerScore]:
    """Accuracy of one probe per layer for each attribute, under the analysis called `name`."""
    for attribute, row in ATTRIBUTES.items():
        keep = askable(rows, attribute)
        labels = [row.names.index(rows[i].attributes[attribute]) for i in keep]
        yield from _probe(pooled, rows, keep, labels, name, attribute, folds, draw)


def intent(pooled: Pooled, rows: Sequence[Utterance], folds: int, draw: Bootstrap) -> Iterator[LayerScore]:
    """Accuracy of one probe per layer for what is asked: the query's topic."""
    topics = sorted({row.topic for row in rows})
    yield from _probe(pooled, rows, range(len(rows)), [topics.index(row.topic) for row in rows], "intent", "", folds, draw)


def _probe(
    pooled: Pooled,
    rows: Sequence[Utterance],
    keep: Sequence[int],
    labels: Sequence[int],
    name: str,
    attribute: str,
    folds: int,
    draw: Bootstrap,
) -> Iterator[LayerScore]:
    if len(set(labels)) > 1:
        speakers = [rows[i].speaker for i in keep]
        right = probe(pooled.states[:, list(keep)], labels, speaker_folds(speakers, folds, draw.seed))
        yield from curve(pooled, right, name, attribute, speakers, draw)


def similarities(pooled: Pooled, rows: Sequence[Utterance], draw: Bootstrap, at_most: int = 2000) -> Iterator[LayerScore]:
    """Cosines of the same content against different content, and of the two voices of minimal pairs."""
    pairs = content_pairs([row.intent or row.text for row in rows], [row.speaker for row in rows], at_most, draw.seed)
    named = [("same-content", "", pairs.same), ("different-content", "", pairs.different)]
    named += [("attribute-conditioned", category, some) for category, some in minimal_pairs(rows).items()]
    for name, attribute, some in named:
        yield from curve(pooled, cosines(pooled.states, some), name, attribute, [rows[i].text for i, _ in some], draw)


def logit_lens(pooled: Pooled, rows: Sequence[Utterance], draw: Bootstrap) -> Iterator[LayerScore]:
    """Agreement@3 with the final layer's top-1 where the reply is written."""
    yield from curve(pooled, pooled.lens, "logit-lens", "", [row.text for row in rows], draw)


def patching(
    model: SpeechLM,
    pooled: Pooled,
    rows: Sequence[Utterance],
    contrast: Callable[[Utterance, Utterance], Contrast],
    pairs: int,
    batch: int,
    draw: Bootstrap,
) -> Iterator[LayerScore]:
    """Shift of the preference towards the giver's right reply, in nats, up to `pairs` pairs a category, each voice giving in turn; and,
    as "patching-full", the whole distance between the two voices."""
    for category, some in minimal_pairs(rows).items():
        turns = [(i, j) if n % 2 else (j, i) for n, (i, j) in enumerate(some) if rows[i].reply != rows[j].reply][:pairs]
        shifts = [patch(model, [contrast(rows[i], rows[j]) for i, j in turns[k : k + batch]]) for k in range(0, len(turns), batch)]
        if shifts:
            texts = [rows[i].text for i, _ in turns]
            patched = np.concatenate([shift.patched.numpy() for shift in shifts], axis=1)
            yield from curve(pooled, patched, "patching", category, texts, draw)
            full = np.concatenate([shift.full.numpy() for shift in shifts])
            yield from curve(pooled, np.broadcast_to(full, patched.shape), "patching-full", category, texts, draw)


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


def curve(
    pooled: Pooled, values: ArrayLike | Tensor, name: str, attribute: str, clusters: Sequence[str], draw: Bootstrap
) -> Iterator[LayerScore]:
    """One row a layer from `values` (layer, item); no row where there is no item."""
    for layer, row in zip(pooled.layers, np.asarray(values), strict=True):
        value, low, high, n = clustered_mean(row, clusters, draw.resamples, draw.seed)
        if value is not None:
            yield LayerScore(layer=str(layer), analysis=name, attribute=attribute, value=value, low=low, high=high, n=n)
