"""What the shipped weights reach, measured on the shipped weights: `python scripts/make_tiny/measure.py` writes their figures.json."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import clips
import frozen
import speech
import text
import tower
from common import is_known, world
from transformers import Qwen2ForCausalLM

from undertone.models import tiny
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.speech.writers.grammar import all_queries

CLIPS = 1000
"""Turns and clips that each figure is measured on; the probes are fitted on three times as many, of speakers trained on."""


def measure(out: Path, work: Path) -> dict[str, float]:
    """Name → share, for speakers and combinations of words that were never trained on."""
    model = Qwen2_5Omni.load(out / "undertone-tiny")
    words = Qwen2ForCausalLM.from_pretrained(out / "undertone-tiny-lm").eval()
    taught, asked, cores = world(), list(all_queries()), os.cpu_count() or 1
    known = [i for i, query in enumerate(asked) if is_known(query)]
    new = sorted(set(range(len(asked))) - set(known))
    everything = list(range(len(taught)))
    fitted_on = clips.make(work / "probes.f16", taught, everything, clips.TRAIN_SPEAKERS, 3 * CLIPS, 3, cores)
    heard = {
        "known": clips.make(work / "known.f16", asked, known, clips.HELD_OUT_SPEAKERS, CLIPS, 1, cores),
        "new_combinations": clips.make(work / "new.f16", asked, new, clips.HELD_OUT_SPEAKERS, CLIPS, 2, cores),
    }
    figures = {"text_unseen_exact": text.unseen_exact(words, model.tokenizer, CLIPS)}
    figures |= tower.probe_scores(model, fitted_on, heard["known"])
    for name, pool in heard.items():
        figures[f"spoken_{name}_exact"] = speech.spoken_scores(model, asked, pool)
        figures[f"spoken_{name}_noted_exact"] = speech.spoken_scores(model, asked, pool, noted=True)
        figures |= {f"ears_{name}_{kind}": share for kind, share in frozen.scores(out, asked, pool).items()}
    return figures


def write(out: Path, work: Path, made: Mapping[str, object]) -> None:
    """figures.json beside the weights: how they were `made`, and what they reach."""
    figures = {**made, "n": CLIPS, **measure(out, work)}
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/make_tiny"))
    parser.add_argument("--out", type=Path, default=tiny.WEIGHTS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    before = json.loads((given.out / "figures.json").read_text())
    reached = ("n", "text_", "tower_", "spoken_", "ears_")
    write(given.out, given.work, {key: value for key, value in before.items() if not key.startswith(reached)})
