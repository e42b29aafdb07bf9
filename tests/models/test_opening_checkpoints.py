"""Folders that are no whole checkpoint of the family: one error each, with the fix; and checkpoints that bring an adapter along."""

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import STOCK, named, save, saved
from conftest import RATE, tone
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from undertone.audio import write_flac
from undertone.cli import main
from undertone.models import open_hollow, open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.models.generic import Generic
from undertone.models.granite_speech import GraniteSpeech
from undertone.models.phi4_multimodal import Phi4Multimodal
from undertone.models.qwen3_omni_moe import Qwen3OmniMoe
from undertone.models.voxtral import Voxtral
from undertone.training.lora import adapted_modules


def logits(model: SpeechLM) -> torch.Tensor:
    noise = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    with torch.inference_mode():
        return model.lm_head(model.hidden(model.encode([Prompt(audio=noise, text="hello")])))  # type: ignore[no-any-return]


def change(folder: Path, how: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(how(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})


def pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def widen(folder: Path) -> None:
    change(
        folder,
        lambda found: {
            name: torch.cat([value, value]) if "layers.1." in name and value.ndim == 2 else value for name, value in found.items()
        },
    )


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (
        lambda folder: change(folder, lambda found: {name: value for name, value in found.items() if "layers.1." not in name}),
        r"not whole, \d+ weights are missing .*; download or copy it again",
    ),
    "extra": (
        lambda folder: change(folder, lambda found: found | {"another.model.weight": torch.ones(2)}),
        r"1 weights have no place in \w+ \(another\.model\.weight …\); .*download it again, alone",
    ),
    "shapes": (widen, r"weights and config.json do not fit together, their shapes differ .*both must come from one download"),
    "pickled": (pickle, r"its weights are pickled \(pytorch_model\.bin\).*get the checkpoint as safetensors"),
}


