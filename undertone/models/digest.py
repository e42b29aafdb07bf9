"""SHA-256 of weights: proof that a model is the one that was meant, and that training did not touch it."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Of names, dtypes, shapes and bytes, in name order."""
    found = sha256()
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def module_digest(module: nn.Module) -> str:
    """Of the weights in memory; changes with the dtype they were loaded in."""
    return digest(module.state_dict().items())


def files_digest(checkpoint: str | Path) -> str:
    """Of the safetensors of a folder or hub name, however they are cut into files; OSError where there are none."""
    from huggingface_hub import snapshot_download
    from safetensors import safe_open

    folder = Path(checkpoint) if Path(checkpoint).is_dir() else Path(snapshot_download(str(checkpoint), allow_patterns=["*.safetensors"]))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise OSError(f"model {checkpoint}: no safetensors there; only such weights are opened")
    found = sha256()
    homes = {name: path for path in files for name in _names(path)}
    for name in sorted(homes):
        with safe_open(homes[name], "pt") as file:
            found.update(digest([(name, file.get_tensor(name))]).encode())
    return found.hexdigest()


def _names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return list(file.keys())
