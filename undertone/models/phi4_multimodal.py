"""Phi-4-multimodal (Microsoft 2025, arXiv 2503.01743): a Conformer, a two-layer projector, Phi-4-mini."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef
from undertone.models.checkpoints import fuse, refuse_pickle
from undertone.models.stock import Stock, toy_text

SPEECH = "speech-lora"
"""The folder of the adapter through which the published checkpoint hears."""


class Phi4Multimodal(Stock):
    """As Transformers itself knows it (`hf download microsoft/Phi-4-multimodal-instruct --revision refs/pr/70`); the main branch of that
    checkpoint runs code of its own and is not read. Its speech adapter is added to the weights when they are opened."""

    family = "phi4_multimodal"
    model_types = ("phi4_multimodal",)
    checkpoints = ("microsoft/Phi-4-multimodal-instruct",)
    targets = ("qkv_proj",)
    architecture = "Phi4MultimodalForCausalLM"
    unused = ("model.embed_tokens_extend.image_embed",)

    @classmethod
    def weights(cls, checkpoint: str | Path, device: str, dtype: torch.dtype) -> nn.Module:
        from transformers.utils import cached_file

        module: Any = super().weights(checkpoint, device, dtype)
        if cached_file(str(checkpoint), f"{SPEECH}/adapter_config.json", _raise_exceptions_for_missing_entries=False):
            refuse_pickle(Path(checkpoint) / SPEECH)
            module.load_adapter(str(checkpoint), adapter_name="speech", adapter_kwargs={"subfolder": SPEECH})
            fuse(module)
        return module  # type: ignore[no-any-return]

    @classmethod
    def front_end(cls, config: Any, checkpoint: str | Path = "") -> Any:
        from transformers import Phi4MultimodalFeatureExtractor

        if checkpoint:
            return Phi4MultimodalFeatureExtractor.from_pretrained(checkpoint)
        return Phi4MultimodalFeatureExtractor(feature_size=config.audio_config.input_size)

    @classmethod
    def toy_tokenizer(cls) -> Any:
        from undertone.models import tiny

        template = (
            "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}"
        )
        return tiny.tokenizer(template, ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|image|>", "<|audio|>"), "<|endoftext|>")

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import Phi4MultimodalConfig

        ids = tokenizer.convert_tokens_to_ids(["<|image|>", "<|audio|>"])
        audio = dict(input_size=80, hidden_size=32, intermediate_size=32, num_blocks=2, num_attention_heads=2, ext_pw_out_channel=32,
                     depthwise_separable_out_channel=32, nemo_conv_channels=8, bias_max_distance=100, audio_token_id=ids[1])  # fmt: skip
        vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, crop_size=56, image_size=56,
                      image_token_id=ids[0])  # fmt: skip
        return Phi4MultimodalConfig(audio_config=audio, vision_config=vision, **toy_text(tokenizer))

    @property
    def _audio(self) -> Any:
        return self.module.model.embed_tokens_extend.audio_embed  # type: ignore[union-attr]

    @property
    def tower(self) -> Any:
        return self._audio.encoder

    @property
    def projector(self) -> nn.Module:
        return self._audio.down_proj_for_speech  # type: ignore[no-any-return]

    @property
    def text_model(self) -> nn.Module:
        return self.module.model  # type: ignore[return-value]

    @property
    def audio_token_id(self) -> int:
        return self.module.config.audio_config.audio_token_id  # type: ignore[union-attr,return-value]

    def frozen_front(self) -> nn.Module:
        return self._audio  # type: ignore[no-any-return]

    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        tower = {LayerRef("audio_tower", i): block for i, block in enumerate(self.tower.encoders)}
        decoder = {LayerRef("language_model", i): block for i, block in enumerate(self.text_model.layers)}  # type: ignore[arg-type]
        return {**tower, LayerRef("projector", 0): self.projector, **decoder}

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        made = self.extractor(wave, sampling_rate=self.sample_rate, return_tensors="np")
        return np.ascontiguousarray(made["audio_input_features"][0])

    def token_count(self, frames: int) -> int:
        audio: Any = self.module.config.audio_config  # type: ignore[union-attr]
        return -(-frames // audio.time_reduction)  # type: ignore[no-any-return]

    def listen(self, batch: Batch) -> Tensor:
        """Clip by clip: in a batch the tower's mask is added to the attention as 0 or 1 and hides nothing."""
        made = []
        for clip in self.heard(batch):
            states = self._audio.up_proj_for_speech(self.tower(clip[None], None))
            made.append(self.projector(nn.functional.gelu(states))[0])
        return torch.cat(made).to(self.device)
