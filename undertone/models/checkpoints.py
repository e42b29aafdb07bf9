"""Opening published checkpoints: whole, safetensors only, no code of theirs, or one error with the fix."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def described(checkpoint: str | Path) -> Mapping[str, Any]:
    """What config.json says; OSError with the fix where there is none to be read."""
    from transformers import PreTrainedConfig

    try:
        found, _ = PreTrainedConfig.get_config_dict(checkpoint)
    except OSError as error:
        if Path(checkpoint).exists():
            raise
        raise _not_given(checkpoint, "no folder of that name", error) from None
    if not found:
        raise OSError(f"model {checkpoint}: no config.json there; name a checkpoint folder, a hub name, or undertone-tiny")
    return dict(found)


def open_module(
    kind: Any, checkpoint: str | Path, device: str, dtype: torch.dtype, beside: tuple[str, ...] = (), config: Any = None
) -> "nn.Module":
    """The weights in `checkpoint` as Transformers class `kind`, straight onto `device`; every weight must find its place, apart from
    those whose names begin with one of `beside`: parts of the checkpoint that are not loaded. ValueError or OSError with the fix."""
    from transformers import PreTrainedModel

    assert issubclass(kind, PreTrainedModel)
    refuse_pickle(checkpoint)
    # Straight onto the GPU, where there is one: the weights do not pass through host memory as a whole.
    place = {} if device == "cpu" else {"device_map": {"": device}}
    how = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True} | place | ({"config": config} if config else {})
    try:
        module, found = kind.from_pretrained(checkpoint, **how)
    except OSError as error:
        if Path(checkpoint).exists():
            raise
        raise _not_given(checkpoint, "no weights of that name", error) from None
    except RuntimeError as error:
        if "mismatch" not in str(error):
            raise
        raise ValueError(
            f"model {checkpoint}: weights and config.json do not fit together, their shapes differ ({' '.join(str(error).split())[:200]}); "
            "both must come from one download"
        ) from None
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"model {checkpoint}: the checkpoint is not whole, {len(missing)} weights are missing ({', '.join(missing[:3])} …); "
            "download or copy it again"
        )
    if extra := sorted(name for name in found["unexpected_keys"] if not name.startswith(beside)):
        raise ValueError(
            f"model {checkpoint}: {len(extra)} weights have no place in {kind.__name__} ({', '.join(extra[:3])} …); another model's "
            "weights or config.json lie in the folder: download it again, alone"
        )
    return module  # type: ignore[no-any-return]


def _not_given(checkpoint: str | Path, what: str, error: OSError) -> OSError:
    """The error for a hub name that stays out of reach."""
    return OSError(
        f"model {checkpoint}: {what} here, and the hub does not give it ({str(error).split('.')[0].strip()}); check the name, or fetch it "
        f"where there is a network (hf download {checkpoint} --local-dir FOLDER) and name the folder"
    )


def refuse_pickle(checkpoint: str | Path) -> None:
    """ValueError where a folder's weights, or those of an adapter that it brings along, are pickled: opening those can run any code."""
    folder = Path(checkpoint)
    if not folder.is_dir():
        return
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    brought = [name for name in pickled if name.startswith("adapter_") and not (folder / name).with_suffix(".safetensors").exists()]
    weights = [] if any(folder.glob("*.safetensors")) else pickled
    if pickled := brought or weights:
        raise ValueError(
            f"model {checkpoint}: its weights are pickled ({pickled[0]}), and opening those can run any code; get the checkpoint as "
            "safetensors, or save it again as such where you trust it (save_pretrained)"
        )


@contextmanager
def without_code(what: str) -> Iterator[None]:
    """ValueError names `what` where Transformers, told to trust nobody, finds that a checkpoint runs on code of its own."""
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(f"{what}: Transformers has no class for it, and code from a checkpoint is not run; name another one") from None


def fuse(module: "nn.Module") -> None:
    """Add the adapter that a checkpoint brings along (Granite Speech and Phi-4-multimodal hear through one) to its weights, in place: what
    is left are plain linear layers, which take an adapter of ours."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, layer.get_base_layer())
    module._hf_peft_config_loaded = False  # type: ignore[assignment]
    if hasattr(module, "peft_config"):
        del module.peft_config
