"""Reads all analyses together and says which layers carry the voice, where they hand over, and which carry the meaning.

METHOD A.2 reads the published curves by eye (0–6 voice, 7 hand-over, 7–14 meaning). The rule here is our own [O] and is written out as
evidence, so that it can be doubted:

- cause first: patching says behind which layer the audio positions no longer decide the answer. effect(l) is the shift at layer l over
  the shift at layer 0's input, over all categories in which that one is beyond noise; the hand-over is the layer behind the last one
  whose effect is at least half;
- where no category's patching is beyond noise, or none of its effect reaches a layer, correlation must do: voice(l) is the mean over
  attributes of 1 − cosine within minimal pairs, meaning(l) the mean of the intent probe and of the gap between same-content and
  different-content cosine, both scaled to 0–1 over the layers; the hand-over is the first layer from which on meaning − voice stays
  above zero;
- the semantic range ends before the logit lens has risen half-way: from there on the answer is being spelled.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from undertone.records import LayerScore

PREFIX = "language_model."

_NEEDS = {
    "attribute-conditioned": "the data has no minimal pairs (field pair)",
    "intent": "the data has fewer than two topics (field topic)",
    "same-content": "no two speakers say the same (fields intent, speaker)",
    "different-content": "all clips say the same (field intent)",
    "logit-lens": "there are no clips",
}
"""What an analysis is missing where it gave no row."""


class Selection(NamedTuple):
    """Layer ranges of the language model, first and last inclusive, and the reasons in words."""

    paralinguistic: tuple[int, int]
    hand_over: int
    semantic: tuple[int, int]
    adapt: tuple[int, int]
    evidence: tuple[str, ...]


Curve = NDArray[np.float64]


def curves(rows: Sequence[LayerScore]) -> Mapping[tuple[str, str], Curve]:
    """(analysis, attribute) → value per language-model layer."""
    values: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        if row.layer.startswith(PREFIX):
            values.setdefault((row.analysis, row.attribute), {})[int(row.layer.removeprefix(PREFIX))] = row.value
    return {key: np.array([layer[i] for i in sorted(layer)]) for key, layer in values.items()}


def select(rows: Sequence[LayerScore]) -> Selection:
    """The ranges that the rows speak for; ValueError names an analysis that is missing."""
    known = curves(rows)
    for needed in _NEEDS:
        if not any(analysis == needed for analysis, _ in known):
            raise ValueError(
                f"no layer ranges without the analysis {needed!r}: {_NEEDS[needed]}, or analyses leaves it out; layers.jsonl holds the rest"
            )
    voice = _scaled(1 - np.mean([curve for (analysis, _), curve in known.items() if analysis == "attribute-conditioned"], axis=0))
    gap = known["same-content", ""] - known["different-content", ""]
    meaning = _scaled((_scaled(known["intent", ""]) + _scaled(gap)) / 2)
    lens = known["logit-lens", ""]
    last = len(lens) - 1
    effect = _effect(rows)
    caused = np.flatnonzero(effect >= 0.5)
    hand_over = min(max(int(caused[-1]) + 1, 1), last) if len(caused) else _hand_over(meaning - voice, last)
    spelled = int(np.argmax(lens >= (lens.min() + lens.max()) / 2))
    end = max(hand_over, min(spelled - 1, last))
    return Selection(
        (0, hand_over - 1),
        hand_over,
        (hand_over, end),
        (0, end),
        _evidence(known, effect if len(caused) else np.zeros(0), voice, meaning, hand_over, end, spelled),
    )


def _effect(rows: Sequence[LayerScore]) -> Curve:
    """Patching's effect per layer over its effect at the input, categories beyond noise together; empty where there is none."""
    inputs = [row for row in rows if row.analysis == "patching" and row.layer == "projector.0" and row.low is not None]
    heard = [row for row in inputs if (row.low or 0.0) > 0 or (row.high or 0.0) < 0]
    if not heard:
        return np.zeros(0)
    known = curves(rows)
    return np.asarray(sum(known["patching", row.attribute] * np.sign(row.value) for row in heard) / sum(abs(row.value) for row in heard))


def _scaled(curve: Curve) -> Curve:
    spread = np.ptp(curve)
    return (curve - curve.min()) / spread if spread > 0 else np.zeros_like(curve)


def _hand_over(lead: Curve, last: int) -> int:
    """First layer from which on `lead` stays positive; where it never does, the layer at which it is largest."""
    behind = np.flatnonzero(lead <= 0)
    first = int(behind[-1]) + 1 if len(behind) else 0
    return min(max(first if first <= last else int(lead.argmax()), 1), last)


def _evidence(
    known: Mapping[tuple[str, str], Curve], effect: Curve, voice: Curve, meaning: Curve, hand_over: int, end: int, spelled: int
) -> tuple[str, ...]:
    pairs = np.mean([curve for (analysis, _), curve in known.items() if analysis == "attribute-conditioned"], axis=0)
    lens = known["logit-lens", ""]
    said = [
        f"Patching the audio states keeps {effect[hand_over - 1]:.0%} of its effect one layer before layer {hand_over} and "
        f"{effect[hand_over]:.0%} at it: by there the voice has been handed over."
        if len(effect)
        else "No patching effect beyond noise reaches a layer; the hand-over is read from the curves alone.",
        f"Scaled meaning and voice at layer {hand_over}: {meaning[hand_over]:.2f} and {voice[hand_over]:.2f}; one layer earlier "
        f"{meaning[hand_over - 1]:.2f} and {voice[hand_over - 1]:.2f}.",
    ]
    said += [
        f"Two voices saying the same words have cosine {pairs[0]:.2f} at layer 0 and {pairs[hand_over]:.2f} at layer {hand_over}.",
        f"The intent probe rises from {known['intent', ''][0]:.2f} at layer 0 to {known['intent', ''].max():.2f} at layer "
        f"{int(known['intent', ''].argmax())}.",
        f"The logit lens passes half of its rise at layer {spelled} ({lens[spelled]:.2f}), so the semantic range ends at layer {end}.",
    ]
    for (analysis, attribute), curve in known.items():
        if analysis == "probe":
            said.append(
                f"A linear probe reads {attribute} at every layer with {curve.min():.2f} to {curve.max():.2f}: alone it decides nothing."
            )
        if analysis == "patching":
            said.append(
                f"Patching the other voice in moves the choice between the two right {attribute} replies by {curve[0]:.2f} nats at layer 0 "
                f"and by {curve[-1]:.2f} at layer {len(curve) - 1}; whole passes lie {known['patching-full', attribute][0]:.2f} apart."
            )
    return tuple(said)
