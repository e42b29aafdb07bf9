"""Where only the note learns, a clip goes through the encoder once, and everything is as if it went each time."""

from pathlib import Path

import pytest
import torch

from undertone.models.frozen_llm import FrozenLLM
from undertone.training.alignment import Alignment, Weights
from undertone.training.still import Still


def pupil() -> FrozenLLM:
    model = FrozenLLM.tiny(0)
    torch.manual_seed(2)
    model.front.with_note(3)
    return model


def clips(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in lengths]
    return torch.cat(parts), torch.tensor(lengths)


def test_tokens_and_the_notes_gradients_are_those_of_the_whole_front() -> None:
    model = pupil()
    model.front.requires_grad_(False)
    model.front.projector.note.requires_grad_(True)  # type: ignore[union-attr]
    still, names, lengths = Still(model), ("a", "b", "c"), (90, 41, 122)
    frames, counts = clips(*lengths)
    wanted = model.front(frames, counts)[1]
    found = still(names, frames, counts)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    slopes = []
    for tokens in (wanted, found):
        model.front.zero_grad()
        (tokens * weights).sum().backward()
        slopes.append([value.grad.clone() for value in model.front.parameters() if value.grad is not None])
    assert len(slopes[0]) == len(slopes[1]) > 0
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_clip_goes_through_the_encoder_once_and_others_join_it() -> None:
    model = pupil()
    heard: list[int] = []
    model.front.encoder.register_forward_hook(lambda _, given, __: heard.append(len(given[0])))
    still = Still(model)
    first = still(("a", "b"), *clips(90, 41))
    again = still(("b", "c", "a"), *clips(41, 122, 90))
    assert heard == [2, 1]
    count = model.token_count(90)
    torch.testing.assert_close(again[-count:], first[:count])
    with torch.no_grad():
        model.front.projector.note[-1].bias.add_(1.0)  # type: ignore[union-attr,index,operator,union-attr]
    moved = still(("a",), *clips(90))
    assert heard == [2, 1]
    assert not torch.equal(moved[:3], first[:3]), "the note has learnt"
    torch.testing.assert_close(moved[3:], first[3:count])


def test_what_there_is_no_room_for_is_made_again() -> None:
    model = pupil()
    heard: list[int] = []
    model.front.encoder.register_forward_hook(lambda _, given, __: heard.append(len(given[0])))
    still = Still(model, most=0)
    for _ in range(2):
        still(("a",), *clips(50))
    assert heard == [1, 1]


@pytest.mark.parametrize(("trains", "ctc", "still", "kept"), [
    ("note", 0.0, True, True), ("note", 0.3, True, False), ("projector", 0.0, True, False), ("note", 0.0, False, False),
])  # fmt: skip
def test_only_what_stands_still_is_kept(trains: str, ctc: float, still: bool, kept: bool, tmp_path: Path) -> None:
    objective = Alignment(pupil(), Weights(ctc=ctc, style=1.0), 1.0, [1, 2, 3], trains, still)  # type: ignore[arg-type]
    assert (objective._still is not None) is kept


def test_a_fresh_note_is_asked_as_the_rest_is() -> None:
    """Where it stands still, the projector drops nothing, though a new note was put before its words."""
    model = pupil()
    assert not any(part.training for part in model.front.modules())
    assert torch.equal(model.front(*clips(80))[1], model.front(*clips(80))[1])
