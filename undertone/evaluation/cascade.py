"""The cascade baseline: a linear classifier on the tower's mean-pooled output tells the model in words who speaks."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from undertone.analysis.probes import Linear, askable, fit
from undertone.attributes import ATTRIBUTES, note
from undertone.records import Utterance

Heard = Callable[[str], Tensor]
"""Utterance id → audio embeddings (tokens, width)."""


def fit_speakers(rows: Sequence[Utterance], heard: Heard) -> Mapping[str, Linear]:
    """One classifier per attribute that the rows hold at least two values of."""
    pooled = torch.stack([heard(row.id).float().mean(0) for row in rows])
    fitted = {}
    for name, attribute in ATTRIBUTES.items():
        keep = askable(rows, name)
        labels = [attribute.names.index(rows[i].attributes[name]) for i in keep]
        if len(set(labels)) > 1:
            fitted[name] = fit(pooled[keep], labels)
    return fitted


def spoken_note(classifiers: Mapping[str, Linear], audio: Tensor) -> str:
    """The note that the classifiers write on hearing `audio` (tokens, width)."""
    pooled = audio.float().mean(0, keepdim=True)
    return note({name: ATTRIBUTES[name].names[int(classify(pooled).argmax())] for name, classify in classifiers.items()})
