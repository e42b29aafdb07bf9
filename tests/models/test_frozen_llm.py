"""The frozen road's model: any encoder before any language model, saved without the language model and bound to it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import llama
from encoder_folders import ENCODERS
from safetensors import safe_open
from torch import nn

from undertone.models import open_model, tiny
from undertone.models.base import Prompt
from undertone.models.chosen import Chosen
from undertone.models.encoders import open_encoder
from undertone.models.frozen_llm import FrozenLLM
from undertone.models.projector import Projector
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.features import FeatureStore


def wave(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)


@pytest.fixture(params=[*ENCODERS, "conformer"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder with a small random encoder as its family saves it, or the embedded one."""
    if request.param == "conformer":
        return "conformer"
    torch.manual_seed(0)
    ENCODERS[request.param](tmp_path / "encoder")
    return str(tmp_path / "encoder")


@torch.inference_mode()
def test_every_encoder_gives_a_token_each_80_ms_however_clips_are_padded(encoder: str) -> None:
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, encoder, {"hidden": 32, "heads": 2})
    for seconds in (0.5, 1.0, 2.37):
        assert abs(len(model.listen(model.encode([Prompt(audio=wave(seconds))]))) - seconds / 0.08) < 1.5
    both = model.encode([Prompt(audio=wave(0.9, 1)), Prompt(audio=wave(2.6, 2))])
    counts = model.audio_mask(both).sum(-1).tolist()
    for i, heard in enumerate(model.listen(both).split(counts)):
        alone = model.listen(model.encode([Prompt(audio=wave((0.9, 2.6)[i], i + 1))]))
        torch.testing.assert_close(heard, alone, rtol=1e-3, atol=2e-4)


@torch.inference_mode()
def test_a_chosen_note_reads_every_layer_however_clips_are_padded(encoder: str, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, encoder, {"hidden": 32, "heads": 2})
    model.front.with_note(4, {"age": ["adult", "child"], "emotion": ["happy", "sad", "angry"]})
    made = model.front.projector.note
    assert isinstance(made, Chosen)
    for value in (made.slopes, made.bank):
        value.copy_(torch.randn_like(value) * 0.05)
    profiles = []
    for seconds in ((0.9,), (2.6,), (0.9, 2.6)):
        clips = [torch.from_numpy(model.frames(wave(one, int(10 * one)))) for one in seconds]
        states, _, profile = model.front.states(torch.cat(clips), torch.tensor([len(clip) for clip in clips]))
        assert states.shape[2] == model.front.encoder.width
        profiles.append(profile)
    assert profiles[2].shape == (2, model.front.encoder.profile_width)
    torch.testing.assert_close(profiles[2], torch.cat(profiles[:2]), rtol=1e-2, atol=2e-3)
    model.save(tmp_path / "saved")
    again, asked = open_model(str(tmp_path / "saved"), dtype="float32"), [Prompt(audio=wave(1.0))]
    torch.testing.assert_close(again.listen(again.encode(asked)), model.listen(model.encode(asked)))


def test_training_changes_nothing_but_parameters(encoder: str) -> None:
    """What a checkpoint of parameters does not hold must not move: batch norms keep the statistics they came with."""
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, encoder, {"hidden": 32, "heads": 2})
    before = {name: value.clone() for name, value in model.front.named_buffers()}
    model.front.train()
    model.listen(model.encode([Prompt(audio=wave(1.0)), Prompt(audio=wave(0.7, 1))]))
    assert all(value.equal(before[name]) for name, value in model.front.named_buffers())


