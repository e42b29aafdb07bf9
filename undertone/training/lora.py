"""LoRA on chosen language-model layers and nothing else, through PEFT and full module names (METHOD A.3)."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from undertone.models.base import LayerRef, SpeechLM
from undertone.models.passes import language_layers
from undertone.records import parse_json
from undertone.training.dropout import use_cheap_dice


def choose_layers(text: str, model: SpeechLM, seed: int = 0) -> tuple[LayerRef, ...]:
    """ "0-14", "0,2,5", "all" or "random:15" as layers of the model; ValueError where it has no such layer."""
    every = language_layers(model)
    try:
        wanted = _indices(text, len(every), seed)
    except ValueError as error:
        raise ValueError(f"layers: {text!r} is no range; write 0-14, 0,2,5, all or random:15 ({error})") from None
    if not wanted or max(wanted) >= len(every):
        raise ValueError(f"layers: {text!r} asks for more than the model has; its language-model layers are 0-{len(every) - 1}")
    return tuple(every[i] for i in sorted(wanted))


def _indices(text: str, count: int, seed: int) -> set[int]:
    if text == "all":
        return set(range(count))
    if text.startswith("random:"):
        return set(random.Random(seed).sample(range(count), int(text.removeprefix("random:"))))
    ends = [part.partition("-") for part in text.split(",")]
    return {i for first, dash, last in ends for i in range(int(first), int(last if dash else first) + 1)}


def adapt(model: SpeechLM, layers: Sequence[LayerRef], targets: Sequence[str], rank: int, alpha: int, dropout: float, seed: int) -> Any:
    """Put fresh LoRA modules on the linears and experts of `layers` whose last name is in `targets`; everything else is frozen.

    Returns the `PeftModel`; `model` works on through the adapted module. ValueError where a target is nothing that can be adapted,
    RuntimeError where PEFT adapted anything else than asked.
    """
    from peft import LoraConfig, get_peft_model

    wanted, experts = (
        [name for layer in layers for name in of(layer) if name.rpartition(".")[2] in targets] for of in (model.linears, model.experts)
    )
    if unknown := sorted(set(targets) - {name.rpartition(".")[2] for name in wanted + experts}):
        there = sorted({name.rpartition(".")[2] for of in (model.linears, model.experts) for name in of(layers[0])})
        raise ValueError(f"lora.targets: no {', '.join(unknown)} in {layers[0]}; there are {', '.join(there)}")
    if experts and dropout:
        raise ValueError(f"lora.dropout: {dropout} cannot be had on experts ({experts[0].rpartition('.')[2]}); set it to 0")
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=wanted, target_parameters=experts or None, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model.module, config)
    _check({*wanted, *experts}, adapted)
    use_cheap_dice(adapted)
    return adapted


def _check(wanted: set[str], adapted: Any) -> None:
    hit = {name.removeprefix("base_model.model.") for name in adapted_modules(adapted)}
    if hit != wanted:
        raise RuntimeError(f"LoRA landed elsewhere than asked: too many {sorted(hit - wanted)[:3]}, missing {sorted(wanted - hit)[:3]}")


def adapted_modules(adapted: Any) -> list[str]:
    """Full names of the modules that carry LoRA weights, and of weights that carry them by themselves."""
    from peft.tuners.lora import LoraLayer

    found = [(name, module) for name, module in adapted.named_modules() if isinstance(module, LoraLayer)]
    of = [getattr(module, "parameter_name", None) for _, module in found]
    # Several weights of one module are wrapped one around the other.
    return [f"{name.replace('.base_layer', '')}.{part}" if part else name for (name, _), part in zip(found, of, strict=True)]


BESIDE = "undertone.json"
"""The file beside what was trained that says what it was trained with."""


class MadeWith(NamedTuple):
    """What an adapter was trained with, as `BESIDE` says: its model, system prompt, layers, and the code's commit."""

    model: str
    system: str
    layers: str
    commit: str


def made_with(folder: Path) -> MadeWith | None:
    """What the adapter in `folder` was trained with; None where another program made it."""
    table = beside(folder)
    return MadeWith(*(str(table.get(name, "")) for name in MadeWith._fields)) if table else None


def beside(folder: Path) -> dict[str, Any]:
    """What the file beside the weights in `folder` says; nothing where there is none."""
    path = folder / BESIDE
    if not path.is_file():
        return {}
    table = parse_json(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(table, dict):
        raise OSError(f"{path}: no table of what was trained there and how; delete the file or copy it again")
    return table


def save_adapter(adapted: Any, folder: Path, made: MadeWith) -> None:
    """Write the adapter in PEFT's own format, whole or not at all, and `BESIDE` with it; OSError names the folder."""
    from safetensors import SafetensorError

    made_there = folder.with_name(f".{folder.name}")
    shutil.rmtree(made_there, ignore_errors=True)
    try:
        adapted.save_pretrained(made_there)
        (made_there / BESIDE).write_text(json.dumps(made._asdict(), indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made_there.rename(folder)
    except (SafetensorError, OSError) as error:
        raise OSError(f"{folder}: cannot write, the training state is kept: {getattr(error, 'strerror', '') or error}") from error
    finally:
        shutil.rmtree(made_there, ignore_errors=True)


def load_adapter(model: SpeechLM, folder: Path, strength: float = 1.0) -> Any:
    """Put a saved adapter on the model, scaled by `strength`; an error names the folder where it is not whole or not this model's."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from peft.utils import get_peft_model_state_dict, load_peft_weights
    from safetensors import SafetensorError

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder}: no {name}; name the folder that undertone finetune wrote (OUT/adapter)")
    try:
        hollow = model.device.type == "meta"
        adapted = PeftModel.from_pretrained(model.module, folder, low_cpu_mem_usage=hollow)  # type: ignore[arg-type]
        if hollow:  # PEFT moves an adapter to where its model is, and on the meta device it has no weights
            own = load_peft_weights(str(folder), device="cpu")
            named = {name: own[key] for name in adapted.state_dict() if (key := name.replace(".default", "")) in own}
            adapted.load_state_dict(named, strict=False, assign=True)
    except (SafetensorError, json.JSONDecodeError, KeyError) as error:
        raise OSError(f"{folder}: no whole adapter ({error}); fine-tune again or copy it again") from None
    except (ValueError, RuntimeError, TypeError) as error:
        said = " ".join(str(error).split())
        raise RuntimeError(f"{folder}: does not fit this model; it belongs to another one, or its two files do ({said[:200]})") from None
    # PEFT only warns where names do not match, and leaves the model as it was.
    here, there = get_peft_model_state_dict(adapted).keys(), load_peft_weights(str(folder), device="cpu").keys()
    if here != there:
        raise RuntimeError(
            f"{folder}: {len(there - here)} of the adapter's {len(there)} tensors find no place in this model ({len(here - there)} places "
            "stay empty); it belongs to another model"
        )
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.set_scale("default", strength)
    model.module.eval()
    return adapted
