"""What goes out opens with stock tools, changes logits as the adapter did, and leaves every other byte as it was."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
import whole_omni
from checkpoints import STOCK, saved

from undertone.cli import main
from undertone.models import files, open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.models.stock import Stock
from undertone.models.tiny import WEIGHTS
from undertone.recipes.export import known
from undertone.records import Score
from undertone.run import write_rows
from undertone.training.lora import MadeWith, adapt, choose_layers, load_adapter, save_adapter

TARGETS = ("q_proj", "v_proj", "down_proj")
TINY = WEIGHTS / "undertone-tiny"
LAYERS = "0-1"


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole Omni in shards, with an adapter of its thinker in the run folder beside it."""
    folder = whole_omni.save(tmp_path_factory.mktemp("hub") / "toy-omni")
    train(folder, folder.parent / "run" / "adapter")
    return folder


def train(base: Path, adapter: Path, targets: tuple[str, ...] = TARGETS) -> Path:
    """An adapter as finetune leaves it, with random weights."""
    model = open_model(str(base), dtype="float32")
    layers = choose_layers(LAYERS, model)
    adapted = adapt(model, layers, targets, rank=4, alpha=8, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if ".lora_B." in name:
                value.normal_(std=0.3)
    adapter.parent.mkdir(exist_ok=True)
    save_adapter(adapted, adapter, MadeWith(str(base), "you hear", "0,1", "c0ffee"))
    return adapter


def adapter_of(omni: Path) -> Path:
    return omni.parent / "run" / "adapter"


def wave() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)


def opened(family: str, folder: Path) -> SpeechLM:
    return open_model(str(folder), "generic" if family == "generic" else "", dtype="float32")


@torch.inference_mode()
def logits(model: SpeechLM) -> torch.Tensor:
    return model.lm_head(model.hidden(model.encode([Prompt(audio=wave(), text="hello")])))  # type: ignore[no-any-return]


def export(adapter: Path, out: Path, *words: str) -> int:
    return main(["export", "--adapter", str(adapter), "--out", str(out), *words])


