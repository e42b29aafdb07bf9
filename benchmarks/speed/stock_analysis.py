"""The six analyses as a careful user writes them with Transformers, forward hooks and scikit-learn: the peer of analysis.py.

What is asked (which clips, pairs, folds, prompts, replies) comes from undertone, so that both sides ask the same; all that is computed is
written out here.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from undertone.analysis.curves import held_out, minimal_pairs
from undertone.analysis.probes import askable, speaker_folds
from undertone.analysis.similarity import content_pairs
from undertone.attributes import ATTRIBUTES
from undertone.models.base import IGNORED, Batch, Prompt, SpeechLM
from undertone.records import Utterance

Curves = dict[tuple[str, str, str], float]
"""(analysis, attribute, layer) → mean over the items."""


class Pass(NamedTuple):
    """Of one clip: states (layer, token, width) of the input and behind every layer, and logits (token, vocabulary)."""

    states: Tensor
    logits: Tensor


class Looking(NamedTuple):
    """How a peer looks into the model: a clip's whole pass, and the last position's logits with `new` states put `where` they belong at
    the input (place 0) or behind layer `place` − 1, of (model, batch, place, where, new)."""

    whole: Callable[[SpeechLM, Batch], Pass]
    patched: Callable[[SpeechLM, Batch, int, Tensor, Tensor], Tensor]


class States(NamedTuple):
    """(layer, clip, width) pooled states and (layer, clip) agreement of the logit lens."""

    pooled: Tensor
    lens: Tensor


def stock(
    model: SpeechLM,
    rows: Sequence[Utterance],
    heard: Callable[[Utterance], Prompt],
    folds: int,
    pairs: int,
    looking: Looking | None = None,
) -> Curves:
    """Every curve of the six analyses; by forward hooks, or as a peer is `looking`."""
    looking = looking or Looking(whole, patched)
    warnings.filterwarnings("ignore")
    names = ["projector.0", *(f"language_model.{i}" for i in range(model.layers))]
    with torch.inference_mode():
        spoken = pooled(model, [(heard(row), row.content_reply) for row in rows], looking)
        written = pooled(model, [(Prompt(text=row.text), None) for row in rows], looking)
        found = [*probed(spoken, written, rows, folds), *similar(spoken, rows), ("logit-lens", "", spoken.lens.mean(1))]
        found += shifts(model, rows, heard, pairs, looking)
    return {(name, of, layer): float(value) for name, of, curve in found for layer, value in zip(names, curve, strict=True)}


Curve = tuple[str, str, Any]


def layers_of(model: SpeechLM) -> Any:
    """The decoder's layers."""
    return model.text_model.layers


def run(model: SpeechLM, batch: Batch, **how: Any) -> Any:
    """The official forward on one clip's embeddings."""
    return model.module(inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask, use_cache=False, **how)


def whole(model: SpeechLM, batch: Batch) -> Pass:
    """All hidden states. The stock tuple's last entry is behind the final norm, so the last layer's own output comes from a hook."""
    last: list[Tensor] = []
    handle = layers_of(model)[-1].register_forward_hook(lambda _, __, output: last.append(output))
    out = run(model, batch, output_hidden_states=True)
    handle.remove()
    return Pass(torch.cat([*out.hidden_states[:-1], last[0]]), out.logits[0])


def pooled(model: SpeechLM, asked: Sequence[tuple[Prompt, str | None]], looking: Looking) -> States:
    """Clip by clip; only means and agreements are kept."""
    norm: Any = model.text_model.norm
    means, agreements = [], []
    for prompt, reply in asked:
        batch = model.encode([prompt], None if reply is None else [reply])
        states, logits = looking.whole(model, batch)
        audio, labels = model.audio_mask(batch)[0], batch.labels[0]
        means.append(states[:, audio if bool(audio.any()) else labels == IGNORED].mean(1))
        writing = [len(labels) - 1] if reply is None else (labels[1:] != IGNORED).nonzero()[:, 0].tolist()
        top = model.lm_head(norm(states[:, writing])).topk(3).indices
        agreements.append((top == logits[writing].argmax(-1)[None, :, None]).any(-1).float().mean(1))
    return States(torch.stack(means, 1), torch.stack(agreements, 1))


