"""The cache with room gives what Transformers' own gives, and copies nothing while there is room."""

import torch
from transformers.cache_utils import DynamicLayer

from undertone.models.cache import ROOM, Roomy, roomy_cache
from undertone.models.tiny import config, tokenizer


def states(tokens: int, seed: int, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, tokens, 4, generator=dice), torch.randn(rows, 2, tokens, 5, generator=dice)


def test_it_holds_what_the_growing_one_holds() -> None:
    ours, theirs = Roomy(), DynamicLayer()
    for step, tokens in enumerate([7, 1, 1, 5, ROOM, 1, 2 * ROOM + 3, 1]):
        for mine, stock in zip(ours.update(*states(tokens, step)), theirs.update(*states(tokens, step)), strict=True):
            assert mine.equal(stock)
        if tokens == 5:
            ours.crop(-5)
            theirs.crop(-5)
        assert ours.get_seq_length() == theirs.get_seq_length()
    for layer in (ours, theirs):
        layer.batch_select_indices(torch.tensor([2, 0]))
    for mine, stock in zip(ours.update(*states(1, 99, 2)), theirs.update(*states(1, 99, 2)), strict=True):
        assert mine.equal(stock)


def test_a_token_is_written_in_its_place() -> None:
    layer = Roomy()
    layer.update(*states(7, 0))
    where = layer.keys.data_ptr()
    for step in range(ROOM):
        layer.update(*states(1, step))
        assert layer.keys.data_ptr() == where
    layer.update(*states(1, 0))
    assert layer.keys.data_ptr() != where


def test_layers_that_see_only_so_far_keep_their_own() -> None:
    text = config(tokenizer()).get_text_config()
    assert {type(layer) for layer in roomy_cache(text).layers} == {Roomy}
    text.layer_types, text.sliding_window = ["sliding_attention", "full_attention"] * (text.num_hidden_layers // 2), 8
    assert [type(layer) is Roomy for layer in roomy_cache(text).layers] == [False, True] * (text.num_hidden_layers // 2)
