"""loss = SFT + λ · (CE_category + CE_attribute), METHOD A.3, as one module that Accelerate can wrap."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, SpeechLM
from undertone.training.heads import Adch, Targets, mean_over


class Sizes(NamedTuple):
    """What sums are divided by, in the whole batch, over all parts and processes: labelled tokens, clips with a category, and clips with
    both a right reply and the contrast's."""

    tokens: int
    clips: int
    pairs: int = 0


class Objective(nn.Module, ABC):
    """What the loop minimises: called with an encoded part of a batch and the whole batch's `Sizes`, it gives a NamedTuple of tensors, the
    loss (`loss`) first; over all parts and processes they add up to the batch's. `parts` are its names."""

    parts: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def learner(self) -> nn.Module:
        """What changes between training and asking (dropout)."""

    @abstractmethod
    def report(self, sums: Mapping[str, float], sizes: Sizes) -> dict[str, float]:
        """What is said of a split, from `sums` made under sizes of 1: first what chooses the checkpoint, the less the better."""

    def save_beside(self, folder: Path) -> None:
        """Write into the model's `folder` what was trained and is no part of the model: nothing, unless an objective says otherwise."""


class Losses(NamedTuple):
    """The loss that is minimised and its parts, each divided by the batch's sizes; right predictions of the heads; and of pairs the loss
    and how many prefer the right reply more than the model did before (`preference`). What is not trained on is 0."""

    loss: Tensor
    sft: Tensor
    category: Tensor
    attribute: Tensor
    category_right: Tensor
    attribute_right: Tensor
    preference: Tensor
    preferred: Tensor


class PeFt(Objective):
    """The adapted model and, where λ > 0, the head at the output of `layer`."""

    parts = Losses._fields

    def __init__(self, model: SpeechLM, adapted: nn.Module, layer: LayerRef, weight: float, width: int) -> None:
        super().__init__()
        self.adapted = adapted
        self.adch = Adch(width).to(model.device) if weight else None
        self.weight = weight
        self._model = [model]  # in a list, so that its module is not registered twice
        self._block = [model.blocks()[layer]]
        # DistributedDataParallel would send out billions of weights that nobody changes, and refuses a front that lies on the CPU.
        frozen = [name for name, value in self.named_parameters(remove_duplicate=False) if not value.requires_grad]
        self._ddp_params_and_buffers_to_ignore = frozen + [name for name, _ in self.named_buffers(remove_duplicate=False)]

    @property
    def learner(self) -> nn.Module:
        return self.adapted

    def report(self, sums: Mapping[str, float], sizes: Sizes) -> dict[str, float]:
        """The loss per labelled token (`sft`) and, with an ADCH, its accuracy on the clips that have a category."""
        result = {"sft": sums["sft"] / max(1, sizes.tokens)}
        if self.adch is not None and sizes.clips:
            result["category_accuracy"] = sums["category_right"] / sizes.clips
            result["attribute_accuracy"] = sums["attribute_right"] / sizes.clips
        return result

    @property
    def model(self) -> SpeechLM:
        """What the adapted module is part of."""
        return self._model[0]

    def forward(self, batch: Batch, truth: Targets, sizes: Sizes) -> Losses:
        """Losses of a part of a batch; over all parts and processes they add up to the batch's."""
        with self.tapped() as states:
            summed = self.model.summed_loss(batch)
        return self.added_up(summed, states, batch, truth, sizes)

    @contextmanager
    def tapped(self) -> Iterator[list[Tensor]]:
        """While open, a forward pass leaves the output of the head's layer in the list."""
        states: list[Tensor] = []

        def tap(_: nn.Module, __: Any, output: Any) -> None:
            states.append(output[0] if isinstance(output, tuple) else output)

        handle = self._block[0].register_forward_hook(tap)
        try:
            yield states
        finally:
            handle.remove()

    def added_up(self, summed: Tensor, states: Sequence[Tensor], batch: Batch, truth: Targets, sizes: Sizes) -> Losses:
        """SFT from its `summed` token losses, and the head's losses from what was tapped."""
        sft = summed / max(1, sizes.tokens)
        nothing = sft.new_zeros(())
        losses = Losses(sft, sft, *[nothing] * (len(Losses._fields) - 2))
        if self.adch is None:
            return losses
        pooled = mean_over(states[0], self.model.audio_mask(batch), batch.packing)
        sums = self.adch(pooled, Targets(truth.category.to(pooled.device), truth.value.to(pooled.device)))
        category, attribute = sums.category / max(1, sizes.clips), sums.attribute / max(1, sizes.clips)
        return losses._replace(
            loss=sft + self.weight * (category + attribute),
            category=category,
            attribute=attribute,
            category_right=sums.category_right,
            attribute_right=sums.attribute_right,
        )