@torch.inference_mode()
def test_a_saved_model_holds_no_language_model_and_hears_the_same(encoder: str, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, encoder, {"hidden": 32, "heads": 2, "pooling": "attention"})
    model.save(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        assert {name.partition(".")[0] for name in file.keys()} == {"encoder", "projector"}  # noqa: SIM118
    again = open_model(str(tmp_path / "saved"), dtype="float32")
    assert again.family == "frozen_llm"
    prompt = [Prompt(audio=wave(1.3))]
    assert again.listen(again.encode(prompt)).equal(model.listen(model.encode(prompt)))
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["language_model"]["name"] == tiny.LANGUAGE_MODEL


def test_another_language_model_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    name = llama(tmp_path / "llama")
    FrozenLLM.fresh(name, "conformer", {"hidden": 32, "heads": 2}).save(tmp_path / "saved")
    FrozenLLM.load(tmp_path / "saved")
    llama(tmp_path / "llama")  # the same shape, other weights
    with pytest.raises(ValueError, match=r"trained for a language model .* of SHA-256"):
        FrozenLLM.load(tmp_path / "saved")


def test_another_vocabulary_before_the_same_weights_is_refused(tmp_path: Path) -> None:
    name = llama(tmp_path / "llama")
    FrozenLLM.fresh(name, "conformer", {"hidden": 32, "heads": 2}).save(tmp_path / "saved")
    path = tmp_path / "llama" / "tokenizer.json"
    table = json.loads(path.read_text())
    first, second, *_ = table["model"]["vocab"]
    vocabulary = table["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match="trained with another vocabulary than the tokenizer of"):
        FrozenLLM.load(tmp_path / "saved")


def test_language_models_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no chat template"):
        FrozenLLM.fresh(llama(tmp_path / "plain", template=False), "conformer", {})
    with pytest.raises(ValueError, match="the tokenizer is another model's"):
        FrozenLLM.fresh(llama(tmp_path / "short", vocabulary=100), "conformer", {})
    with pytest.raises(ValueError, match="no speech encoder of type 'llama'"):
        open_encoder(llama(tmp_path / "llm"))


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    model = FrozenLLM.tiny()
    model.save(tmp_path / "saved")
    table = json.loads((tmp_path / "saved" / "config.json").read_text())
    table["language_model"] = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, "conformer", {}).language_model._asdict()
    (tmp_path / "saved" / "config.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="do not fit together"):
        open_model(str(tmp_path / "saved"))
    (tmp_path / "saved" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(OSError, match="no whole checkpoint"):
        open_model(str(tmp_path / "saved"))


def test_typed_prompts_are_those_of_the_language_model_itself() -> None:
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, "conformer", {})
    chat = [{"role": "system", "content": "hm"}, {"role": "user", "content": "(the speaker is a child) how do i fix the socket"}]
    own = model.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert model.prompt_ids(Prompt(system="hm", note="(the speaker is a child)", text="how do i fix the socket"), 0) == own
    spoken = model.prompt_ids(Prompt(system="hm"), 3)
    assert spoken.count(model.audio_token_id) == 3
    assert model.audio_token_id >= len(model.tokenizer)


def test_states_behind_a_clip_are_not_looked_at() -> None:
    torch.manual_seed(0)
    for pooling in ("convolution", "attention"):
        project = Projector(16, 24, 20, hidden=16, heads=2, pooling=pooling).eval()  # type: ignore[arg-type]
        states, lengths, no_note = torch.randn(2, 11, 16), torch.tensor([6, 11]), torch.zeros(2, 0)
        whole = project(states, lengths, no_note)
        changed = states.clone()
        changed[0, 6:] = 9.0
        assert whole.shape == (2, project.count(11), 24)
        torch.testing.assert_close(project(changed, lengths, no_note)[0, : project.count(6)], whole[0, : project.count(6)])


def test_a_feature_store_of_one_front_is_not_read_by_another(tmp_path: Path) -> None:
    one, other = FrozenLLM.tiny(0), FrozenLLM.tiny(1)
    assert FeatureStore(tmp_path, one).folder != FeatureStore(tmp_path, other).folder
    assert FeatureStore(tmp_path, one).folder != FeatureStore(tmp_path, Qwen2_5Omni.tiny()).folder
    assert isinstance(one.frozen_front(), nn.Module)
