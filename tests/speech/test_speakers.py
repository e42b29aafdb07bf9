"""What is a speaker's own, by hand: means and spreads of all it says, and frames as if everybody had one voice."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from undertone.models.encoders import Conformer
from undertone.records import Utterance
from undertone.speech.prosody import STATISTICS
from undertone.speech.speakers import scales


def test_a_speakers_clips_count_alike_however_long(utterance: Callable[..., Utterance]) -> None:
    frames = {"u0": np.full((2, 1), 1.0), "u1": np.full((8, 1), 3.0), "u2": np.array([[5.0], [9.0]])}
    rows = [utterance(i, speaker=("a", "a", "b")[i]) for i in range(3)]
    found = scales(rows, lambda row: frames[row.id].astype(np.float32))
    assert found.keys() == {"a", "b"}
    assert (found["a"].mean.item(), found["a"].spread.item()) == (pytest.approx(2.0), pytest.approx(1.0))
    assert (found["b"].mean.item(), found["b"].spread.item()) == (pytest.approx(7.0), pytest.approx(2.0))
    whole = scales(rows, lambda row: frames[row.id].astype(np.float32), of=lambda row: "")[""]
    assert whole.mean.item() == pytest.approx((1 + 3 + 7) / 3)


def test_two_voices_that_say_the_same_in_their_own_pitch_and_range_become_one(utterance: Callable[..., Utterance]) -> None:
    encoder, count = Conformer(width=16, layers=1, bins=80, prosody=True), len(STATISTICS)
    encoder.get_buffer("mean").copy_(torch.full((80 + count,), 4.0))
    encoder.get_buffer("spread").copy_(torch.full((80 + count,), 2.0))
    moves = np.random.default_rng(0).standard_normal((30, 80 + count)).astype(np.float32)
    level = np.where(np.arange(80 + count) < 80, 1.0, 3.0).astype(np.float32)
    said = {"u0": moves, "u1": moves * level + 7.0}
    rows = [utterance(i, speaker=f"s{i}") for i in range(2)]
    own = scales(rows, lambda row: said[row.id])
    low, high = (encoder.of_speaker(said[row.id], own[row.speaker]) for row in rows)
    np.testing.assert_allclose(low, high, atol=1e-4)
    np.testing.assert_allclose(high.mean(0), 4.0, atol=1e-4)
    np.testing.assert_allclose(high[:, 80:].std(0), 2.0, rtol=1e-3)
    np.testing.assert_allclose(high[:, :80] - 4.0, moves[:, :80] - moves[:, :80].mean(0), atol=1e-4)


def test_an_encoder_without_prosody_knows_no_usual_speaker(utterance: Callable[..., Utterance]) -> None:
    own = scales([utterance(0)], lambda row: np.ones((3, 80), np.float32))
    with pytest.raises(ValueError, match="align it with --prosody"):
        Conformer(width=16, layers=1).of_speaker(np.ones((3, 80), np.float32), next(iter(own.values())))
