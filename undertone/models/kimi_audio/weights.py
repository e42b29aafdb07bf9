"""Published safetensors, compared with what a model wants before any of them is read; pickled weights are never opened."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from undertone.models.checkpoints import refuse_pickle

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
ROTARY = r"model\.(mimo_)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
"""Frequencies of the rotary embedding: they follow from the configuration."""

SPEECH_BRANCH = r"model\.mimo_.*|mimo_output\..*"
WHISPER_DECODER = r"model\.decoder\..*|proj_out\..*"
CODEBOOK_TRAINING = r"ema_count|ema_weight"


class Part(NamedTuple):
    """Where a module's weights lie: a local folder or a hub name, a folder within it, what names begin with there, and a pattern of the
    names that may lie beside them and are not read."""

    checkpoint: str | Path
    subfolder: str = ""
    prefix: str = ""
    beside: str = ""

    def __str__(self) -> str:
        return f"{self.checkpoint}/{self.subfolder}".rstrip("/")


class Found(NamedTuple):
    """A published tensor: the file that holds it, and its shape."""

    file: str
    shape: tuple[int, ...]


def found_file(checkpoint: str | Path, name: str, subfolder: str = "") -> Path | None:
    """`name` in a local folder or a hub repository; None where it is not there. OSError where the repository cannot be reached."""
    from transformers.utils import cached_file

    path = cached_file(str(checkpoint), name, subfolder=subfolder, _raise_exceptions_for_missing_entries=False)
    return None if path is None else Path(path)


def published(part: Part) -> dict[str, Found]:
    """Every tensor of a checkpoint by its name, read from the headers of its files; OSError where it has none that are safe to open."""
    from safetensors import safe_open

    index, whole = (found_file(part.checkpoint, name, part.subfolder) for name in (INDEX, WHOLE))
    if index is not None:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [found_file(part.checkpoint, shard, part.subfolder) for shard in shards]
        if None in files:
            raise OSError(f"model {part}: no {shards[files.index(None)]}, which its index names; download the checkpoint again")
    elif whole is not None:
        files = [whole]
    else:
        refuse_pickle(str(part))
        raise OSError(f"model {part}: no {WHOLE} there; download the checkpoint again")
    tensors: dict[str, Found] = {}
    for file in files:
        with safe_open(str(file), "pt") as handle:
            tensors |= {name: Found(str(file), tuple(handle.get_slice(name).get_shape())) for name in handle.keys()}  # noqa: SIM118
    return tensors


def check(part: Part, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Found]:
    """What is `published`; ValueError where a weight is missing, of another shape, or neither wanted nor one that may lie beside."""
    there = published(part)
    missing = sorted(wanted.keys() - there.keys())
    if missing:
        raise ValueError(f"model {part}: {len(missing)} weights are missing ({_some(missing)}); download the checkpoint again")
    for name, shape in wanted.items():
        if there[name].shape != shape:
            raise ValueError(
                f"{there[name].file}: {name} has shape {there[name].shape}, config.json asks for {shape}: the two are of different models; "
                "download the checkpoint again"
            )
    extra = sorted(name for name in there.keys() - wanted.keys() if not re.fullmatch(part.beside, name))
    if extra:
        raise ValueError(
            f"{there[extra[0]].file}: {len(extra)} weights that this model has no place for ({_some(extra)}); open it as its own family"
        )
    return there


def filled(module: nn.Module, part: Part, device: str, dtype: torch.dtype) -> nn.Module:
    """`module`, made on the meta device, with its published weights on `device`; errors as of `published` and `check`."""
    from safetensors import safe_open

    wanted = shapes(module, part.prefix)
    there = check(part, wanted)
    state: dict[str, Tensor] = {}
    for file in sorted({there[name].file for name in wanted}):
        with safe_open(file, "pt", device=device) as handle:
            state |= {name.removeprefix(part.prefix): handle.get_tensor(name).to(dtype) for name in wanted if there[name].file == file}
    module.load_state_dict(state, assign=True)
    return module


def shapes(module: nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """The shape of every weight of `module` by its published name."""
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + " …" * (len(names) > 3)
