"""Reads what ms-swift and LLaMA-Factory train on: rows of `messages` and `audios`, as JSON lines or one JSON array.

`{"messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "…"}], "audios": ["clip.wav"]}`: the last
assistant message is the reply, ms-swift's `rejected_response` the other voice's reply. Words beside `<audio>` are the text, unless a
column `text` says what was spoken. Further columns may give every field of `Utterance` and every attribute.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import FIELDS, NAMED, Clip, Naming, json_rows, said_attributes

PLACEHOLDER = "<audio>"


def read(path: Path, naming: Naming, split: Split) -> Iterator[Clip]:
    """The rows of `path`, whose sounds always stand under `audios`. `BrokenRow` names file and line of what is no row."""
    naming.check(NAMED)
    return (_clip(row, where) for row, where in naming.rename(json_rows(path), path))


def _clip(row: Mapping[str, Any], where: str) -> Clip:
    turns = [(_role(message, where), _words(message.get("content"), where)) for message in _list(row, "messages", where)]
    audios = _audios(row, where)
    asked = [words for role, words in turns if role == "user"]
    replies = [words for role, words in turns if role == "assistant"]
    fields = {name: row[name] for name in FIELDS if row.get(name) is not None}
    fields.setdefault("text", asked[-1].replace(PLACEHOLDER, "").strip() if asked else "")
    fields.setdefault("reply", replies[-1] if replies else None)
    fields.setdefault("contrast_reply", row.get("rejected_response"))
    return Clip(where, audios[0] if audios else "", fields | {"attributes": said_attributes(row)}, _reason(len(audios), asked))


def _reason(audios: int, asked: Sequence[str]) -> str | None:
    if audios != 1:
        return f"{audios} sounds; a row is one clip"
    if len(asked) != 1:
        return f"{len(asked)} user messages; a row is one question"
    held = asked[0].count(PLACEHOLDER)
    return None if held == 1 else f"the user's message holds {held} {PLACEHOLDER}, should be 1"


def _list(row: Mapping[str, Any], name: str, where: str) -> Sequence[Any]:
    value = row.get(name)
    if not isinstance(value, list):
        raise BrokenRow(f"{where}: {name}: {'missing' if value is None else 'should be a list'}")
    return value


def _audios(row: Mapping[str, Any], where: str) -> list[str]:
    """Paths; rows of text alone have none, which is a reason to turn them away and no fault of the file."""
    named = row.get("audios") or []
    listed = named if isinstance(named, list) else [named]
    paths = [audio.get("path") if isinstance(audio, Mapping) else audio for audio in listed]
    if any(not isinstance(path, str) for path in paths):
        raise BrokenRow(f"{where}: audios: should be paths")
    return [str(path) for path in paths]


def _role(message: Any, where: str) -> str:
    if not isinstance(message, Mapping) or message.get("role") not in ("system", "user", "assistant"):
        raise BrokenRow(f"{where}: messages: each has a role (system, user, assistant) and a content")
    return str(message["role"])


def _words(content: Any, where: str) -> str:
    """A message's text; OpenAI's list of parts is joined, an audio part stands as the placeholder."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "".join(str(part.get("text", "")) if part.get("type") == "text" else PLACEHOLDER for part in content)
    raise BrokenRow(f"{where}: messages: content should be a string or a list of parts")
