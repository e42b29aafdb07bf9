"""A note that is chosen: fitted probes say which value of an attribute a voice has, and each value has tokens of its own [O].

A probe has one optimum, which a few hundred recordings decide. What is learnt by descent is how to say a value to the language model; that
needs no recording of the value, and beside the words of any voice it is said alike. Tokens that are mixed as the probes find their values
likely (style tokens, Wang et al. 2018) were named right less often (docs/log.md).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Chosen(nn.Module):
    """Values (clip, attribute), each by its place among those of its attribute → tokens (clip, token, llm_width); `choose` finds them in a
    clip's profile (clip, width).

    `values`: attribute → the values it may have. Attributes stand one behind the other, each with the same number of the `tokens`.
    ValueError where these do not suffice.
    """

    slopes: Tensor
    constants: Tensor

    def __init__(self, width: int, llm_width: int, tokens: int, values: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.values = {name: tuple(of) for name, of in values.items()}
        places, count = tokens // len(values), sum(map(len, values.values()))
        if places * len(values) != tokens or not places:
            raise ValueError(f"note_tokens: {', '.join(values)} cannot share {tokens} tokens alike; take a multiple of {len(values)}")
        self.bank = nn.Parameter(torch.zeros(count, places, llm_width))
        self.register_buffer("slopes", torch.zeros(count, width))
        self.register_buffer("constants", torch.zeros(count))

    def block(self, name: str) -> slice:
        """Where the values of the attribute `name` stand."""
        before = sum(len(self.values[one]) for one in list(self.values)[: list(self.values).index(name)])
        return slice(before, before + len(self.values[name]))

    def scores(self, profile: Tensor, name: str) -> Tensor:
        """(clip, value) what the probe of the attribute `name` gives to each of its values."""
        block = self.block(name)
        return F.linear(profile.float(), self.slopes[block], self.constants[block])

    def choose(self, profile: Tensor) -> Tensor:
        """(clip, attribute) the value that each probe finds likeliest."""
        return torch.stack([self.scores(profile, name).argmax(-1) for name in self.values], dim=-1)

    def forward(self, chosen: Tensor) -> Tensor:
        starts = torch.tensor([self.block(name).start for name in self.values], device=chosen.device)
        return self.bank[chosen + starts].flatten(1, 2)
