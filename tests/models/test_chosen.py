"""A note that is chosen: what it says, and of what."""

import pytest
import torch

from undertone.models.chosen import Chosen

VALUES = {"age": ["adult", "child"], "emotion": ["neutral", "happy", "sad"]}


def test_each_attribute_says_the_tokens_of_the_value_that_its_probe_prefers() -> None:
    torch.manual_seed(0)
    note = Chosen(7, 5, 6, VALUES)
    for value in (note.bank.data, note.slopes, note.constants):
        value.normal_()
    profile = torch.randn(40, 7)
    wanted = profile @ note.slopes.T + note.constants
    age, emotion = wanted[:, :2].argmax(1), wanted[:, 2:].argmax(1)
    assert len(set(zip(age.tolist(), emotion.tolist(), strict=True))) > 3
    assert note.choose(profile).tolist() == torch.stack([age, emotion], 1).tolist()
    said = note(note.choose(profile))
    assert said.shape == (40, 6, 5)
    torch.testing.assert_close(said, torch.cat([note.bank[age], note.bank[2 + emotion]], dim=1))


def test_tokens_that_cannot_be_shared_alike_are_refused() -> None:
    with pytest.raises(ValueError, match=r"age, emotion cannot share 5 tokens alike; take a multiple of 2"):
        Chosen(7, 5, 5, VALUES)
