"""One contract for every family of the table, on its own classes at toy size."""

import numpy as np
import pytest
import torch

from undertone.analysis.patching import Contrast, patch
from undertone.evaluation.replies import stock_ids
from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.base import IGNORED, Batch, LayerRef, Prompt, SpeechLM
from undertone.models.packing import ROW
from undertone.models.passes import calls, decoder, language_layers, recording, resume
from undertone.training.heads import mean_over
from undertone.training.lora import adapt, adapted_modules


@pytest.fixture(params=list(FAMILIES))
def model(request: pytest.FixtureRequest) -> SpeechLM:
    model: SpeechLM = resolve(FAMILIES, request.param, "model family").tiny(seed=3)
    return model


def spoken(model: SpeechLM, seconds: float, seed: int = 0, more: str = "") -> Prompt:
    """A clip of noise with `more` words: a system prompt where the model's chat knows one."""
    chat = getattr(model, "chat", None)
    words = {"text": more} if chat is not None and not chat.system else {"system": more}
    return Prompt(audio=wave(seconds, seed), **words)  # type: ignore[arg-type]


def wave(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)


def test_block_order_is_firing_order(model: SpeechLM) -> None:
    batch = model.encode([Prompt(audio=wave(1.0))])
    fired: list[LayerRef] = []
    handles = [block.register_forward_hook(lambda *_, ref=ref: fired.append(ref)) for ref, block in model.blocks().items()]
    model.hidden(batch)
    for handle in handles:
        handle.remove()
    assert fired == list(model.blocks())
    assert model.layers == len(language_layers(model)) > 0


@torch.inference_mode()
def test_padding_changes_no_hidden_state(model: SpeechLM) -> None:
    short, long = spoken(model, 0.7, 1, "hm"), Prompt(audio=wave(3.1, 2), text="and what else is there to say")
    both = model.hidden(model.encode([short, long]))
    for row, prompt in zip(both, (short, long), strict=True):
        alone = model.hidden(model.encode([prompt]))[0]
        torch.testing.assert_close(row[-len(alone) :], alone, rtol=1e-4, atol=1e-5)


