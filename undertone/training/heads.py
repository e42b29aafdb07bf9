"""ADCH, the auxiliary dual-level classification head (METHOD A.3).

Mean audio hidden state → a category head (which attribute matters here?) and one attribute head per category (which value does the
voice have?). Each sample goes through the attribute head of its true category; heads have their own widths, so nothing is stacked.
The heads only shape training and are not saved with the adapter.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from undertone.attributes import ATTRIBUTES, Attribute
from undertone.models.packing import Packing
from undertone.records import CONTENT, Utterance


class Targets(NamedTuple):
    """Class numbers of a batch, (clip,): category and value; −1 for attribute-free queries, which the heads leave out."""

    category: Tensor
    value: Tensor


class AdchSums(NamedTuple):
    """Summed losses over the samples that have a category, and how many predictions were right at each level."""

    category: Tensor
    attribute: Tensor
    category_right: Tensor
    attribute_right: Tensor


def targets(rows: Sequence[Utterance], attributes: Mapping[str, Attribute] = ATTRIBUTES) -> Targets:
    """The true classes of `rows`."""
    names = list(attributes)
    category = [-1 if row.category == CONTENT else names.index(row.category) for row in rows]
    value = [-1 if row.category == CONTENT else attributes[row.category].names.index(row.value) for row in rows]
    return Targets(torch.tensor(category), torch.tensor(value))


class Adch(nn.Module):
    """Category head and attribute heads on pooled states (clip, width)."""

    def __init__(self, width: int, attributes: Mapping[str, Attribute] = ATTRIBUTES) -> None:
        super().__init__()
        self.category = nn.Linear(width, len(attributes))
        self.values = nn.ModuleList(nn.Linear(width, len(row.names)) for row in attributes.values())

    def forward(self, pooled: Tensor, truth: Targets) -> AdchSums:
        """Loss sums; every head runs on every clip and is masked, so that no parameter ever goes unused."""
        pooled = pooled.to(self.category.weight.dtype)
        of_category = self.category(pooled)
        attribute, right = pooled.new_zeros(()), pooled.new_zeros(())
        for number, head in enumerate(self.values):
            logits, chosen = head(pooled), truth.category == number
            losses = nn.functional.cross_entropy(logits, truth.value.where(chosen, 0), reduction="none")
            attribute = attribute + (losses * chosen).sum()
            right = right + ((logits.argmax(-1) == truth.value) & chosen).sum()
        return AdchSums(
            nn.functional.cross_entropy(of_category, truth.category, ignore_index=-1, reduction="sum"),
            attribute,
            (of_category.argmax(-1) == truth.category).sum(),
            right,
        )


def mean_over(states: Tensor, where: Tensor, packing: Packing | None = None) -> Tensor:
    """(clip, width) float32 mean of `states` (clip, token, width) over the positions in `where` (clip, token); of each clip in a row that
    holds several by its `packing`."""
    if packing is not None:
        clip, kept = packing.clip[where[0]], states[0][where[0]].float()
        counts = torch.bincount(clip, minlength=len(packing.spread)).clamp(min=1)
        return kept.new_zeros(len(counts), kept.shape[1]).index_add(0, clip, kept) / counts[:, None]
    weights = where.float()[..., None]  # counts above 256 are not exact in bfloat16
    return (states.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
