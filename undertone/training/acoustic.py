"""Pre-training of a speech encoder on clips of which nobody knows words or speaker: masked acoustic prediction [O].

Spans of a clip are hidden, and from the states the log-mel spectrum there is predicted (as DeCoAR 2.0 and TERA do: Ling & Liu 2020, Liu
et al. 2021), and everywhere the contours of pitch, voicing, energy and formants. The heads are thrown away afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undertone.models.encoders import SpeechEncoder, is_sinusoid
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Utterance
from undertone.speech.prosody import COURSE, FRAMES
from undertone.training.batches import alike
from undertone.training.frames import dice
from undertone.training.objectives import Objective, Sizes
from undertone.training.tasks import Exercise

SPAN, SHARE = 0.4, 0.5
"""Seconds that are hidden at a stretch: longer than a sound, so that its neighbours do not give it away; and how much of a clip stretches
cover, overlaps counted twice."""

MEL = sum(name.startswith("mel_") for name in COURSE)
"""Columns of a course that are its spectrum, the first ones; the others are contours."""


def spans(states: int, length: int, rng: np.random.Generator) -> Tensor:
    """Bool (state,): stretches of `length` states, drawn so that they would cover `SHARE` of all if none overlapped; at least one."""
    hidden = torch.zeros(states, dtype=torch.bool)
    for start in rng.integers(max(1, states - length + 1), size=max(1, round(SHARE * states / length))):
        hidden[start : start + length] = True
    return hidden


def without(frames: Tensor, hidden: Tensor, stride: int) -> Tensor:
    """`frames` (frame, bins) with the clip's mean where a state of `stride` frames is `hidden` (state,)."""
    where = hidden.repeat_interleave(stride)[: len(frames)]
    where = F.pad(where, (0, len(frames) - len(where)))
    return torch.where(where[:, None], frames.mean(0), frames)


def by_state(course: Tensor, states: int, each: int) -> Tensor:
    """(state, column) means over `each` frames of `course` (frame, column) a state, of what is known; NaN where nothing is."""
    padded = F.pad(course.float(), (0, 0, 0, max(0, states * each - len(course))), value=torch.nan)
    return padded[: states * each].reshape(states, each, -1).nanmean(1)


class Weights(NamedTuple):
    """How much each objective counts; 0 leaves it out."""

    masked: float = 1.0
    contours: float = 1.0


class Parts(NamedTuple):
    """The loss and its unweighted parts, per clip."""

    loss: Tensor
    masked: Tensor
    contours: Tensor


class Listening(NamedTuple):
    """Clips of like length: `frames` (clip, frame, bins), padded, partly hidden; `lengths` (clip,) of them; `course` (clip, state, column),
    NaN where nothing is known; `hidden` (clip, state)."""

    frames: Tensor
    lengths: Tensor
    course: Tensor
    hidden: Tensor


class Acoustic(Objective):
    """The encoder, and the heads that predict each column of a course on the scale of `courses`, those of some of the clips."""

    parts = Parts._fields

    def __init__(self, model: FrozenLLM, weights: Weights, courses: Sequence[Tensor]) -> None:
        super().__init__()
        self.encoder, self.weights = model.front.encoder, weights
        model.front.requires_grad_(False)
        for name, value in self.encoder.named_parameters():
            value.requires_grad_(not is_sinusoid(name))
        self.heads = nn.Linear(self.encoder.width, len(COURSE))
        every = torch.cat([one.float() for one in courses])
        mean = every.nanmean(0)
        self.register_buffer("mean", mean.nan_to_num(0.0))
        self.register_buffer("spread", (every - mean).square().nanmean(0).sqrt().nan_to_num(1.0).clamp(min=1e-4))
        self._model = [model]  # in a list, so that its modules are not registered twice

    @property
    def learner(self) -> nn.Module:
        return self.encoder

    def report(self, sums: Mapping[str, float], sizes: Sizes) -> dict[str, float]:
        """What is trained on, weighted, then each part."""
        values = {name: sums[name] / max(1, sizes.clips) for name in Weights._fields}
        return {"loss": sum(weight * values[name] for name, weight in self.weights._asdict().items()), **values}

    def forward(self, groups: Sequence[Listening], sizes: Sizes) -> Parts:
        """The parts of a part of a batch, each divided by the whole batch's clips."""
        masked, contours = (sum(column) / max(1, sizes.clips) for column in zip(*map(self._losses, groups), strict=True))
        return Parts(self.weights.masked * masked + self.weights.contours * contours, masked, contours)

    def _losses(self, listening: Listening) -> tuple[Tensor, Tensor]:
        """Both objectives, summed over the clips of a group."""
        with self._model[0].hearing():
            states = self.encoder(listening.frames, listening.lengths)
        wanted = (listening.course - self.mean) / self.spread  # type: ignore[operator]
        off = F.smooth_l1_loss(self.heads(states.float()), wanted.nan_to_num(0.0), reduction="none")
        known = wanted.isfinite()
        masked = _mean(off[..., :MEL], known[..., :MEL] & listening.hidden[..., None]).sum()
        return masked, _mean(off[..., MEL:], known[..., MEL:]).sum()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """(clip,) means of `values` (clip, …) at the places `where`; 0 of none."""
    return (values * where).flatten(1).sum(1) / where.flatten(1).sum(1).clamp(min=1)


class AcousticEncoder(NamedTuple):
    """Exercises → what is listened to. `frames` gives a clip's front-end frames, `courses` its course."""

    model: FrozenLLM
    frames: Callable[[Utterance], Tensor]
    courses: Callable[[Utterance], Tensor]
    packed: bool = False

    def __call__(self, rows: Sequence[Exercise]) -> tuple[list[Listening]]:
        """The clips with spans hidden: of training clips drawn anew each time, of others always the same."""
        made = [self._hidden(one.row) for one in rows]
        groups = [[made[i] for i in places] for places in alike([len(frames) for frames, _, _ in made])]
        return ([self._group(clips) for clips in groups],)

    def _hidden(self, row: Utterance) -> tuple[Tensor, Tensor, Tensor]:
        """A clip's frames with spans hidden, its course by state, and which states are hidden."""
        encoder, frames = self._encoder, self.frames(row)
        states = encoder.count(len(frames))
        rng = dice() if row.split == "train" else np.random.default_rng(crc32(row.id.encode()))
        hidden = spans(states, round(1000 * SPAN / encoder.milliseconds), rng)
        course = by_state(self.courses(row), states, encoder.milliseconds * FRAMES // 1000)
        return without(frames, hidden, encoder.stride), course, hidden

    def _group(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Listening:
        lengths = torch.tensor([len(frames) for frames, _, _ in clips])
        columns = zip(zip(*clips, strict=True), (0.0, torch.nan, False), strict=True)
        frames, course, hidden = (nn.utils.rnn.pad_sequence(list(of), batch_first=True, padding_value=pad) for of, pad in columns)
        place = next(self._encoder.parameters()).device
        return Listening(*(one.to(place) for one in (frames, lengths, course, hidden)))

    def lengths(self, rows: Sequence[Exercise]) -> list[int]:
        """States of each clip."""
        return [round(1000 * one.row.seconds / self._encoder.milliseconds) for one in rows]

    def sizes(self, rows: Sequence[Exercise]) -> Sizes:
        """Clips."""
        return Sizes(0, len(rows))

    @property
    def _encoder(self) -> SpeechEncoder:
        return self.model.front.encoder
