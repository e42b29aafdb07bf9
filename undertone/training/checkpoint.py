"""A training state that a kill cannot tear: one safetensors file, written beside and renamed. No pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Progress(NamedTuple):
    """Where training stands: steps done, the best dev loss and its step."""

    step: int
    best: float
    best_step: int


def save(path: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress, rank: int) -> None:
    """Trainable weights, AdamW moments, the random state of this process and the progress."""
    from safetensors.torch import save_file

    tensors = {f"weight:{name}": value.detach().cpu().contiguous() for name, value in parameters.items()}
    for name, value in parameters.items():
        tensors |= {f"{key}:{name}": moment.detach().cpu().contiguous() for key, moment in optimizer.state.get(value, {}).items()}
    tensors["random"] = torch.get_rng_state()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(tensors, beside, {"progress": json.dumps(progress._asdict())})
    beside.replace(path)


def load(path: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved state back; ValueError where it belongs to other parameters."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no iterator
        progress = Progress(**json.loads(file.metadata()["progress"]))
    saved = {key.partition(":")[2] for key in tensors if key.startswith("weight:")}
    if saved != set(parameters):
        raise ValueError(
            f"{path}: holds {len(saved)} trained tensors, this run has {len(parameters)}; delete the file or choose another --out"
        )
    torch.set_rng_state(tensors.pop("random"))
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight:{name}"])
        moments: dict[str, Any] = {key.partition(":")[0]: value for key, value in tensors.items() if key.partition(":")[2] == name}
        moments.pop("weight")
        if moments:
            optimizer.state[parameter] = {key: value.to(parameter.device) if value.dim() else value for key, value in moments.items()}
    return progress
