"""Moving tokens between the row and the places of their clips, and back."""

import torch

from undertone.models.packing import ROW, Packing, _Moved


def packing(*lengths: int) -> Packing:
    return Packing.of(torch.stack([torch.arange(max(lengths)) < length for length in lengths]))


def test_every_token_comes_back_to_its_place() -> None:
    made = packing(3, 20, 7)
    assert len(made.back) == ROW
    assert made.filling.equal(torch.arange(30, ROW))
    tokens, places = torch.arange(30), torch.ones(made.spread.numel(), dtype=torch.bool)
    assert made.spread.flatten()[made.back[:30]].equal(tokens)
    places[made.empty] = False
    assert made.spread.flatten()[places].equal(tokens)


def test_the_gradient_of_a_move_is_that_of_index_select() -> None:
    """To the places and back, where what does not count has no gradient, as behind a causal mask and without a label."""
    made, dice = packing(3, 20, 7), torch.Generator().manual_seed(0)
    places = made.spread.flatten()
    rows, weights = (torch.randn(ROW, 5, generator=dice) for _ in range(2))
    weights[made.filling] = 0

    def gradient(moved: bool) -> torch.Tensor:
        given = rows.clone().requires_grad_()
        there = _Moved.apply(given, places, made.back, made.filling) if moved else given.index_select(0, places)
        there = torch.tanh(there)
        back = _Moved.apply(there, made.back, places, made.empty) if moved else there.index_select(0, made.back)
        (found,) = torch.autograd.grad((back * weights).sum(), given)
        return found

    assert gradient(moved=True).equal(gradient(moved=False))
    assert gradient(moved=True)[:30].abs().min() > 0
