"""Voxtral (Mistral AI 2025, arXiv 2507.13264): a Whisper encoder, four frames to a token, Ministral or Mistral Small."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.models.base import Batch
from undertone.models.stock import Stock, toy_text


class Voxtral(Stock):
    """Clips are filled up to whole windows of 30 s, and the silence is heard too: every clip becomes 375 tokens a window."""

    family = "voxtral"
    model_types = ("voxtral",)
    checkpoints = ("mistralai/Voxtral-Mini-3B-2507", "mistralai/Voxtral-Small-24B-2507")
    architecture = "VoxtralForConditionalGeneration"
    # The published checkpoints keep tekken.json alone; this is what mistral-common writes for them, and it knows no system prompt.
    template = (
        "<s>{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'audio' %}[BEGIN_AUDIO][AUDIO]{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}[/INST]"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] }}</s>"
        "{% else %}{{ raise_exception('Voxtral takes no ' + message['role'] + ' message') }}{% endif %}{% endfor %}"
    )

    @classmethod
    def toy_tokenizer(cls) -> Any:
        from undertone.models import tiny

        return tiny.tokenizer(cls.template, ("<s>", "</s>", "[INST]", "[/INST]", "[BEGIN_AUDIO]", "[AUDIO]"), "</s>")

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import VoxtralConfig

        audio = dict(model_type="voxtral_encoder", num_mel_bins=80, hidden_size=16, intermediate_size=64, num_hidden_layers=2,
                     num_attention_heads=2, max_source_positions=200)  # fmt: skip
        text = toy_text(tokenizer, model_type="llama", head_dim=12)
        return VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=tokenizer.convert_tokens_to_ids("[AUDIO]"))

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        silence = -len(wave) % self.extractor.n_samples
        whole = np.concatenate([wave, np.zeros(silence, np.float32)])
        mel = self.extractor(whole, sampling_rate=self.sample_rate, padding=True, truncation=False, return_tensors="np").input_features[0]
        return np.ascontiguousarray(mel.T)

    def token_count(self, frames: int) -> int:
        audio = self.tower.config
        return frames // 2 * audio.hidden_size // audio.intermediate_size  # type: ignore[no-any-return]

    def listen(self, batch: Batch) -> Tensor:
        size = 2 * self.tower.config.max_source_positions
        mel = torch.cat([clip.view(-1, size, clip.shape[1]) for clip in self.heard(batch)]).transpose(1, 2)
        return self.module.get_audio_features(mel, return_dict=True).pooler_output.to(self.device)  # type: ignore[operator,no-any-return]
