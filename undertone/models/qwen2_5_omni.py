"""Qwen2.5-Omni (Xu et al. 2025, arXiv 2503.20215): the thinker, from the hub, a local folder, or embedded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, SpeechLM, processor_template

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor


class Qwen2_5Omni(SpeechLM):  # noqa: N801 - the model's own name
    """The thinker: audio tower (which ends in the projection `proj`) and language model. The talker is not loaded."""

    family = "qwen2_5_omni"
    model_types = ("qwen2_5_omni_thinker", "qwen2_5_omni")

    def __init__(self, module: nn.Module, tokenizer: Any, extractor: "WhisperFeatureExtractor") -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.extractor = extractor
        self.sample_rate = extractor.sampling_rate
        self._tower: Any = module.model.audio_tower  # type: ignore[union-attr]
        self._names = {id(child): name for name, child in module.named_modules()}

    @classmethod
    def load(cls, checkpoint: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

        # Straight onto the GPU, where there is one: the weights do not pass through host memory as a whole.
        place = {} if device == "cpu" else {"device_map": {"": device}}
        module, found = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            checkpoint, dtype=dtype, output_loading_info=True, **place
        )
        if found["missing_keys"]:
            some = ", ".join(sorted(found["missing_keys"])[:3])
            raise ValueError(
                f"model {checkpoint}: the checkpoint is not whole, {len(found['missing_keys'])} weights are missing ({some} …)"
            )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        tokenizer.chat_template = tokenizer.chat_template or processor_template(checkpoint)
        # No picture is ever shown. It is moved, not dropped, so that the module saves whole and is the class that stock PEFT opens.
        module.model.visual.to("cpu")
        return cls(module, tokenizer, WhisperFeatureExtractor.from_pretrained(checkpoint))

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        from transformers import Qwen2_5OmniThinkerForConditionalGeneration

        from undertone.models import tiny

        torch.manual_seed(seed)
        tokenizer = tiny.tokenizer()
        return cls(Qwen2_5OmniThinkerForConditionalGeneration(tiny.config(tokenizer)), tokenizer, tiny.feature_extractor())

    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        tower = {LayerRef("audio_tower", i): block for i, block in enumerate(self._tower.layers)}
        decoder = {LayerRef("language_model", i): block for i, block in enumerate(self.text_model.layers)}  # type: ignore[arg-type]
        return {**tower, LayerRef("projector", 0): self._tower.proj, **decoder}

    def linears(self, layer: LayerRef) -> Sequence[str]:
        block = self.blocks()[layer]
        return [self._names[id(child)] for child in block.modules() if isinstance(child, nn.Linear)]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return log_mel(self.extractor, wave)

    def token_count(self, frames: int) -> int:
        return ((frames - 1) // 2 + 1 - 2) // 2 + 1

    def listen(self, batch: Batch) -> Tensor:
        if batch.frames is None:
            raise ValueError("this batch has no frames to listen to")
        weight = self._tower.proj.weight
        heard = self._tower(batch.frames.T.to(weight), feature_lens=batch.frame_lengths.to(weight.device), aftercnn_lens=None)  # type: ignore[union-attr]
        return heard.last_hidden_state.to(self.device)  # type: ignore[no-any-return]

    def frozen_front(self) -> nn.Module:
        return self._tower  # type: ignore[no-any-return]

    @property
    def text_model(self) -> nn.Module:
        return self.module.model.language_model  # type: ignore[union-attr,return-value]

    @property
    def audio_token_id(self) -> int:
        return self.module.config.audio_token_index  # type: ignore[union-attr,return-value]


def log_mel(extractor: "WhisperFeatureExtractor", wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames (frames, mel bins) of a mono wave, without the 300 s padding of the processor.

    The processor pads before it transforms, so its last frames see zeros: 480 zeros behind the wave give bit-identical valid frames.
    """
    padded = np.concatenate([wave, np.zeros(480, np.float32)])
    mel = extractor(padded, sampling_rate=extractor.sampling_rate, padding=False, truncation=False, return_tensors="np").input_features[0]
    return np.ascontiguousarray(mel[:, : -(-len(wave) // extractor.hop_length)].T)
