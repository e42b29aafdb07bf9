"""Qwen2.5-Omni (Xu et al. 2025, arXiv 2503.20215): the thinker, from the hub, a local folder, or embedded."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch
from undertone.models.stock import Stock, quarter

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor


class Qwen2_5Omni(Stock):  # noqa: N801 - the model's own name
    """The thinker: audio tower (which ends in the projection `proj`) and language model. The talker is not loaded."""

    family = "qwen2_5_omni"
    model_types = ("qwen2_5_omni_thinker", "qwen2_5_omni")
    checkpoints = ("Qwen/Qwen2.5-Omni-7B", "Qwen/Qwen2.5-Omni-3B")
    architecture = "Qwen2_5OmniThinkerForConditionalGeneration"
    beside = ("talker", "token2wav")
    unused = ("model.visual",)

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from undertone.models import tiny

        return tiny.config(tokenizer)

    @property
    def projector(self) -> nn.Module:
        return self.tower.proj  # type: ignore[no-any-return]

    def frozen_front(self) -> nn.Module:
        return self.tower  # type: ignore[no-any-return]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return log_mel(self.extractor, wave)

    def token_count(self, frames: int) -> int:
        return quarter(frames)

    def listen(self, batch: Batch) -> Tensor:
        clips = self.heard(batch)
        lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
        heard = self.tower(torch.cat(clips).T, feature_lens=lengths, aftercnn_lens=None)
        return heard.last_hidden_state.to(self.device)  # type: ignore[no-any-return]

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
