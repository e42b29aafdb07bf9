"""Published names and shapes at full size, on the meta device; a published folder opens; one that is not whole, or not Kimi's, does not."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import save
from safetensors.torch import load_file, save_file
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from undertone.models import open_model
from undertone.models.base import Prompt
from undertone.models.kimi_audio import weights
from undertone.models.kimi_audio.config import PUBLISHED, KimiAudioConfig, speech_tokenizer_config, whisper_config
from undertone.models.kimi_audio.family import SPEECH_TOKENIZER, WHISPER, KimiAudio
from undertone.models.kimi_audio.language_model import KimiAudioForCausalLM
from undertone.models.kimi_audio.speech_tokenizer import SpeechTokenizer

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, into: int, out: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into), **({f"{name}.bias": (out,)} if bias else {})}


def decoder_layer(name: str) -> Shapes:
    """A layer as modeling_moonshot_kimia.py has it, with the frequencies that the published files keep."""
    width, inner, keys = 3584, 18944, 4 * 128
    return {
        **linear(f"{name}.self_attn.q_proj", width, width), **linear(f"{name}.self_attn.k_proj", width, keys),
        **linear(f"{name}.self_attn.v_proj", width, keys), **linear(f"{name}.self_attn.o_proj", width, width, bias=False),
        **linear(f"{name}.mlp.gate_proj", width, inner, bias=False), **linear(f"{name}.mlp.up_proj", width, inner, bias=False),
        **linear(f"{name}.mlp.down_proj", inner, width, bias=False), f"{name}.input_layernorm.weight": (width,),
        f"{name}.post_attention_layernorm.weight": (width,), f"{name}.self_attn.rotary_emb.inv_freq": (64,),
    }  # fmt: skip


def published_language_model() -> Shapes:
    table = (168448, 3584)
    layers = [f"model.layers.{i}" for i in range(28)] + [f"model.mimo_layers.{i}" for i in range(6)]
    adaptor = "model.vq_adaptor.layers"
    return {
        "model.embed_tokens.weight": table, "lm_head.weight": table, "mimo_output.weight": table, "model.norm.weight": (3584,),
        "model.mimo_norm.weight": (3584,), **linear(f"{adaptor}.0", 5120, 3584), **linear(f"{adaptor}.3", 3584, 3584),
        f"{adaptor}.4.weight": (3584,), f"{adaptor}.4.bias": (3584,),
        **{name: shape for layer in layers for name, shape in decoder_layer(layer).items()},
    }  # fmt: skip


def encoder_layers(prefix: str, count: int) -> Shapes:
    """Layers of Whisper-large-v3's encoder: keys have no bias."""
    made: Shapes = {}
    for i in range(count):
        name = f"{prefix}layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            made |= linear(f"{name}.self_attn.{part}", 1280, 1280, bias=part != "k_proj")
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            made |= {f"{name}.{norm}.weight": (1280,), f"{name}.{norm}.bias": (1280,)}
        made |= linear(f"{name}.fc1", 1280, 5120) | linear(f"{name}.fc2", 5120, 1280)
    return made


def encoder_front(prefix: str) -> Shapes:
    return {
        f"{prefix}conv1.weight": (1280, 128, 3), f"{prefix}conv1.bias": (1280,), f"{prefix}conv2.weight": (1280, 1280, 3),
        f"{prefix}conv2.bias": (1280,), f"{prefix}embed_positions.weight": (1500, 1280),
    }  # fmt: skip


def published_speech_tokenizer() -> Shapes:
    codes = {"codebook.weight": (16384, 1280), "embed_positions2.weight": (375, 1280), "ema_count": (16384,), "ema_weight": (16384, 1280)}
    return {**encoder_front(""), **encoder_layers("", 16), **codes}


def published_whisper_encoder() -> Shapes:
    name = "model.encoder."
    norm = {f"{name}layer_norm.weight": (1280,), f"{name}layer_norm.bias": (1280,)}
    return {**encoder_front(name), **encoder_layers(name, 32), **norm}


def size(shapes: Shapes) -> int:
    return sum(int(np.prod(shape)) for shape in shapes.values())


def test_what_was_derived_is_as_large_as_what_was_published() -> None:
    """The index of moonshotai/Kimi-Audio-7B-Instruct counts 453 tensors of 19,532,673,280 bytes, all in bfloat16; the one file of
    THUDM/glm-4-voice-tokenizer is 1,458,374,480 bytes long, all in float32, of which less than 32 kB are its header."""
    assert len(published_language_model()) == 453
    assert 2 * size(published_language_model()) == 19_532_673_280
    assert 0 < 1_458_374_480 - 4 * size(published_speech_tokenizer()) < 1 << 15


@pytest.mark.parametrize("speech", [True, False], ids=["with speech", "text only"])
def test_every_published_weight_of_the_language_model_has_one_place(speech: bool) -> None:
    config = KimiAudioConfig(**PUBLISHED)
    config.kimia_mimo_layers *= speech
    with torch.device("meta"):
        ours = weights.shapes(KimiAudioForCausalLM(config))
    left = published_language_model().items() - ours.items()
    assert not ours.items() - published_language_model().items()
    assert all(name.endswith("rotary_emb.inv_freq") or (not speech and "mimo_" in name) for name, _ in left)
    assert len(left) == (34 if speech else 28 + 6 * 13 + 2)


def test_every_published_weight_of_what_hears_has_one_place() -> None:
    with torch.device("meta"):
        tokenizer, whisper = SpeechTokenizer(speech_tokenizer_config()), WhisperEncoder(whisper_config())
    assert weights.shapes(whisper, "model.encoder.") == published_whisper_encoder()
    left = published_speech_tokenizer().items() - weights.shapes(tokenizer).items()
    assert {name for name, _ in left} == {"ema_count", "ema_weight"}
    assert not weights.shapes(tokenizer).items() - published_speech_tokenizer().items()


