"""loss = SFT + λ · (CE_category + CE_attribute), METHOD A.3, as one module that Accelerate can wrap."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, SpeechLM
from undertone.training.heads import Adch, Targets, mean_over


class Sizes(NamedTuple):
    """What sums are divided by: labelled tokens and clips with a category in the whole batch, over all parts and processes."""

    tokens: int
    clips: int


class Losses(NamedTuple):
    """The loss that is minimised and its parts, each divided by the batch's sizes; and right predictions of the heads."""

    total: Tensor
    sft: Tensor
    category: Tensor
    attribute: Tensor
    category_right: Tensor
    attribute_right: Tensor


class PeFt(nn.Module):
    """The adapted model and, where λ > 0, the head at the output of `layer`."""

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

    def forward(self, batch: Batch, truth: Targets, sizes: Sizes) -> Losses:
        """Losses of a part of a batch; over all parts and processes they add up to the batch's."""
        model, tapped = self._model[0], []

        def tap(_: nn.Module, __: Any, output: Any) -> None:
            tapped.append(output[0] if isinstance(output, tuple) else output)

        handle = self._block[0].register_forward_hook(tap)
        try:
            sft = model.token_losses(batch).sum() / max(1, sizes.tokens)
        finally:
            handle.remove()
        if self.adch is None:
            nothing = sft.new_zeros(())
            return Losses(sft, sft, nothing, nothing, nothing, nothing)
        pooled = mean_over(tapped[0], model.audio_mask(batch))
        sums = self.adch(pooled, Targets(truth.category.to(pooled.device), truth.value.to(pooled.device)))
        category, attribute = sums.category / max(1, sizes.clips), sums.attribute / max(1, sizes.clips)
        return Losses(sft + self.weight * (category + attribute), sft, category, attribute, sums.category_right, sums.attribute_right)
