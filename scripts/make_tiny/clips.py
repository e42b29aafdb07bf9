"""The speech that the audio tower and the thinker learn from: grammar texts in every simulated voice, as log-mel frames on disk."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from common import processes, rank
from text import draw_voice
from transformers import WhisperFeatureExtractor

from undertone.models import tiny
from undertone.models.qwen2_5_omni import log_mel
from undertone.speech.synthesisers.espeak import Espeak, voice
from undertone.speech.writers.grammar import Query

TRAIN_SPEAKERS, HELD_OUT_SPEAKERS, DEV_SPEAKERS = range(1000), range(100_000, 100_100), range(100_100, 100_200)
"""Simulated speakers of the base; what users synthesise counts from 1,000 (`speech.pairs.FIRST_SPEAKER`), so nobody is met twice."""


class Clip(NamedTuple):
    """One utterance: who says what, how, and where its frames stand in the pool."""

    query: int
    speaker: int
    attributes: dict[str, str]
    start: int
    frames: int


class Pool(NamedTuple):
    """Clips and their frames, float16, memory-mapped, (frames, mel bins)."""

    clips: list[Clip]
    mel: np.memmap


@cache
def _extractor() -> WhisperFeatureExtractor:
    return tiny.feature_extractor()


def _make(job: tuple[str, int, dict[str, str]]) -> np.ndarray:
    text, speaker, attributes = job
    wave = Espeak().speak(text, attributes, speaker)
    return log_mel(_extractor(), wave).astype(np.float16)


def make(path: Path, queries: list[Query], indices: list[int], speakers: range, count: int, seed: int, workers: int) -> Pool:
    """Draw `count` (text, speaker, voice) triples, speak them with `workers` processes, store the frames under `path`."""
    index = path.with_suffix(".json")
    if not index.exists():
        rng = Random(seed)
        drawn = [(rng.choice(indices), rng.choice(speakers), draw_voice(rng)) for _ in range(count)]
        jobs = [(queries[i].text, speaker, attributes) for i, speaker, attributes in drawn]
        clips, start = [], 0
        with ProcessPoolExecutor(workers) as pool, path.open("wb") as out:
            for (query, speaker, attributes), mel in zip(drawn, pool.map(_make, jobs, chunksize=64), strict=True):
                out.write(mel.tobytes())
                clips.append(Clip(query, speaker, attributes, start, len(mel)))
                start += len(mel)
        index.write_text(json.dumps(clips))
    clips = [Clip(*row) for row in json.loads(index.read_text())]
    return Pool(clips, np.memmap(path, np.float16, "r").reshape(-1, 80))


def draw(pool: Pool, seed: int, step: int, batch: int) -> list[Clip]:
    """The `batch` clips of a step for this process; no process waits for another."""
    return drawn(pool, seed, step, batch * processes())[rank() :: processes()]


def drawn(pool: Pool, seed: int, step: int, size: int, together: int = 4) -> list[Clip]:
    """The `size` clips of a step. Those of a few steps are drawn `together`, sorted and dealt out: clips of a batch are about equally
    long."""
    rng = Random(f"{seed} {step // together}")
    several = sorted(rng.sample(pool.clips, together * size), key=lambda clip: clip.frames)
    i = rng.sample(range(together), together)[step % together]
    return several[i * size : (i + 1) * size]


def frames(pool: Pool, clip: Clip) -> np.ndarray:
    """The clip's log-mel frames, float32."""
    return np.asarray(pool.mel[clip.start : clip.start + clip.frames], dtype=np.float32)


def prosody(clip: Clip) -> tuple[float, float]:
    """What the regression heads learn: log F0 factor against a man's and log speaking rate."""
    how = voice(clip.attributes, clip.speaker)
    base = 1.85 if clip.attributes["gender"] == "female" else 1.0
    return float(np.log(how.f0 * base)), float(np.log(how.rate))
