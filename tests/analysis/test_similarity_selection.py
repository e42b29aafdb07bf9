"""Similarities on states whose answer is known, and the reading of curves whose ranges are known."""

import numpy as np
import pytest
import torch

from undertone.analysis.selection import select
from undertone.analysis.similarity import content_pairs, cosines
from undertone.records import LayerScore


def test_cosine_of_opposite_and_equal_states() -> None:
    states = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]])
    assert cosines(states, [(0, 1), (0, 2)])[0].tolist() == pytest.approx([-1.0, 1.0])


def test_content_pairs_never_share_a_speaker() -> None:
    intents, speakers = ["a", "a", "b", "b", "a"] * 4, [f"s{i % 6}" for i in range(20)]
    pairs = content_pairs(intents, speakers, 50, seed=0)
    assert pairs.same
    assert pairs.different
    assert all(intents[i] == intents[j] and speakers[i] != speakers[j] for i, j in pairs.same)
    assert all(intents[i] != intents[j] and speakers[i] != speakers[j] for i, j in pairs.different)


def rows(analysis: str, values: np.ndarray, attribute: str = "") -> list[LayerScore]:
    return [
        LayerScore(layer=f"language_model.{i}", analysis=analysis, attribute=attribute, value=float(v), n=9) for i, v in enumerate(values)
    ]


def published_shape(hand_over: int, spelled: int, layers: int = 28) -> list[LayerScore]:
    depth = np.arange(layers)
    falls = 1 / (1 + np.exp(1.5 * (depth - hand_over + 0.5)))
    return [
        *rows("attribute-conditioned", 1 - 0.5 * falls, "age"),
        *rows("attribute-conditioned", 1 - 0.3 * falls, "emotion"),
        *rows("intent", 0.9 - 0.5 * falls),
        *rows("same-content", 0.8 - 0.4 * falls),
        *rows("different-content", 0 * falls),
        *rows("logit-lens", 1 / (1 + np.exp(-2.0 * (depth - spelled + 0.5)))),
    ]


def test_the_published_reading_is_found_on_curves_of_its_shape() -> None:
    found = select(published_shape(hand_over=7, spelled=15))
    assert (found.paralinguistic, found.hand_over, found.semantic, found.adapt) == ((0, 6), 7, (7, 14), (0, 14))
    assert any("layer 7" in sentence for sentence in found.evidence)


def test_a_missing_analysis_is_named() -> None:
    with pytest.raises(ValueError, match="logit-lens"):
        select([row for row in published_shape(7, 15) if row.analysis != "logit-lens"])


@pytest.mark.parametrize("flat", [0.0, 1.0])
def test_flat_curves_still_give_ranges_inside_the_model(flat: float) -> None:
    names = ("attribute-conditioned", "intent", "same-content", "different-content", "logit-lens")
    found = select([row for name in names for row in rows(name, np.full(6, flat))])
    assert 0 < found.hand_over <= found.adapt[1] <= 5


def patched(layers: int, until: int, low: float) -> list[LayerScore]:
    at = ["projector.0", *(f"language_model.{i}" for i in range(layers))]
    values = [2.0, *(1.8 if i < until else 0.2 for i in range(layers))]
    return [
        LayerScore(layer=layer, analysis=name, attribute="age", value=value, low=value - 2.0 + low, high=value + 0.5, n=9)
        for name in ("patching", "patching-full")
        for layer, value in zip(at, values, strict=True)
    ]


def test_a_cause_beyond_noise_overrules_the_curves() -> None:
    found = select([*published_shape(7, 15), *patched(28, until=5, low=1.0)])
    assert (found.hand_over, found.semantic) == (5, (5, 14))
    assert "handed over" in found.evidence[0]
    assert select([*published_shape(7, 15), *patched(28, until=5, low=-0.5)]).hand_over == 7, "noise must not decide"
