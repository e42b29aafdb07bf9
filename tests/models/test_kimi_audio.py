"""Chats of any number of clips, one by one and together, cached and written on."""

import numpy as np
import pytest
import torch

from undertone.models.base import IGNORED, Prompt
from undertone.models.kimi_audio.family import KimiAudio, Turn, chat_of
from undertone.models.kimi_audio.hearing import WINDOW

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
