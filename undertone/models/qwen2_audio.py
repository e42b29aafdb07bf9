"""Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759): a Whisper encoder, one linear projector, Qwen."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.models.base import Batch
from undertone.models.stock import TAIL, Stock, quarter, real_frames, toy_text, windowed, windows


class Qwen2Audio(Stock):
    """The tower hears one window of 30 s; what fills it is masked."""

    family = "qwen2_audio"
    model_types = ("qwen2_audio",)
    checkpoints = ("Qwen/Qwen2-Audio-7B-Instruct",)
    architecture = "Qwen2AudioForConditionalGeneration"
    # As Qwen2AudioProcessor writes it where a checkpoint brings none along.
    template = (
        "{% set count = namespace(value=0) %}{% for message in messages %}"
        "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
        "<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'audio' %}{% set count.value = count.value + 1 %}"
        "Audio {{ count.value }}: <|audio_bos|><|AUDIO|><|audio_eos|>\n{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import Qwen2AudioConfig

        audio = dict(model_type="qwen2_audio_encoder", num_mel_bins=80, d_model=32, encoder_layers=2, encoder_attention_heads=2,
                     encoder_ffn_dim=64, max_source_positions=200)  # fmt: skip
        text = toy_text(tokenizer, model_type="qwen2")
        return Qwen2AudioConfig(
            audio_config=audio, text_config=text, audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"), tie_word_embeddings=False
        )

    @property
    def seconds_at_most(self) -> float:
        return float(self.extractor.chunk_length)

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(wave) > self.extractor.n_samples:
            raise ValueError(
                f"a clip of {len(wave) / self.sample_rate:.1f} s: qwen2_audio hears {self.seconds_at_most:.0f} s at most; cut it"
            )
        return windowed(self.extractor, wave)

    def token_count(self, frames: int) -> int:
        return quarter(frames - TAIL)

    def listen(self, batch: Batch) -> Tensor:
        from transformers.masking_utils import create_bidirectional_mask

        size = 2 * self.tower.config.max_source_positions
        mel, lengths = windows(self.heard(batch), size)
        halved = real_frames((lengths - 1) // 2 + 1, size // 2)
        mask = create_bidirectional_mask(
            config=self.tower.config, inputs_embeds=torch.zeros(*halved.shape, 1, dtype=mel.dtype, device=mel.device), attention_mask=halved
        )
        states = self.projector(self.tower(mel, attention_mask=mask).last_hidden_state)
        return states[real_frames(quarter(lengths), states.shape[1])].to(self.device)  # type: ignore[arg-type,no-any-return]
