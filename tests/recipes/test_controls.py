"""The controls take away what they say they take away."""

from undertone.attributes import note
from undertone.evaluation.cascade import fit_speakers, spoken_note
from undertone.recipes.asking import swapped
from undertone.records import Utterance


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
    played = swapped(some, seed=3)
    text = {row.id: row.text for row in some}
    assert set(played) == set(text)
    assert all(text[one] == text[other] for one, other in played.items())
    assert sum(one != other for one, other in played.items()) == 40, "exactly half, so that the voice tells nothing on average"
    assert swapped(some, seed=4) != played == swapped(some, seed=3)


def test_the_cascade_writes_the_note_that_the_sound_speaks_for() -> None:
    import torch

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
