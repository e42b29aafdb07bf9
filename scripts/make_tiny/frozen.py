"""Step 4: ears for the frozen language model of step 1: the semantic stage of the second road (`undertone align`), in every voice.

First the words alone (CTC on the encoder) and the voice (auxiliary heads), then what the language model says to the words: it is not
touched, so this is the projector that it understands. Last, and longest, what it says to the words beside a written note: where the style
stage will put the voice, the words must be understood already.
"""

from collections.abc import Sequence
from pathlib import Path

import clips
import torch
from clips import Clip, Pool
from common import processes, rank, wait
from torch import Tensor
from tower import audio_batch

from undertone.models import EARS, choose_attention, choose_dtype, tiny
from undertone.models.base import Prompt
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Utterance
from undertone.speech.writers.grammar import Query
from undertone.training.alignment import Alignment, AlignmentEncoder, Weights, save_heads, vocabulary
from undertone.training.loop import Schedule, train
from undertone.training.tasks import Drill, Exercise, TaskName, Wording
from undertone.training.teacher import Teacher

HEAR = Weights(cross_entropy=0.0, ctc=1.0, style=0.3)
UNDERSTAND = Weights(cross_entropy=1.0, ctc=0.3, style=0.3)
WORDS: dict[TaskName, float] = {"reply": 0.6, "recognition": 0.4}
NOTES: dict[TaskName, float] = {"reply": 0.2, "recognition": 0.2, "noted": 0.6}
WORDING = Wording(tiny.REPEAT, tiny.DESCRIBE)


def utterance(number: int, clip: Clip, queries: Sequence[Query]) -> Utterance:
    """A clip of the pool as a row."""
    return Utterance(
        id=str(number), text=queries[clip.query].text, file_name="", seconds=clip.frames / 100, attributes=clip.attributes,
        speaker=str(clip.speaker), source="make_tiny", split="train",
    )  # fmt: skip


class Alike:
    """Draws clips of about equal length together."""

    def __init__(self, pool: Pool, rows: Sequence[Utterance], seed: int) -> None:
        self._pool, self._rows, self._seed = pool, dict(zip(map(id, pool.clips), rows, strict=True)), seed

    def batch(self, step: int, size: int) -> list[Utterance]:
        """The rows of a step."""
        return [self._rows[id(clip)] for clip in clips.drawn(self._pool, self._seed, step, size)]


def main(
    queries: Sequence[Query], pool: Pool, held: tuple[Sequence[Query], Pool], work: Path, out: Path, seed: int, steps: int, batch: int
) -> None:
    """Train and save to `out`; `held`: queries and clips that choose the checkpoint; half of `steps` stand beside written notes."""
    exact = getattr(torch, choose_dtype("", "cpu"))
    model = FrozenLLM.fresh(tiny.LANGUAGE_MODEL, "conformer", {"dropout": 0.0}, "cpu", exact, seed)
    choose_attention(model, "cpu", exact)
    asked, dev = held
    rows = [utterance(i, clip, queries) for i, clip in enumerate(pool.clips)]
    chosen = [utterance(-1 - i, clip, asked) for i, clip in enumerate(dev.clips[:300])]
    if rank():
        wait()
    teacher = Teacher(work / "teacher", model, k=1, max_new_tokens=24)
    teacher.fill(Exercise(row, task).question(WORDING, False) for row in [*rows, *chosen] for task in NOTES)
    if not rank():
        wait()

    def frames(row: Utterance) -> Tensor:
        i = int(row.id)
        made = torch.from_numpy(clips.frames(pool, pool.clips[i]) if i >= 0 else clips.frames(dev, dev.clips[-1 - i]))
        return made + 0.1 * torch.randn_like(made) if i >= 0 else made

    classes = vocabulary(model, [query.text for query in queries])
    encode = AlignmentEncoder(model, teacher, frames, WORDING, False, classes)
    objective = Alignment(model, HEAR, 1.0, list(classes))
    hear, understand = steps // 6, steps // 3
    stages = (
        ("hear", HEAR, WORDS, hear), ("understand", UNDERSTAND, WORDS, understand), ("notes", UNDERSTAND, NOTES, steps - hear - understand),
    )  # fmt: skip
    for name, weights, tasks, count in stages:
        objective.weights = weights
        drill = Drill(Alike(pool, rows, seed), tasks, seed)
        checked = Drill(_Given(chosen), tasks, seed).batch(0, len(chosen))
        plan = Schedule(count, batch * processes(), 1, 1e-3, 0.05, 0.01, 1.0, 250)

        def log(values: dict[str, float], step: int, name: str = name) -> None:
            if step % 50 == 0 or any(key.startswith("dev/") for key in values):
                print(name, step, {key: round(value, 4) for key, value in values.items()}, flush=True)

        train(objective, drill, checked, encode, plan, work / f"ears-{name}", log)  # type: ignore[arg-type]
    if not rank():
        model.save(out / EARS, torch.bfloat16)
        save_heads(objective.styles, out / EARS)  # type: ignore[arg-type]


class _Given:
    """All of some rows, whatever the step."""

    def __init__(self, rows: Sequence[Utterance]) -> None:
        self._rows = rows

    def batch(self, step: int, size: int) -> Sequence[Utterance]:
        return self._rows


def scores(out: Path, queries: Sequence[Query], pool: Pool, batch: int = 100) -> dict[str, float]:
    """Share of clips answered with exactly the content reply, and repeated word by word."""
    model = FrozenLLM.load(out / EARS)
    right = {"": 0, tiny.REPEAT: 0}
    for i in range(0, len(pool.clips), batch):
        chosen = pool.clips[i : i + batch]
        for system in right:
            with torch.inference_mode():
                heard = model.listen(audio_batch(pool, chosen)).split([model.token_count(clip.frames) for clip in chosen])
                replies = model.reply([Prompt(audio=audio, system=system) for audio in heard], max_new_tokens=24)
            wanted = [queries[clip.query].text if system else queries[clip.query].content_reply for clip in chosen]
            right[system] += sum(reply == want for reply, want in zip(replies, wanted, strict=True))
    return {"exact": right[""] / len(pool.clips), "repeated": right[tiny.REPEAT] / len(pool.clips)}
