"""The analyses as curves over layers: pooled states of clips → `LayerScore` rows with clustered intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from undertone.analysis.activations import Pooled
from undertone.analysis.patching import Contrast, patch
from undertone.analysis.probes import Question, askable, probe_all, speaker_folds
from undertone.analysis.similarity import content_pairs, cosines
from undertone.attributes import ATTRIBUTES
from undertone.intervals import clustered_mean
from undertone.models.base import Prompt, SpeechLM
from undertone.progress import bar
from undertone.records import LayerScore, Utterance

RATE, COSINE = (0.0, 1.0), (-1.0, 1.0)
"""between which values a share lies, and a cosine; a shift in nats has no bounds"""


class Bootstrap(NamedTuple):
    """How intervals are drawn."""

    resamples: int
    seed: int


class Material(NamedTuple):
    """What one pass over the clips leaves for every analysis.

    `spoken` and `written` are the pooled states of `rows` as clips and as text alone; `heard` puts a row to the model once more. `folds`
    are those of the probes, `pairs` the minimal pairs per category that are patched, `batch` the clips per forward pass, in `packed` or
    padded rows.
    """

    model: SpeechLM
    rows: Sequence[Utterance]
    heard: Callable[[Utterance], Prompt]
    spoken: Pooled
    written: Pooled
    folds: int
    pairs: int
    batch: int
    draw: Bootstrap
    packed: bool = True


def probes(of: Material) -> Iterator[LayerScore]:
    """Accuracy of one probe per layer for each attribute; as "probe-text-only" on the words alone."""
    asked = {}
    for attribute, row in ATTRIBUTES.items():
        keep = askable(of.rows, attribute)
        asked[attribute] = Asked(
            keep, [row.names.index(of.rows[i].attributes[attribute]) for i in keep], [of.rows[i].speaker for i in keep]
        )
    for name, pooled in {"probe": of.spoken, "probe-text-only": of.written}.items():
        yield from _probe(of, pooled, asked, name)


def intent(of: Material) -> Iterator[LayerScore]:
    """Accuracy of one probe per layer for what is asked: the query's topic; as "intent-text-only" on the words alone.

    Texts are held out, for a sentence that stood in training would be recognised and not understood. Where that is impossible, with
    fewer texts than folds or a topic of one text, speakers are held out as in `probes`.
    """
    topics = sorted({row.topic for row in of.rows})
    asked = Asked(range(len(of.rows)), [topics.index(row.topic) for row in of.rows], held_out(of.rows, of.folds))
    for name, pooled in {"intent": of.spoken, "intent-text-only": of.written}.items():
        yield from _probe(of, pooled, {"": asked}, name)


def held_out(rows: Sequence[Utterance], folds: int) -> list[str]:
    """What the intent probe keeps apart, row by row: texts where every topic has two and every fold one, else speakers."""
    texts: dict[str, set[str]] = {}
    for row in rows:
        texts.setdefault(row.topic, set()).add(row.cluster)
    apart = len(set().union(*texts.values())) >= folds and all(len(some) > 1 for some in texts.values())
    return [row.cluster if apart else row.speaker for row in rows]


class Asked(NamedTuple):
    """The classes of some clips, and what is held out together: clips that share a name in `held` stand in one fold and are one cluster."""

    clips: Sequence[int]
    labels: Sequence[int]
    held: Sequence[str]


def _probe(of: Material, pooled: Pooled, asked: Mapping[str, Asked], name: str) -> Iterator[LayerScore]:
    """A curve per attribute of probes tested on what they never saw; none where all clips are of one class."""
    asked = {attribute: some for attribute, some in asked.items() if len(set(some.labels)) > 1}
    questions = [Question(some.clips, some.labels, speaker_folds(some.held, of.folds, of.draw.seed)) for some in asked.values()]
    for (attribute, some), right in zip(asked.items(), probe_all(pooled.states, questions), strict=True):
        yield from curve(pooled, right, name, attribute, some.held, of.draw, RATE)


def similarities(of: Material, at_most: int = 2000) -> Iterator[LayerScore]:
    """Cosines of the same content against different content, and of the two voices of minimal pairs."""
    texts, intents = [row.cluster for row in of.rows], [row.intent or row.cluster for row in of.rows]
    pairs = content_pairs(intents, [row.speaker for row in of.rows], at_most, of.draw.seed)
    named = [("same-content", "", pairs.same, intents), ("different-content", "", pairs.different, intents)]
    named += [("attribute-conditioned", category, some, texts) for category, some in minimal_pairs(of.rows).items()]
    for name, attribute, some, shared in named:
        clusters = [shared[i] for i, _ in some]
        yield from curve(of.spoken, cosines(of.spoken.states, some), name, attribute, clusters, of.draw, COSINE)


def logit_lens(of: Material) -> Iterator[LayerScore]:
    """Agreement@3 with the final layer's top-1 where the reply is written."""
    yield from curve(of.spoken, of.spoken.lens, "logit-lens", "", [row.cluster for row in of.rows], of.draw, RATE)


def patching(of: Material) -> Iterator[LayerScore]:
    """Shift of the preference towards the giver's right reply, in nats, up to `pairs` pairs a category, each voice giving in turn; and,
    as "patching-full", the whole distance between the two voices."""

    def contrast(giver: Utterance, receiver: Utterance) -> Contrast:
        return Contrast(of.heard(giver), of.heard(receiver), giver.reply or "", receiver.reply or "")

    for category, some in minimal_pairs(of.rows).items():
        turns = [(of.rows[i], of.rows[j]) if n % 2 else (of.rows[j], of.rows[i]) for n, (i, j) in enumerate(some)]
        turns = [(giver, receiver) for giver, receiver in turns if giver.reply != receiver.reply][: of.pairs]
        parts = [turns[k : k + of.batch] for k in range(0, len(turns), of.batch)]
        shown = bar(f"patching {category}", len(parts))(parts)
        shifts = [patch(of.model, [contrast(*turn) for turn in part], of.packed) for part in shown]
        if shifts:
            texts = [giver.cluster for giver, _ in turns]
            patched = np.concatenate([shift.patched.numpy() for shift in shifts], axis=1)
            yield from curve(of.spoken, patched, "patching", category, texts, of.draw)
            full = np.concatenate([shift.full.numpy() for shift in shifts])
            yield from curve(of.spoken, np.broadcast_to(full, patched.shape), "patching-full", category, texts, of.draw)


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
    pooled: Pooled,
    values: ArrayLike | Tensor,
    name: str,
    attribute: str,
    clusters: Sequence[str],
    draw: Bootstrap,
    within: tuple[float, float] | None = None,
) -> Iterator[LayerScore]:
    """One row a layer from `values` (layer, item), which lie `within` two bounds; no row where there is no item."""
    for layer, row in zip(pooled.layers, np.asarray(values), strict=True):
        value, low, high, n = clustered_mean(row, clusters, draw.resamples, draw.seed, within)
        if value is not None:
            yield LayerScore(layer=str(layer), analysis=name, attribute=attribute, value=value, low=low, high=high, n=n)
