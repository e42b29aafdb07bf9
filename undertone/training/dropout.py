"""Dropout whose dice are cheap on a CPU. PyTorch draws a double for every number, a sixth of a PE-FT step's time; 16 bits do."""

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """As `nn.Dropout`, on a CPU with p rounded to a 65,536th. Torch's generator draws, so a seed fixes it; PyTorch's own draws differ."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        count = input.numel()
        dice = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:count].view(input.shape)
        kept = dice >= round(self.p * 65_536) - 32_768
        return input * kept.to(input.dtype).mul_(1 / (1 - self.p))


def use_cheap_dice(adapted: nn.Module) -> None:
    """Put `Dropout` where the LoRA layers of `adapted` have PyTorch's."""
    from peft.tuners.lora import LoraLayer

    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            for name, drop in layer.lora_dropout.items():
                if isinstance(drop, nn.Dropout):
                    layer.lora_dropout[name] = Dropout(drop.p)
