"""Kimi-Audio's text tokenizer: byte-level BPE read from `tiktoken.model` into a fast tokenizer of Transformers."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Where text is cut before its pieces are encoded."""

MSG_END, MEDIA_BEGIN, MEDIA_END = "<|im_msg_end|>", "<|im_media_begin|>", "<|im_media_end|>"
BLANK, TEXT_END = "<|im_kimia_text_blank|>", "<|im_kimia_text_eos|>"
USER, ASSISTANT = "<|im_kimia_user_msg_start|>", "<|im_kimia_assistant_msg_start|>"
ANSWER_TEXT, ANSWER_SPEECH = "<|im_kimia_speech_ct_id|>", "<|im_kimia_speech_ctd_id|>"

NAMED = {
    0: "[BOS]", 1: "[EOS]", 2: MSG_END, 3: "<|im_user_msg_start|>", 4: "<|im_assistant_msg_start|>", 9: "[EOT]", 18: MEDIA_BEGIN,
    20: MEDIA_END, 23: BLANK, 24: TEXT_END, 27: USER, 28: ASSISTANT, 32: ANSWER_TEXT, 33: ANSWER_SPEECH,
}  # fmt: skip
"""The special tokens that have a name, by their place behind the last ordinary token."""

SPECIAL = 421
"""Special tokens in all; the last one pads."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first or messages[loop.index0 - 1]['role'] != message['role'] %}<|im_kimia_{{ message['role'] }}_msg_start|>{% endif %}"
    "{{ message['content'] }}{% if message['role'] == 'assistant' %}<|im_kimia_text_eos|>{% endif %}"
    "{% if loop.last or messages[loop.index]['role'] != message['role'] %}<|im_msg_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_kimia_assistant_msg_start|>{% endif %}"
)
"""How a written chat reads; `prompt.streams` says where each token of it stands."""


def special_tokens() -> list[str]:
    """All special tokens in order: the named ones, and reserved ones that are counted through."""
    reserved = iter(range(SPECIAL))
    return [NAMED.get(i) or f"<|reserved_token_{next(reserved)}|>" for i in range(SPECIAL)]


def read_ranks(path: str | Path) -> dict[bytes, int]:
    """Token → rank of a tiktoken file, a base64 token and its rank a line; OSError names the line that is none."""
    ranks = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        token, _, rank = line.partition(b" ")
        try:
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise OSError(f"{path}: line {number} is no base64 token and its rank; download the file again") from None
    return ranks


def text_tokenizer(ranks: Mapping[bytes, int]) -> Any:
    """A fast tokenizer that gives the ids of tiktoken; special tokens within a text are read as text, as the published one reads them."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    class Converter(TikTokenConverter):  # type: ignore[misc]
        @staticmethod
        def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
            return dict(ranks)

    names = special_tokens()
    return PreTrainedTokenizerFast(
        tokenizer_object=Converter(pattern=PATTERN, extra_special_tokens=names).converted(),
        eos_token=TEXT_END,
        pad_token=names[-1],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )
