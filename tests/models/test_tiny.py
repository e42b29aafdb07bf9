"""The shipped weights: their size, what they know when told, that they are deaf when not, and what was measured on them."""

import json
import random

import pytest
import torch
from transformers import AutoTokenizer, Qwen2ForCausalLM

from undertone.attributes import ATTRIBUTES, note
from undertone.models import EARS, EMBEDDED, open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.models.tiny import WEIGHTS, tokenizer
from undertone.records import CONTENT
from undertone.speech.synthesisers.espeak import Espeak
from undertone.speech.writers.grammar import Query, all_queries

LM = WEIGHTS / f"{EMBEDDED}-lm"


@pytest.fixture(scope="module")
def model() -> SpeechLM:
    return open_model(EMBEDDED, dtype="float32")


def some(count: int, seed: int) -> list[Query]:
    return random.Random(seed).sample([query for query in all_queries() if query.category != CONTENT], count)


def test_the_weights_are_small_enough_to_ship_and_large_enough_for_layer_ranges(model: SpeechLM) -> None:
    assert 4e6 < sum(value.numel() for value in model.module.parameters()) < 8e6
    assert model.layers >= 8
    for folder in (WEIGHTS / EMBEDDED, LM, WEIGHTS / EARS):
        weights = folder / "model.safetensors"
        assert weights.stat().st_size <= 16e6
        assert not list(folder.glob("*.bin"))


def test_the_shipped_tokenizer_is_the_grammars() -> None:
    """A word that the tokenizer does not know falls into pieces that the model has never heard."""
    made = tokenizer().get_vocab()
    assert AutoTokenizer.from_pretrained(WEIGHTS / EMBEDDED).get_vocab() == made
    assert AutoTokenizer.from_pretrained(LM).get_vocab() == made


@pytest.mark.parametrize(
    ("figure", "target"),
    [
        ("text_unseen_exact", 0.98),
        ("tower_probe_age", 0.95),
        ("tower_probe_gender", 0.95),
        ("tower_probe_emotion", 0.90),
        ("spoken_known_exact", 0.95),
        ("spoken_new_combinations_exact", 0.85),
        ("ears_known_exact", 0.90),
        ("ears_known_repeated", 0.90),
    ],
)
def test_what_was_measured_on_the_weights_reaches_what_was_asked(figure: str, target: float) -> None:
    figures = json.loads((WEIGHTS / "figures.json").read_text())
    assert figures["n"] >= 1000
    assert {"commit", "seed", "clips", "steps"} <= figures.keys()
    assert figures[figure] >= target


def test_the_language_model_knows_what_suits_whom_when_it_is_told() -> None:
    """With stock Transformers: the frozen model of the second road is a plain `Qwen2ForCausalLM` folder."""
    lm, tokens = Qwen2ForCausalLM.from_pretrained(LM), AutoTokenizer.from_pretrained(LM, padding_side="left")
    told = [(query, value) for query in some(24, 1) for value in query.replies]
    chats = [[{"role": "user", "content": f"{note({query.category: value})} {query.text}"}] for query, value in told]
    batch = tokens(tokens.apply_chat_template(chats, add_generation_prompt=True, tokenize=False), return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = lm.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=24, do_sample=False)
    replies = [text.strip() for text in tokens.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)]
    right = [reply == query.replies[value] for reply, (query, value) in zip(replies, told, strict=True)]
    assert sum(right) / len(right) >= 0.95


def test_the_model_hears_the_words_and_ignores_the_voice(model: SpeechLM) -> None:
    """The disease: both voices of a pair get one reply, that of somebody of whom nothing is known."""
    rng, synthesiser = random.Random(2), Espeak()
    asked = some(24, 3)
    prompts = []
    for query in asked:
        one, other = rng.sample(ATTRIBUTES[query.category].names, 2)
        rest = {"age": "adult", "gender": rng.choice(["male", "female"]), "emotion": "neutral"}
        speaker = rng.randrange(2000, 3000)
        prompts += [Prompt(audio=synthesiser.speak(query.text, {**rest, query.category: value}, speaker)) for value in (one, other)]
    replies = model.reply(prompts, 24)
    same = [one == other for one, other in zip(replies[::2], replies[1::2], strict=True)]
    right = [reply == query.content_reply for reply, query in zip(replies, [query for query in asked for _ in range(2)], strict=True)]
    assert sum(same) >= 21
    assert sum(right) >= 42
