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


def spoken_notes(train: Sequence[Utterance], rows: Sequence[Utterance], heard: Heard) -> dict[str, str]:
    """Utterance id → the note that classifiers fitted to `train` write on hearing each of `rows`; ValueError where none can be fitted."""
    if fitted := fit_speakers(train, heard) if train else {}:
        return {row.id: spoken_note(fitted, heard(row.id)) for row in rows}
    raise ValueError("cascade: split train, which the classifiers are fitted to, has no two values to tell apart; leave cascade out")
