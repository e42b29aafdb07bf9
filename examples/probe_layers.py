"""Which layers of a model with random weights tell two pitches apart? Probes on held-out speakers; and on shuffled labels."""

import numpy as np

from undertone.analysis.activations import collect
from undertone.analysis.probes import probe, speaker_folds
from undertone.intervals import clustered_mean
from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni

SPEAKERS, CLIPS, RATE = 8, 48, 16_000
rng = np.random.default_rng(0)
labels = [int(i % 2) for i in range(CLIPS)]
speakers = [f"s{i // 2 % SPEAKERS}" for i in range(CLIPS)]
time = np.arange(RATE // 2) / RATE
tones = [np.sin(2 * np.pi * (120 + 100 * label + rng.normal(0, 10)) * time) for label in labels]
waves = [(0.1 * tone + 0.02 * rng.standard_normal(len(time))).astype(np.float32) for tone in tones]

pooled = collect(Qwen2_5Omni.tiny(seed=0), [Prompt(audio=wave) for wave in waves], batch=16)
folds = speaker_folds(speakers, folds=4, seed=0)
right = probe(pooled.states, labels, folds)
chance = probe(pooled.states, rng.permutation(labels).tolist(), folds)
for layer, values, control in zip(pooled.layers, right, chance, strict=True):
    found = clustered_mean(values, speakers)
    print(
        f"{layer!s:<18} accuracy {found.value:.2f} ({found.low:.2f} to {found.high:.2f}, n {found.n}), shuffled labels {control.mean():.2f}"
    )
