"""Kimi-Audio's chat on two streams: controls and audio on one, text on the other, a blank wherever a stream is silent."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self

from undertone.models.kimi_audio import text_tokenizer as names


class Ids(NamedTuple):
    """The special tokens that a prompt is written with."""

    msg_end: int
    media_begin: int
    media_end: int
    blank: int
    text_end: int
    user: int
    assistant: int
    answer_text: int
    answer_speech: int

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """As `tokenizer` numbers them."""
        written = (
            names.MSG_END, names.MEDIA_BEGIN, names.MEDIA_END, names.BLANK, names.TEXT_END, names.USER, names.ASSISTANT,
            names.ANSWER_TEXT, names.ANSWER_SPEECH,
        )  # fmt: skip
        return cls(*tokenizer.convert_tokens_to_ids(list(written)))


class Message(NamedTuple):
    """One message: ids of a text, or of audio (its codes, offset into the vocabulary, or as many blanks where they are not known yet)."""

    role: Literal["user", "assistant"]
    kind: Literal["text", "audio"]
    ids: Sequence[int]


class Streams(NamedTuple):
    """A prompt, position by position: the audio stream, the text stream, and whether continuous features are added there."""

    audio: list[int]
    text: list[int]
    continuous: list[bool]

    def merged(self, blank: int) -> list[int]:
        """One row of ids: at each position the stream that is not blank."""
        return [text if audio == blank else audio for audio, text in zip(self.audio, self.text, strict=True)]


def streams(messages: Sequence[Message], ids: Ids, speech: bool = False) -> Streams:
    """The published prompt of a chat, up to where the assistant begins.

    Neighbouring messages of one role are one turn: its mark stands before the first, its end behind the last, and a last message that is
    audio carries the token that asks for text, or for `speech` too.
    """
    out = Streams([], [], [])

    def put(tokens: Sequence[int], text: bool = False, continuous: bool = False) -> None:
        silent = [ids.blank] * len(tokens)
        out.audio.extend(silent if text else tokens)
        out.text.extend(tokens if text else silent)
        out.continuous.extend([continuous] * len(tokens))

    for i, message in enumerate(messages):
        if i == 0 or messages[i - 1].role != message.role:
            put([getattr(ids, message.role)])
        last = i + 1 == len(messages) or messages[i + 1].role != message.role
        if message.kind == "audio":
            put([ids.media_begin])
            put(message.ids, continuous=True)
            put([ids.media_end, *[ids.answer_speech if speech else ids.answer_text] * last])
        else:
            put([*message.ids, *[ids.text_end] * (message.role == "assistant")], text=True)
        put([ids.msg_end] * last)
    put([ids.assistant])
    return out
