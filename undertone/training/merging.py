"""What an adapter adds to a checkpoint's tensors (W' = W + α/r · B A, Hu et al. 2021), and its own under the names that servers know."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from undertone.models.files import places, read, write
from undertone.training.lora import adapted_modules

PREFIX = "base_model.model."
"""What PEFT puts before every module's name."""

ODD = ("use_dora", "modules_to_save", "lora_bias", "layer_replication", "trainable_token_indices", "target_parameters")
"""Settings of PEFT with which an adapter is more than W + α/r · B A."""


def check_plain(adapted: Any, folder: Path) -> None:
    """ValueError names what the adapter in `folder` has beyond a low-rank update of weights."""
    config = adapted.peft_config["default"]
    odd = [name for name in ODD if getattr(config, name, None)] + [name for name in ("bias",) if getattr(config, name, "none") != "none"]
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA" or odd:
        raise ValueError(
            f"{folder}: an adapter of type {config.peft_type} with {', '.join(odd) or 'its own form'} is more than a low-rank update; "
            "only plain LoRA is exported, load this one with PEFT"
        )


def updates(adapted: Any, names: Mapping[str, str], folder: Path) -> dict[str, tuple[str, Any]]:
    """Name of a tensor in the checkpoint → (adapted module, its LoRA layer). `names`: parameter of the module → tensor in the checkpoint.
    ValueError where the adapter in `folder` changes a weight that the checkpoint holds in no tensor of its own, or changes nothing."""
    found = {}
    for path in adapted_modules(adapted):
        module = path.removeprefix(PREFIX)
        if f"{module}.weight" not in names:
            raise ValueError(f"{folder}: the checkpoint keeps {module} in no tensor of its own, so nothing can be added to it")
        found[names[f"{module}.weight"]] = (module, adapted.get_submodule(path))
    if not any(bool(layer.lora_B["default"].weight.any()) for _, layer in found.values()):
        raise ValueError(f"{folder}: every update of this adapter is 0, it changes nothing; name the adapter that was trained")
    return found


@torch.inference_mode()
def merge(folder: Path, changed: Mapping[str, tuple[str, Any]], progress: Any = iter) -> float:
    """Add every update to its tensor in `folder`, one at a time, each in the number format that it is stored in; all other bytes stay.

    Returns what rounding took: ‖stored change − update‖ / ‖update‖ over all tensors (0 in float32 but for its own rounding).
    """
    where, asked, lost = places(folder), 0.0, 0.0
    for name, (_, layer) in progress(changed.items()):
        before, delta = read(where[name]), layer.get_delta_weight("default")
        wide = torch.promote_types(before.dtype, torch.float32)
        after = (before.to(wide) + delta.to(wide)).to(before.dtype)
        write(where[name], after)
        asked += float(delta.float().square().sum())
        lost += float((after.to(wide) - before.to(wide) - delta.to(wide)).square().sum())
    return math.sqrt(lost / asked)


def served(adapted: Any, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The adapter's tensors under the names of the checkpoint's tensors, which is what vLLM translates to its own modules
    (`hf_to_vllm_mapper`): of Qwen2.5-Omni base_model.model.thinker.model.layers.0.self_attn.q_proj.lora_A.weight."""
    from peft.utils import get_peft_model_state_dict

    found = {}
    for key, value in get_peft_model_state_dict(adapted).items():
        module, _, end = key.removeprefix(PREFIX).partition(".lora_")
        stored = names[f"{module}.weight"].removesuffix(".weight")
        found[f"{PREFIX}{stored}.lora_{end}"] = value.detach().cpu().contiguous()
    return found


def write_served(folder: Path, adapter: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` and the config of the adapter in `adapter`, whose target modules are named in full: PEFT matches ends of names, and
    in a whole Qwen2.5-Omni the talker has layers called like the thinker's."""
    from safetensors.torch import save_file

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if odd := [name for name in ("rank_pattern", "alpha_pattern") if config.get(name)]:
        raise ValueError(f"{adapter}: {odd[0]} is passed over by vLLM, which would scale the updates wrongly; export a checkpoint instead")
    targets = sorted({key.removeprefix(PREFIX).partition(".lora_")[0] for key in tensors})
    folder.mkdir(parents=True)
    save_file(dict(tensors), folder / "adapter_model.safetensors", {"format": "pt"})
    text = json.dumps(config | {"target_modules": targets, "base_model_name_or_path": None}, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
