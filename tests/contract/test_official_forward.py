"""Our way in (own front end, embeddings spliced, plain positions) gives the logits of each class's own forward on its own features.

The features are made by the stock feature extractor from the wave, filled up as each family's stock processor does it.
"""

from typing import Any

import numpy as np
import pytest
import torch

from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.base import Prompt, SpeechLM


def whisper(model: Any, wave: np.ndarray, **how: Any) -> dict[str, torch.Tensor]:
    return dict(model.extractor(wave, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True, **how))


def qwen_omni(model: Any, wave: np.ndarray) -> dict[str, Any]:
    made = whisper(model, wave, padding="max_length")
    return {"input_features": made["input_features"], "feature_attention_mask": made["attention_mask"]}


def qwen2_audio(model: Any, wave: np.ndarray) -> dict[str, Any]:
    made = whisper(model, wave, padding="max_length")
    return {"input_features": made["input_features"], "feature_attention_mask": made["attention_mask"]}


def voxtral(model: Any, wave: np.ndarray) -> dict[str, Any]:
    size = model.extractor.n_samples
    made = whisper(model, wave, padding=True, truncation=False, pad_to_multiple_of=size)["input_features"][0]
    return {"input_features": made.reshape(len(made), -1, size // 160).transpose(0, 1)}


def windowed(model: Any, wave: np.ndarray) -> dict[str, Any]:
    size = model.extractor.n_samples
    made = whisper(model, [wave[i : i + size] for i in range(0, len(wave), size)])  # type: ignore[arg-type]
    return {"input_features": made["input_features"], "input_features_mask": made["attention_mask"]}


def granite_speech(model: Any, wave: np.ndarray) -> dict[str, Any]:
    return {"input_features": torch.from_numpy(model.frames(wave))[None]}


def phi4_multimodal(model: Any, wave: np.ndarray) -> dict[str, Any]:
    return dict(model.extractor(wave, sampling_rate=16_000, return_tensors="pt"))


OFFICIAL = {
    "qwen2_5_omni": qwen_omni,
    "qwen3_omni_moe": qwen_omni,
    "qwen2_audio": qwen2_audio,
    "voxtral": voxtral,
    "audioflamingo3": windowed,
    "generic": windowed,
    "granite_speech": granite_speech,
    "phi4_multimodal": phi4_multimodal,
}

WINDOWED = ("voxtral", "audioflamingo3", "generic")


@pytest.mark.parametrize("seconds", [0.61, 1.7, 3.99, 4.0, 7.3])
@pytest.mark.parametrize("family", list(OFFICIAL))
@torch.inference_mode()
def test_own_forward_equals_the_official_one(family: str, seconds: float) -> None:
    model: SpeechLM = resolve(FAMILIES, family, "model family").tiny(seed=3)
    wave = (0.1 * np.random.default_rng(1).standard_normal(int(16_000 * seconds))).astype(np.float32)
    if seconds > model.seconds_at_most:
        with pytest.raises(ValueError, match=r"7\.3 s: qwen2_audio hears 4 s at most"):
            model.frames(wave)
        return
    batch = model.encode([Prompt(audio=wave)])
    official = model.module(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **OFFICIAL[family](model, wave)).logits
    ours = model.lm_head(model.hidden(batch))
    if family == "granite_speech":
        official = official / model.module.config.text_config.logits_scaling  # type: ignore[union-attr]
    torch.testing.assert_close(ours, official, rtol=1e-4, atol=1e-5)


def test_every_stock_family_has_an_official_call() -> None:
    """Kimi-Audio's is compared with the tensors of the published code instead (tests/models/test_kimi_audio_golden.py)."""
    assert set(OFFICIAL) == set(FAMILIES) - {"frozen_llm", "kimi_audio"}


def test_granite_log_mel_is_that_of_another_implementation() -> None:
    """The class computes it with torchaudio, which is not here; Transformers' own spectrogram with the same settings is."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    from undertone.models.granite_speech import MelPairs

    wave = (0.1 * np.random.default_rng(2).standard_normal(16_123)).astype(np.float32)
    bank = mel_filter_bank(257, 80, 0.0, 8000.0, 16_000, norm=None, mel_scale="htk")
    window = np.pad(window_function(400, "hann"), 56)
    log = spectrogram(wave, window, 512, 160, fft_length=512, power=2.0, mel_filters=bank, mel_floor=1e-10, log_mel="log10").T
    expected = np.maximum(log, log.max() - 8.0) / 4 + 1
    expected = expected[: len(expected) // 2 * 2].reshape(-1, 160)
    ours = MelPairs()(wave)
    assert len(ours) == (16_123 // 160 + 1) // 2
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.61, 1.7, 3.99, 7.3])
@pytest.mark.parametrize("family", [name for name in OFFICIAL if name != "granite_speech"])
def test_valid_frames_are_the_official_extractors_bit_for_bit(family: str, seconds: float) -> None:
    """Granite's extractor cannot be loaded here, and Kimi-Audio's is compared with the published code's tensors: those two are near, not
    equal."""
    model: SpeechLM = resolve(FAMILIES, family, "model family").tiny(seed=3)
    wave = (0.1 * np.random.default_rng(1).standard_normal(int(16_000 * seconds))).astype(np.float32)
    if seconds > model.seconds_at_most:
        pytest.skip("longer than it hears")
    made = {name: np.asarray(value) for name, value in OFFICIAL[family](model, wave).items()}
    official = next(iter(made.values()))
    along_time = official if family == "phi4_multimodal" else official.swapaxes(1, 2)
    official = along_time.reshape(-1, along_time.shape[-1])
    filled = [int(value.sum()) for name, value in made.items() if "mask" in name]
    valid = filled[0] if filled else min(len(official), round(100 * seconds))  # where no mask says so, 100 frames a second
    ours = model.frames(wave)
    assert len(ours) >= valid > 50 * seconds
    assert np.array_equal(ours[:valid], official[:valid])
