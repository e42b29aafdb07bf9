"""Steps of behavioural alignment (`undertone align`, distillation): ours, the teacher's lessons at hand, against asking the teacher anew in
every step, and against Ultravox's online KL at the same sizes.

    python benchmarks/speed/road_b.py --size embedded

`teacher anew`: the same step where nothing is kept, the teacher writes its replies in it. `ultravox`: replies are given, as data, and in
every step the frozen model runs on the typed prompts without gradients; KL at temperature 2 over the whole vocabulary, from logits at every
position of padded batches, as `UltravoxModel._compute_kl_loss` has it (fixie-ai/ultravox, written again here). It runs in our own loop, so
that nothing else differs. Ours keeps 32 candidates a token; with the trained teacher of `embedded` the two losses of the first step must
agree within the given share, with random weights (`60M`) they cannot, for such a teacher finds every word as likely.

What asking the teacher once took stands in the details (`teacher_seconds`), and in no time.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from lesson import Size, spoken
from timing import Compared, flags, in_turn, keep, rows
from torch.nn import functional as F

from undertone.models.base import IGNORED, Batch
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Utterance
from undertone.run import write_rows
from undertone.training.alignment import Alignment, AlignmentEncoder, Lesson, Parts, Weights
from undertone.training.frames import Frames
from undertone.training.loop import Schedule, train
from undertone.training.objectives import Sizes
from undertone.training.tasks import Exercise, Wording
from undertone.training.teacher import Teacher

SIZES = {"embedded": Size("", 0, 0, 1e-3, batch=32, steps=10, queries=1), "60M": Size("", 0, 0, 1e-3, batch=8, steps=6, queries=3)}
TEMPERATURE, CANDIDATES, LONGEST = 2.0, 32, 32
WORDING = Wording("repeat the words", "how does the speaker sound")
TOLERANCE = 0.05
"""Share by which the first losses over 32 candidates and over the whole vocabulary may differ."""


class Room(NamedTuple):
    """A model, the exercises in the order in which they are drawn, and how they are encoded."""

    model: FrozenLLM
    exercises: list[Exercise]
    encode: AlignmentEncoder

    def batch(self, step: int, size: int) -> list[Exercise]:
        """The exercises of a step."""
        return self.exercises[step * size : (step + 1) * size]


def write_language_model(folder: Path) -> None:
    """All 28 layers and 152,064 words of Qwen2.5-7B at a width of 160, with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from undertone.models import tiny

    torch.manual_seed(0)
    tokens = tiny.tokenizer()
    config = Qwen2Config(
        vocab_size=152_064, hidden_size=160, intermediate_size=848, num_hidden_layers=28, num_attention_heads=5, num_key_value_heads=1,
        pad_token_id=tokens.pad_token_id, eos_token_id=tokens.eos_token_id,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokens.save_pretrained(folder)


def enter(folder: Path, language_model: str, packed: bool) -> Room:
    """Open the model with a fresh conformer and projector, and the clips of `folder`; nobody has asked the teacher yet."""
    import soundfile

    from undertone.models import open_student
    from undertone.records import read_rows

    model = open_student(language_model, "conformer", {}, "cpu", "float32", 0)
    frames = Frames(lambda row: soundfile.read(folder / row.file_name, dtype="float32")[0], model.frames)
    exercises = [Exercise(row, "reply") for row in read_rows(folder / "clips.jsonl", Utterance)]
    for one in exercises:
        frames.plain(one.row)
    teacher = Teacher(Path(tempfile.mkdtemp(dir=folder)), model, CANDIDATES, LONGEST)
    return Room(model, exercises, AlignmentEncoder(model, teacher, frames.plain, WORDING, True, {}, packed))


def ask(room: Room) -> float:
    """Let the teacher write all its lessons; the seconds that it takes."""
    began = perf_counter()
    room.encode.teacher.fill(one.question(WORDING, True) for one in room.exercises)
    return perf_counter() - began


def trainer(room: Room, encode: Any, schedule: Schedule, objective: Alignment, **known: float) -> Callable[[], Any]:
    """A run by our loop from the same front; its losses, and what is `known`."""
    fresh = {name: value.clone() for name, value in room.model.front.state_dict().items()}

    def run() -> dict[str, Any]:
        room.model.front.load_state_dict(fresh)
        losses: list[float] = []

        def log(values: Any, step: int) -> None:
            losses.extend([values["train/loss"]] if "train/loss" in values else [])

        with tempfile.TemporaryDirectory() as states:
            train(objective, room, [], encode, schedule, Path(states), log)
        return {"losses": losses, **known}

    return run


def cached(folder: Path, language_model: str, schedule: Schedule) -> Callable[[], Any]:
    """Ours: every lesson is at hand."""
    room = enter(folder, language_model, packed=True)
    took = ask(room)
    return trainer(room, room.encode, schedule, Alignment(room.model, Weights(0.0, 1.0), TEMPERATURE, ()), teacher_seconds=took)


class Anew:
    """Encodes with lessons that the teacher was asked for in this step."""

    def __init__(self, encode: AlignmentEncoder) -> None:
        self.model, self._encode, self._now = encode.model, encode, encode

    def sizes(self, rows: Sequence[Exercise]) -> Sizes:
        """The loop asks for them first, of the whole step."""
        questions = list(dict.fromkeys(one.question(WORDING, True) for one in rows))
        if questions:
            known = dict(zip(questions, self._encode.teacher.ask(questions), strict=True))
            self._now = self._encode._replace(teacher=known)  # type: ignore[arg-type] - it is asked by question, as a teacher is
        return self._now.sizes(rows)

    @property
    def packed(self) -> bool:
        return self._encode.packed

    def lengths(self, rows: Sequence[Exercise]) -> list[int]:
        """As of the encoder."""
        return self._encode.lengths(rows)

    def __call__(self, rows: Sequence[Exercise]) -> tuple[Any, ...]:
        return self._now(rows)


def anew(folder: Path, language_model: str, schedule: Schedule) -> Callable[[], Any]:
    """Ours without the cache."""
    room = enter(folder, language_model, packed=True)
    return trainer(room, Anew(room.encode), schedule, Alignment(room.model, Weights(0.0, 1.0), TEMPERATURE, ()))


class Typed(NamedTuple):
    """Encodes, besides the lesson, what the teacher reads, with the same reply: padded, as Ultravox has it."""

    encode: AlignmentEncoder

    @property
    def model(self) -> FrozenLLM:
        return self.encode.model

    def sizes(self, rows: Sequence[Exercise]) -> Sizes:
        return self.encode.sizes(rows)

    @property
    def packed(self) -> bool:
        return self.encode.packed

    def lengths(self, rows: Sequence[Exercise]) -> list[int]:
        return self.encode.lengths(rows)

    def __call__(self, rows: Sequence[Exercise]) -> tuple[Lesson, Batch]:
        (lesson,) = self.encode(rows)
        questions = [one.question(WORDING, True) for one in rows]
        replies = [self.encode.teacher[one].reply.tolist() for one in questions]
        return lesson, self.model.encode([one.prompt for one in questions], replies, close=False)


class OnlineKl(Alignment):
    """T² · KL(teacher ‖ student) per reply token over the whole vocabulary, both models run in the step."""

    def forward(self, lesson: Lesson, typed: Batch, sizes: Sizes) -> Parts:  # type: ignore[override]
        model, heard = self._model[0], lesson.taught.batch
        spoken = replace(heard, heard=model.hear(heard).tokens, frames=None, frame_lengths=None)
        own = self._logits(spoken)
        with torch.no_grad():
            theirs = self._logits(typed)
        divergence = F.kl_div(own.log_softmax(-1), theirs.softmax(-1), reduction="sum") * TEMPERATURE**2 / max(1, sizes.tokens)
        nothing = divergence.new_zeros(())
        return Parts(**(dict.fromkeys(Parts._fields, nothing) | {"loss": divergence, "distillation": divergence}))

    def _logits(self, batch: Batch) -> torch.Tensor:
        """Softened, at the positions that predict a reply's token; the head runs on every position, as a causal model's forward does."""
        model = self._model[0]
        out = model.module(
            inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask, position_ids=batch.position_ids, use_cache=False
        )
        return out.logits[:, :-1][batch.labels[:, 1:] != IGNORED].float() / TEMPERATURE  # type: ignore[no-any-return]


def ultravox(folder: Path, language_model: str, schedule: Schedule) -> Callable[[], Any]:
    """Online KL on replies that are given."""
    room = enter(folder, language_model, packed=False)
    ask(room)
    return trainer(room, Typed(room.encode), schedule, OnlineKl(room.model, Weights(0.0, 1.0), TEMPERATURE, ()))


PEERS = {"teacher anew": anew, "ultravox": ultravox}


def details(size: Size, name: str, found: Compared) -> dict[str, Any]:
    """Sizes, and the first and last losses of both; ValueError where they belong to other trainings."""
    first, theirs = found.ours.result["losses"], found.peer.result["losses"]
    apart = abs(first[0] - theirs[0]) / theirs[0]
    if name == "embedded" and apart > TOLERANCE:
        raise ValueError(f"the first losses differ by {apart:.2g}, allowed are {TOLERANCE}: {first[0]} against {theirs[0]}")
    ends = {"ours_first_loss": first[0], "ours_last_loss": first[-1], "peer_first_loss": theirs[0], "peer_last_loss": theirs[-1]}
    took = {"teacher_seconds": found.ours.result["teacher_seconds"]}
    return {"batch": size.batch, "steps": size.steps, "candidates": CANDIDATES, "first_losses_apart": apart, **took, **ends}


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--size", choices=SIZES, default="embedded", help="the language model (%(default)s)")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="whom to compare with (all)")
    parser.add_argument("--steps", type=int, default=0, help="steps of a run (the size's)")
    parser.add_argument("--batch", type=int, default=0, help="clips of a step (the size's)")
    given = parser.parse_args()
    size = SIZES[given.size]
    size = size._replace(steps=given.steps or size.steps, batch=given.batch or size.batch)
    with tempfile.TemporaryDirectory() as scratch:
        folder, language_model = Path(scratch), "undertone-tiny-lm"
        write_rows(folder / "clips.jsonl", list(spoken(size, folder)))
        if given.size != "embedded":
            write_language_model(folder / "lm")
            language_model = str(folder / "lm")
        schedule = Schedule(size.steps, size.batch, 1, size.learning_rate, 0.1, 0.01, 1.0, size.steps)
        for peer in given.peers:
            sides = [partial(one, folder, language_model, schedule) for one in (cached, PEERS[peer])]
            found = in_turn(*sides, given.pairs, given.threads)
            keep(rows("road-b", peer, given.size, found, details(size, given.size, found)), given.results)


if __name__ == "__main__":
    main()
