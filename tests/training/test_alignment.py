"""Behavioural alignment by hand: each objective against its formula, the teacher against the model itself, gradients where they belong."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from undertone.attributes import note
from undertone.models.base import Prompt
from undertone.models.digest import module_digest
from undertone.models.frozen_llm import FrozenLLM
from undertone.models.tiny import LANGUAGE_MODEL
from undertone.records import Utterance
from undertone.training.alignment import (
    Alignment,
    AlignmentEncoder,
    Weights,
    contrast,
    distillation,
    note_loss,
    open_heads,
    save_heads,
    vocabulary,
    word_loss,
)
from undertone.training.batches import Mixture
from undertone.training.loop import Schedule, train
from undertone.training.objectives import Sizes
from undertone.training.tasks import SEMANTIC, VERSIONS, Drill, Exercise, Wording, draw, suits
from undertone.training.teacher import Question, Teacher

WORDING = Wording("repeat the words", "how does the speaker sound")


def test_distillation_is_the_divergence_of_the_softened_distributions() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7), torch.randn(5, 7)
    top, ids = teacher.topk(7)
    for temperature in (1.0, 2.0):
        whole = F.kl_div((student / temperature).log_softmax(-1), (teacher / temperature).softmax(-1), reduction="none").sum(-1)
        torch.testing.assert_close(distillation(student, top, ids, temperature), temperature**2 * whole)
    torch.testing.assert_close(distillation(teacher, top, ids, 2.0), torch.zeros(5), atol=1e-6, rtol=0)


def test_what_the_student_gives_to_no_candidate_costs() -> None:
    top, ids = torch.tensor([[0.0, 0.0]]), torch.tensor([[0, 1]])
    even, stray = torch.tensor([[5.0, 5.0, -40.0]]), torch.tensor([[5.0, 5.0, 5.0]])
    assert distillation(even, top, ids, 1.0).item() == pytest.approx(0, abs=1e-6)
    assert distillation(stray, top, ids, 1.0).item() == pytest.approx(math.log(1.5), abs=1e-5)


def test_contrast_by_hand() -> None:
    heard, read = torch.eye(2), torch.eye(2)
    apart = contrast(heard, read, torch.eye(2, dtype=torch.bool), temperature=1.0)
    torch.testing.assert_close(apart, torch.full((2,), math.log(1 + math.exp(-1))))
    # Two clips of one text and voice: either typed prompt is right.
    both = contrast(heard, torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool), temperature=1.0)
    torch.testing.assert_close(both, torch.zeros(2))


def test_the_words_loss_is_ctc_per_token() -> None:
    torch.manual_seed(0)
    scores, lengths, targets = torch.randn(2, 9, 5), torch.tensor([9, 6]), [torch.tensor([1, 2, 2]), torch.tensor([4])]
    rows = scores.log_softmax(-1).transpose(0, 1)
    for i, target in enumerate(targets):
        one = F.ctc_loss(rows[: lengths[i], i], target, lengths[i], torch.tensor(len(target)), reduction="sum") / len(target)
        torch.testing.assert_close(word_loss(scores, lengths, targets)[i], one)


def test_a_clip_without_words_has_no_loss_of_words() -> None:
    scores = torch.randn(2, 6, 4)
    losses = word_loss(scores, torch.tensor([6, 6]), [torch.tensor([1, 2]), torch.tensor([], dtype=torch.long)])
    assert losses[0] > 0
    assert losses[1] == 0


@pytest.fixture(scope="module")
def model() -> FrozenLLM:
    return FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {"dropout": 0.0})


ASKED = [
    Question(Prompt(text="how do i clean the socket", note="(the speaker is a child)")),
    Question(Prompt(text="how do i clean the socket")),
    Question(Prompt(text="how do i clean the socket", system="repeat the words"), "how do i clean the socket"),
]


def test_the_teacher_says_what_the_model_says(model: FrozenLLM, tmp_path: Path) -> None:
    teacher = Teacher(tmp_path, model, k=4)
    teacher.fill(ASKED)
    assert [teacher.text(one) for one in ASKED] == [*model.reply([one.prompt for one in ASKED[:2]], 64), ASKED[2].forced]
    for one in ASKED:
        lesson = teacher[one]
        assert lesson.reply[-1] == model.tokenizer.eos_token_id
        assert lesson.ids[:, 0].tolist() == lesson.reply.tolist(), "the likeliest candidate is not what was said"
        assert lesson.top.shape == lesson.ids.shape == (len(lesson.reply), 4)
    assert not teacher[ASKED[0]].read.equal(teacher[ASKED[1]].read)


def test_the_teacher_is_asked_once(model: FrozenLLM, tmp_path: Path) -> None:
    Teacher(tmp_path, model, k=4).fill(ASKED)
    passes: list[int] = []
    handle = model.text_model.register_forward_hook(lambda *_: passes.append(1))
    again = Teacher(tmp_path, model, k=4)
    again.fill(ASKED)
    assert not passes
    again.fill([Question(Prompt(text="a new text"))])
    handle.remove()
    assert passes
    shard = next(again.folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(OSError, match=f"{shard.name}: no whole file of lessons"):
        Teacher(tmp_path, model, k=4)


def test_without_candidates_a_forced_reply_costs_no_pass(model: FrozenLLM, tmp_path: Path) -> None:
    teacher, short = Teacher(tmp_path, model, k=4), Teacher(tmp_path, model, k=0)
    teacher.fill(ASKED)
    short.fill(ASKED[:2])
    passes: list[int] = []
    handle = model.text_model.register_forward_hook(lambda *_: passes.append(1))
    short.fill(ASKED)
    handle.remove()
    assert not passes
    assert all(short[one].reply.equal(teacher[one].reply) for one in ASKED)
    assert all(len(short[one].read) == short[one].top.numel() == 0 for one in ASKED)
    assert all(one in Teacher(tmp_path, model, k=0) for one in ASKED), "what has no candidates is not read again"


Make = Callable[..., Utterance]


def test_what_the_teacher_reads_and_what_it_must_say(utterance: Make) -> None:
    row = utterance(1, text="where is the cat", attributes={"age": "child", "emotion": "sad"})
    told = note(row.attributes)
    questions = {task: Exercise(row, task, "emotion").question(WORDING, True) for task in VERSIONS["v3"]}
    assert questions["reply"] == Question(Prompt(text=row.text, note=told))
    assert questions["recognition"] == Question(Prompt(text=row.text, system=WORDING.recognition), row.text)
    assert questions["captioning"] == Question(Prompt(text=row.text, note=told, system=WORDING.captioning))
    assert questions["naming"] == Question(Prompt(text=row.text, note=told, system="how does the speaker feel"), "sad")
    assert Exercise(row, "reply").question(WORDING, False) == Question(Prompt(text=row.text))
    assert set(VERSIONS["v1"]) < set(VERSIONS["v2"]) < set(VERSIONS["v3"])


def test_a_written_note_stands_beside_the_audio_for_both(utterance: Make) -> None:
    """And has nothing to do with the voice, yet is always the same for a clip."""
    rows = [utterance(i, text="where is the cat", attributes={"age": "child"}) for i in range(40)]
    written = [Exercise(row, "noted").written for row in rows]
    assert written == [Exercise(row, "noted").written for row in rows]
    assert 0 < sum("child" in note for note in written) < 30
    assert Exercise(rows[0], "reply").written == ""
    assert Exercise(rows[3], "noted").question(WORDING, False) == Question(Prompt(text="where is the cat", note=written[3]))
    assert set(SEMANTIC) == {"reply", "recognition", "noted"}


def test_the_notes_tokens_should_lie_where_the_written_ones_lie(model: FrozenLLM) -> None:
    table = model.module.get_input_embeddings().weight
    ids = torch.tensor(model.reply_ids("(the speaker is a child)"))
    right, wrong = table[ids].float()[None], table[ids.flip(0)].float()[None]
    losses = note_loss(10 * torch.cat([right, wrong]), [ids, ids], table)
    assert losses[0] < 0.01 < 1 < losses[1]
    assert note_loss(right[:, :2], [ids], table).isfinite().all(), "a longer note is cut"


def test_only_the_note_learns_where_only_it_should(utterance: Make, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {"dropout": 0.0})
    before = model.token_count(120)
    model.front.with_note(5)
    assert model.token_count(120) == before + 5
    encode = encoder(model, tmp_path, rows := [utterance(0, text="where is the cat")])
    objective = Alignment(model, Weights(cross_entropy=1.0, note=0.5), 2.0, list(encode.classes), "note")
    objective(*encode([Exercise(rows[0], "reply")]), Sizes(1, 1)).loss.backward()
    reached = {name for name, value in model.front.named_parameters() if value.grad is not None}
    assert reached == {name for name, _ in model.front.named_parameters() if name.startswith("projector.note.")} != set()
    with pytest.raises(ValueError, match="no tokens for a note"):
        Alignment(FrozenLLM.tiny(), Weights(note=1.0), 2.0, [])


def test_a_clip_is_asked_what_suits_it(utterance: Make) -> None:
    silent, plain = utterance(1, text=""), utterance(2, attributes={})
    assert [task for task in VERSIONS["v3"] if suits(silent, task)] == ["captioning", "naming"]
    assert [task for task in VERSIONS["v3"] if suits(plain, task)] == ["reply", "recognition"]
    assert draw(silent, {"reply": 0.9, "naming": 0.1}, random.Random(0)) == Exercise(silent, "naming", "age")
    with pytest.raises(ValueError, match="u1: none of the tasks reply suits this clip"):
        draw(silent, {"reply": 1.0}, random.Random(0))


def test_a_step_always_draws_the_same(utterance: Make) -> None:
    rows = Mixture([utterance(i) for i in range(20)], 0.0, {}, 0)
    drill = Drill(rows, {"reply": 0.5, "recognition": 0.5}, 3)
    assert drill.batch(4, 8) == drill.batch(4, 8) != drill.batch(5, 8)
    tasks = [one.task for step in range(50) for one in drill.batch(step, 8)]
    assert 0.4 < tasks.count("reply") / len(tasks) < 0.6


EVERYTHING = Weights(1.0, 0.5, 0.5, 0.5, 0.5)


def encoder(model: FrozenLLM, folder: Path, rows: list[Utterance]) -> AlignmentEncoder:
    def frames(row: Utterance) -> torch.Tensor:
        rng = np.random.default_rng(int(row.id[1:]))
        return torch.from_numpy(rng.standard_normal((120 + 10 * int(row.id[1:]), 80)).astype(np.float32))

    teacher = Teacher(folder, model, k=8)
    made = AlignmentEncoder(model, teacher, frames, WORDING, True, vocabulary(model, [row.text for row in rows]))
    every = [Exercise(row, task, name) for row in rows for task in VERSIONS["v3"] for name in row.attributes]
    teacher.fill(one.question(WORDING, True) for one in every)
    return made


def test_only_the_front_learns_and_parts_add_up(utterance: Make, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {"dropout": 0.0})
    rows = [utterance(i, text=f"where is the {thing}") for i, thing in enumerate(("cat", "dog", "socket"))]
    encode = encoder(model, tmp_path, rows)
    objective = Alignment(model, EVERYTHING, 2.0, list(encode.classes)).eval()
    exercises = [Exercise(rows[0], "reply"), Exercise(rows[1], "naming", "age"), Exercise(rows[2], "recognition")]
    sizes = encode.sizes(exercises)
    assert sizes.clips == 3
    timed = [one._replace(row=one.row.model_copy(update={"seconds": len(encode.frames(one.row)) / 100})) for one in exercises]
    (lesson,) = encode._replace(packed=False)(exercises)
    assert encode.lengths(timed) == lesson.taught.batch.attention_mask.sum(-1).tolist(), "counted as they are encoded"
    whole = objective(*encode(exercises), sizes)
    parts = [objective(*encode([one]), sizes) for one in exercises]
    for name in ("cross_entropy", "distillation", "ctc", "style", "style_asked"):  # the contrast is with the others of a part
        torch.testing.assert_close(sum(getattr(part, name) for part in parts), getattr(whole, name), rtol=1e-3, atol=1e-4)
    expected = sum(weight * getattr(whole, name) for name, weight in EVERYTHING._asdict().items())
    torch.testing.assert_close(whole.loss, expected)
    plain = objective(*encode._replace(packed=False)(exercises), sizes)
    for ours, theirs in zip(whole, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    whole.loss.backward()
    assert all(value.grad is None for value in model.module.parameters())
    assert all(value.grad is not None for value in model.front.parameters())


def test_cross_entropy_and_style_are_those_of_their_formulas(utterance: Make, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {"dropout": 0.0})
    rows = [utterance(i, text=f"where is the {thing}", attributes={"age": "child"}) for i, thing in enumerate(("cat", "dog"))]
    encode = encoder(model, tmp_path, rows)
    objective = Alignment(model, Weights(cross_entropy=1.0, style=1.0), 2.0, list(encode.classes)).eval()
    exercises = [Exercise(row, "naming", "age") for row in rows]
    found = objective(*encode(exercises), sizes := encode.sizes(exercises))
    heard = [model.listen(model.encode([Prompt(audio=encode.frames(row).numpy())])) for row in rows]
    asked = [Prompt(audio=one, system=exercises[0].system(WORDING)) for one in heard]
    losses = model.token_losses(model.encode(asked, ["child", "child"]))
    assert len(losses) == sizes.tokens
    torch.testing.assert_close(found.cross_entropy, losses.mean(), rtol=1e-4, atol=1e-5)
    assert objective.styles is not None
    pooled = torch.stack([one.mean(0) for one in heard])
    own = F.cross_entropy(objective.styles.logits(pooled, "age"), torch.tensor([1, 1]), reduction="mean")
    torch.testing.assert_close(found.style, own, rtol=1e-4, atol=1e-5)
    assert found.style_asked == 2, "what nobody knows of a voice is not asked"


def test_training_leaves_the_language_model_bit_for_bit(utterance: Make, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {"dropout": 0.0})
    before, ears = module_digest(model.module), module_digest(model.front)
    rows = [utterance(i, text=f"where is the {thing}") for i, thing in enumerate(("cat", "dog"))]
    encode = encoder(model, tmp_path / "teacher", rows)
    objective = Alignment(model, EVERYTHING, 2.0, list(encode.classes))
    drill, dev = Drill(Mixture(rows, 0.0, {}, 0), {"reply": 1.0}, 0), [Exercise(rows[0], "reply")]
    logged: list[dict[str, Any]] = []
    plan = Schedule(12, 4, 1, 1e-3, 0.1, 0.01, 1.0, 6)
    train(objective, drill, dev, encode, plan, tmp_path, lambda values, step: logged.append(dict(values)))  # type: ignore[arg-type]
    assert module_digest(model.module) == before
    assert module_digest(model.front) != ears
    losses = [row["train/loss"] for row in logged if "train/loss" in row]
    assert losses[-1] < losses[0] - 1
    save_heads(objective.styles, tmp_path / "saved")  # type: ignore[arg-type]
    pooled = torch.randn(3, 192)
    objective.eval()
    assert open_heads(model, tmp_path / "saved").logits(pooled, "emotion").equal(objective.styles.logits(pooled, "emotion"))  # type: ignore[union-attr]


def test_objectives_without_weight_cost_nothing(utterance: Make, tmp_path: Path) -> None:
    model = FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {})
    rows = [utterance(0, text="where is the cat")]
    encode = encoder(model, tmp_path, rows)
    passes: list[int] = []
    handle = model.text_model.register_forward_hook(lambda *_: passes.append(1))
    only = Alignment(model, Weights(0.0, 0.0, 0.0, 1.0, 1.0), 2.0, list(encode.classes))
    found = only(*encode([Exercise(rows[0], "reply")]), Sizes(1, 1))
    handle.remove()
    assert not passes, "the language model was run for nothing"
    assert found.loss.item() == pytest.approx(found.ctc.item() + found.style.item(), rel=1e-5)
    assert Alignment(model, Weights(1.0, 0.0, 0.0, 0.0, 0.0), 2.0, []).styles is None
