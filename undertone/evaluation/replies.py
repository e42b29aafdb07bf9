"""Asking: utterances → replies, batched, longest first, and how much each reply suits the voice by the model's own probabilities."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from undertone.models.base import Prompt, SpeechLM
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
) -> Iterator[list[Reply]]:
    """Replies batch by batch; clips of about equal length share a batch."""
    order = sorted(rows, key=lambda row: (row.seconds, row.id))
    for start in progress(range(0, len(order), batch)):
        part = order[start : start + batch]
        prompts = [prompt(row) for row in part]
        texts = model.reply(prompts, max_new_tokens)
        leaning = preferences(model, prompts, part) if preference else [None] * len(part)
        yield [
            Reply(utterance_id=row.id, run=run, text=text, preference=lean) for row, text, lean in zip(part, texts, leaning, strict=True)
        ]


@torch.inference_mode()
def preferences(model: SpeechLM, prompts: Sequence[Prompt], rows: Sequence[Utterance]) -> list[float | None]:
    """log p(right reply) − log p(the contrast's reply) of each row, None where a row has no two replies (METHOD B.5)."""
    paired = [i for i, row in enumerate(rows) if row.reply and row.contrast_reply]
    if not paired:
        return [None] * len(rows)
    chosen = [prompts[i] for i in paired]
    right = log_likelihoods(model, chosen, [rows[i].reply or "" for i in paired])
    wrong = log_likelihoods(model, chosen, [rows[i].contrast_reply or "" for i in paired])
    leaning = dict(zip(paired, (right - wrong).tolist(), strict=True))
    return [leaning.get(i) for i in range(len(rows))]


def log_likelihoods(model: SpeechLM, prompts: Sequence[Prompt], replies: Sequence[str]) -> Tensor:
    """(prompt,) log p(reply | prompt), the end token included."""
    batch = model.encode(prompts, replies)
    labelled = batch.labels[:, 1:] >= 0
    losses = batch.labels.new_zeros(labelled.shape, dtype=torch.float32)
    losses[labelled] = model.token_losses(batch)
    return -losses.sum(-1)
