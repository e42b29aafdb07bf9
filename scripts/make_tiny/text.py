"""Step 1: the language model learns from text to answer, and to suit a speaker it is told of.

With a note ("(the speaker is a child) how do i …") it gives the reply that suits, without one the content reply; it repeats words,
describes and names noted speakers. The result ships as a plain `Qwen2ForCausalLM` folder.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from common import ATTENTION, dice, fit, is_known, rank, wait, word_table, world
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from undertone.attributes import ATTRIBUTES, note
from undertone.models import tiny
from undertone.records import CONTENT
from undertone.speech.writers.grammar import Query, all_queries


class Turn(NamedTuple):
    """One exchange: what the system asks for, what the user says, what is right to answer."""

    system: str
    user: str
    reply: str


def draw_voice(rng: random.Random) -> dict[str, str]:
    """One value of every attribute, uniformly."""
    return {row.name: rng.choice(row.names) for row in ATTRIBUTES.values()}


def draw_note(rng: random.Random, keep: str | None) -> dict[str, str]:
    """A random part of a random voice, `keep` surely in it; in half of the cases `keep` alone."""
    voice = draw_voice(rng)
    if keep in voice and rng.random() < 0.5:
        return {keep: voice[keep]}
    return {name: value for name, value in voice.items() if name == keep or rng.random() < 0.5}


def suited(query: Query, noted: dict[str, str]) -> str:
    """The right reply to `query` from a speaker of whom `noted` is known."""
    return query.replies[noted[query.category]] if query.category in noted else query.content_reply


def draw_turn(rng: random.Random, queries: Sequence[Query]) -> Turn:
    """One exchange of the text mixture."""
    query = rng.choice(queries)
    kind = rng.random()
    if kind < 0.55:
        noted = draw_note(rng, query.category if query.category != CONTENT else None)
        return Turn(tiny.MIND if rng.random() < 0.15 else "", _say(noted, query.text), suited(query, noted))
    if kind < 0.75:
        noted = draw_note(rng, None) if rng.random() < 0.4 else {}
        noted.pop(query.category, None)
        return Turn(tiny.MIND if rng.random() < 0.15 else "", _say(noted, query.text), query.content_reply)
    noted = draw_note(rng, None)
    if kind < 0.85:
        return Turn(tiny.REPEAT, _say(noted, query.text), query.text)
    if kind < 0.92:
        return Turn(tiny.DESCRIBE, _say(noted, query.text), note(noted).strip("()") if noted else "i do not know")
    row = rng.choice(list(ATTRIBUTES.values()))
    return Turn(row.question, _say(noted, query.text), noted.get(row.name, "i do not know"))


def draw_batch(seed: int, step: int, queries: Sequence[Query], batch: int) -> list[Turn]:
    """The turns of a step, of about equal length: those of eight steps are drawn together, sorted, and dealt out in random order."""
    rng = dice(seed, step // 8)
    turns = sorted((draw_turn(rng, queries) for _ in range(8 * batch)), key=lambda turn: len("".join(turn).split()))
    i = rng.sample(range(8), 8)[step % 8]
    return turns[i * batch : (i + 1) * batch]


def reply_loss(model: Qwen2ForCausalLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy over reply tokens; logits are computed only there."""
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
    target = batch["labels"][:, 1:]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[target >= 0]), target[target >= 0])


def _say(noted: dict[str, str], text: str) -> str:
    return f"{note(noted)} {text}" if noted else text


def encode(tokens: PreTrainedTokenizerFast, turns: Sequence[Turn]) -> dict[str, torch.Tensor]:
    """Right-padded ids, mask, and labels on reply tokens and the closing <|im_end|> only."""
    rows = []
    for turn in turns:
        messages = [{"role": "system", "content": turn.system}] * bool(turn.system) + [{"role": "user", "content": turn.user}]
        prompt = tokens.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        reply = [*tokens.encode(turn.reply), tokens.eos_token_id]
        rows.append((prompt + reply, [-100] * len(prompt) + reply))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), tokens.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for i, (row, target) in enumerate(rows):
        ids[i, : len(row)], labels[i, : len(row)] = torch.tensor(row), torch.tensor(target)
    lengths = torch.tensor([len(row) for row, _ in rows])
    return {"input_ids": ids, "attention_mask": (torch.arange(width) < lengths[:, None]).long(), "labels": labels}


@torch.inference_mode()
def answer(model: Qwen2ForCausalLM, tokens: PreTrainedTokenizerFast, turns: Sequence[Turn]) -> list[str]:
    """Greedy replies."""
    chats = [[{"role": "system", "content": t.system}] * bool(t.system) + [{"role": "user", "content": t.user}] for t in turns]
    prompts = tokens.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    batch = tokens(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    out = model.generate(**batch, max_new_tokens=24, do_sample=False)
    return tokens.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def language_model_config(tokens: PreTrainedTokenizerFast) -> Qwen2Config:
    """The thinker's text sizes as a Qwen2 configuration: with one-dimensional positions the two are the same network."""
    text = tiny.config(tokens).text_config
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
             "max_position_embeddings", "tie_word_embeddings", "pad_token_id", "eos_token_id", "rms_norm_eps")  # fmt: skip
    return Qwen2Config(**{name: getattr(text, name) for name in names}, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0})


def main(work: Path, seed: int, steps: int, batch: int) -> None:
    """Train and save to `work`/lm."""
    torch.manual_seed(seed)
    tokens = tiny.tokenizer()
    model = Qwen2ForCausalLM(language_model_config(tokens))
    model.set_attn_implementation(ATTENTION)
    table = model.get_input_embeddings().weight
    table.requires_grad_(False).copy_(word_table(seed, *table.shape))
    queries = world()

    def loss(step: int) -> torch.Tensor:
        return reply_loss(model, encode(tokens, draw_batch(seed, step, queries, batch)))

    fit(model, loss, steps=steps, learning_rate=2e-3, name="text", state=work / "text.safetensors")
    if rank() == 0:
        model.save_pretrained(work / "lm")
        tokens.save_pretrained(work / "lm")
    wait()


def unseen_exact(model: Qwen2ForCausalLM, tokens: PreTrainedTokenizerFast, count: int, seed: int = 1) -> float:
    """How often a turn about unseen combinations of words, noted speakers among them, is answered exactly right."""
    unseen = [query for query in all_queries() if not is_known(query)]
    rng = random.Random(seed)
    turns = [draw_turn(rng, unseen) for _ in range(count)]
    replies = answer(model, tokens, turns)
    return sum(reply.strip() == turn.reply for reply, turn in zip(replies, turns, strict=True)) / count
