"""undertone-tiny: a Qwen2.5-Omni thinker small enough for a laptop, and what it is made of.

The class is the real `Qwen2_5OmniThinkerForConditionalGeneration`; only the sizes are small. `scripts/make_tiny` trains it.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from undertone.attributes import ATTRIBUTES, note
from undertone.speech.writers import grammar

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen2_5OmniThinkerConfig, WhisperFeatureExtractor

LANGUAGE_MODEL = "undertone-tiny-lm"
"""The embedded language model by itself, as step 1 left it."""

WEIGHTS = Path(__file__).parent / "weights"
"""Where the shipped checkpoints lie: `undertone-tiny` (speech) and `undertone-tiny-lm` (its language model after step 1)."""

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>",
    "<|IMAGE|>", "<|VIDEO|>", "<|vision_bos|>", "<|vision_eos|>",
)  # fmt: skip

REPEAT = "repeat the words"
DESCRIBE = "how does the speaker sound"
MIND = "mind how the speaker sounds"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _corpus() -> Iterable[str]:
    for query in grammar.all_queries():
        yield from (f"\n{query.text}", f" {query.text}", query.content_reply, *query.replies.values())
    for attribute in ATTRIBUTES.values():
        yield from (attribute.question, *attribute.names, *(f" {name}" for name in attribute.names))
        yield from (note({attribute.name: name}) for name in attribute.names)
    yield from ("system\nuser\nassistant\n", REPEAT, DESCRIBE, MIND, "i do not know")


def tokenizer(template: str = CHAT_TEMPLATE, more: tuple[str, ...] = (), end: str = "<|im_end|>") -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer whose merges cover the grammar's words; any other text falls back to bytes. Other families write other
    chats: `template`, with special tokens `more`; `end` is the tokenizer's own."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer.from_str(_core())
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in more])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=end, pad_token="<|endoftext|>", chat_template=template, padding_side="left"
    )


@cache
def _core() -> str:
    """The trained tokenizer, as `tokenizers` writes it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, min_frequency=1, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(sorted(set(_corpus())), trainer)
    return core.to_str()  # type: ignore[no-any-return]


def feature_extractor() -> "WhisperFeatureExtractor":
    """80 log-mel bins, 100 frames a second: Qwen2.5-Omni's front end at Whisper-small's width."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=80, chunk_length=30)


def config(tokens: "PreTrainedTokenizerFast") -> "Qwen2_5OmniThinkerConfig":
    """The sizes: language model 8 × 192, audio tower 4 × 192, token ids of `tokens`."""
    from transformers import Qwen2_5OmniThinkerConfig

    ids = {token: tokens.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    made = Qwen2_5OmniThinkerConfig(
        audio_config=dict(num_mel_bins=80, encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=768, d_model=192, output_dim=192),
        vision_config=dict(depth=1, hidden_size=16, num_heads=2, intermediate_size=16, out_hidden_size=192, fullatt_block_indexes=[0]),
        text_config=dict(
            vocab_size=len(tokens), hidden_size=192, intermediate_size=512, num_hidden_layers=8, num_attention_heads=6,
            num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=False, pad_token_id=ids["<|endoftext|>"], 
            eos_token_id=ids["<|im_end|>"],
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        ),
        audio_token_index=ids["<|AUDIO|>"], image_token_index=ids["<|IMAGE|>"], video_token_index=ids["<|VIDEO|>"],
        audio_start_token_id=ids["<|audio_bos|>"], audio_end_token_id=ids["<|audio_eos|>"],
        user_token_id=tokens.encode("user")[0],
    )  # fmt: skip
    made.vision_start_token_id, made.vision_end_token_id = ids["<|vision_bos|>"], ids["<|vision_eos|>"]
    return made
