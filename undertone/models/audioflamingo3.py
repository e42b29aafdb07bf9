"""Audio Flamingo 3 (Goel et al. 2025, arXiv 2507.08128): AF-Whisper, a two-layer projector, Qwen2.5."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from undertone.models.base import Batch
from undertone.models.stock import TAIL, Stock, quarter, real_frames, toy_text, windowed, windows


class AudioFlamingo3(Stock):
    """The tower hears clips in windows of 30 s; what fills the last one is masked."""

    family = "audioflamingo3"
    model_types = ("audioflamingo3",)
    checkpoints = ("nvidia/audio-flamingo-3-hf",)
    architecture = "AudioFlamingo3ForConditionalGeneration"

    @classmethod
    def toy_tokenizer(cls) -> Any:
        from undertone.models import tiny

        return tiny.tokenizer(tiny.CHAT_TEMPLATE.replace("<|audio_bos|><|AUDIO|><|audio_eos|>", "<sound>"), ("<sound>",))

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import AudioFlamingo3Config

        audio = dict(model_type="audioflamingo3_encoder", num_mel_bins=80, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                     num_attention_heads=2, max_source_positions=200)  # fmt: skip
        text = toy_text(tokenizer, model_type="qwen2")
        return AudioFlamingo3Config(audio_config=audio, text_config=text, audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"))

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return windowed(self.extractor, wave)

    def token_count(self, frames: int) -> int:
        return quarter(frames - TAIL)

    def listen(self, batch: Batch) -> Tensor:
        size = 2 * self.tower.config.max_source_positions
        mel, lengths = windows(self.heard(batch), size)
        heard = self.module.get_audio_features(mel, real_frames(lengths, size), return_dict=True)  # type: ignore[operator]
        return heard.pooler_output.to(self.device)  # type: ignore[no-any-return]
