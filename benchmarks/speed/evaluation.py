"""Replies a second, from waves to words: ours against Transformers' `generate` asked clip by clip, as the peers' harnesses do it.

    python benchmarks/speed/evaluation.py --clips 128

Ours: the feature store, filled from nothing, then replies side by side. The peers run the audio tower in every call, on what the family's
official feature extractor gives: padded to 300 s, as the official processor has it, and, a kinder peer, without padding. All answer
greedily in float32, and the replies must be the same.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from timing import flags, in_turn, keep, rows

from undertone.evaluation.replies import ask
from undertone.models import EMBEDDED, open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.speech.synthesisers.espeak import Espeak
from undertone.speech.writers import grammar
from undertone.training.features import FeatureStore

BATCH, LONGEST = 64, 24


def spoken(clips: int) -> dict[str, np.ndarray]:
    """Waves by id: as many queries, each by another simulated speaker."""
    queries, renders = list(grammar.all_queries()), Espeak.renders
    speaker, made = Espeak(), {}
    for i in range(clips):
        voice = {name: values[i % len(values)] for name, values in renders.items()}
        made[f"u{i}"] = speaker.speak(queries[i * 37 % len(queries)].text, voice, 1000 + i)
    return made


def utterance(name: str, seconds: float) -> Utterance:
    return Utterance(
        id=name, text="", file_name=f"{name}.flac", seconds=seconds, attributes={}, speaker=name, source="espeak", split="test"
    )


def ours(checkpoint: str, clips: int) -> Callable[[], list[str]]:
    """The road of `undertone evaluate`, judging left out."""
    model, waves = opened(checkpoint), spoken(clips)
    rows = [utterance(name, len(wave) / model.sample_rate) for name, wave in waves.items()]

    def run() -> list[str]:
        with TemporaryDirectory() as folder:
            store = FeatureStore(Path(folder), model)
            store.fill(rows, lambda row: waves[row.id])
            batches = ask(model, rows, lambda row: Prompt(audio=store[row.id]), "ours", BATCH, LONGEST, False)
            said = {reply.utterance_id: reply.text for batch in batches for reply in batch}
        return [said[row.id] for row in rows]

    return run


def stock(checkpoint: str, clips: int, padded: bool) -> Callable[[], list[str]]:
    """`generate`, clip by clip, tower and all."""
    from transformers import WhisperFeatureExtractor

    model, waves = opened(checkpoint), spoken(clips)
    # As Qwen2.5-Omni's preprocessor_config.json has it, whatever the embedded model's says.
    extractor = WhisperFeatureExtractor(feature_size=model.extractor.feature_size, chunk_length=300)

    @torch.inference_mode()
    def run() -> list[str]:
        return [one(model, heard(extractor, wave) if padded else trimmed(model, wave)) for wave in waves.values()]

    return run


def heard(extractor: Any, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """What `Qwen2_5OmniProcessor.__call__` asks of the extractor."""
    how = {"padding": "max_length", "return_attention_mask": True, "truncation": False, "return_tensors": "pt"}
    found = extractor(wave, sampling_rate=16_000, **how)
    return {"input_features": found.input_features, "feature_attention_mask": found.attention_mask}


def trimmed(model: SpeechLM, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """The same frames without the padding."""
    frames = torch.from_numpy(model.frames(wave))
    return {"input_features": frames.T[None], "feature_attention_mask": torch.ones(1, len(frames), dtype=torch.long)}


def one(model: SpeechLM, sound: dict[str, torch.Tensor]) -> str:
    """The reply to one clip."""
    ids = torch.tensor([model.prompt_ids(Prompt(), model.token_count(int(sound["feature_attention_mask"].sum())))])
    how = {"max_new_tokens": LONGEST, "do_sample": False, "eos_token_id": model.end_tokens, "pad_token_id": model.tokenizer.pad_token_id}
    made = model.module.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **sound, **how)
    return model.words([made[0, ids.shape[1] :].tolist()])[0]


def opened(checkpoint: str) -> Qwen2_5Omni:
    model = open_model(checkpoint, device="cpu", dtype="float32")
    assert isinstance(model, Qwen2_5Omni), "the peers' call is written for this family"
    return model


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="a checkpoint of Qwen2.5-Omni's class (%(default)s)")
    parser.add_argument("--clips", type=int, default=128, help="clips in a round (%(default)s)")
    given = parser.parse_args()
    for peer, padded in (("generate, padded to 300 s", True), ("generate, not padded", False)):
        sides = partial(ours, given.model, given.clips), partial(stock, given.model, given.clips, padded)
        found = in_turn(*sides, given.pairs, given.threads)
        differing = sum(a != b for a, b in zip(found.ours.result, found.peer.result, strict=True))
        if differing:
            raise ValueError(f"{peer}: {differing} of {given.clips} replies differ; no ratio is claimed")
        pace = {name: given.clips / float(np.median(side.seconds)) for name, side in found._asdict().items()}
        details = {"clips": given.clips, "model": given.model, "dtype": "float32", "replies_identical": True}
        details |= {f"{name}_replies_per_second": value for name, value in pace.items()}
        keep(rows("evaluation", peer, f"{given.model}, {given.clips} clips", found, details), given.results)
