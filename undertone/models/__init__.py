"""Model families, one a file, behind the `SpeechLM` contract of `base.py`."""

import os
import time
from collections.abc import Mapping
from hashlib import sha256
from inspect import signature
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from undertone.lookup import resolve
from undertone.run import processor
from undertone.settings import SERVED
from undertone.workers import keep_memory

if TYPE_CHECKING:
    import torch

    from undertone.models.base import SpeechLM
    from undertone.models.frozen_llm import FrozenLLM

FAMILIES = {
    "qwen2_5_omni": "undertone.models.qwen2_5_omni:Qwen2_5Omni",
    "qwen3_omni_moe": "undertone.models.qwen3_omni_moe:Qwen3OmniMoe",
    "qwen2_audio": "undertone.models.qwen2_audio:Qwen2Audio",
    "voxtral": "undertone.models.voxtral:Voxtral",
    "audioflamingo3": "undertone.models.audioflamingo3:AudioFlamingo3",
    "granite_speech": "undertone.models.granite_speech:GraniteSpeech",
    "phi4_multimodal": "undertone.models.phi4_multimodal:Phi4Multimodal",
    "kimi_audio": "undertone.models.kimi_audio.family:KimiAudio",
    "generic": "undertone.models.generic:Generic",
    "frozen_llm": "undertone.models.frozen_llm:FrozenLLM",
}

EMBEDDED = "undertone-tiny"
"""The model that ships with the package."""

EARS = "undertone-tiny-ears"
"""The semantic stage of the frozen road that ships with the package: ears for undertone-tiny-lm."""


def open_model(
    name: str, family: str = "", device: str = "", dtype: str = "", bits: Literal[0, 4, 8] = 0, remote_code: bool = False
) -> "SpeechLM":
    """Open the embedded model, a local folder or a hub name; ValueError or OSError with the fix where that fails. `bits`: 0, or how many
    the language model's weights are to have (`quantised`). `remote_code`: run code that lies in the checkpoint."""
    import torch
    from safetensors import SafetensorError
    from transformers.utils import logging

    from undertone.models import quantised
    from undertone.models.checkpoints import described

    logging.disable_progress_bar()
    if name.startswith(SERVED):
        raise ValueError(f"model {name}: what is asked over HTTP has no weights here; only undertone evaluate takes it")
    where = choose_device(device)
    if where == "cpu":
        keep_memory()
    number = getattr(torch, choose_dtype(dtype, where))
    library = quantised.check(bits, where) if bits else None
    checkpoint = place(name)
    kind = resolve(FAMILIES, family or family_of(checkpoint), "model family")
    if family in FAMILIES and kind.model_types and (said := described(checkpoint).get("model_type")) not in kind.model_types:
        raise ValueError(f"model {checkpoint}: of model_type {said!r}, which family {kind.family} does not read; leave family empty")
    if remote_code and "remote_code" not in signature(kind.load).parameters:
        raise ValueError(f"remote_code: family {kind.family} runs no code of a checkpoint; leave remote_code out")
    try:
        trusted = {"remote_code": True} if remote_code else {}
        opened: SpeechLM = kind.load(checkpoint, "cpu" if bits else where, number, **trusted)
    except (SafetensorError, JSONDecodeError) as error:
        raise OSError(f"model {checkpoint}: no whole checkpoint ({error}); download or copy it again") from None
    opened.module.requires_grad_(False)
    opened.frozen_front().requires_grad_(False)
    if bits:
        quantised.quantise(opened, library, bits, where)
    choose_attention(opened, where, number)
    return opened


def open_hollow(checkpoint: str | Path, family: str = "", dtype: str = "bfloat16") -> "SpeechLM":
    """The model of `checkpoint` by its configuration alone, without weights (meta device); ValueError for a family that cannot."""
    import torch

    kind = resolve(FAMILIES, family or family_of(checkpoint), "model family")
    known: SpeechLM = kind.hollow(kind.configuration(checkpoint), getattr(torch, dtype))
    return known


def choose_attention(opened: "SpeechLM", place: str, number: "torch.dtype") -> None:
    """Plain attention where it is the faster one."""
    import torch

    if place == "cpu" and number == torch.bfloat16:
        # The fused attention of PyTorch's CPU build has no fast bfloat16 backward: it takes more than half of a training step.
        opened.module.set_attn_implementation("eager")  # type: ignore[operator]


