"""The controls take away what they say they take away."""

from pathlib import Path

import numpy as np
import pytest
import torch

from undertone.attributes import note
from undertone.evaluation.cascade import fit_speakers, spoken_note
from undertone.evaluation.controls import CONTROLS
from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.recipes.asking import prompting, questions, swapped
from undertone.recipes.opening import Corridor
from undertone.recipes.sounds import Sounds
from undertone.records import Utterance
from undertone.run import Journal
from undertone.settings import Evaluate
from undertone.speech.folder import Data
from undertone.training.features import FeatureStore


def rows(pairs: int) -> list[Utterance]:
    return [
        Utterance(
            id=f"{value}-{i}", text=f"t{i}", file_name="x.flac", seconds=1, speaker=f"s{i % 7}", source="t", split="train", category="age",
            attributes={"age": value, "gender": "male" if i % 3 else "female", "emotion": "sad"}, pair=f"p{i}",
        )
        for i in range(pairs)
        for value in ("child", "adult")
    ]  # fmt: skip


def test_every_second_pair_changes_voices_and_never_its_words() -> None:
    some = rows(40)
    played = swapped(some, seed=3, every=2)
    text = {row.id: row.text for row in some}
    assert set(played) == set(text)
    assert all(text[one] == text[other] for one, other in played.items())
    assert sum(one != other for one, other in played.items()) == 40, "exactly half, so that the voice tells nothing on average"
    assert swapped(some, seed=4, every=2) != played == swapped(some, seed=3, every=2)


def test_the_cascade_writes_the_note_that_the_sound_speaks_for() -> None:
    dice = torch.Generator().manual_seed(0)
    some = rows(60)

    def heard(name: str) -> torch.Tensor:
        row = next(row for row in some if row.id == name)
        centre = torch.tensor([3.0 * (row.attributes["age"] == "child"), 3.0 * (row.attributes["gender"] == "male"), 0.0, 0.0])
        return centre + torch.randn(5, 4, generator=dice)

    fitted = fit_speakers(some, heard)
    assert set(fitted) == {"age", "gender"}, "an attribute with one value cannot be learnt"
    child = spoken_note(fitted, torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
    assert child == note({"age": "child", "gender": "female"})


@pytest.fixture
def corridor(tmp_path: Path) -> Corridor:
    """A small model that has heard six pairs, every clip its own noise."""
    model, some = Qwen2_5Omni.tiny(0), rows(6)
    waves = {row.id: np.random.default_rng(i).standard_normal(4000).astype(np.float32) for i, row in enumerate(some)}
    store = FeatureStore(tmp_path, model)
    store.fill(some, lambda row: 0.1 * waves[row.id])
    data = Data(tmp_path, some, ())
    return Corridor(model, data, store, Journal(tmp_path / "rejected.jsonl"), False, True, Sounds(data, model))


def prompts(corridor: Corridor, **chosen: object) -> dict[str, Prompt]:
    some = corridor.data.utterances
    asking = prompting(Evaluate(system="be kind", **chosen), corridor, some)
    made = {row.id: asking.prompt(row) for row in some}
    assert all(prompt.system == "be kind" for prompt in made.values()), "every way of asking keeps the system prompt"
    return made


def sounds_like(prompt: Prompt, corridor: Corridor) -> str:
    """The utterance whose clip is in the prompt."""
    (found,) = (row.id for row in corridor.data.utterances if torch.equal(prompt.audio, corridor.heard[row.id]))
    return found


def test_without_control_a_clip_is_asked_by_itself_alone(corridor: Corridor) -> None:
    for name, prompt in prompts(corridor).items():
        assert (sounds_like(prompt, corridor), prompt.text, prompt.note) == (name, "", "")


def test_text_only_holds_the_words_and_no_sound(corridor: Corridor) -> None:
    made = prompts(corridor, control="text-only")
    assert {name: prompt.text for name, prompt in made.items()} == {row.id: row.text for row in corridor.data.utterances}
    assert all(prompt.audio is None and not prompt.note for prompt in made.values())


def test_the_oracle_holds_the_sound_and_the_true_note(corridor: Corridor) -> None:
    made = prompts(corridor, control="oracle-label")
    for row in corridor.data.utterances:
        assert (sounds_like(made[row.id], corridor), made[row.id].note) == (row.id, note(row.attributes))
    assert made["child-0"].note != made["adult-0"].note


def test_shuffled_audio_plays_the_same_words_and_often_the_other_voice(corridor: Corridor) -> None:
    made = {name: sounds_like(prompt, corridor) for name, prompt in prompts(corridor, control="shuffled-audio").items()}
    assert all(name.partition("-")[2] == played.partition("-")[2] for name, played in made.items()), "never other words"
    assert sum(name != played for name, played in made.items()) == 6
    assert sorted(made.values()) == sorted(made), "every rendering is played once"


def test_swapped_audio_plays_the_other_voice_of_every_pair(corridor: Corridor) -> None:
    made = {name: sounds_like(prompt, corridor) for name, prompt in prompts(corridor, control="swapped-audio").items()}
    other = {"child": "adult", "adult": "child"}
    assert made == {name: f"{other[name.partition('-')[0]]}-{name.partition('-')[2]}" for name in made}


EXCHANGED = [name for name, control in CONTROLS.items() if control.every]


@pytest.mark.parametrize("control", EXCHANGED)
def test_voices_that_cannot_change_places_are_left_out(corridor: Corridor, control: str) -> None:
    some = corridor.data.utterances
    single, content = (some[0].model_copy(update={"id": name, "pair": None}) for name in ("single", "content"))
    more = [*some, single, content.model_copy(update={"category": "content", "suite": "content"})]
    there = corridor._replace(data=corridor.data._replace(utterances=more))
    assert questions(Evaluate(control=control, split="train"), there) == list(some)
    once = Evaluate(control=control, split="train", limit=4)
    assert len(questions(once, there)) == 4, "what is left out takes no room under the limit"


@pytest.mark.parametrize("control", EXCHANGED)
def test_a_suite_without_pairs_cannot_be_exchanged(corridor: Corridor, control: str) -> None:
    single = [row.model_copy(update={"pair": None}) for row in corridor.data.utterances]
    there = corridor._replace(data=corridor.data._replace(utterances=single))
    with pytest.raises(ValueError, match=r"no two voices of pa/age say the same, .*--columns pair"):
        questions(Evaluate(control=control, split="train"), there)
    content = [row.model_copy(update={"category": "content"}) for row in single]
    with pytest.raises(ValueError, match="content alone has no two voices"):
        questions(Evaluate(control=control, split="train"), there._replace(data=there.data._replace(utterances=content)))


def test_the_cascade_is_fitted_on_the_training_split_and_its_cost_is_told(corridor: Corridor) -> None:
    asking = prompting(Evaluate(cascade=True), corridor, corridor.data.utterances)
    row = corridor.data.utterances[1]
    assert sounds_like(asking.prompt(row), corridor) == row.id
    assert asking.prompt(row).note == note({"age": "adult", "gender": "female"}), "the clips that it is fitted on are learnt by heart"
    assert asking.weights == (192 + 1) * (2 + 2)
    assert asking.seconds > 0
    assert (prompting(Evaluate(), corridor, corridor.data.utterances).weights) == 0
