"""How a tokenizer's own chat template writes: found out by asking it, so that no family's format is written down here."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

_WORD = "x"


class Chat(NamedTuple):
    """`parts`: audio is a part of a message ({"type": "audio"}), else its token stands in the text; `system`: a system prompt is heeded;
    `end`: the token that ends a reply."""

    parts: bool
    system: bool
    end: int

    @classmethod
    def of(cls, tokenizer: Any, audio_token: str, name: str) -> Self:
        """Of the template that `tokenizer` brings along; ValueError where it has none, or none that can write audio."""
        if not tokenizer.chat_template:
            raise ValueError(
                f"model {name}: no chat template, neither with the tokenizer nor in chat_template.json; name an instruction-tuned "
                "checkpoint, or lay its chat_template.jinja beside the tokenizer"
            )
        parts = _count(tokenizer, [{"type": "audio"}], audio_token) == 1
        if not parts and _count(tokenizer, f"{audio_token}{_WORD}", audio_token) != 1:
            raise ValueError(f"model {name}: its chat template writes no {audio_token}; copy the template of the audio model")
        end = _end(tokenizer)
        if end is None:
            raise ValueError(
                f"model {name}: neither its chat template nor its tokenizer says how a reply ends; set eos_token in tokenizer_config.json"
            )
        return cls(parts, _heeds_system(tokenizer), end)


def render(tokenizer: Any, chat: Sequence[Any], open_reply: bool = True) -> list[int]:
    """Token ids of a chat, up to where the next reply begins; ValueError where the template refuses it."""
    from jinja2 import TemplateError

    try:
        return list(tokenizer.apply_chat_template(chat, add_generation_prompt=open_reply, return_dict=False))
    except (TemplateError, TypeError) as error:
        raise ValueError(f"the model's chat template refuses {[row['role'] for row in chat]}: {error}") from None


def _count(tokenizer: Any, content: Any, token: str) -> int:
    try:
        return render(tokenizer, [{"role": "user", "content": content}]).count(tokenizer.convert_tokens_to_ids(token))
    except ValueError:
        return 0


def _heeds_system(tokenizer: Any) -> bool:
    user = {"role": "user", "content": _WORD}
    try:
        return render(tokenizer, [{"role": "system", "content": _WORD}, user]) != render(tokenizer, [user])
    except ValueError:
        return False


def _end(tokenizer: Any) -> int | None:
    """The first special token behind a reply; the tokenizer's own end, if any, where the template writes none."""
    user = {"role": "user", "content": _WORD}
    asked = render(tokenizer, [user])
    answered = render(tokenizer, [user, {"role": "assistant", "content": _WORD}], open_reply=False)
    special = {*tokenizer.all_special_ids, *(i for i, token in tokenizer.added_tokens_decoder.items() if token.special)}
    behind = answered[len(asked) :] if answered[: len(asked)] == asked else answered[-2:]
    return next((i for i in behind if i in special), tokenizer.eos_token_id)


def processor_template(checkpoint: str | Path) -> str:
    """The chat template that a checkpoint keeps for its processor alone (`chat_template.json`); ValueError where it has none."""
    from transformers.utils import cached_file

    path = cached_file(str(checkpoint), "chat_template.json", _raise_exceptions_for_missing_entries=False)
    if path is None:
        raise ValueError(f"model {checkpoint}: no chat template, neither with the tokenizer nor in chat_template.json")
    return str(json.loads(Path(path).read_text(encoding="utf-8"))["chat_template"])
