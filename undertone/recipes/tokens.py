"""What a clip's tokens hold of the voice, apart from what the model says of it: linear probes on their mean, speakers held out."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from undertone import settings
from undertone.analysis.probes import probe, speaker_folds
from undertone.analysis.ridge import MEASURES, determination, held_out
from undertone.evaluation.metrics import RATE
from undertone.intervals import clustered_mean
from undertone.models.frozen_llm import FrozenLLM
from undertone.models.projector import pooled
from undertone.recipes.opening import Corridor
from undertone.records import Score, Utterance
from undertone.run import Run
from undertone.speech.prosody import STATISTICS, statistics

FOLDS = 24
"""Speakers are held out one at a time, or where there are more, in so many groups."""


def probed(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """How well a linear probe tells the values from the clips' mean token, speakers held out (METHOD B.4)."""
    speakers, values = [row.speaker for row in rows], [row.attributes[chosen.attribute] for row in rows]
    states = torch.stack([corridor.heard[row.id].float().mean(0) for row in rows])[None]
    folds = speaker_folds(speakers, min(len(set(speakers)), FOLDS), chosen.seed)
    right = probe(states, [sorted(set(values)).index(value) for value in values], folds)[0]
    mean = clustered_mean(right, speakers, chosen.bootstrap, chosen.seed, RATE)
    yield run.score(suite, "probe_wa", "all", mean.value, mean.n, low=mean.low, high=mean.high)


def holds(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """R² of pitch, energy and rate, speakers held out: what the clips' mean token holds of the voice (r2), and, of models that
    undertone align made, what the speech encoder's mean state holds (r2_encoder)."""
    waves = [corridor.sounds.wave(row) for row in rows]
    said = np.stack([statistics(wave, corridor.model.sample_rate) for wave in waves])[:, [STATISTICS.index(name) for name in MEASURES]]
    parts = {"r2": torch.stack([corridor.heard[row.id].float().mean(0) for row in rows])}
    if isinstance(corridor.model, FrozenLLM):
        parts["r2_encoder"] = torch.cat([encoded(corridor, rows[i : i + chosen.batch]) for i in range(0, len(rows), chosen.batch)])
    speakers = [row.speaker for row in rows]
    folds = speaker_folds(speakers, min(len(set(speakers)), FOLDS), chosen.seed).tolist()
    for metric, states in parts.items():
        found = determination(held_out(states.numpy(), said, folds), said, speakers, chosen.bootstrap, chosen.seed)
        for name, one in zip(MEASURES, found, strict=True):
            yield run.score(suite, metric, name, one.value, len(rows), low=one.low, high=one.high)


def encoded(corridor: Corridor, rows: Sequence[Utterance]) -> torch.Tensor:
    """(clip, width) the mean of each clip's encoder states."""
    assert isinstance(corridor.model, FrozenLLM)
    states, counts, _ = corridor.model.inside([corridor.sounds.frames(row) for row in rows])
    return pooled(states, counts)[:, : states.shape[2]].cpu()
