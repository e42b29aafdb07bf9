"""The feature store gives what the tower gives, once, and never another clip's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.training.features import FeatureStore, fingerprint


def row(number: int) -> Utterance:
    return Utterance(
        id=f"u{number}", text="hm", file_name=f"{number}.flac", seconds=1, attributes={}, speaker="s", source="t", split="train"
    )


def wave(utterance: Utterance) -> np.ndarray:
    number = int(utterance.id[1:])
    return (0.1 * np.random.default_rng(number).standard_normal(9_000 + 1_000 * number)).astype(np.float32)


def test_stored_equals_fresh_and_is_computed_once(tmp_path: Path) -> None:
    model, calls = Qwen2_5Omni.tiny(0), []

    def counted(utterance: Utterance) -> np.ndarray:
        calls.append(utterance.id)
        return wave(utterance)

    rows = [row(i) for i in range(7)]
    FeatureStore(tmp_path, model).fill(rows[:4], counted, batch=3, shard=2)
    again = FeatureStore(tmp_path, model)
    again.fill(rows, counted, batch=3, shard=2)
    assert sorted(calls) == sorted(one.id for one in rows)
    with torch.inference_mode():
        for one in rows:
            fresh = model.listen(model.encode([Prompt(audio=wave(one))]))
            torch.testing.assert_close(again[one.id], fresh, rtol=1e-5, atol=1e-6)


def test_other_weights_read_nothing_of_it(tmp_path: Path) -> None:
    one, other = Qwen2_5Omni.tiny(0), Qwen2_5Omni.tiny(1)
    FeatureStore(tmp_path, one).fill([row(0)], wave)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) != fingerprint(Qwen2_5Omni(Qwen2_5Omni.tiny(0).module.to(torch.bfloat16), one.tokenizer, one.extractor))
    store = FeatureStore(tmp_path, other)
    assert "u0" not in store


def test_a_clip_that_cannot_be_heard_is_left_out_and_a_torn_shard_is_named(tmp_path: Path) -> None:
    model = Qwen2_5Omni.tiny(0)
    store = FeatureStore(tmp_path, model)
    store.fill([row(0), row(1)], lambda one: None if one.id == "u0" else wave(one))
    assert ("u0" in store, "u1" in store) == (False, True)
    shard = next(store.folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(OSError, match=shard.name):
        FeatureStore(tmp_path, model)
