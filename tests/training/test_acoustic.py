"""Masked acoustic prediction by hand: what is hidden, what is to be predicted, and that parts of a batch add up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_folders import ENCODERS

from undertone.models.encoders import Conformer, SpeechEncoder, open_encoder
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Utterance
from undertone.speech.prosody import COURSE, course
from undertone.training.acoustic import MEL, Acoustic, AcousticEncoder, Weights, by_state, spans, without
from undertone.training.objectives import Sizes
from undertone.training.tasks import Exercise, suits


def utterance(name: str, seconds: float, split: str = "dev") -> Utterance:
    return Utterance(id=name, text="", file_name="", seconds=seconds, attributes={}, speaker=name, source="test", split=split)  # type: ignore[arg-type]


def waves(*seconds: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"{i}": (0.1 * rng.standard_normal(int(16_000 * many))).astype(np.float32) for i, many in enumerate(seconds)}


def heard(model: FrozenLLM, sounds: dict[str, np.ndarray]) -> tuple[AcousticEncoder, list[Exercise], Callable[[Utterance], torch.Tensor]]:
    def courses(row: Utterance) -> torch.Tensor:
        return torch.from_numpy(course(sounds[row.id], 16_000))

    rows = [Exercise(utterance(name, len(wave) / 16_000), "listening") for name, wave in sounds.items()]
    return AcousticEncoder(model, lambda row: torch.from_numpy(model.frames(sounds[row.id])), courses), rows, courses


def test_spans_hide_about_half_and_always_something() -> None:
    rng = np.random.default_rng(0)
    shares = [spans(200, 10, rng).float().mean().item() for _ in range(50)]
    assert 0.3 < float(np.mean(shares)) < 0.45  # 1 - exp(-0.5) where ten stretches overlap as they fall
    assert spans(3, 10, rng).all()


def test_what_is_hidden_is_the_clips_mean_and_nothing_else_changes() -> None:
    frames = torch.arange(10.0)[:, None].repeat(1, 2)
    changed = without(frames, torch.tensor([False, True, False]), 4)
    assert changed[4:8].eq(4.5).all()
    assert torch.equal(changed[:4], frames[:4])
    assert torch.equal(changed[8:], frames[8:])


def test_a_state_has_the_mean_of_what_is_known() -> None:
    nan = torch.nan
    made = by_state(torch.tensor([[1.0, nan], [3.0, nan], [5.0, 2.0], [nan, nan], [8.0, 1.0]]), 3, 2)
    torch.testing.assert_close(made, torch.tensor([[2.0, nan], [5.0, 2.0], [8.0, 1.0]]), equal_nan=True)


@pytest.mark.parametrize("name", ["conformer", *ENCODERS])
def test_every_encoders_hidden_frames_lie_where_its_hidden_states_are(name: str, tmp_path: Path) -> None:
    """A sound that lasts from state 10 to state 15 is gone when they are hidden, whatever a frame of the encoder is."""
    encoder: SpeechEncoder = Conformer(width=32, layers=2)
    if name != "conformer":
        ENCODERS[name](tmp_path / name)
        encoder = open_encoder(str(tmp_path / name))
    each = encoder.sample_rate * encoder.milliseconds // 1000
    wave = np.zeros(30 * each, np.float32)
    wave[10 * each : 15 * each] = np.random.default_rng(0).standard_normal(5 * each)
    frames = torch.from_numpy(encoder.frames(wave))
    silent = torch.from_numpy(encoder.frames(np.zeros_like(wave)))
    hidden = torch.zeros(encoder.count(len(frames)), dtype=torch.bool)
    hidden[9:16] = True  # a window reaches a little beyond its frame
    left = without(frames, hidden, encoder.stride)
    inside = slice(9 * encoder.stride, 16 * encoder.stride)
    assert not torch.equal(frames[inside], silent[inside])
    assert left[inside].std(0).max() < 1e-5
    assert torch.equal(left[: inside.start], frames[: inside.start])
    assert torch.equal(left[inside.stop :], frames[inside.stop :])


def test_parts_of_a_batch_add_up_and_padding_counts_for_nothing() -> None:
    model = FrozenLLM.tiny()
    encode, rows, courses = heard(model, waves(1.0, 0.4, 0.73, 0.9))
    objective = Acoustic(model, Weights(1.0, 0.7), [courses(one.row) for one in rows]).eval()
    assert sorted(len(one.lengths) for one in encode(rows)[0]) == [1, 1, 2]
    whole = objective(*encode(rows), encode.sizes(rows))
    alone = [objective(*encode([one]), encode.sizes(rows)) for one in rows]
    for name in objective.parts:
        torch.testing.assert_close(getattr(whole, name), sum(getattr(one, name) for one in alone), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.loss, whole.masked + 0.7 * whole.contours)


def test_the_loss_by_hand() -> None:
    model = FrozenLLM.tiny()
    encode, rows, courses = heard(model, waves(0.5))
    ((listening,),) = encode(rows)
    objective = Acoustic(model, Weights(), [courses(rows[0].row)]).eval()
    made = objective.heads(model.front.encoder(listening.frames, listening.lengths))[0]
    wanted = ((listening.course - objective.mean) / objective.spread)[0]
    off = torch.nn.functional.smooth_l1_loss(made, wanted, reduction="none")
    found = objective([listening], Sizes(0, 1))
    torch.testing.assert_close(found.masked, off[listening.hidden[0], :MEL].mean())
    torch.testing.assert_close(found.contours, off[:, MEL:][wanted[:, MEL:].isfinite()].mean())


def test_only_the_encoder_learns_and_a_few_steps_lower_the_loss() -> None:
    model = FrozenLLM.tiny()
    encode, rows, courses = heard(model, waves(1.0, 0.8))
    objective = Acoustic(model, Weights(), [courses(one.row) for one in rows])
    assert not any(value.requires_grad for value in (*model.front.projector.parameters(), *model.module.parameters()))
    (groups,) = encode(rows)
    optimizer = torch.optim.AdamW([value for value in objective.parameters() if value.requires_grad], 1e-3)
    losses = []
    for _ in range(30):
        loss = objective(groups, Sizes(0, 2)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_training_clips_are_hidden_anew_and_others_never() -> None:
    model = FrozenLLM.tiny()
    encode, rows, _ = heard(model, waves(2.0))
    torch.manual_seed(0)

    def hidden(some: list[Exercise]) -> torch.Tensor:
        return encode(some)[0][0].hidden

    assert torch.equal(hidden(rows), hidden(rows))
    train = [one._replace(row=one.row.model_copy(update={"split": "train"})) for one in rows]
    first, second = hidden(train), hidden(train)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(hidden(train), first)


def test_a_clip_of_which_nothing_is_known_suits() -> None:
    assert suits(utterance("a", 1.0), "listening")


def test_a_silent_corpus_has_a_scale() -> None:
    silence = torch.from_numpy(course(np.zeros(8000, np.float32), 16_000))
    assert silence[:, COURSE.index("f0")].isnan().all()
    objective = Acoustic(FrozenLLM.tiny(), Weights(), [silence])
    assert objective.mean.isfinite().all()
    assert objective.spread.isfinite().all()
