"""Checkpoint folders as files: which safetensors hold which tensor where, so that some can be changed and every other byte stays."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertone.records import parse_json

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The number formats that weights can be added to; what is stored in another one (8 bits, 4 bits) is refused."""

OTHER_WEIGHTS = (
    "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.json",
    "*.pth", "*.gguf", "*.onnx", "*.h5", "*.msgpack",
)  # fmt: skip
"""Files beside the weights that may hold the same weights once more: beside changed ones they would be the old model. Only of the folder
itself; what lies in folders within belongs to other models (codecs, vocoders)."""


class Place(NamedTuple):
    """Where a tensor lies: file, bytes from `start` to `end` of it, number format as safetensors calls it, shape."""

    file: Path
    start: int
    end: int
    dtype: str
    shape: tuple[int, ...]


def local(checkpoint: str | Path) -> Path:
    """The folder of a checkpoint: itself, or what the hub's cache holds of it, downloaded where it is missing."""
    from huggingface_hub import snapshot_download

    return Path(checkpoint) if Path(checkpoint).is_dir() else Path(snapshot_download(str(checkpoint)))


def places(folder: Path) -> dict[str, Place]:
    """Every tensor that Transformers loads from `folder`, by name; OSError names what is missing, torn or no safetensors."""
    if (folder / WHOLE).exists():
        return _header(folder / WHOLE)
    if not (folder / INDEX).exists():
        raise OSError(
            f"{folder}: neither {WHOLE} nor {INDEX}; only safetensors are opened (pickled weights are refused: convert them first)"
        )
    table = parse_json((folder / INDEX).read_text(encoding="utf-8"), str(folder / INDEX))["weight_map"]
    shards = {name: _header(folder / name) for name in sorted(set(table.values()))}
    if lost := [name for name, shard in table.items() if name not in shards[shard]]:
        raise OSError(f"{folder / table[lost[0]]}: holds no tensor {lost[0]}, which the index promises; copy or download it again")
    return {name: shards[shard][name] for name, shard in table.items()}


def _header(path: Path) -> dict[str, Place]:
    """The places of one file, from its header: eight bytes of length, then JSON, then the tensors' bytes."""
    try:
        with path.open("rb") as file:
            begin = 8 + int.from_bytes(file.read(8), "little")
            table: dict[str, Any] = json.loads(file.read(min(begin, 1 << 28) - 8))
    except FileNotFoundError:
        raise OSError(f"{path}: no such file, though the index names it; copy or download it again") from None
    except ValueError as error:
        raise OSError(f"{path}: no safetensors ({error}); copy or download it again") from None
    table.pop("__metadata__", None)
    found = {}
    for name, row in table.items():
        start, end = row["data_offsets"]
        found[name] = Place(path, begin + start, begin + end, row["dtype"], tuple(row["shape"]))
    if max((place.end for place in found.values()), default=begin) != path.stat().st_size:
        raise OSError(f"{path}: cut short or too long; copy or download it again")
    return found


def read(place: Place) -> Tensor:
    """The tensor at `place`; ValueError where its number format is none that can be added to."""
    if place.dtype not in DTYPES:
        raise ValueError(f"{place.file}: weights stored as {place.dtype}; name the checkpoint that is not quantised")
    with place.file.open("rb") as file:
        file.seek(place.start)
        raw = bytearray(file.read(place.end - place.start))
    return torch.frombuffer(raw, dtype=DTYPES[place.dtype]).view(place.shape)


def write(place: Place, tensor: Tensor) -> None:
    """Put `tensor` where one of the same shape and number format lies; no other byte of the file changes."""
    raw = tensor.to(DTYPES[place.dtype]).contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if len(raw) != place.end - place.start or tuple(tensor.shape) != place.shape:
        raise ValueError(f"{place.file}: a tensor of shape {tuple(tensor.shape)} does not fit where one of {place.shape} lies")
    with place.file.open("r+b") as file:
        file.seek(place.start)
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def copy(folder: Path, to: Path) -> list[str]:
    """Copy a checkpoint folder whole, links followed, but for hidden files and other copies of the weights, whose names are returned."""
    used = {place.file.name for place in places(folder).values()} | {WHOLE if (folder / WHOLE).exists() else INDEX}
    # An adapter is no copy of the weights: Granite Speech brings the one along through which it hears.
    again = {path.name for pattern in OTHER_WEIGHTS for path in folder.glob(pattern)} - used - {"adapter_model.safetensors"}

    def passed_over(here: str, names: list[str]) -> set[str]:
        hidden = {name for name in names if name.startswith(".")}
        return hidden | again if Path(here) == folder else hidden

    shutil.copytree(folder, to, ignore=passed_over)
    return sorted(again)


def module_names(module: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Name of a parameter in `module` → name of the tensor of the checkpoint that it is loaded from, as Transformers itself translates it;
    parameters that are put together from several tensors, and tensors that `module` has no place for, are left out."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(module)  # type: ignore[arg-type]
    renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
    converters = [one for one in mapping if isinstance(one, WeightConverter)]
    own: Mapping[str, Tensor] = module.state_dict()
    prefix = getattr(module, "base_model_prefix", None)
    found: dict[str, str] = {}
    for name in sorted(stored):
        renamed, pieces = rename_source_key(name, renamings, converters, prefix, own)  # type: ignore[arg-type]
        if renamed not in own and name in own:
            renamed, pieces = name, None
        if pieces is None and renamed in own:
            found[renamed] = name
    return found


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, beside `folder`, whose name it takes once all is written; after an error nothing is left of it."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        yield beside
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
