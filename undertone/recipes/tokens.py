"""What a clip's tokens hold of the voice, apart from what the model says of it: linear probes on their mean, speakers held out."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from undertone import settings
from undertone.analysis.probes import probe, speaker_folds
from undertone.analysis.ridge import MEASURES, determination, held_out
from undertone.evaluation.metrics import RATE
from undertone.intervals import clustered_mean
from undertone.recipes.opening import Corridor
from undertone.records import Score, Utterance
from undertone.run import Run
from undertone.speech.prosody import STATISTICS, statistics


def probed(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """How well a linear probe tells the values from the clips' mean token, each speaker held out in turn (METHOD B.4)."""
    speakers, values = [row.speaker for row in rows], [row.attributes[chosen.attribute] for row in rows]
    states = torch.stack([corridor.heard[row.id].float().mean(0) for row in rows])[None]
    folds = speaker_folds(speakers, min(len(set(speakers)), 24), chosen.seed)
    right = probe(states, [sorted(set(values)).index(value) for value in values], folds)[0]
    mean = clustered_mean(right, speakers, chosen.bootstrap, chosen.seed, RATE)
    yield run.score(suite, "probe_wa", "all", mean.value, mean.n, low=mean.low, high=mean.high)


def holds(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """R² of pitch, energy and rate from the clips' mean token, each speaker held out in turn: what the tokens hold of the voice."""
    waves = [corridor.sounds.wave(row) for row in rows]
    said = np.stack([statistics(wave, corridor.model.sample_rate) for wave in waves])[:, [STATISTICS.index(name) for name in MEASURES]]
    states = torch.stack([corridor.heard[row.id].float().mean(0) for row in rows]).numpy()
    speakers = [row.speaker for row in rows]
    folds = speaker_folds(speakers, min(len(set(speakers)), 24), chosen.seed)
    found = determination(held_out(states, said, folds.tolist()), said)
    for name, value in zip(MEASURES, found.tolist(), strict=True):
        yield run.score(suite, "r2", name, None if math.isnan(value) else value, len(rows))