def probed(spoken: States, written: States, rows: Sequence[Utterance], folds: int) -> Iterator[Curve]:
    """Attributes and intent, by voice and by the words alone."""
    for states, suffix in ((spoken, ""), (written, "-text-only")):
        for attribute, table in ATTRIBUTES.items():
            able = askable(rows, attribute)
            labels = np.array([table.names.index(rows[i].attributes[attribute]) for i in able])
            if len(set(labels)) > 1:
                own = speaker_folds([rows[i].speaker for i in able], folds, 0)
                yield f"probe{suffix}", attribute, fitted(states.pooled[:, able].numpy(), labels, own)
        topics = np.unique([row.topic for row in rows], return_inverse=True)[1]
        yield f"intent{suffix}", "", fitted(states.pooled.numpy(), topics, speaker_folds(held_out(rows, folds), folds, 0))


def fitted(states: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> list[float]:
    """Accuracy per layer: a pipeline for each layer and fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros((len(states), len(labels)), bool)
    for layer, x in enumerate(states):
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
            right[layer, test] = model.fit(x[train], labels[train]).predict(x[test]) == labels[test]
    return list(right.mean(1))


def similar(spoken: States, rows: Sequence[Utterance]) -> Iterator[Curve]:
    """Cosines of centred states."""
    pairs = content_pairs([row.intent or row.cluster for row in rows], [row.speaker for row in rows], 2000, 0)
    asked = [("same-content", "", pairs.same), ("different-content", "", pairs.different)]
    asked += [("attribute-conditioned", category, some) for category, some in minimal_pairs(rows).items()]
    for name, attribute, some in asked:
        if some:
            left, right = (torch.tensor(side) for side in zip(*some, strict=True))
            centred = [layer - layer.mean(0) for layer in spoken.pooled]
            yield name, attribute, [nn.functional.cosine_similarity(x[left], x[right]).mean() for x in centred]


def shifts(
    model: SpeechLM, rows: Sequence[Utterance], heard: Callable[[Utterance], Prompt], pairs: int, looking: Looking
) -> Iterator[Curve]:
    """Patching, one pair and one layer at a time."""
    for category, some in minimal_pairs(rows).items():
        turns = [(rows[i], rows[j]) if n % 2 else (rows[j], rows[i]) for n, (i, j) in enumerate(some)]
        turns = [(giver, receiver) for giver, receiver in turns if giver.reply != receiver.reply][:pairs]
        if turns:
            moved = [shift(model, [heard(row) for row in turn], [row.reply or "" for row in turn], looking) for turn in turns]
            mean = np.mean(moved, axis=0)
            yield "patching", category, mean[:-1]
            yield "patching-full", category, [mean[-1]] * (model.layers + 1)


def shift(model: SpeechLM, prompts: Sequence[Prompt], replies: Sequence[str], looking: Looking) -> list[float]:
    """Of one pair, giver and receiver, patched at the input and behind every layer, and the whole distance."""
    end = model.tokenizer.eos_token_id
    one, two = ([*model.tokenizer.encode(reply, add_special_tokens=False), end] for reply in replies)
    shared = [a for a, _ in takewhile(lambda both: both[0] == both[1], zip(one, two, strict=False))]
    a, b = one[len(shared)], two[len(shared)]

    def preference(logits: Tensor) -> float:
        scores = logits.log_softmax(-1)
        return float(scores[a] - scores[b])

    giving, receiving = (model.encode([prompt], [shared], close=False) for prompt in prompts)
    given = looking.whole(model, giving)
    where = model.audio_mask(receiving)[0]
    before = preference(run(model, receiving).logits[0, -1])
    moved = []
    for place, source in enumerate(given.states[:, model.audio_mask(giving)[0]]):
        new = nn.functional.interpolate(source.T[None], size=int(where.sum()), mode="linear", align_corners=True)[0].T
        moved.append(preference(looking.patched(model, receiving, place, where, new)) - before)
    return [*moved, preference(given.logits[-1]) - before]


def patched(model: SpeechLM, batch: Batch, place: int, where: Tensor, new: Tensor) -> Tensor:
    """By a forward hook, in a whole pass."""
    with replaced(layers_of(model), place, where, new):
        return run(model, batch).logits[0, -1]


@contextmanager
def replaced(layers: Any, place: int, where: Tensor, new: Tensor) -> Iterator[None]:
    """While open, the states in `where` are `new` at the input (place 0) or behind layer `place` − 1."""

    def put(states: Tensor) -> Tensor:
        states = states.clone()
        states[0, where] = new
        return states

    if place:
        handle = layers[place - 1].register_forward_hook(lambda _, __, output: put(output))
    else:
        handle = layers[0].register_forward_pre_hook(lambda _, args: (put(args[0]), *args[1:]))
    try:
        yield
    finally:
        handle.remove()