PLAIN = [family for family in STOCK if family != "kimi_audio"]
"""Families whose folders are those of Transformers; what Kimi-Audio's lacks is tested with its weights."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: saved(family, tmp_path_factory.mktemp(family)) for family in PLAIN}


@pytest.mark.parametrize("name", list(BROKEN))
@pytest.mark.parametrize("family", PLAIN)
def test_a_broken_checkpoint_is_one_error_with_the_fix(family: str, name: str, whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole[family], folder)
    breaking, says = BROKEN[name]
    breaking(folder)
    with pytest.raises(ValueError, match=says):
        open_model(str(folder), "generic" if family == "generic" else "", dtype="float32")


@pytest.mark.parametrize("family", PLAIN)
def test_a_broken_checkpoint_is_one_line_of_a_command(
    family: str, whole: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole[family], tmp_path / "model")
    BROKEN["missing"][0](folder)
    write_flac(tmp_path / "clip.flac", tone(200.0, 0.5), RATE)
    assert main(["ask", str(tmp_path / "clip.flac"), *named(family, folder)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("undertone:")]
    assert len(said) == 1
    assert "weights are missing" in said[0]


def test_another_familys_folder_is_named(whole: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="of model_type 'voxtral', which family qwen2_audio does not read; leave family empty"):
        open_model(str(whole["voxtral"]), "qwen2_audio")


def test_a_missing_chat_template_is_named(tmp_path: Path) -> None:
    folder = saved("audioflamingo3", tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match=r"no chat template, neither with the tokenizer nor in chat_template\.json"):
        open_model(str(folder))


def test_a_template_without_a_place_for_audio_is_named(tmp_path: Path) -> None:
    folder = saved("audioflamingo3", tmp_path)
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message['role'] }}{% endfor %}")
    with pytest.raises(ValueError, match="its chat template writes no <sound>"):
        open_model(str(folder))


def test_a_chat_that_knows_no_system_prompt_says_so() -> None:
    with pytest.raises(ValueError, match="the chat template of voxtral has no place for a system prompt; leave system empty"):
        Voxtral.tiny().encode([Prompt(text="hello", system="be kind")])


def test_a_hub_name_while_offline_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["finetune", "--model", "nobody/no-such-model", "--estimate"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("undertone: finetune: model nobody/no-such-model: no folder of that name here, and the hub does not give it")
    assert "hf download nobody/no-such-model" in said
    assert said.count("\n") == 1


def test_a_hub_name_of_which_only_the_configuration_is_here_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "models--nobody--half"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    shutil.copy(saved("voxtral", tmp_path / "whole") / "config.json", place / "snapshots" / "abc")
    for name in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(name, str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_flac(tmp_path / "clip.flac", tone(200.0, 0.5), RATE)
    assert main(["ask", str(tmp_path / "clip.flac"), "--model", "nobody/half"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("undertone:")]
    assert len(said) == 1
    assert "nobody/half" in said[0]
    assert "hf download nobody/half" in said[0]


def test_code_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    says = {"model_type": "theirs", "architectures": ["Theirs"], "auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Theirs"}}
    (tmp_path / "config.json").write_text(json.dumps(says))
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="no family reads model_type 'theirs'"):
        open_model(str(tmp_path))
    with pytest.raises(ValueError, match="has no class 'Theirs', and code from a checkpoint is not run"):
        open_model(str(tmp_path), "generic")
    assert not (tmp_path / "ran").exists()


def bring_code(model: SpeechLM, folder: Path) -> Path:
    """Save `model` as a checkpoint that needs its own code, which leaves the file `ran`; its tensors are named as its class names them."""
    save(model, folder)
    kind = type(model.module).__name__
    change(folder, lambda _: {name: value.contiguous() for name, value in model.module.state_dict().items()})
    config = json.loads((folder / "config.json").read_text())
    own = {"architectures": ["Theirs"], "auto_map": {"AutoConfig": "theirs.TheirConfig", "AutoModel": "theirs.Theirs"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "theirs.py").write_text(
        f"open({str(folder / 'ran')!r}, 'w')\nfrom transformers import {kind}\n"
        f"class Theirs({kind}):\n    pass\nclass TheirConfig({kind}.config_class):\n    pass\n"
    )
    return folder / "ran"


def test_code_of_a_checkpoint_is_run_where_a_setting_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "cache"))
    model = Generic.tiny(seed=5)
    ran = bring_code(model, tmp_path / "model")
    with pytest.raises(ValueError, match=r"has no class 'Theirs', and code from a checkpoint is not run.*set remote_code"):
        open_model(str(ran.parent), "generic")
    assert not ran.exists()
    assert logits(open_model(str(ran.parent), "generic", dtype="float32", remote_code=True)).equal(logits(model))
    assert ran.exists()
    with pytest.raises(ValueError, match="remote_code: family voxtral runs no code of a checkpoint; leave remote_code out"):
        open_model(str(saved("voxtral", tmp_path / "voxtral")), remote_code=True)


def never(question: str = "") -> str:
    raise AssertionError(f"asked at the terminal: {question}")


@pytest.mark.parametrize("part", ["language_model", "encoder"])
def test_a_part_of_the_frozen_road_runs_no_code_and_opens_no_pickle(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers would ask at the terminal whether to run it."""
    from undertone.models import tiny
    from undertone.models.frozen_llm import FrozenLLM

    monkeypatch.setattr("builtins.input", never)
    folder = tmp_path / "part"
    if part == "language_model":
        shutil.copytree(tiny.WEIGHTS / tiny.LANGUAGE_MODEL, folder)
    else:
        small = Wav2Vec2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
        Wav2Vec2Model(small).save_pretrained(folder)
        Wav2Vec2FeatureExtractor().save_pretrained(folder)

    def opened() -> FrozenLLM:
        names = {"language_model": tiny.LANGUAGE_MODEL, "encoder": "conformer"} | {part: str(folder)}
        return FrozenLLM.fresh(**names, projector={})

    opened()
    config = json.loads((folder / "config.json").read_text())
    kind = {"language_model": "AutoModelForCausalLM", "encoder": "AutoModel"}[part]
    own = {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.C", kind: "theirs.T"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="code from a checkpoint is not run; name another one"):
        opened()
    assert not (tmp_path / "ran").exists()
    (folder / "config.json").write_text(json.dumps(config))
    pickle(folder)
    with pytest.raises(ValueError, match=r"its weights are pickled \(pytorch_model\.bin\)"):
        opened()


@pytest.mark.parametrize("kind", [GraniteSpeech, Phi4Multimodal])
def test_a_pickled_adapter_that_a_checkpoint_brings_along_is_refused(kind: type[GraniteSpeech | Phi4Multimodal], tmp_path: Path) -> None:
    model = kind.tiny(seed=5)
    folder = save(model, tmp_path / "model")
    place = folder if kind is GraniteSpeech else folder / "speech-lora"
    place.mkdir(exist_ok=True)
    (place / "adapter_config.json").write_text("{}")
    torch.save({}, place / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"its weights are pickled \(adapter_model\.bin\)"):
        open_model(str(folder), dtype="float32")


def test_a_model_without_the_usual_parts_is_not_generic(tmp_path: Path) -> None:
    folder = saved("granite_speech", tmp_path)
    with pytest.raises(ValueError, match="GraniteSpeechForConditionalGeneration has no audio_tower with layers"):
        open_model(str(folder), "generic")


@pytest.mark.parametrize("family", STOCK)
def test_a_saved_checkpoint_opens_to_the_same_model(family: str, tmp_path: Path) -> None:
    from undertone.lookup import resolve
    from undertone.models import FAMILIES

    model = resolve(FAMILIES, family, "model family").tiny(seed=5)
    again = open_model(str(save(model, tmp_path)), "generic" if family == "generic" else "", dtype="float32")
    assert type(again) is type(model)
    assert logits(again).equal(logits(model))


@pytest.mark.parametrize("family", ["voxtral", "audioflamingo3", "generic"])
def test_the_generic_family_is_measured_as_the_class_that_the_checkpoint_names(family: str, tmp_path: Path) -> None:
    folder = saved(family, tmp_path)
    hollow, whole = open_hollow(folder, "generic", "float32"), open_model(str(folder), "generic", dtype="float32")
    assert type(hollow.module) is type(whole.module)
    shapes = [{name: value.shape for name, value in one.module.named_parameters()} for one in (hollow, whole)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("family", STOCK)
def test_a_checkpoint_in_bfloat16_answers_nearly_as_in_float32(family: str, tmp_path: Path) -> None:
    folder, kind = saved(family, tmp_path), "generic" if family == "generic" else ""
    exact, near = (open_model(str(folder), kind, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert near.dtype == torch.bfloat16
    assert {value.dtype for value in near.text_model.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(logits(near).float(), logits(exact), rtol=0.05, atol=0.1)


def test_a_full_omni_folder_opens_as_its_thinker(tmp_path: Path) -> None:
    model = Qwen3OmniMoe.tiny(seed=5)
    save(model, tmp_path)
    change(
        tmp_path, lambda found: {f"thinker.{name}": value for name, value in found.items()} | {"talker.model.norm.weight": torch.ones(4)}
    )
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_omni_moe", "thinker_config": config}))
    again = open_model(str(tmp_path), dtype="float32")
    assert logits(again).equal(logits(model))
    assert not hasattr(again.module, "talker")


@pytest.mark.parametrize("kind", [GraniteSpeech, Phi4Multimodal])
def test_an_adapter_that_a_checkpoint_brings_along_is_heard_through(kind: type[GraniteSpeech | Phi4Multimodal], tmp_path: Path) -> None:
    model = kind.tiny(seed=5)
    folder = save(model, tmp_path / "model")
    deaf = logits(model)
    config = LoraConfig(r=2, target_modules=["q_proj"] if kind is GraniteSpeech else ["qkv_proj"], init_lora_weights=False)
    config.base_model_name_or_path = "somebody/elsewhere"
    adapted = get_peft_model(model.module, config)  # type: ignore[arg-type]
    adapted.save_pretrained(folder if kind is GraniteSpeech else folder / "speech-lora")
    expected = logits(model)
    assert not torch.allclose(expected, deaf, atol=1e-3)
    again = open_model(str(folder), dtype="float32")
    torch.testing.assert_close(logits(again), expected, rtol=1e-4, atol=1e-5)
    assert not adapted_modules(again.module)
    assert {name for name, _ in again.module.named_parameters()} == {name for name, _ in kind.tiny().module.named_parameters()}


def test_voxtral_opens_with_tekken_json_alone(tmp_path: Path) -> None:
    """As the published folders are: no tokenizer of Transformers, no chat template."""
    folder = saved("voxtral", tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"[{i}]" for i in range(5, 11)), "<pad>", *(f"[{i}]" for i in range(12, 24))]
    special += ["[AUDIO]", "[BEGIN_AUDIO]"]
    tekken = {
        "config": {
            "pattern": r"\\w+|\\W",
            "default_vocab_size": 256 + len(special),
            "default_num_special_tokens": len(special),
            "version": "v7",
        },
        "vocab": [{"rank": i, "token_bytes": b64encode(bytes([i])).decode(), "token_str": None} for i in range(256)],
        "special_tokens": [{"rank": i, "token_str": token, "is_control": True} for i, token in enumerate(special)],
    }
    (folder / "tekken.json").write_text(json.dumps(tekken))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"audio_token_id": 24}))
    model = open_model(str(folder), dtype="float32")
    letters = [26 + code for code in b"hi"]
    assert model.prompt_ids(Prompt(text="hi"), 3) == [1, 3, 25, 24, 24, 24, *letters, 4], "<s>[INST][BEGIN_AUDIO][AUDIO]…hi[/INST]"
    assert model.reply_ids("hi") == letters
    assert model.end_token_id == 2
    assert logits(model).isfinite().all()
