"""What `finetune --estimate` tells from a configuration is what a step on the real classes takes, at toy size on a CPU."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import STOCK, named, saved
from estimated import compare

from undertone import settings
from undertone.cli import main
from undertone.lookup import resolve
from undertone.models import FAMILIES, quantised
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.recipes.estimate import estimate


@pytest.mark.parametrize("family", STOCK)
def test_an_estimate_is_within_a_tenth_of_what_a_step_takes(family: str) -> None:
    found = compare(family)
    assert (found.told.trained, found.told.parameters) == (found.trained, found.parameters)
    assert found.told.flops == pytest.approx(found.flops, rel=0.1)
    assert found.told.activations == pytest.approx(found.most, rel=0.1)


def test_layers_that_are_computed_again_are_counted_so() -> None:
    kept, again = compare("qwen2_5_omni"), compare("qwen2_5_omni", again=True)
    assert again.told.flops == pytest.approx(again.flops, rel=0.1)
    assert again.told.activations == pytest.approx(again.most, rel=0.1)
    assert again.told.flops > 1.2 * kept.told.flops
    assert again.told.activations < kept.told.activations


def test_few_bits_take_what_bitsandbytes_holds() -> None:
    library = pytest.importorskip("bitsandbytes")
    for bits in (8, 4):
        model = Qwen2_5Omni.tiny(seed=3)
        before = sum(model.module.get_submodule(path).weight.nbytes for path in quantised.linears(model))  # type: ignore[union-attr,operator,misc]
        told = quantised.saved(model, bits)
        quantised.quantise(model, library, bits, "cuda" if torch.cuda.is_available() else "cpu")
        held = sum(bytes_of(model.module.get_submodule(path).weight) for path in quantised.linears(model))
        assert before - told.bytes == pytest.approx(held, rel=0.02)


def bytes_of(weight: Any) -> int:
    """A quantised weight with its scales."""
    if (state := getattr(weight, "quant_state", None)) is not None:
        nested = state.state2
        return weight.nbytes + state.absmax.nbytes + state.code.nbytes + nested.absmax.nbytes + nested.code.nbytes + state.offset.nbytes
    return weight.nbytes + (weight.SCB.nbytes if weight.SCB is not None else 4 * weight.shape[0])


def test_the_command_says_what_few_bits_and_computing_again_save(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for flags in ([], ["--bits", "4"], ["--recompute"]):
        assert main(["finetune", "--estimate", "--layers", "0-5", "--dtype", "bfloat16", *flags]) == 0
        said.append(capsys.readouterr().out)
    assert "4 bits" in said[1]
    gigabytes = [float(text.partition("memory      ")[2].split()[0]) for text in said]
    assert gigabytes[2] < gigabytes[0]


@pytest.mark.parametrize("family", STOCK)
def test_the_command_needs_a_configuration_alone(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(family, tmp_path)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "config.json":
            path.unlink()
    targets = resolve(FAMILIES, family, "model family").targets
    assert main(["finetune", "--estimate", *named(family, folder), "--layers", "0-2", "--lora.targets", *targets]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("parameters", "trained", "memory", "FLOPs", family))


def test_parts_are_as_many_as_the_token_budget_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    told = settings.Finetune(batch_size=8, layers="0-5")
    whole, cut = estimate(told), estimate(told.model_copy(update={"max_tokens": 700}))
    assert cut.tokens == whole.tokens
    assert cut.activations < whole.activations
    parts = int(capsys.readouterr().out.rpartition(" in ")[2].partition(" parts")[0])
    assert 1 < parts < 8
    assert -(-8 // parts) * whole.tokens / 8 <= 700
