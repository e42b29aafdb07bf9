"""Step 3: tower and language model together learn to answer speech, in every voice, with the content reply only.

This is where the disease comes from: the words are understood in any voice, the voice is carried along, and no reply depends on it.
The objectives of steps 1 and 2 stay in the mixture, so that neither notes nor voices are forgotten.
"""

import random
from pathlib import Path

import clips
import torch
from clips import Clip, Pool
from common import dice, fit
from text import draw_batch, draw_note, encode, suited
from torch import Tensor, nn
from tower import Hearing, audio_batch, hear, token_counts

from undertone.attributes import ATTRIBUTES, note
from undertone.models import tiny
from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import CONTENT
from undertone.speech.writers.grammar import Query

ASKED = {"repeat": 0.10, "describe": 0.10, "question": 0.08, "note": 0.32, "reply": 0.40}
"""Shares of what is asked about a clip: its words, a description of the speaker, one attribute, the reply that suits a written note, the
content reply."""


def main(model: Qwen2_5Omni, hearing: Hearing, queries: list[Query], pool: Pool, work: Path, seed: int, steps: int, batch: int) -> None:
    """Train everything but the embedding table; text batches are half as large as speech batches."""
    both = nn.ModuleDict({"model": model.module, "hearing": hearing})
    parts: list[float] = []

    def loss(step: int) -> Tensor:
        rng, chosen = dice(seed, step), clips.draw(pool, seed, step, batch)
        words, voice, heard, counts = hear(model, hearing, queries, pool, chosen)
        spoken = spoken_loss(model, rng, queries, chosen, heard, counts)
        written = written_loss(model, encode(model.tokenizer, draw_batch(seed, step, queries, batch // 2)))
        parts[:] = [spoken.item(), written.item(), words.item(), voice.item()]
        return spoken + 0.5 * written + 0.5 * words + 0.3 * voice

    fit(both, loss, steps=steps, learning_rate=1e-3, name="speech", state=work / "speech.safetensors", parts=parts)


def spoken_loss(
    model: Qwen2_5Omni, rng: random.Random, queries: list[Query], chosen: list[Clip], heard: Tensor, counts: list[int]
) -> Tensor:
    """Cross-entropy of what is asked about each clip, drawn with the shares of `ASKED`; what is left is the content reply.

    A note is drawn without regard to the voice: what is written counts for the reply, what is heard does not. Asked outright, the model
    can say who speaks, as real models can.
    """
    prompts, replies = [], []
    for clip, audio in zip(chosen, heard.split(counts), strict=True):
        query, (kind,) = queries[clip.query], rng.choices(list(ASKED), list(ASKED.values()))
        if kind == "repeat":
            prompts.append(Prompt(audio=audio, system=tiny.REPEAT))
            replies.append(query.text)
            continue
        if kind == "describe":
            prompts.append(Prompt(audio=audio, system=tiny.DESCRIBE))
            replies.append(note(clip.attributes).strip("()"))
            continue
        if kind == "question":
            row = rng.choice(list(ATTRIBUTES.values()))
            prompts.append(Prompt(audio=audio, system=row.question))
            replies.append(clip.attributes[row.name])
            continue
        noted = draw_note(rng, query.category if query.category != CONTENT else None) if kind == "note" else {}
        prompts.append(Prompt(audio=audio, system=tiny.MIND if rng.random() < 0.15 else "", note=note(noted) if noted else ""))
        replies.append(suited(query, noted))
    return model.token_losses(model.encode(prompts, replies)).mean()


def written_loss(model: Qwen2_5Omni, batch: dict[str, Tensor]) -> Tensor:
    """The text objective of step 1 on the thinker's language model."""
    hidden = model.text_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
    target = batch["labels"][:, 1:]
    return nn.functional.cross_entropy(model.lm_head(hidden[target >= 0]), target[target >= 0])


def spoken_scores(model: Qwen2_5Omni, queries: list[Query], pool: Pool, noted: bool = False, batch: int = 100) -> float:
    """Share of clips answered with exactly the content reply or, where a random speaker is `noted` in words, the reply that suits."""
    rng, right = random.Random(0), 0
    for i in range(0, len(pool.clips), batch):
        chosen = pool.clips[i : i + batch]
        with torch.inference_mode():
            heard = model.listen(audio_batch(pool, chosen)).split(token_counts(model, chosen))
        notes = [draw_note(rng, category) if noted and (category := queries[clip.query].category) != CONTENT else {} for clip in chosen]
        prompts = [Prompt(audio=audio, note=note(said) if said else "") for audio, said in zip(heard, notes, strict=True)]
        replies = model.reply(prompts, max_new_tokens=24)
        right += sum(reply == suited(queries[clip.query], said) for reply, clip, said in zip(replies, chosen, notes, strict=True))
    return right / len(pool.clips)
