"""Kimi-Audio against what the published code gave at tiny random size (`golden/kimi_audio_*.safetensors` say which code, and its seeds).

Equality is in float32, to 1e-5 of a value and 1e-5; codes, streams and token ids are equal.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from undertone.models.kimi_audio import hearing
from undertone.models.kimi_audio.config import KimiAudioConfig, speech_tokenizer_config, whisper_config
from undertone.models.kimi_audio.language_model import KimiAudioForCausalLM
from undertone.models.kimi_audio.prompt import Ids, Message, streams
from undertone.models.kimi_audio.speech_tokenizer import SpeechTokenizer
from undertone.models.kimi_audio.text_tokenizer import special_tokens, text_tokenizer

CASES = ("none", "one", "two")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Golden(NamedTuple):
    """Tensors of one file by name, and what its header says."""

    tensors: dict[str, torch.Tensor]
    said: dict[str, Any]

    def under(self, prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


@lru_cache
def golden(name: str) -> Golden:
    with safe_open(Path(__file__).parent / "golden" / f"kimi_audio_{name}.safetensors", "pt") as file:
        return Golden({key: file.get_tensor(key) for key in file.keys()}, file.metadata())  # noqa: SIM118


@lru_cache
def language_model(speech: bool = True) -> KimiAudioForCausalLM:
    found = golden("language_model")
    config = KimiAudioConfig.from_dict(json.loads(found.said["config"]))
    weights = found.under("weight.")
    if not speech:
        config.kimia_mimo_layers = 0
        weights = {name: value for name, value in weights.items() if "mimo_" not in name}
    model = KimiAudioForCausalLM(config).eval()
    model.load_state_dict(weights)
    return model


def embedded(case: str) -> torch.Tensor:
    """Our embeddings (1, token, width) of a published prompt."""
    found, model = golden("language_model").under(f"{case}."), language_model()
    config = model.config
    ids = merged(found["audio"], found["text"], config.kimia_text_blank)
    made = model.model.embed_tokens(ids)
    if "states" in found:
        codes = found["audio"][found["audio"] >= config.kimia_token_offset] - config.kimia_token_offset
        made[found["audio"] >= config.kimia_token_offset] = model.model.heard(codes, found["states"])
    return made


def merged(audio: torch.Tensor, text: torch.Tensor, blank: int) -> torch.Tensor:
    assert ((audio == blank) | (text == blank)).all(), "both streams speak at once"
    return text.where(audio == blank, audio)


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_logits_of_both_branches(case: str) -> None:
    found = golden("language_model").under(f"{case}.")
    logits = language_model().speak(embedded(case))
    torch.testing.assert_close(logits.text, found["text_logits"], **CLOSE)
    torch.testing.assert_close(logits.speech, found["speech_logits"], **CLOSE)


@torch.inference_mode()
def test_without_its_speech_branch_the_model_writes_the_same() -> None:
    text_only = language_model(speech=False)
    assert not any("mimo_" in name for name in text_only.state_dict())
    for case in CASES:
        assert text_only(inputs_embeds=embedded(case)).logits.equal(language_model().speak(embedded(case)).text)
    with pytest.raises(ValueError, match="open it with speech=True"):
        text_only.speak(embedded("none"))


@torch.inference_mode()
def test_a_left_padded_batch_with_0_1_and_2_clips_gives_what_each_gave_alone() -> None:
    rows = [embedded(case)[0] for case in CASES]
    width = max(len(row) for row in rows)
    batch = torch.stack([torch.nn.functional.pad(row, (0, 0, width - len(row), 0)) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    logits = language_model().speak(batch, mask, (mask.cumsum(-1) - 1).clamp(min=0))
    for case, row, text, speech in zip(CASES, rows, logits.text, logits.speech, strict=True):
        found = golden("language_model").under(f"{case}.")
        torch.testing.assert_close(text[-len(row) :], found["text_logits"][0], **CLOSE)
        torch.testing.assert_close(speech[-len(row) :], found["speech_logits"][0], **CLOSE)


@torch.inference_mode()
def test_the_root_of_two_scales_continuous_positions_and_no_other() -> None:
    model, found = language_model().model, golden("language_model").under("two.")
    continuous = found["audio"] >= model.config.kimia_token_offset
    one_by_one = model.embed_tokens.row(found["audio"]) + model.embed_tokens.row(found["text"])
    made = embedded("two")
    assert made[~continuous].equal(one_by_one[~continuous])
    silent = model.embed_tokens.weight[model.config.kimia_text_blank]
    scaled = (model.embed_tokens.row(found["audio"][continuous]) + model.vq_adaptor(found["states"])) * 2**0.5 + silent
    torch.testing.assert_close(made[continuous], scaled)


@pytest.mark.parametrize("cached", [True, False], ids=["with cache", "without"])
@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_greedy_text(case: str, cached: bool) -> None:
    end = int(golden("language_model").said["text_end"])
    embeds = embedded(case)
    made = language_model().generate(
        inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long), max_new_tokens=12, do_sample=False,
        use_cache=cached, eos_token_id=end, pad_token_id=63,
    )[0].tolist()  # fmt: skip
    text = made[: made.index(end)] if end in made else made
    assert text == golden("language_model").tensors[f"{case}.greedy"].tolist()


# --- ears ---------------------------------------------------------------------------------------------------------------------


@lru_cache
def ears() -> hearing.Ears:
    found = golden("ears")
    tokenizer = SpeechTokenizer(speech_tokenizer_config(**json.loads(found.said["tokenizer"])))
    tokenizer.load_state_dict({name: value for name, value in found.under("tokenizer.").items() if not name.startswith("ema_")})
    whisper = WhisperEncoder(whisper_config(**json.loads(found.said["whisper"])))
    whisper.load_state_dict(found.under("whisper.model.encoder."))
    return hearing.Ears(whisper, tokenizer).eval()


def hops(name: str) -> torch.Tensor:
    wave = golden("ears").tensors[f"{name}.wave"] / 32768
    return torch.nn.functional.pad(wave, (0, -len(wave) % hearing.HOP)).view(-1, hearing.HOP)


@torch.inference_mode()
def test_codes_and_states_alone_and_together() -> None:
    found = golden("ears").tensors
    names = ("short", "long")
    assert len({code for name in names for code in found[f"{name}.codes"].tolist()}) > 5, "codes that say nothing prove nothing"
    for group in (names[:1], names[1:], names):
        heard = ears()([hops(name) for name in group])
        assert heard.codes.tolist() == [code for name in group for code in found[f"{name}.codes"].tolist()]
        torch.testing.assert_close(heard.states, torch.cat([found[f"{name}.states"] for name in group]), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_clip_longer_than_30_s_is_cut_as_published() -> None:
    found = golden("ears").tensors
    heard = ears()([hops("long").repeat(24, 1)])
    assert len(heard.codes) == 390
    assert heard.codes.equal(found["tiled.codes"])
    torch.testing.assert_close(heard.states, found["tiled.states"], rtol=1e-4, atol=1e-5)


def test_log_mel_bins_are_those_of_each_published_front_end() -> None:
    found = golden("ears").tensors
    (mel,) = hearing.tokenizer_mels(hops("short"))
    torch.testing.assert_close(mel.bins, found["short.tokenizer_mel"], **CLOSE)
    assert mel.frames == -(-len(found["short.wave"]) // hearing.HOP)
    padded = torch.nn.functional.pad(hops("short").flatten(), (0, hearing.WINDOW * hearing.HOP - hops("short").numel()))
    torch.testing.assert_close(hearing.log_mel(padded[None])[0, :, :56], found["short.whisper_mel"], **CLOSE)


def test_another_speech_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="whose convolutions are causal"):
        SpeechTokenizer(WhisperConfig(**{**json.loads(golden("ears").said["tokenizer"]), "encoder_causal_convolution": False}))


# --- prompts and text ---------------------------------------------------------------------------------------------------------


@lru_cache
def tokenizer() -> Any:
    found = golden("prompt").tensors
    octets, lengths = bytes(found["rank_bytes"].tolist()), found["rank_lengths"].tolist()
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return text_tokenizer({octets[end - length : end]: rank for rank, (end, length) in enumerate(zip(ends, lengths, strict=True))})


def test_special_tokens_have_the_published_names_and_places() -> None:
    assert special_tokens() == json.loads(golden("prompt").said["special"])
    ordinary = len(golden("prompt").tensors["rank_lengths"])
    assert tokenizer().convert_tokens_to_ids(special_tokens()) == list(range(ordinary, ordinary + 421))


def test_text_becomes_the_ids_of_tiktoken_and_comes_back() -> None:
    texts = json.loads(golden("prompt").said["texts"])
    assert len(texts) > 6
    for i, text in enumerate(texts):
        ids = tokenizer().encode(text, add_special_tokens=False)
        assert ids == golden("prompt").tensors[f"ids.{i}"].tolist(), text
        assert tokenizer().decode(ids) == text


@pytest.mark.parametrize("speech", [False, True], ids=["text", "both"])
def test_streams_of_a_chat(speech: bool) -> None:
    published = [151643 + i for i in range(421)]
    place = dict(zip(special_tokens(), published, strict=True))
    ids = Ids.of(type("Tokens", (), {"convert_tokens_to_ids": staticmethod(lambda names: [place[name] for name in names])}))
    assert (ids.msg_end, ids.media_begin, ids.media_end, ids.blank, ids.text_end) == (151645, 151661, 151663, 151666, 151667)
    assert (ids.user, ids.assistant, ids.answer_text, ids.answer_speech) == (151670, 151671, 151675, 151676)
    for i, chat in enumerate(json.loads(golden("prompt").said["chats"])):
        found = golden("prompt").under(f"{i}.{'both' if speech else 'text'}.")
        made = streams([Message(*message) for message in chat], ids, speech)
        assert made.audio == found["audio"].tolist(), chat
        assert made.text == found["text"].tolist(), chat
        assert made.continuous == found["continuous"].tolist(), chat
        assert made.merged(ids.blank) == [a if a != ids.blank else t for a, t in zip(made.audio, made.text, strict=True)]
