"""The batched probes reach the optimum that scikit-learn reaches one by one."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from undertone.analysis.activations import Pooled
from undertone.analysis.curves import Bootstrap, Material, held_out, intent
from undertone.analysis.probes import fit, probe, speaker_folds
from undertone.models.base import LayerRef
from undertone.records import Utterance


def data(classes: int, layers: int = 3, clips: int = 240, width: int = 12) -> tuple[torch.Tensor, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, clips, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    centres = rng.standard_normal((layers, classes, width)) * np.array([0.0, 0.5, 1.5])[:layers, None, None]
    states = rng.standard_normal((layers, clips, width)) + centres[:, labels]
    return torch.from_numpy(states).float(), labels, [f"speaker-{i % 20}" for i in range(clips)]


@pytest.mark.parametrize("classes", [2, 6])
def test_same_predictions_as_scikit_learn(classes: int) -> None:
    states, labels, speakers = data(classes)
    folds = speaker_folds(speakers, 4, seed=0)
    ours = probe(states, labels.tolist(), folds)
    for layer, right in zip(states.numpy(), ours, strict=True):
        theirs = np.zeros(len(labels), bool)
        for fold in range(4):
            train, test = folds != fold, folds == fold
            scaler = StandardScaler().fit(layer[train])
            model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000, tol=1e-8)
            theirs[test] = model.fit(scaler.transform(layer[train]), labels[train]).predict(scaler.transform(layer[test])) == labels[test]
        assert (right == theirs).mean() >= 0.995
    assert ours[0].mean() < 0.65 < 0.9 < ours[2].mean(), "the layer without signal must not be readable, the clear one must be"


def test_coefficients_point_where_scikit_learns_do() -> None:
    states, labels, _ = data(6)
    fitted = fit(states[1], labels.tolist())
    theirs = LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000, tol=1e-8).fit(
        StandardScaler().fit_transform(states[1].numpy()), labels
    )
    ours = fitted.weights[:, :-1].numpy()
    cosine = (ours * theirs.coef_).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs.coef_, axis=1)
    assert cosine.min() > 0.999


def spoken(topics: int, texts: int) -> list[Utterance]:
    """Every topic's texts, each by six speakers."""
    return [
        Utterance(
            id=f"{topic}-{text}-{who}", text=f"words {text} of {topic}", file_name="x.flac", seconds=1, attributes={"age": "adult"},
            speaker=f"s{who}", source="t", split="train", topic=f"topic {topic}",
        )
        for topic in range(topics)
        for text in range(texts)
        for who in range(6)
    ]  # fmt: skip


def test_the_intent_probe_does_not_pass_recognised_sentences_for_understood_ones() -> None:
    """Each text has a state of its own, which tells nothing of its topic but that both stood together in training."""
    rows, dice = spoken(topics=4, texts=6), torch.Generator().manual_seed(0)
    of_text = {row.text: torch.randn(40, generator=dice) for row in rows}
    states = torch.stack([of_text[row.text] for row in rows])[None]
    pooled = Pooled((LayerRef("language_model", 0),), states, torch.zeros(1, len(rows)))
    made = Material(None, rows, None, pooled, pooled, 3, 0, 8, Bootstrap(0, 0))  # type: ignore[arg-type]  # no pass is made
    assert next(iter(intent(made))).value < 0.5
    topics = [int(row.topic[-1]) for row in rows]
    assert probe(states, topics, speaker_folds([row.speaker for row in rows], 3, 0)).mean() > 0.95, "held-out speakers do not see it"


def test_texts_are_held_out_where_every_topic_has_two() -> None:
    rows = spoken(topics=2, texts=2)
    assert held_out(rows, 4) == [row.text for row in rows]
    assert held_out(rows, 5) == [row.speaker for row in rows]
    single = spoken(topics=6, texts=1)
    assert held_out(single, 5) == [row.speaker for row in single]


def test_no_speaker_stands_in_two_folds() -> None:
    speakers = [f"s{i % 13}" for i in range(100)]
    folds = speaker_folds(speakers, 5, seed=1)
    assert all(len({f for s, f in zip(speakers, folds, strict=True) if s == name}) == 1 for name in set(speakers))
    with pytest.raises(ValueError, match="folds"):
        speaker_folds(["a", "b"], 5, seed=0)
