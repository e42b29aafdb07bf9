"""How far a reply to speech is from the reply to the words and the true note, on sounds whose answer is known."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from undertone.attributes import note
from undertone.models.base import Prompt
from undertone.models.frozen_llm import FrozenLLM
from undertone.models.tiny import LANGUAGE_MODEL
from undertone.recipes.consistency import CANDIDATES, LONGEST, Apart, apart
from undertone.records import Utterance
from undertone.training.teacher import Question, Teacher

TOLD, OTHER = {"age": "child", "gender": "female", "emotion": "sad"}, {"age": "adult", "gender": "female", "emotion": "happy"}


@pytest.fixture(scope="module")
def model() -> FrozenLLM:
    return FrozenLLM.fresh(LANGUAGE_MODEL, "conformer", {})


def heard_as(model: FrozenLLM, row: Utterance, said: dict[str, str], folder: Path) -> Apart:
    """The clip sounds exactly like its words behind a note of `said`: its tokens are theirs."""
    table = model.module.get_input_embeddings().weight.detach()  # type: ignore[operator]
    ids = model.tokenizer.encode(f"{note(said)} {row.text}", add_special_tokens=False)
    corridor: Any = SimpleNamespace(model=model, heard={row.id: table[ids]})
    own, other = (Question(Prompt(text=row.text, note=note(one))) for one in (TOLD, OTHER))
    teacher = Teacher(folder, model, CANDIDATES, LONGEST)
    teacher.fill([own, other])
    (found,) = apart(corridor, teacher, [row], [own], [other])
    return found


def test_a_sound_that_says_its_words_and_its_note_is_answered_as_they_are(
    model: FrozenLLM, utterance: Callable[..., Utterance], tmp_path: Path
) -> None:
    row = utterance(0, text="how do i fix the socket", attributes=TOLD)
    right, wrong = (heard_as(model, row, said, tmp_path) for said in (TOLD, OTHER))
    assert right.reply == right.taught
    # The teacher's distribution is kept for its best candidates, in half precision.
    assert right.kl == pytest.approx(0, abs=2e-3)
    assert right.matched > 0.01
    assert wrong.kl > 0.1
    assert wrong.matched == pytest.approx(-right.matched, rel=0.2)
    assert wrong.taught == right.taught != wrong.reply


def test_questions_of_two_speakers_with_one_text_and_note_are_one(utterance: Callable[..., Utterance]) -> None:
    from undertone.training.tasks import Exercise, Wording

    rows = [utterance(i, text="hello", attributes={"age": "child"}, speaker=f"s{i}") for i in range(2)]
    first, second = (Exercise(row, "reply").question(Wording("", ""), True) for row in rows)
    assert first == second
