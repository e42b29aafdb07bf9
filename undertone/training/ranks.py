"""The processes that torchrun started, as Accelerate sees them; a process started alone is the main one of one."""

from datetime import timedelta
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from accelerate import PartialState


def ranks(device: torch.device) -> "PartialState":
    """All processes that work together, on gloo where the model lies on the CPU."""
    from accelerate import PartialState

    # The others wait while the main process listens to a whole corpus, at 7 B longer than the ten minutes that NCCL waits by default.
    return PartialState(cpu=device.type == "cpu", timeout=timedelta(hours=12))
