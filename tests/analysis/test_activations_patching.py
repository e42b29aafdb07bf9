"""One pass that pools equals a plain loop that keeps everything; patching with everything is the other voice's pass."""

import weakref
from typing import Any

import numpy as np
import pytest
import torch

from undertone.analysis import ANALYSES
from undertone.analysis.activations import Pooled, collect
from undertone.analysis.curves import Bootstrap, Material
from undertone.analysis.patching import Contrast, patch
from undertone.lookup import resolve
from undertone.models.base import LayerRef, Prompt
from undertone.models.passes import decoder
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance


@pytest.fixture(scope="module")
def model() -> Qwen2_5Omni:
    return Qwen2_5Omni.tiny(1)


def clip(model: Qwen2_5Omni, seconds: float, seed: int) -> Prompt:
    wave = (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)
    with torch.inference_mode():
        return Prompt(audio=model.listen(model.encode([Prompt(audio=wave)])))


@torch.inference_mode()
@pytest.mark.parametrize("packed", [True, False])
def test_pooled_states_and_lens_equal_the_stock_loop(model: Qwen2_5Omni, packed: bool) -> None:
    prompts = [clip(model, 0.8 + 0.3 * i, i) for i in range(5)]
    pooled = collect(model, prompts, batch=2, packed=packed)
    for i, prompt in enumerate(prompts):
        batch = model.encode([prompt])
        stock = model.text_model(inputs_embeds=model.embed(batch), output_hidden_states=True, use_cache=False)
        where = model.audio_mask(batch)[0]
        for j, states in enumerate(stock.hidden_states[:-1]):  # the stock tuple's last entry is already normalised
            torch.testing.assert_close(pooled.states[j, i], states[0][where].mean(0), rtol=1e-4, atol=1e-5)
        final = model.lm_head(stock.last_hidden_state[0, -1]).argmax()
        for j, states in enumerate(stock.hidden_states[:-1]):
            top = model.lm_head(model.text_model.norm(states[0, -1])).topk(3).indices
            assert pooled.lens[j, i] == float((top == final).any())
    assert (pooled.lens[-1] == 1).all(), "the last layer agrees with itself"


@torch.inference_mode()
def test_a_forced_reply_moves_the_lens_and_leaves_the_states(model: Qwen2_5Omni) -> None:
    prompts = [clip(model, 0.8, 1), clip(model, 1.4, 2)]
    alone, forced = collect(model, prompts), collect(model, prompts, ["to fix the socket", "no"])
    torch.testing.assert_close(forced.states, alone.states, rtol=1e-4, atol=1e-5)
    batch = model.encode(prompts[:1], ["to fix the socket"])
    stock = model.text_model(inputs_embeds=model.embed(batch), output_hidden_states=True, use_cache=False)
    final = model.lm_head(stock.last_hidden_state[0]).argmax(-1)[-6:-1]
    top = model.lm_head(model.text_model.norm(stock.hidden_states[2][0])).topk(3).indices[-6:-1]
    assert forced.lens[2, 0] == pytest.approx((top == final[:, None]).any(-1).float().mean().item())


@torch.inference_mode()
@pytest.mark.parametrize("packed", [True, False])
def test_written_prompts_of_all_lengths_equal_each_alone(model: Qwen2_5Omni, packed: bool) -> None:
    prompts = [Prompt(text="how do i fix the socket"), Prompt(text="may i", system="hm"), Prompt(text="no")]
    together = collect(model, prompts, batch=3, packed=packed, lens=False)
    assert together.lens.shape == (model.layers + 1, 0)
    alone = [collect(model, [prompt], packed=False).states for prompt in prompts]
    torch.testing.assert_close(together.states, torch.cat(alone, 1), rtol=1e-4, atol=1e-5)


def test_a_pass_ends_behind_the_last_layer_that_is_asked_for(model: Qwen2_5Omni) -> None:
    prompts, called = [clip(model, 0.8, 1), clip(model, 1.4, 2)], [0] * model.layers

    def count(number: int) -> None:
        called[number] += 1

    handles = [block.register_forward_hook(lambda *_, n=n: count(n)) for n, block in enumerate(decoder(model))]
    some = collect(model, prompts, layers=3)
    assert called == [1, 1, 1] + [0] * (model.layers - 3)
    none = collect(model, prompts, layers=0)
    assert sum(called) == 3
    every = collect(model, prompts)
    assert called == [2, 2, 2] + [1] * (model.layers - 3), "one pass gives the states and the lens"
    assert (some.layers, none.layers) == (every.layers[:4], every.layers[:1])
    assert some.states.equal(every.states[:4])
    assert none.states.equal(every.states[:1])
    assert some.lens.numel() == 0
    for handle in handles:
        handle.remove()


def test_no_layer_keeps_its_states_longer_than_the_next_one_needs_them(model: Qwen2_5Omni) -> None:
    """What is alive of a batch does not grow with the layers, nor of a pass with its batches: only pooled rows stay."""
    states: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def note(_: Any, __: Any, output: Any) -> None:
        states.append(weakref.ref(output[0] if isinstance(output, tuple) else output))
        alive.append(sum(one() is not None for one in states))

    handles = [block.register_forward_hook(note) for block in decoder(model)]
    collect(model, [clip(model, 0.8 + 0.1 * i, i) for i in range(6)], ["no"] * 6, batch=2)
    for handle in handles:
        handle.remove()
    assert len(alive) == 3 * model.layers
    assert max(alive) <= 2


def test_one_pass_serves_every_analysis_but_patching() -> None:
    """They get no model and no clips, only what the pass left."""
    rows = [
        Utterance(
            id=f"{text}-{age}-{who}", text=f"words {text}", file_name="x.flac", seconds=1, attributes={"age": age}, speaker=f"{age}-{who}",
            source="t", split="train", category="age", pair=f"{text}-{who}", topic=f"topic {text % 2}", intent=f"intent {text}",
        )
        for text in range(4)
        for who in range(3)
        for age in ("child", "adult")
    ]  # fmt: skip
    states = torch.randn(2, len(rows), 8, generator=torch.Generator().manual_seed(0))
    left = Pooled((LayerRef("projector", 0), LayerRef("language_model", 0)), states, torch.rand(2, len(rows)))
    material = Material(None, rows, None, left, left, 3, 0, 8, Bootstrap(0, 0))  # type: ignore[arg-type]
    for name in ANALYSES.keys() - {"patching"}:
        assert list(resolve(ANALYSES, name, "analysis")(material)), name


@torch.inference_mode()
def test_patching_the_input_of_equally_long_clips_is_the_givers_pass(model: Qwen2_5Omni) -> None:
    contrasts = [Contrast(clip(model, 1.0, 1), clip(model, 1.0, 2), "please wait", "to fix the socket"),
                 Contrast(clip(model, 1.5, 3), clip(model, 1.5, 4), "to buy one", "to buy two")]  # fmt: skip
    shift = patch(model, contrasts)
    assert shift.patched.shape == (model.layers + 1, 2)
    torch.testing.assert_close(shift.patched[0], shift.full, rtol=1e-4, atol=1e-5)
    assert shift.full.abs().max() > 1e-4, "two sounds that change nothing prove nothing"


def test_a_pair_with_one_reply_is_refused(model: Qwen2_5Omni) -> None:
    with pytest.raises(ValueError, match="the same"):
        patch(model, [Contrast(clip(model, 1.0, 1), clip(model, 1.2, 2), "yes", "yes")])
