"""The feature store gives what the tower gives, once, and never another clip's."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from undertone.models.base import Prompt
from undertone.models.frozen_llm import FrozenLLM
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
            torch.testing.assert_close(again[one.id], fresh, rtol=1e-6, atol=1e-6)


def test_a_batch_is_stored_bit_for_bit(tmp_path: Path) -> None:
    model, rows = Qwen2_5Omni.tiny(0), [row(i) for i in range(3)]
    store = FeatureStore(tmp_path, model)
    store.fill(rows, wave, batch=3)
    with torch.inference_mode():
        batch = model.encode([Prompt(audio=wave(one)) for one in rows])
        fresh = model.listen(batch).split(model.audio_mask(batch).sum(-1).tolist())
    assert all(store[one.id].equal(part) for one, part in zip(rows, fresh, strict=True))


def test_frames_that_are_made_ahead_are_the_same(tmp_path: Path) -> None:
    """Bit for bit, in the same shards, whoever cannot be heard left out; and never two sounds are opened at once."""
    model, rows, open_now, most = Qwen2_5Omni.tiny(0), [row(i) for i in range(11)], [], []

    def one_at_a_time(utterance: Utterance) -> np.ndarray | None:
        open_now.append(utterance.id)
        most.append(len(open_now))
        time.sleep(0.002)
        open_now.remove(utterance.id)
        return None if utterance.id == "u4" else wave(utterance)

    stores = {workers: FeatureStore(tmp_path / str(workers), model) for workers in (0, 3)}
    for workers, store in stores.items():
        store.fill(rows, one_at_a_time, batch=2, shard=6, workers=workers)
    assert max(most) == 1
    plain, ahead = (sorted(path.name for path in store.folder.iterdir()) for store in stores.values())
    assert plain == ahead
    assert "u4" not in stores[3]
    assert all(stores[0][one.id].equal(stores[3][one.id]) for one in rows if one.id != "u4")
    tight = FeatureStore(tmp_path / "tight", model, most=30_000)
    tight.fill(rows, one_at_a_time, batch=2, shard=6, workers=3)
    assert 0 < tight.unkept < 10
    assert max(most) == 1


def test_a_sound_that_breaks_ahead_of_its_turn_breaks_in_it(tmp_path: Path) -> None:
    def broken(utterance: Utterance) -> np.ndarray:
        if utterance.id == "u3":
            raise OSError("u3: broken")
        return wave(utterance)

    store = FeatureStore(tmp_path, Qwen2_5Omni.tiny(0))
    with pytest.raises(OSError, match="u3: broken"):
        store.fill([row(i) for i in range(5)], broken, batch=1, shard=2, workers=2)
    assert "u1" in store, "what was finished before is kept"
    assert "u4" not in store


def test_what_has_no_room_is_computed_when_it_is_asked_for(tmp_path: Path) -> None:
    """The folder stays below its limit, over sessions too, and the clips beyond it are the same."""
    model, rows, asked = Qwen2_5Omni.tiny(0), [row(i) for i in range(6)], []

    def counted(utterance: Utterance) -> np.ndarray | None:
        asked.append(utterance.id)
        return None if utterance.id == "u4" else wave(utterance)

    whole = FeatureStore(tmp_path / "whole", model)
    whole.fill(rows, wave)
    size = sum(file.stat().st_size for file in whole.folder.iterdir())
    for _ in range(2):
        store = FeatureStore(tmp_path / "some", model, most=0.6 * size)
        store.fill(rows, counted, batch=2, shard=4)
        assert 0.3 * size < sum(file.stat().st_size for file in store.folder.iterdir()) <= 0.6 * size
        assert (whole.unkept, "u4" in store) == (0, False)
        assert 0 < store.unkept < 5
        other = FeatureStore(tmp_path / "some", model, most=0.6 * size)
        other.look_up(rows, counted)
        for one in rows[:4] + rows[5:]:
            torch.testing.assert_close(store[one.id], whole[one.id], rtol=1e-6, atol=1e-6)
            assert other[one.id].equal(store[one.id])
            assert not store[one.id].is_inference(), "training cannot keep it for the backward pass"
    before = len(asked)
    assert (store["u5"].equal(store["u5"]), store["u0"].equal(store["u0"])) == (True, True)
    assert asked[before:] == ["u5", "u5"]


def test_a_clip_that_has_gone_since_is_named(tmp_path: Path) -> None:
    there = [True]
    store = FeatureStore(tmp_path, Qwen2_5Omni.tiny(0), most=0)
    store.fill([row(0)], lambda one: wave(one) if there else None)
    there.clear()
    with pytest.raises(OSError, match=r"0\.flac: could be heard when this run began"):
        store["u0"]


def test_training_does_not_make_the_tower_drop(tmp_path: Path) -> None:
    model = FrozenLLM.tiny(0)
    kept, fresh = FeatureStore(tmp_path / "kept", model), FeatureStore(tmp_path / "fresh", model, most=0)
    kept.fill([row(0)], wave)
    model.front.train()
    fresh.fill([row(0)], wave)
    assert fresh["u0"].equal(kept["u0"])
    assert model.front.training


def test_another_front_end_reads_nothing_of_it() -> None:
    one, other = Qwen2_5Omni.tiny(0), Qwen2_5Omni.tiny(0)
    assert fingerprint(one) == fingerprint(other)
    other.extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=30, hop_length=200)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_tower_leaves_the_gpu(tmp_path: Path) -> None:
    model = Qwen2_5Omni.tiny(0)
    model.module.to("cuda")
    before = torch.cuda.memory_allocated()
    FeatureStore(tmp_path, model).fill([row(0)], wave)
    model.forget_front()
    weights = sum(value.nbytes for value in model.frozen_front().parameters())
    assert torch.cuda.memory_allocated() <= before - 0.9 * weights


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
