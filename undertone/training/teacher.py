"""The teacher of behavioural alignment (METHOD B.3): the frozen language model on typed words with a speaker note, run once a prompt.

What it says, and with which probabilities, is kept on disk as safetensors and serves every speaker, epoch and run.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from undertone.models.base import IGNORED, Batch, Prompt, SpeechLM
from undertone.models.digest import module_digest
from undertone.run import write_atomic

SHARD = 1024
"""Lessons in a file."""


class Lesson(NamedTuple):
    """What the teacher says to a prompt: `reply` (token,) with its end token where it came to one; the logits of its `top` candidates
    (token, k) with their `ids`; `read` (width,), its last hidden state behind the prompt. Without candidates the last three are empty."""

    reply: Tensor
    top: Tensor
    ids: Tensor
    read: Tensor


class Question(NamedTuple):
    """A typed prompt, and the reply that is forced on the teacher (empty: its own, greedily)."""

    prompt: Prompt
    forced: str = ""


class Teacher:
    """Lessons by question, for those that `fill` was given. `k`: candidates kept of each token's distribution; 0: what it says is all that
    is asked for, so that a forced reply costs nothing."""

    def __init__(self, folder: Path, model: SpeechLM, k: int = 32, max_new_tokens: int = 64) -> None:
        self._model, self._k, self._longest = model, k, max_new_tokens
        self.sha256 = module_digest(model.module)
        self.folder = folder / self.sha256[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Lesson] = {}
        for shard in sorted(self.folder.glob("*.safetensors")):
            self._read(shard)

    def __getitem__(self, question: Question) -> Lesson:
        return self._known[self._key(question)]

    def __contains__(self, question: Question) -> bool:
        return self._key(question) in self._known

    def text(self, question: Question) -> str:
        """The reply in words."""
        return str(self._model.tokenizer.decode(self[question].reply, skip_special_tokens=True)).strip()

    def fill(self, questions: Iterable[Question], batch: int = 64, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> None:
        """Ask what is not known yet, `batch` prompts at a time; what is finished is kept when a run is killed."""
        wanted = {self._key(one): one for one in questions}
        missing = sorted(
            (one for key, one in wanted.items() if key not in self._known), key=lambda one: (bool(one.forced), len(one.prompt.text))
        )
        for start in progress(range(0, len(missing), SHARD)):
            rows = missing[start : start + SHARD]
            made: dict[str, Lesson] = {}
            for i in range(0, len(rows), batch):
                part = rows[i : i + batch]
                made |= zip(map(self._key, part), self.ask(part), strict=True)
            self._write(made)

    def _key(self, question: Question) -> str:
        prompt = question.prompt
        said = (prompt.system, prompt.note, prompt.text, question.forced, self._k, self._longest)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:24]

    @torch.inference_mode()
    def ask(self, questions: Sequence[Question]) -> list[Lesson]:
        """What the model says to `questions`, all at once, a lesson each; nothing is kept."""
        model, prompts = self._model, [one.prompt for one in questions]
        unforced = [one.prompt for one in questions if not one.forced]
        own = iter(model.greedy_ids(model.prefill(model.encode(unforced)), self._longest) if unforced else [])
        end = [model.end_token_id]
        replies = [[*model.reply_ids(one.forced), *end] if one.forced else next(own) for one in questions]
        if not self._k:
            none = torch.empty(0)
            return [Lesson(torch.tensor(reply), none.expand(len(reply), 0), none.expand(len(reply), 0), none) for reply in replies]
        batch = model.encode(prompts, replies, close=False)
        hidden = model.hidden(batch)
        lessons = []
        for row, labels, reply in zip(hidden, batch.labels, replies, strict=True):
            before = row[:-1][labels[1:] != IGNORED]
            top = model.lm_head(before).float().topk(min(self._k, self._model.lm_head.weight.shape[0]))  # type: ignore[union-attr,index]
            lessons.append(Lesson(torch.tensor(reply), top.values.half().cpu(), top.indices.int().cpu(), before[0].float().cpu()))
        return lessons

    def _write(self, made: dict[str, Lesson]) -> None:
        from safetensors.torch import save

        tensors = {f"{key}.{name}": value.contiguous() for key, lesson in made.items() for name, value in lesson._asdict().items()}
        name = hashlib.sha256("".join(made).encode()).hexdigest()[:16]
        write_atomic(self.folder / f"{name}.safetensors", save(tensors))
        self._known |= made

    def _read(self, shard: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(shard)
        except SafetensorError as error:
            raise OSError(f"{shard}: no whole file of lessons ({error}); delete it") from None
        keys = {name.partition(".")[0] for name in tensors}
        self._known |= {key: Lesson(*(tensors[f"{key}.{field}"] for field in Lesson._fields)) for key in keys}


class Taught(NamedTuple):
    """A batch of student prompts with the teacher's replies as labels, and what the teacher thought of every labelled position, rows in
    order: `top` and `ids` (position, k); `read` (prompt, width)."""

    batch: Batch
    top: Tensor
    ids: Tensor
    read: Tensor


def teach(model: SpeechLM, prompts: Sequence[Prompt], lessons: Sequence[Lesson]) -> Taught:
    """`prompts`, audio among them, with what the teacher said to the same words typed."""
    batch = model.encode(prompts, [lesson.reply.tolist() for lesson in lessons], close=False)
    joined = [torch.cat([getattr(lesson, name) for lesson in lessons]) for name in ("top", "ids")]
    top, ids = (one.to(model.device) for one in joined)
    return Taught(batch, top.float(), ids.long(), torch.stack([lesson.read for lesson in lessons]).to(model.device))
