"""Granite Speech (Saon et al. 2025, arXiv 2505.08699): a Conformer, a Q-Former over windows of 15 states, Granite."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch
from undertone.models.checkpoints import fuse
from undertone.models.stock import Stock, toy_text
from undertone.records import parse_json


class MelPairs(NamedTuple):
    """Log-mel frames, two stacked into one: what GraniteSpeechFeatureExtractor computes with torchaudio, whose settings these are."""

    sampling_rate: int = 16_000
    n_fft: int = 512
    win_length: int = 400
    hop_length: int = 160
    n_mels: int = 80

    @classmethod
    def of(cls, checkpoint: str | Path) -> Self:
        """As preprocessor_config.json says, where it says it."""
        from transformers.utils import cached_file

        path = cached_file(str(checkpoint), "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
        said = parse_json(Path(path).read_text(encoding="utf-8"), str(path)).get("melspec_kwargs", {}) if path else {}
        named = {"sampling_rate": said["sample_rate"]} if "sample_rate" in said else {}
        return cls(**named, **{name: said[name] for name in cls._fields if name in said})

    def __call__(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frame, 2 · n_mels), 50 a second."""
        from transformers.audio_utils import mel_filter_bank

        bank = mel_filter_bank(self.n_fft // 2 + 1, self.n_mels, 0.0, self.sampling_rate / 2, self.sampling_rate, None, "htk")
        spectrum = torch.stft(
            torch.from_numpy(wave), self.n_fft, self.hop_length, self.win_length, torch.hann_window(self.win_length), return_complex=True
        )
        mel = spectrum.abs().square().T @ torch.from_numpy(bank).float()
        log = mel.clamp(min=1e-10).log10()
        log = torch.maximum(log, log.max() - 8.0) / 4 + 1
        return log[: len(log) // 2 * 2].reshape(-1, 2 * self.n_mels).numpy()


class Scaled(nn.Module):
    """Granite's output layer: its logits are divided by a constant, which the speech class of Transformers leaves out."""

    def __init__(self, head: nn.Module, by: float) -> None:
        super().__init__()
        self.head, self.by = head, by

    @property
    def weight(self) -> Tensor:
        """(token, width)"""
        return self.head.weight  # type: ignore[return-value]

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits."""
        return self.head(hidden) / self.by  # type: ignore[no-any-return]


class GraniteSpeech(Stock):
    """Published checkpoints hear through an adapter in the language model; it is added to the weights when they are opened."""

    family = "granite_speech"
    model_types = ("granite_speech",)
    checkpoints = ("ibm-granite/granite-speech-3.3-8b", "ibm-granite/granite-speech-3.3-2b")
    architecture = "GraniteSpeechForConditionalGeneration"

    @classmethod
    def weights(cls, checkpoint: str | Path, device: str, dtype: torch.dtype) -> nn.Module:
        module = super().weights(checkpoint, device, dtype)
        fuse(module)
        return module

    @classmethod
    def front_end(cls, config: Any, checkpoint: str | Path = "") -> Any:
        return MelPairs.of(checkpoint) if checkpoint else MelPairs(n_mels=config.encoder_config.input_dim // 2)

    @classmethod
    def toy_tokenizer(cls) -> Any:
        from undertone.models import tiny

        # Granite's own template joins strings: it knows no parts, and audio is a word of the text.
        template = (
            "{% for message in messages %}{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] "
            "+ '<|end_of_text|>\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
        )
        return tiny.tokenizer(template, ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|audio|>"), "<|end_of_text|>")

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import GraniteSpeechConfig

        encoder = dict(input_dim=160, num_layers=2, hidden_dim=32, num_heads=2, output_dim=12, context_size=50, max_pos_emb=64)
        former = dict(model_type="blip_2_qformer", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                      encoder_hidden_size=32, cross_attention_frequency=1)  # fmt: skip
        # The audio token stands behind the last row of the embedding table, as in the published checkpoints.
        text = toy_text(tokenizer, model_type="granite", logits_scaling=4.0, embedding_multiplier=6.0, residual_multiplier=0.5,
                        attention_multiplier=0.2) | {"vocab_size": len(tokenizer) - 1}  # fmt: skip
        return GraniteSpeechConfig(
            encoder_config=encoder, projector_config=former, text_config=text, has_lora_adapter=False, tie_word_embeddings=False,
            audio_token_index=tokenizer.convert_tokens_to_ids("<|audio|>"),
        )  # fmt: skip

    @property
    def tower(self) -> Any:
        return self.module.model.encoder  # type: ignore[union-attr]

    @property
    def projector(self) -> nn.Module:
        return self.module.model.projector  # type: ignore[union-attr,return-value]

    @property
    def lm_head(self) -> nn.Module:
        return Scaled(super().lm_head, self.module.config.text_config.logits_scaling)  # type: ignore[union-attr,arg-type]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.extractor(wave)  # type: ignore[no-any-return]

    def token_count(self, frames: int) -> int:
        config: Any = self.module.config
        return -(-frames // config.window_size) * (config.window_size // config.downsample_rate)  # type: ignore[no-any-return]

    def listen(self, batch: Batch) -> Tensor:
        """Clip by clip: the Conformer knows no mask, and hears what fills a batch."""
        heard = [self.module.get_audio_features(clip[None], return_dict=True).pooler_output[0] for clip in self.heard(batch)]  # type: ignore[operator]
        return torch.cat(heard).to(self.device)
