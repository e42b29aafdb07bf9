"""Checkpoints as they lie on the hub: nested settings, tensors named thinker.…, a talker beside them; and weights in bfloat16."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from undertone.models import EMBEDDED, open_model
from undertone.models.base import IGNORED, Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.models.tiny import WEIGHTS
from undertone.speech.synthesisers.espeak import Espeak

VOICE = {"age": "adult", "gender": "male", "emotion": "neutral"}


def save(model: Qwen2_5Omni, folder: Path) -> Path:
    """The thinker alone, as Transformers writes it."""
    for part in (model.module, model.tokenizer, model.extractor):
        part.save_pretrained(folder)
    return folder


def as_on_the_hub(folder: Path) -> Path:
    """The same weights as part of a whole Qwen2.5-Omni, whose chat template lies where only a processor looks for it."""
    template = folder / "chat_template.jinja"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()
    tensors = load_file(folder / "model.safetensors")
    whole = {f"thinker.{name}": value for name, value in tensors.items()} | {"talker.model.norm.weight": torch.ones(4)}
    save_file(whole, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": config}))
    return folder


def logits(model: object) -> torch.Tensor:
    noise = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    with torch.inference_mode():
        return model.lm_head(model.hidden(model.encode([Prompt(audio=noise, text="hello")])))  # type: ignore[attr-defined,no-any-return]


def test_tensors_named_thinker_open_to_the_same_model(tmp_path: Path) -> None:
    model = Qwen2_5Omni.tiny(seed=5)
    alone = open_model(str(save(model, tmp_path / "alone")), dtype="float32")
    hub = open_model(str(as_on_the_hub(save(model, tmp_path / "hub"))), dtype="float32")
    assert any(name.startswith("thinker.") for name in load_file(tmp_path / "hub" / "model.safetensors"))
    assert logits(alone).equal(logits(model))
    assert logits(hub).equal(logits(model))
    assert not hasattr(hub.module, "talker")
    assert hub.tokenizer.chat_template == alone.tokenizer.chat_template


def test_a_checkpoint_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = save(Qwen2_5Omni.tiny(), tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="no chat template"):
        open_model(str(folder))


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    folder = as_on_the_hub(save(Qwen2_5Omni.tiny(), tmp_path))
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if "audio_tower" not in name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"not whole, \d+ weights are missing"):
        open_model(str(folder))


@torch.inference_mode()
def test_likelihoods_a_few_logits_at_a_time_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Qwen2_5Omni.tiny(seed=2)
    prompts, replies = [Prompt(text="how do i fix the socket"), Prompt(text="may i")], ["to fix the socket turn off the power", "no"]
    batch = model.encode(prompts, replies)
    labels = batch.labels[:, 1:]
    labelled = labels != IGNORED
    scores = model.lm_head(model.hidden(batch)[:, :-1]).log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][labelled]
    monkeypatch.setattr("undertone.models.logits.LOGITS", 3 * len(model.lm_head.weight) + 1)
    sizes: list[int] = []
    model.lm_head.register_forward_hook(lambda _, __, made: sizes.append(len(made)))
    torch.testing.assert_close(model.token_losses(batch), -scores, rtol=1e-5, atol=1e-5)
    whole = torch.stack([part.sum() for part in scores.split(labelled.sum(-1).tolist())])
    torch.testing.assert_close(model.log_likelihoods(model.prefill(model.encode(prompts)), replies), whole, rtol=1e-5, atol=1e-4)
    assert max(sizes) == 3, "logits of padding, or too many at once"
    assert sum(sizes) == 2 * len(scores)


def test_a_front_that_was_forgotten_still_listens() -> None:
    model = Qwen2_5Omni.tiny()
    before = logits(model)
    model.forget_front()
    assert logits(model).equal(before)
    assert model.device == model.text_model.embed_tokens.weight.device


@pytest.mark.skipif(not (WEIGHTS / EMBEDDED).exists(), reason="the embedded weights are not in this checkout")
def test_bfloat16_weights_load_and_answer_as_float32_ones_do() -> None:
    half, full = open_model(EMBEDDED, dtype="bfloat16"), open_model(EMBEDDED, dtype="float32")
    assert {value.dtype for value in half.module.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in full.module.parameters()} == {torch.float32}
    texts = ["how do i fix the socket", "show me how to light the candle", "i want to use the saw", "how do i clean the window"]
    spoken = [Prompt(audio=Espeak().speak(text, VOICE, speaker=3)) for text in texts]
    for prompts in (spoken, [Prompt(text=text) for text in texts]):
        replies = half.reply(prompts, 24)
        assert all(len(reply.split()) > 2 for reply in replies)
        assert sum(one == other for one, other in zip(replies, full.reply(prompts, 24), strict=True)) >= 3, "rounding may turn one over"
