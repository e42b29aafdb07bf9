"""A training state that a kill cannot tear: one safetensors file, written beside and renamed. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from undertone.run import write_atomic


class Progress(NamedTuple):
    """Where training stands: steps done, the best dev loss and its step, seconds spent, whether the dev loss after these steps is known."""

    step: int
    best: float
    best_step: int
    seconds: float = 0.0
    checked: bool = True


def save(path: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Trainable weights, AdamW moments and the progress. Random numbers are seeded by the step, so their state is not needed."""
    from safetensors.torch import save as to_bytes

    tensors = {f"weight:{name}": value.detach().cpu().contiguous() for name, value in parameters.items()}
    for name, value in parameters.items():
        tensors |= {f"{key}:{name}": moment.detach().cpu().contiguous() for key, moment in optimizer.state.get(value, {}).items()}
    write_atomic(path, to_bytes(tensors, {"progress": json.dumps(progress._asdict())}))


def load(path: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved state back; ValueError where it belongs to other parameters."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no iterator
            progress = Progress(**json.loads(file.metadata()["progress"]))
    except SafetensorError as error:
        raise OSError(f"{path}: no whole training state ({error}); delete the file to start again") from None
    saved = {key.partition(":")[2] for key in tensors if key.startswith("weight:")}
    if saved != set(parameters):
        raise ValueError(
            f"{path}: holds {len(saved)} trained tensors, this run has {len(parameters)}; delete the file or choose another --out"
        )
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight:{name}"])
        moments: dict[str, Any] = {key.partition(":")[0]: value for key, value in tensors.items() if key.partition(":")[2] == name}
        moments.pop("weight")
        if moments:
            optimizer.state[parameter] = {key: value.to(parameter.device) if value.dim() else value for key, value in moments.items()}
    return progress
