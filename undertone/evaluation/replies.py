"""Asking: utterances → replies, batched, longest first, and how much each reply suits the voice by the model's own probabilities."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from undertone.models.base import Asked, Prompt, SpeechLM
from undertone.records import Reply, Utterance

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Ask = Callable[[Utterance], Prompt]
"""How an utterance is put to the model: with its audio, its text, a note, a system prompt."""


def ask(
    model: SpeechLM,
    rows: Sequence[Utterance],
    prompt: Ask,
    run: str,
    batch: int,
    max_new_tokens: int,
    preference: bool,
    progress: Progress = iter,
    plain: bool = False,
) -> Iterator[list[Reply]]:
    """Replies batch by batch, clips of about equal length together, the longest first, so that a batch that does not fit says so at once.

    Each prompt is read once, for its reply and its preference. `plain`: one prompt at a time, by Transformers' own `generate`.
    Every reply keeps its share of its batch's wall clock, preference included: summed over the replies that were kept, it is what they
    took, however often the run was killed.
    """
    order, batch = sorted(rows, key=lambda row: (-row.seconds, row.id)), 1 if plain else batch
    for start in progress(range(0, len(order), batch)):
        part = order[start : start + batch]
        began = time.monotonic()
        prompts = [prompt(row) for row in part]
        with torch.inference_mode():
            asked = model.prefill(model.encode(prompts))
            leaning = preferences(model, asked, part) if preference else [None] * len(part)
            made = [stock_ids(model, one, max_new_tokens) for one in prompts] if plain else model.greedy_ids(asked, max_new_tokens)
        share = (time.monotonic() - began) / len(part)
        yield [
            Reply(utterance_id=row.id, run=run, text=text, preference=lean, seconds=share)
            for row, text, lean in zip(part, model.words(made), leaning, strict=True)
        ]


@torch.inference_mode()
def stock_ids(model: SpeechLM, prompt: Prompt, max_new_tokens: int) -> list[int]:
    """The reply to one prompt by Transformers' own `generate`: the slow path that `greedy_ids` equals."""
    batch = model.encode([prompt])
    how = {"max_new_tokens": max_new_tokens, "do_sample": False, "repetition_penalty": 1.0}
    ends = {"eos_token_id": model.end_tokens, "pad_token_id": model.tokenizer.pad_token_id}
    made = model.module.generate(inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask, **how, **ends)  # type: ignore[operator]
    return made[0].tolist()  # type: ignore[no-any-return]


def preferences(model: SpeechLM, asked: Asked, rows: Sequence[Utterance]) -> list[float | None]:
    """log p(right reply) − log p(the contrast's reply) of each row, None where a row has no two replies (METHOD B.5)."""
    if not any(row.contrast_reply for row in rows):
        return [None] * len(rows)
    right = model.log_likelihoods(asked, [row.reply or "" for row in rows])
    wrong = model.log_likelihoods(asked, [row.contrast_reply or "" for row in rows])
    return [lean if row.reply and row.contrast_reply else None for row, lean in zip(rows, (right - wrong).tolist(), strict=True)]