def stock_omni(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The whole model by Transformers alone, and what its loading left over."""
    from transformers import Qwen2_5OmniForConditionalGeneration
    from transformers.modeling_utils import PreTrainedModel

    model, found = PreTrainedModel.from_pretrained.__func__(Qwen2_5OmniForConditionalGeneration, folder, output_loading_info=True)
    model.load_speakers(folder / "spk_dict.pt")
    return model.eval(), found


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


def test_a_whole_omni_changes_in_the_adapted_weights_of_its_thinker_alone(omni: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(adapter_of(omni), out) == 0
    before, after = tensors(omni), tensors(out)
    changed = {name for name in before if not before[name].equal(after[name])}
    ends = [f"thinker.model.layers.{i}.{'mlp' if end == 'down_proj' else 'self_attn'}.{end}.weight" for i in (0, 1) for end in TARGETS]
    assert changed == set(ends)
    assert before.keys() == after.keys()
    assert len(list(omni.glob("*.safetensors"))) > 3, "the toy is in shards"
    old, new = digests(omni), digests(out)
    touched = {json.loads((omni / files.INDEX).read_text())["weight_map"][name] for name in ends}
    assert {name for name in old if old[name] != new[name]} == touched | {"README.md"}
    assert new.keys() - old.keys() == {"undertone.json"}
    assert not [path for path in tmp_path.iterdir() if path != out], "something was left beside it"


def test_what_was_merged_answers_as_the_adapter_did_by_stock_tools(omni: Path, tmp_path: Path) -> None:
    assert export(adapter_of(omni), tmp_path / "out") == 0
    adapted = open_model(str(omni), dtype="float32")
    vanilla = logits(adapted)
    load_adapter(adapted, adapter_of(omni))
    expected = logits(adapted)
    assert not torch.allclose(expected, vanilla, atol=1e-2), "the adapter changes nothing"
    torch.testing.assert_close(logits(open_model(str(tmp_path / "out"), dtype="float32")), expected, rtol=1e-5, atol=1e-5)

    stock, found = stock_omni(tmp_path / "out")
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")), found
    batch = adapted.encode([Prompt(audio=wave(), text="hello")])
    with torch.inference_mode():
        said = stock.thinker(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            input_features=batch.frames.T[None],  # type: ignore[union-attr]
            feature_attention_mask=torch.ones(1, len(batch.frames), dtype=torch.long),  # type: ignore[arg-type]
        ).logits
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)


def test_a_thinker_in_one_file_and_bfloat16_stays_so(tmp_path: Path) -> None:
    adapter = train(TINY, tmp_path / "run" / "adapter")
    assert export(adapter, tmp_path / "out") == 0
    before, after = tensors(TINY), tensors(tmp_path / "out")
    assert {name: value.dtype for name, value in after.items()} == {name: value.dtype for name, value in before.items()}
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    model = open_model(str(TINY), dtype="float32")
    load_adapter(model, adapter)
    layer = model.module.model.language_model.layers[0].self_attn.q_proj  # type: ignore[union-attr]
    wanted = (layer.base_layer.weight + layer.get_delta_weight("default")).bfloat16()
    assert after["model.layers.0.self_attn.q_proj.weight"].equal(wanted.detach())
    torch.testing.assert_close(logits(open_model(str(tmp_path / "out"), dtype="float32")), logits(model), rtol=0.1, atol=0.3)


@pytest.mark.parametrize("family", STOCK)
def test_a_base_is_known_without_its_weights(family: str, tmp_path: Path) -> None:
    base = saved(family, tmp_path / "base")
    hollow, whole = known(base, "generic" if family == "generic" else "", ""), opened(family, base)
    assert {value.device.type for value in hollow.module.parameters()} == {"meta"}
    assert hollow.stored_names(list(files.places(base))) == whole.stored_names(list(files.places(base)))


def test_a_family_that_cannot_do_without_weights_is_opened_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Stock, "hollow")
    assert {value.device.type for value in known(TINY, "", "").module.parameters()} == {"cpu"}


@pytest.mark.parametrize("family", STOCK)
def test_every_family_goes_out_and_opens_to_what_it_was_with_its_adapter(family: str, tmp_path: Path) -> None:
    base = saved(family, tmp_path / "base")
    model = opened(family, base)
    vanilla = logits(model)
    layers = choose_layers("1-2", model)
    linears = sorted({name.rpartition(".")[2] for name in model.linears(layers[0])})
    adapted = adapt(model, layers, linears, rank=2, alpha=4, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if ".lora_B." in name:
                value.normal_(std=0.1)
    expected = logits(model)
    assert not torch.allclose(expected, vanilla, atol=1e-3)
    (tmp_path / "run").mkdir()
    save_adapter(adapted, tmp_path / "run" / "adapter", MadeWith(str(base), "", "1,2", ""))
    how = ["--family", "generic"] if family == "generic" else []
    assert export(tmp_path / "run" / "adapter", tmp_path / "out", *how) == 0
    torch.testing.assert_close(logits(opened(family, tmp_path / "out")), expected, rtol=1e-5, atol=1e-5)
    assert export(tmp_path / "run" / "adapter", tmp_path / "lora", "--form", "adapter", *how) == 0
    kept = {name.removesuffix(".weight") for name in files.places(base)}
    keys = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert {key.removeprefix("base_model.model.").rpartition(".lora_")[0] for key in keys} <= kept
    assert len(keys) == len(load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors"))
    added(base, tmp_path / "lora", tmp_path / "by-hand")
    torch.testing.assert_close(logits(opened(family, tmp_path / "by-hand")), expected, rtol=1e-5, atol=1e-5)


def added(base: Path, adapter: Path, out: Path) -> None:
    """Copy `base` and add to each of its tensors what the adapter says for that name, as a server does that knows LoRA and these names."""
    shutil.copytree(base, out)
    config, parts = json.loads((adapter / "adapter_config.json").read_text()), load_file(adapter / "adapter_model.safetensors")
    deltas = {
        name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight"): value
        for name in parts
        if ".lora_A." in name
        for value in [config["lora_alpha"] / config["r"] * parts[name.replace("lora_A", "lora_B")] @ parts[name]]
    }
    for path in out.glob("*.safetensors"):
        held = load_file(path)
        save_file({name: value + deltas.pop(name) if name in deltas else value for name, value in held.items()}, path, {"format": "pt"})
    assert not deltas, "the base has no such tensors"


def test_a_whole_omni_of_the_third_generation_changes_in_its_thinker_alone(tmp_path: Path) -> None:
    """As its folder lies on the hub: the thinker's names and configuration within those of the whole, a talker beside it."""
    base = saved("qwen3_omni_moe", tmp_path / "base")
    held, config = load_file(base / "model.safetensors"), json.loads((base / "config.json").read_text())
    whole = {f"thinker.{name}": value for name, value in held.items()} | {"talker.model.norm.weight": torch.ones(4)}
    save_file(whole, base / "model.safetensors", {"format": "pt"})
    (base / "config.json").write_text(json.dumps({"model_type": "qwen3_omni_moe", "thinker_config": config}))
    adapter = train(base, tmp_path / "run" / "adapter", ("q_proj", "v_proj"))
    assert export(adapter, tmp_path / "out") == 0
    before, after = tensors(base), tensors(tmp_path / "out")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {f"thinker.model.layers.{i}.self_attn.{end}.weight" for i in (0, 1) for end in ("q_proj", "v_proj")}
    model = open_model(str(base), dtype="float32")
    load_adapter(model, adapter)
    torch.testing.assert_close(logits(open_model(str(tmp_path / "out"), dtype="float32")), logits(model), rtol=1e-5, atol=1e-5)


def test_the_talker_hears_of_it_through_the_hidden_states_of_the_thinker_alone(omni: Path, tmp_path: Path) -> None:
    """The same reply, forced on both: what the talker is given differs as the thinker's last hidden states do, and in nothing else."""
    assert export(adapter_of(omni), tmp_path / "out") == 0
    forced = [40, 41, 42, 43]
    vanilla, merged = (given(stock_omni(folder)[0], forced) for folder in (omni, tmp_path / "out"))
    assert vanilla["input_text_ids"].equal(merged["input_text_ids"])
    for part in ("inputs_embeds", "thinker_reply_part"):
        assert not torch.allclose(vanilla[part], merged[part], atol=1e-2), "the talker hears nothing of it"
    length = vanilla["hidden"].shape[1] - len(forced) + 1
    for one in (vanilla, merged):
        one["rest"] = one["inputs_embeds"][:, :length] - one["hidden"][:, :length]
        one["reply_rest"] = one["thinker_reply_part"][:, : len(forced) - 2] - one["hidden"][:, length + 1 :]
    torch.testing.assert_close(vanilla["rest"], merged["rest"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(vanilla["reply_rest"], merged["reply_rest"], rtol=1e-5, atol=1e-5)
    behind = slice(length, length + 1)  # the token that opens speech: from the embedding table, which nothing touched
    assert vanilla["inputs_embeds"][:, behind].equal(merged["inputs_embeds"][:, behind])


class Enough(Exception):
    """The talker was given what was to be seen."""


@torch.inference_mode()
def given(omni: Any, forced: list[int]) -> dict[str, torch.Tensor]:
    """What the talker is given when the thinker says `forced`, and the thinker's last hidden states for it."""
    from undertone.models import tiny

    tokens = tiny.tokenizer()
    marks = [tokens.convert_tokens_to_ids(mark) for mark in ("<|audio_bos|>", "<|audio_eos|>")]
    extractor = tiny.feature_extractor()
    mel = extractor(wave(), sampling_rate=16_000, padding=False, truncation=False, return_tensors="pt").input_features
    count = ((mel.shape[-1] - 1) // 2 + 1 - 2) // 2 + 1
    ids = torch.tensor([[20, 21, marks[0], *[omni.config.thinker_config.audio_token_index] * count, marks[1], 22]])
    heard = {"input_features": mel, "feature_attention_mask": torch.ones(1, mel.shape[-1], dtype=torch.long)}
    seen: dict[str, torch.Tensor] = {}

    def look(_: object, __: object, words: dict[str, Any]) -> None:
        seen.update({name: words[name] for name in ("inputs_embeds", "thinker_reply_part", "input_text_ids")})
        raise Enough

    handle = omni.talker.register_forward_pre_hook(look, with_kwargs=True)
    with pytest.raises(Enough):
        omni.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **heard,
            thinker_max_new_tokens=len(forced),
            thinker_do_sample=False,
            thinker_prefix_allowed_tokens_fn=lambda _, sofar: [forced[len(sofar) - ids.shape[1]]],
        )
    handle.remove()
    whole = torch.cat([ids, torch.tensor([forced[:-1]])], dim=1)
    out = omni.thinker(input_ids=whole, attention_mask=torch.ones_like(whole), **heard, output_hidden_states=True)
    return seen | {"hidden": out.hidden_states[-1]}


VLLM = (("thinker.lm_head.", "language_model.lm_head."), ("thinker.model.", "language_model.model."), ("thinker.", ""))
"""How vLLM translates names of the checkpoint, and of adapters, to its own modules: `hf_to_vllm_mapper` of its Qwen2.5-Omni thinker."""


def as_vllm_reads(key: str) -> str:
    """The module that vLLM puts a LoRA tensor on."""
    name = key.removeprefix("base_model.model.")
    for old, new in VLLM:
        if name.startswith(old):
            name = name.replace(old, new, 1)
    return name.rpartition(".lora_")[0]


def test_an_adapter_goes_out_under_the_names_that_vllm_expects(omni: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(adapter_of(omni), out, "--form", "adapter") == 0
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (adapter_of(omni), out))
    modules = {f"language_model.model.layers.{i}.{'mlp' if end == 'down_proj' else 'self_attn'}.{end}" for i in (0, 1) for end in TARGETS}
    assert {as_vllm_reads(key) for key in after} == modules
    assert {as_vllm_reads(key) for key in before} != modules, "vLLM would find no module for the adapter as it was saved"
    assert sorted(value.sum().item() for value in before.values()) == sorted(value.sum().item() for value in after.values())
    config = json.loads((out / "adapter_config.json").read_text())
    assert set(config["target_modules"]) == {key.removeprefix("base_model.model.").rpartition(".lora_")[0] for key in after}
    assert (config["r"], config["lora_alpha"]) == (4, 8)


def test_the_card_says_what_was_done_and_measured(omni: Path, tmp_path: Path) -> None:
    run = adapter_of(omni).parent
    settings = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.05, "targets": ["q_proj"]}, "adch": {"weight": 0.5}, "steps": 7, "seed": 3,
                "batch_size": 16, "learning_rate": 8e-5, "data": "/somewhere/private/voices", "replay": 0.15}  # fmt: skip
    (run / "settings.json").write_text(json.dumps(settings))
    score = dict(run="pe-ft", metric="pa_rate", n=40, seed=3, commit="abc", details={"judge": "rule"})
    rows = [Score(suite="child-safety", group=group, value=0.975, low=0.95, high=0.99, **score) for group in ("child", "adult")]
    write_rows(tmp_path / "tuned" / "scores.jsonl", rows)
    assert export(adapter_of(omni), tmp_path / "kind", "--runs", str(tmp_path / "tuned")) == 0
    page = (tmp_path / "kind" / "README.md").read_text()
    head = yaml.safe_load(page.split("---\n")[1])
    assert head["license_name"] == "toy-licence"
    assert head["pipeline_tag"] == "audio-text-to-text"
    assert "base_model" not in head, "a folder is no hub name"
    for said in ("toy-omni", "0,1 of the language model", "rank 4, alpha 8", "λ = 0.5", "7 steps of 16 clips", "`voices`", "`you hear`"):
        assert said in page, said
    assert "| Child safety | child | PA-rate | 97.5" in page
    assert "| Child safety | adult | PA-rate | 97.5" in page
    assert str(tmp_path) not in page + (tmp_path / "kind" / "undertone.json").read_text()
    assert "private" not in page
    (run / "settings.json").unlink()


def test_the_same_export_again_is_left_alone_and_another_one_is_refused(
    omni: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(adapter_of(omni), tmp_path / "out") == 0
    before = (tmp_path / "out" / "README.md").stat().st_mtime_ns
    assert export(adapter_of(omni), tmp_path / "out") == 0
    assert (tmp_path / "out" / "README.md").stat().st_mtime_ns == before
    assert export(adapter_of(omni), tmp_path / "out", "--title", "other") == 2
    assert "there is something else already" in capsys.readouterr().err


def test_other_copies_of_the_weights_stay_behind(omni: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base"
    files.copy(omni, base)
    (base / "pytorch_model.bin").write_bytes(b"the same weights, pickled")
    save_file({"x": torch.zeros(1)}, base / "consolidated.safetensors")
    (base / "vocoder").mkdir()
    (base / "vocoder" / "model.safetensors").write_bytes(b"another model's")
    assert export(adapter_of(omni), tmp_path / "out", "--model", str(base)) == 0
    assert "left out, the same weights once more: consolidated.safetensors, pytorch_model.bin" in capsys.readouterr().out
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    assert (tmp_path / "out" / "vocoder" / "model.safetensors").read_bytes() == b"another model's"


def test_what_cannot_go_out_is_refused_and_leaves_nothing_behind(omni: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(adapter: Path, *words: str) -> str:
        assert export(adapter, tmp_path / "out", *words) == 2
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]
        return capsys.readouterr().err

    assert "it belongs to another one" in refused(adapter_of(omni), "--model", "undertone-tiny")
    empty = tmp_path / "fresh" / "adapter"
    model = open_model(str(omni), dtype="float32")
    save_adapter(adapt(model, choose_layers("0", model), TARGETS, 2, 4, 0.0, 0), _made(empty), MadeWith(str(omni), "", "0", ""))
    assert "it changes nothing" in refused(empty)
    torn = tmp_path / "torn"
    files.copy(omni, torn)
    shard = next(place.file for name, place in files.places(torn).items() if name.endswith("layers.0.mlp.down_proj.weight"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert f"{shard}: cut short" in refused(adapter_of(omni), "--model", str(torn))
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text((omni / "config.json").read_text())
    assert "pickled weights are refused" in refused(adapter_of(omni), "--model", str(tmp_path / "pickled"))


def _made(folder: Path) -> Path:
    folder.parent.mkdir()
    return folder