# --- a folder as it is published ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> KimiAudio:
    return KimiAudio.tiny(seed=4)


@pytest.fixture
def folder(model: KimiAudio, tmp_path: Path) -> Path:
    return save(model, tmp_path / "kimi")


@torch.inference_mode()
def states(model: object) -> torch.Tensor:
    noise = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    return model.hidden(model.encode([Prompt(audio=noise, text="hello")]))  # type: ignore[attr-defined,no-any-return]


def test_a_published_folder_opens_to_the_same_model(model: KimiAudio, folder: Path) -> None:
    opened = open_model(str(folder), dtype="float32", device="cpu")
    assert isinstance(opened, KimiAudio)
    assert states(opened).equal(states(model))
    assert not (folder / "ran").exists(), "code of the checkpoint was run"
    assert "flash_attn" not in sys.modules
    assert {part.config._attn_implementation for part in opened.module.modules() if hasattr(part, "config")} == {"sdpa"}
    assert not any("mimo_" in name for name in opened.module.state_dict())
    assert opened.end_tokens == [opened.ids.text_end]
    speaking = KimiAudio.load(folder, speech=True)
    assert speaking.module.state_dict().keys() == model.module.state_dict().keys()
    assert all(value.equal(model.module.state_dict()[name]) for name, value in speaking.module.state_dict().items())


def test_in_bfloat16_the_speech_tokenizer_stays_exact(model: KimiAudio, folder: Path) -> None:
    half = open_model(str(folder), dtype="bfloat16", device="cpu")
    assert isinstance(half, KimiAudio)
    assert {value.dtype for value in (*half.module.parameters(), *half.ears.whisper.parameters())} == {torch.bfloat16}
    assert {value.dtype for value in half.ears.tokenizer.parameters()} == {torch.float32}
    torch.testing.assert_close(states(half).float(), states(model), rtol=0.1, atol=0.1)


def test_shards_are_read_by_their_index_and_a_lost_one_is_named(model: KimiAudio, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {f"model-{i + 1}-of-2.safetensors": names[i::2] for i in range(2)}
    for shard, some in shards.items():
        save_file({name: tensors[name] for name in some}, folder / shard, {"format": "pt"})
    table = {name: shard for shard, some in shards.items() for name in some}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": table}))
    assert states(open_model(str(folder), dtype="float32", device="cpu")).equal(states(model))
    (folder / "model-2-of-2.safetensors").unlink()
    with pytest.raises(OSError, match=r"no model-2-of-2\.safetensors, which its index names; download the checkpoint again"):
        open_model(str(folder))


def rewritten(part: str, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / part / "model.safetensors"
        save_file(change(load_file(path)), path, {"format": "pt"})

    return write


def without(word: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {name: value for name, value in tensors.items() if word not in name}


def pickled(part: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / part / "model.safetensors").unlink()
        (folder / part / "pytorch_model.bin").write_bytes(b"\x80\x02.")

    return write


def configured(part: str, **changes: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return write


BROKEN = {
    "missing": (rewritten("", without("layers.1.mlp")), r"kimi: 3 weights are missing \(model\.layers\.1\.mlp.*download"),
    "missing adaptor": (rewritten("", without("vq_adaptor")), r"6 weights are missing"),
    "missing in Whisper": (rewritten(WHISPER, without("conv2")), rf"{WHISPER}: 2 weights are missing"),
    "missing in the tokenizer": (rewritten(SPEECH_TOKENIZER, without("codebook")), rf"{SPEECH_TOKENIZER}: 1 weights are missing"),
    "extra": (
        rewritten("", lambda tensors: tensors | {"model.visual.weight": torch.ones(2)}),
        r"kimi/model\.safetensors: 1 weights that this model has no place for \(model\.visual\.weight\)",
    ),
    "wrong shape": (configured("", intermediate_size=64), r"kimi/model\.safetensors: model\.layers.* has shape .* config\.json asks for"),
    "wrong codebook": (
        configured(SPEECH_TOKENIZER, quantize_vocab_size=33),
        rf"{SPEECH_TOKENIZER}/model\.safetensors: codebook\.weight has",
    ),
    "pickled": (pickled(""), r"kimi: its weights are pickled .*get the checkpoint as safetensors"),
    "pickled Whisper": (pickled(WHISPER), rf"{WHISPER}: its weights are pickled"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"kimi: no model\.safetensors there"),
    "no tokenizer": (lambda folder: (folder / "tiktoken.model").unlink(), r"no tiktoken\.model, its text tokenizer"),
    "torn tokenizer": (lambda folder: (folder / "tiktoken.model").write_bytes(b"IQ== 0\nI*== one\n"), r"tiktoken\.model: line 2 is no"),
    "torn weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 9), r"no whole checkpoint"),
    "another tokenizer": (configured(SPEECH_TOKENIZER, encoder_causal_convolution=False), r"speech tokenizer: not GLM-4-Voice's"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_folder_that_is_not_whole_is_refused_and_named(how: str, folder: Path) -> None:
    breaks, said = BROKEN[how]
    breaks(folder)
    with pytest.raises((ValueError, OSError), match=said):
        open_model(str(folder), device="cpu")


def test_a_speech_tokenizer_that_is_nowhere_is_asked_for_by_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (folder / SPEECH_TOKENIZER).rename(elsewhere := folder.parent / "elsewhere")
    with pytest.raises(OSError, match=rf"download that repository to .*kimi/{SPEECH_TOKENIZER}"):
        open_model(str(folder), device="cpu")
    assert KimiAudio.load(folder, speech_tokenizer=str(elsewhere)).family == "kimi_audio"
