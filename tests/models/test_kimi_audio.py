"""Chats of any number of clips, one by one and together; and PE-FT from clip to merged weights."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from undertone.analysis.activations import language_layers
from undertone.models.base import IGNORED, Prompt
from undertone.models.kimi_audio.family import KimiAudio, Turn, chat_of
from undertone.models.kimi_audio.hearing import WINDOW
from undertone.records import Utterance
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train
from undertone.training.lora import MadeWith, adapt, save_adapter
from undertone.training.objectives import PeFt

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def wave(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)


def chats() -> list[list[Turn]]:
    """With no clip, with one, and with two in two turns."""
    return [
        [Turn("user", "how do i fix the socket")],
        [Turn("user", "repeat the words"), Turn("user", wave(1.23, 1))],
        [Turn("user", wave(0.8, 2)), Turn("assistant", "yes"), Turn("user", "and this one"), Turn("user", wave(2.05, 3))],
    ]


@pytest.fixture(scope="module")
def model() -> KimiAudio:
    return KimiAudio.tiny(seed=1)


@torch.inference_mode()
def test_chats_with_0_1_and_2_clips_together_are_what_each_is_alone(model: KimiAudio) -> None:
    replies = ["turn off the power first", "no", "may i"]
    together = model.encode_chats(chats(), replies)
    assert model.audio_mask(together).sum(-1).tolist() == [0, 16, 10 + 26]
    states = model.hidden(together)
    for i, (chat, reply) in enumerate(zip(chats(), replies, strict=True)):
        alone = model.encode_chats([chat], [reply])
        real = alone.input_ids.shape[1]
        assert together.input_ids[i, -real:].equal(alone.input_ids[0])
        assert not together.attention_mask[i, :-real].any()
        torch.testing.assert_close(states[i, -real:], model.hidden(alone)[0], **CLOSE)
        labelled = together.labels[i][together.labels[i] != IGNORED]
        assert labelled.tolist() == [*model.reply_ids(reply), model.ids.text_end]


@torch.inference_mode()
def test_what_was_heard_of_two_clips_is_cached_clip_by_clip(model: KimiAudio) -> None:
    fresh = model.encode_chats(chats()[1:])
    parts = iter(torch.split(model.listen(fresh), [16, 10, 26]))
    cached = [[turn if isinstance(turn.said, str) else Turn(turn.role, next(parts)) for turn in chat] for chat in chats()[1:]]
    again = model.encode_chats(cached)
    assert again.input_ids.equal(fresh.input_ids)
    assert model.hidden(again).equal(model.hidden(fresh))
    with pytest.raises(ValueError, match="mixes waves and cached audio embeddings"):
        model.encode_chats([cached[0], chats()[1]])


@torch.inference_mode()
def test_generation_with_cache_is_generation_without(model: KimiAudio) -> None:
    batch = model.encode_chats(chats())
    cached = model.greedy_ids(model.prefill(batch), 10)
    for chat, made in zip(chats(), cached, strict=True):
        written: list[int] = []
        while len(written) < 10 and (not written or written[-1] != model.ids.text_end):
            whole = model.encode_chats([chat], [written], close=False)
            written.append(int(model.lm_head(model.hidden(whole)[0, -1]).argmax()))
        assert made == written


@torch.inference_mode()
def test_a_clip_longer_than_a_window_is_heard_window_by_window(model: KimiAudio) -> None:
    long = model.frames(wave(31.07))
    assert model.token_count(len(long)) == 375 + 14
    whole = model.ears([torch.from_numpy(long)])
    parts = model.ears([torch.from_numpy(long[:WINDOW]), torch.from_numpy(long[WINDOW:])])
    assert len(whole.codes) == len(whole.states) == 389
    # The last code of a clip hears how its padding begins, which is another one where a window stands before it.
    assert whole.codes[:-1].equal(parts.codes[:-1])
    torch.testing.assert_close(whole.states, parts.states)


def test_a_prompt_is_a_chat_of_its_parts_in_order() -> None:
    clip = wave(0.1)
    assert chat_of(Prompt()) == [Turn("user", "")]
    assert chat_of(Prompt(text="hm", system="be brief", note="a child says")) == [
        Turn("user", text) for text in ("be brief", "a child says", "hm")
    ]
    (system, heard) = chat_of(Prompt(audio=clip, system="be brief"))
    assert system.said == "be brief"
    assert heard.said is clip


def test_special_tokens_in_a_text_stay_text(model: KimiAudio) -> None:
    ids = model.encode([Prompt(text="<|im_msg_end|><|im_media_begin|>")]).input_ids[0].tolist()
    assert ids.count(model.ids.msg_end) == 1
    assert model.ids.media_begin not in ids


def test_the_front_that_was_forgotten_still_listens(model: KimiAudio) -> None:
    batch = model.encode_chats(chats())
    before = model.listen(batch)
    model.forget_front()
    assert model.listen(batch).equal(before)


# --- PE-FT --------------------------------------------------------------------------------------------------------------------


def rows(count: int, split: str) -> list[Utterance]:
    made = []
    for i in range(count):
        age = ("child", "adult")[i % 2]
        made.append(
            Utterance(
                id=f"{split}{i}", text="hm", file_name="x.flac", seconds=1, speaker="s", source="t", split="train", category="age",
                attributes={"age": age, "gender": "male", "emotion": "neutral"}, reply=f"to fix the socket {age}",
            )
        )  # fmt: skip
    return made


def tuned(model: KimiAudio, folder: Path) -> tuple[object, list[Mapping[str, float]]]:
    """PE-FT on clips of noise, whose features are computed once."""
    every = [*rows(12, "u"), *rows(4, "d")]
    waves = [wave(0.5 + 0.1 * (i % 5), i) for i in range(len(every))]
    with torch.inference_mode():
        batch = model.encode([Prompt(audio=one) for one in waves])
        parts = torch.split(model.listen(batch), model.audio_mask(batch).sum(-1).tolist())
    heard = {row.id: part.clone() for row, part in zip(every, parts, strict=True)}
    model.module.requires_grad_(False)
    layers = language_layers(model)[:2]
    adapted = adapt(model, layers, ["q_proj", "v_proj"], rank=4, alpha=8, dropout=0.0, seed=0)
    torch.manual_seed(0)
    objective = PeFt(model, adapted, layers[-1], 0.5, 64)
    logged: list[Mapping[str, float]] = []
    train(
        objective, Mixture(every[:12], 0.0, {}, 0), every[12:], Encoder(model, heard.__getitem__, packed=True),
        Schedule(20, 6, 1, 1e-2, 0.1, 0.0, 1.0, 10), folder, lambda values, step: logged.append(values),
    )  # fmt: skip
    return adapted, logged


def test_pe_ft_learns_reopens_with_stock_peft_and_merges(tmp_path: Path) -> None:
    from peft import PeftModel

    model = KimiAudio.tiny(seed=2)
    adapted, logged = tuned(model, tmp_path / "run")
    losses = [row["train/loss"] for row in logged if "train/loss" in row]
    assert losses[-1] < losses[0] - 0.2
    save_adapter(adapted, tmp_path / "adapter", MadeWith("tiny", "", "0,1", ""))
    model.module.eval()
    batch = model.encode_chats(chats(), ["yes", "no", "may i"])

    again = KimiAudio.tiny(seed=2)
    before = again.hidden(batch)
    reopened = PeftModel.from_pretrained(again.module, tmp_path / "adapter").eval()
    with torch.inference_mode():
        learnt = again.lm_head(again.hidden(batch))
        assert learnt.equal(model.lm_head(model.hidden(batch)))
        assert not torch.allclose(again.hidden(batch), before, atol=1e-3), "the adapter changes nothing"
        again.module = reopened.merge_and_unload()
        torch.testing.assert_close(again.lm_head(again.hidden(batch)), learnt, rtol=1e-5, atol=1e-5)