def open_student(
    language_model: str, encoder: str, projector: Mapping[str, Any], device: str = "", dtype: str = "", seed: int = 0
) -> "FrozenLLM":
    """An untrained frozen_llm model: `encoder` and a fresh projector before `language_model`."""
    import torch

    from undertone.models.frozen_llm import FrozenLLM

    place = choose_device(device)
    number = getattr(torch, choose_dtype(dtype, place))
    opened = FrozenLLM.fresh(language_model, encoder, projector, place, number, seed)
    choose_attention(opened, place, number)
    return opened


def place(name: str) -> str | Path:
    """An embedded model's folder, or `name` itself."""
    from undertone.models.tiny import WEIGHTS

    return WEIGHTS / name if name in (EMBEDDED, EARS) else name


def weights_hash(name: str, read_up_to: int = 1 << 26) -> str:
    """Changes with the weights of the model called `name`: a hash of their content or, of more than `read_up_to` bytes, of names, sizes and
    times; empty for a name on the hub, whose revision is the hub's to keep."""
    files = sorted(Path(place(name)).glob("*.safetensors"))
    digest, small = sha256(), sum(path.stat().st_size for path in files) <= read_up_to
    for path in files:
        stat = path.stat()
        digest.update(path.read_bytes() if small else f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest() if files else ""


def choose_dtype(asked: str, device: str) -> str:
    """What `asked` means on `device`; empty: bfloat16 where it is faster there."""
    return asked or ("bfloat16" if has_bfloat16(device) else "float32")


def has_bfloat16(device: str) -> bool:
    """Whether `device` multiplies matrices of bfloat16 faster than those of float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without AMX, AVX512-BF16 is the slower of the two on one processor (75-80 GF/s beside 110-139, one core, 2048 x 512 x 192) and the
    # faster on another (213 beside 90), where PE-FT then lost 2.6 points of content that float32 keeps (docs/log.md).
    return device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


def faster_format() -> str:
    """bfloat16 where this machine multiplies matrices of it faster than of float32, as a short trial on one thread of a CPU tells."""
    import torch

    able = torch.cpu.get_capabilities()
    if choose_device("") != "cpu" or not (able.get("avx512_bf16") or able.get("amx_bf16")):
        return choose_dtype("", choose_device(""))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took = {name: min(_product(getattr(torch, name)) for _ in range(5)) for name in ("float32", "bfloat16")}
    torch.set_num_threads(threads)
    return min(took, key=took.__getitem__)


def _product(dtype: "torch.dtype") -> float:
    import torch

    left, right = torch.ones(2048, 512, dtype=dtype), torch.ones(512, 192, dtype=dtype)
    began = time.perf_counter()
    torch.mm(left, right)
    return time.perf_counter() - began


def choose_device(asked: str) -> str:
    """What `asked` means here; empty: a GPU where there is one, each process of torchrun its own. ValueError where one is asked for and
    there is none."""
    import torch

    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device: {asked!r} asked for, but PyTorch finds no GPU here; leave device empty or write cpu")
    return asked or (f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")


def device_name(asked: str) -> str:
    """The device that `asked` means here, in words: "cuda (NVIDIA H200)", "cpu (AMD EPYC, 2 threads)"."""
    import torch

    place = choose_device(asked)
    if place.startswith("cuda"):
        return f"{place} ({torch.cuda.get_device_name(place)})"
    threads = torch.get_num_threads()
    return f"{place} ({processor()}, {threads} thread{'s' * (threads > 1)})" if place == "cpu" else place


def family_of(checkpoint: str | Path) -> str:
    """The family whose `model_types` names the checkpoint's; ValueError lists what is known where none does."""
    from undertone.models.checkpoints import described

    found = described(checkpoint)
    kind = found.get("model_type")
    for family in FAMILIES:
        if kind in resolve(FAMILIES, family, "model family").model_types:
            return family
    raise ValueError(
        f"model {checkpoint}: no family reads model_type {kind!r}; families: {', '.join(FAMILIES)}; set family to one of them "
        "(generic reads any model of Transformers with an audio_tower) or to my_package.my_module:Family"
    )