def test_a_packed_row_equals_its_clips_alone(model: SpeechLM) -> None:
    """Losses, gradients and the pooled states of the auxiliary head, in float32."""
    if not model.packs:
        pytest.skip("this family declares that its rows are padded")
    prompts = [spoken(model, seconds, i, "hm" * i) for i, seconds in enumerate((0.7, 3.1, 1.9))]
    replies = ["to fix the socket turn off the power first", "no", "may i"]
    adapted = adapt(model, language_layers(model)[1:3], model.targets, rank=2, alpha=4, dropout=0.0, seed=0)
    trained = [value for value in adapted.parameters() if value.requires_grad]
    with torch.no_grad():
        for value in trained:
            value.normal_(std=0.1)

    def gradients(losses: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(losses.sum(), trained))

    def pooled(batch: Batch) -> torch.Tensor:
        with recording(model) as seen:
            model.hidden(batch)
        return mean_over(seen[2], model.audio_mask(batch), batch.packing)

    whole = model.encode(prompts, replies)
    alone = [model.encode([prompt], [reply]) for prompt, reply in zip(prompts, replies, strict=True)]
    row = whole.packed()
    assert row.input_ids.shape == (1, ROW)
    assert row.attention_mask.sum() == whole.attention_mask.sum()
    losses, expected = model.token_losses(row), torch.cat([model.token_losses(one) for one in alone])
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(gradients(losses), gradients(expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled(row), torch.cat([pooled(one) for one in alone]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.token_losses(whole), expected, rtol=1e-5, atol=1e-5), "the usual attention is back"


def test_text_and_audio_supervise_the_same_tokens(model: SpeechLM) -> None:
    replies = ["to fix the socket turn off the power first", "no"]
    heard = model.encode([Prompt(audio=wave(1.0)), Prompt(audio=wave(2.0))], replies)
    written = model.encode([Prompt(text="how do i fix the socket"), Prompt(text="may i")], replies)
    for one, other, reply in zip(heard.labels, written.labels, replies, strict=True):
        labelled = one[one != IGNORED]
        assert labelled.equal(other[other != IGNORED])
        assert labelled.tolist() == [*model.reply_ids(reply), model.end_token_id]
    assert not (heard.labels[model.audio_mask(heard)] != IGNORED).any(), "audio tokens carry labels"


def test_lora_hits_what_was_asked_and_gradients_reach_nothing_else(model: SpeechLM) -> None:
    layers = language_layers(model)[1:3]
    wanted = {name for layer in layers for name in model.linears(layer) if name.endswith(model.targets)}
    assert len(wanted) == len(layers) * len(model.targets)
    adapted = adapt(model, layers, model.targets, rank=2, alpha=4, dropout=0.0, seed=0)
    assert {name.removeprefix("base_model.model.") for name in adapted_modules(adapted)} == wanted
    model.token_losses(model.encode([Prompt(audio=wave(1.0))], ["yes"])).mean().backward()
    reached = {name for name, value in adapted.named_parameters() if value.grad is not None}
    assert reached
    assert all(".lora_" in name for name in reached)
    assert {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in reached} == wanted


@torch.inference_mode()
def test_cached_audio_equals_fresh_audio(model: SpeechLM) -> None:
    waves = [wave(1.3, 1), wave(2.6, 2)]
    fresh = model.encode([Prompt(audio=one) for one in waves], ["yes", "no"])
    counts = model.audio_mask(fresh).sum(-1).tolist()
    cached = model.encode([Prompt(audio=part) for part in model.listen(fresh).split(counts)], ["yes", "no"])
    assert cached.input_ids.equal(fresh.input_ids)
    assert model.hidden(cached).equal(model.hidden(fresh))


def test_training_needs_nothing_of_the_front_once_its_clips_were_heard(model: SpeechLM) -> None:
    """What leaves a GPU's memory then may be anywhere; here it is nowhere."""
    prompts = [Prompt(audio=wave(1.3, 1)), Prompt(audio=wave(2.6, 2))]
    fresh = model.encode(prompts, ["yes", "no"])
    with torch.inference_mode():
        heard = model.listen(fresh).split(model.audio_mask(fresh).sum(-1).tolist())
    batch = model.encode([Prompt(audio=part.clone()) for part in heard], ["yes", "no"])
    adapted = adapt(model, language_layers(model)[1:3], model.targets, rank=2, alpha=4, dropout=0.0, seed=0)
    trained = [value for value in adapted.parameters() if value.requires_grad]
    with torch.no_grad():
        for value in trained:
            value.normal_(std=0.1)

    def step() -> list[torch.Tensor]:
        losses = model.token_losses(batch)
        return [losses.detach(), *torch.autograd.grad(losses.sum(), trained)]

    before = step()
    model.forgettable.to("meta")
    for path in model.unused:
        model.module.get_submodule(path).to("meta")
    assert any(value.device.type == "meta" for value in model.frozen_front().parameters())
    for ours, theirs in zip(step(), before, strict=True):
        assert ours.equal(theirs)


def test_a_prompt_is_what_the_models_own_template_writes(model: SpeechLM) -> None:
    """The audio token once, which is then as often there as the clip has tokens."""
    chat, tokenizer, token = getattr(model, "chat", None), model.tokenizer, model.audio_token_id
    if chat is None:
        pytest.skip("no stock chat: its prompts are tested where the family is")
    user = [{"type": "audio"}, {"type": "text", "text": "hello"}] if chat.parts else f"{tokenizer.convert_ids_to_tokens(token)}hello"
    for system in ("", "be kind") if chat.system else ("",):
        messages = [{"role": "system", "content": system}] if system else []
        own = tokenizer.apply_chat_template([*messages, {"role": "user", "content": user}], add_generation_prompt=True, return_dict=False)
        assert own.count(token) == 1
        wanted = [one for id in own for one in ([token] * 3 if id == token else [id])]
        assert model.prompt_ids(Prompt(text="hello", system=system), 3) == wanted


@torch.inference_mode()
def test_token_count_is_what_the_tower_gives(model: SpeechLM) -> None:
    for seconds in (0.31, 0.5, 1.0, 1.99, 2.0, 2.01, 3.7, 4.0):
        batch = model.encode([Prompt(audio=wave(seconds))])
        assert len(model.listen(batch)) == int(model.audio_mask(batch).sum()), seconds


def test_merged_logits_equal_unmerged(model: SpeechLM) -> None:
    adapted = adapt(model, language_layers(model)[:2], [*model.targets, "down_proj"], rank=4, alpha=8, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if ".lora_B." in name:
                value.normal_(std=0.1)
    batch = model.encode([Prompt(audio=wave(1.0))])
    model.module.eval()
    with torch.inference_mode():
        before = model.lm_head(model.hidden(batch))
        with adapted.disable_adapter():
            assert not torch.allclose(model.lm_head(model.hidden(batch)), before, atol=1e-3), "the adapter changes nothing"
        adapted.merge_adapter()
        torch.testing.assert_close(model.lm_head(model.hidden(batch)), before, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_recording_sees_every_layer_once(model: SpeechLM) -> None:
    batch = model.encode([Prompt(audio=wave(1.0))])
    with recording(model) as seen:
        last = model.hidden(batch)
    assert len(seen) == model.layers + 1
    torch.testing.assert_close(model.text_model.norm(seen[-1]), last)


@torch.inference_mode()
def test_the_end_token_is_what_the_chat_template_writes(model: SpeechLM) -> None:
    chat = [{"role": "user", "content": "hm"}, {"role": "assistant", "content": "no"}]
    written = model.tokenizer.apply_chat_template(chat, tokenize=False)
    assert written.partition("no")[2].startswith(model.tokenizer.convert_ids_to_tokens(model.end_token_id))


@torch.inference_mode()
def test_replies_equal_stock_generate_and_likelihoods_equal_the_loss(model: SpeechLM) -> None:
    prompts = [Prompt(audio=wave(0.6, 1)), spoken(model, 2.4, 2, "hm"), Prompt(text="how do i fix the socket")]
    for group in (prompts[:2], prompts[2:]):
        batch = model.encode(group)
        stock = model.module.generate(
            inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask, max_new_tokens=12, do_sample=False,
            eos_token_id=model.end_tokens,
        )  # fmt: skip
        asked = model.prefill(batch)
        replies = ["to fix the socket turn off the power", "no"][: len(group)]
        likelihood = model.log_likelihoods(asked, replies)
        assert model.greedy(asked, 12) == [text.strip() for text in model.tokenizer.batch_decode(stock, skip_special_tokens=True)]
        for prompt, reply, value in zip(group, replies, likelihood, strict=True):
            torch.testing.assert_close(-model.token_losses(model.encode([prompt], [reply])).sum(), value, rtol=1e-4, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("packed", [True, False])
def test_a_pass_taken_up_again_is_the_pass(model: SpeechLM, packed: bool) -> None:
    """From every layer on, bit for bit, and no layer below it runs."""
    batch = model.encode([Prompt(audio=wave(0.7, 1), text="hm"), Prompt(audio=wave(1.9, 2))])
    batch = batch.packed() if packed else batch
    with recording(model) as seen, calls(model) as made:
        whole = model.hidden(batch)
    fired: list[int] = []
    for number, block in enumerate(decoder(model)):
        block.register_forward_hook(lambda *_, n=number: fired.append(n))
    for layer, states in enumerate(seen):
        assert resume(model, batch, made, layer, states).equal(whole)
        assert fired == list(range(layer, model.layers))
        fired.clear()


@torch.inference_mode()
def test_patched_passes_that_share_their_beginning_equal_whole_ones(model: SpeechLM) -> None:
    """To 1e-5 in float32, in n (n + 1) / 2 layer calls instead of n (n + 1), and 2 n for the unpatched passes."""
    contrasts = [Contrast(Prompt(audio=wave(1.0, 1)), Prompt(audio=wave(1.4, 2)), "please wait", "to fix the socket"),
                 Contrast(Prompt(audio=wave(2.1, 3)), Prompt(audio=wave(0.8, 4)), "to buy one", "to buy two")]  # fmt: skip
    fired: list[int] = []
    for number, block in enumerate(decoder(model)):
        block.register_forward_hook(lambda *_, n=number: fired.append(n))
    n = model.layers
    quick = patch(model, contrasts)
    assert len(fired) == 2 * n + n * (n + 1) // 2
    fired.clear()
    whole = patch(model, contrasts, packed=False)
    assert len(fired) == 2 * n + n * (n + 1)
    assert whole.patched.abs().max() > 1e-4, "patches that change nothing prove nothing"
    torch.testing.assert_close(quick.patched, whole.patched, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(quick.full, whole.full, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_replies_equal_those_of_stock_generate_one_by_one(model: SpeechLM) -> None:
    """Token for token in float32, whatever stands beside them in the batch and whenever they end."""
    prompts = [Prompt(audio=wave(0.5 + 0.4 * i, i), text="hm " * i) for i in range(4)]
    long = [stock_ids(model, one, 16) for one in prompts]

    def lengths(end: int) -> set[int]:
        return {row.index(end) if end in row else len(row) for row in long}

    # A random model ends nowhere by itself: the end is the token by which the replies stop at the most different places.
    model.module.generation_config.eos_token_id = max({token for row in long for token in row}, key=lambda end: len(lengths(end)))
    alone = [stock_ids(model, one, 16) for one in prompts]
    assert len({len(one) for one in alone}) > 1, "they end together"
    assert model.greedy_ids(model.prefill(model.encode(prompts)), 16) == alone


def test_a_packed_row_in_bfloat16_is_as_near_as_rounding_allows(model: SpeechLM) -> None:
    """bfloat16 has 8 bits: losses of about 6 nats may be 2 % apart, and are no further from float32's than padding's are, or that much."""
    if not model.packs:
        pytest.skip("this family declares that its rows are padded")
    prompts = [spoken(model, seconds, i, "hm" * i) for i, seconds in enumerate((0.7, 3.1, 1.9))]
    replies = ["to fix the socket turn off the power first", "no", "may i"]
    with torch.no_grad():
        exact = model.token_losses(model.encode(prompts, replies))
        model.module.to(torch.bfloat16)
        whole = model.encode(prompts, replies)
        padded, packed = (model.token_losses(one).float() for one in (whole, whole.packed()))
    assert not padded.equal(exact), "it was rounded"
    torch.testing.assert_close(packed, exact, rtol=2e-2, atol=2e-2)
    assert (packed - exact).abs().max() <= max(2 * (padded - exact).abs().max(), 2e-2)


@torch.inference_mode()
def test_a_clip_heard_beside_others_is_heard_as_alone(model: SpeechLM) -> None:
    """What the feature store keeps of a batch is what a fresh pass over one clip gives, to 1e-6 of the largest value."""
    waves = [wave(seconds, i) for i, seconds in enumerate((0.7, 3.1, 1.9))]
    together = model.encode([Prompt(audio=one) for one in waves])
    parts = model.listen(together).split(model.audio_mask(together).sum(-1).tolist())
    for one, part in zip(waves, parts, strict=True):
        alone = model.listen(model.encode([Prompt(audio=one)]))
        torch.testing.assert_close(part, alone, rtol=0, atol=1e-6 * max(1.0, float(alone.abs().max())))
