"""Any audio language model of Transformers with the usual parts: `audio_tower`, `multi_modal_projector`, `language_model`."""

import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch
from undertone.models.checkpoints import described, open_module
from undertone.models.stock import TAIL, Stock, real_frames, toy_text, windowed, windows

PARTS = {
    "audio_tower": ("audio_tower", "audio_encoder", "speech_encoder"),
    "projector": ("multi_modal_projector", "audio_projector", "projector"),
    "language_model": ("language_model", "text_model"),
}
"""What the parts of a model are called, the usual name first."""


class Generic(Stock):
    """Chosen by name (`family = "generic"`). The tower hears windows of Whisper's length through `get_audio_features`.

    Whether its attention can be told where a clip of a row ends is not known, so rows are padded.
    """

    family = "generic"
    model_types = ()
    checkpoints = ("zai-org/GLM-ASR-Nano-2512",)
    packs = False
    architecture = "GlmAsrForConditionalGeneration"  # of the toy size

    def __init__(self, module: nn.Module, tokenizer: Any, extractor: Any, name: str = "") -> None:
        self._parts = {part: _find(module, names, name) for part, names in PARTS.items()}
        self._counts: dict[int, int] = {}
        super().__init__(module, tokenizer, extractor, name)

    @classmethod
    def load(cls, checkpoint: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32, remote_code: bool = False) -> Self:
        module = open_module(architecture_of(checkpoint, remote_code), checkpoint, device, dtype)
        return cls.around(module, checkpoint, remote_code)

    @classmethod
    def configuration(cls, checkpoint: str | Path) -> Any:
        return architecture_of(checkpoint).config_class.from_pretrained(checkpoint)

    @classmethod
    def hollow(cls, config: Any, dtype: torch.dtype = torch.bfloat16) -> Self:
        kind = getattr(transformers, next(iter(config.architectures or [cls.architecture])))
        with torch.device("meta"):
            module = kind._from_config(config, dtype=dtype)
        return cls(module, None, cls.front_end(config))

    @classmethod
    def toy_tokenizer(cls) -> Any:
        from undertone.models import tiny

        return tiny.tokenizer(tiny.CHAT_TEMPLATE)

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import GlmAsrConfig

        audio = dict(model_type="glmasr_encoder", num_mel_bins=80, hidden_size=16, intermediate_size=64, num_hidden_layers=2,
                     num_attention_heads=2, max_position_embeddings=200)  # fmt: skip
        text = toy_text(tokenizer, model_type="llama")
        return GlmAsrConfig(
            audio_config=audio, text_config=text, audio_token_id=tokenizer.convert_tokens_to_ids("<|AUDIO|>"), tie_word_embeddings=False
        )

    @property
    def tower(self) -> Any:
        return self._parts["audio_tower"]

    @property
    def projector(self) -> nn.Module:
        return self._parts["projector"]

    @property
    def text_model(self) -> nn.Module:
        return self._parts["language_model"]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return windowed(self.extractor, wave)

    @property
    def _window(self) -> int:
        return int(self.extractor.n_samples // self.extractor.hop_length)

    def token_count(self, frames: int) -> int:
        """Counted by listening to silence, once per length."""
        real = frames - TAIL
        if self.device.type == "meta":
            return -(-real * self._hollow_count // self._window)
        full, rest = divmod(real, self._window)
        return full * self._count(self._window) + (self._count(rest) if rest else 0)

    def _count(self, real: int) -> int:
        if real not in self._counts:
            weight = next(self.tower.parameters())
            silence = torch.zeros(1, self.extractor.feature_size, self._window, dtype=weight.dtype, device=weight.device)
            with torch.no_grad():
                self._counts[real] = len(self._features(silence, torch.tensor([real], device=weight.device)))
        return self._counts[real]

    @cached_property
    def _hollow_count(self) -> int:
        """Tokens of a whole window, read off the projector's shape: without content no mask can choose among them."""
        shapes: list[torch.Size] = []
        handle = self.projector.register_forward_hook(lambda _, __, made: shapes.append(made.shape))
        mel = torch.zeros(1, self.extractor.feature_size, self._window, dtype=self.dtype, device="meta")
        try:
            self._features(mel, torch.tensor([self._window], device="meta"))
        except RuntimeError:
            if not shapes:
                raise
        finally:
            handle.remove()
        return shapes[0].numel() // shapes[0][-1]

    def listen(self, batch: Batch) -> Tensor:
        return self._features(*windows(self.heard(batch), self._window)).to(self.device)

    def _features(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """(token, width) of all windows in a row."""
        owner: Any = next(part for part in (self.module, self.module.model) if hasattr(part, "get_audio_features"))
        masks = [name for name in inspect.signature(owner.get_audio_features).parameters if name.endswith("mask")]
        made = owner.get_audio_features(mel, **dict.fromkeys(masks[:1], real_frames(lengths, self._window).long()))
        heard = getattr(made, "pooler_output", None)
        heard = heard if heard is not None else getattr(made, "last_hidden_state", made)
        return heard.reshape(-1, heard.shape[-1])  # type: ignore[no-any-return]


def architecture_of(checkpoint: str | Path, remote_code: bool = False) -> Any:
    """The class that config.json names; ValueError where Transformers itself has none of that name and the checkpoint's own, where it has
    one, may not be run (`remote_code`)."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    says = described(checkpoint)
    name, own = next(iter(says.get("architectures") or []), ""), says.get("auto_map", {})
    kind = getattr(transformers, name, None) if name else None
    theirs = [own[one] for one in own if one.startswith("AutoModel")]
    if kind is None and remote_code and theirs:
        return get_class_from_dynamic_module(theirs[0], checkpoint)
    if kind is None:
        raise ValueError(
            f"model {checkpoint}: Transformers {transformers.__version__} has no class {name!r}, and code from a checkpoint is not run; "
            "write a family for it (docs/guides/add-a-model.md)" + ", or, if you trust that code, set remote_code" * bool(theirs)
        )
    return kind


def _find(module: nn.Module, names: tuple[str, ...], checkpoint: str) -> nn.Module:
    """The part of `module` that bears one of `names`, the outermost one."""

    def bearing(name: str) -> Iterator[nn.Module]:
        return (part for path, part in module.named_modules() if path.rpartition(".")[2] == name)

    found = next((part for name in names for part in bearing(name)), None)
    if found is None or (names == PARTS["audio_tower"] and not hasattr(found, "layers")):
        raise ValueError(
            f"model {checkpoint}: {type(module).__name__} has no {names[0]} with layers; family generic needs audio_tower, "
            "multi_modal_projector and language_model: write a family for it (docs/guides/add-a-model.md)"
        )
    return found
