"""The published configuration of Kimi-Audio's language model, and of what hears for it."""

from typing import Any

from transformers import Qwen2Config, WhisperConfig

PUBLISHED = {
    "vocab_size": 168448, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}, "pad_token_id": 152063, "bos_token_id": 151643,
}  # fmt: skip
"""Kimi-Audio-7B and -Instruct, where they differ from the defaults below."""


class KimiAudioConfig(Qwen2Config):  # type: ignore[misc]
    """A Qwen2 body with 152,064 text and special tokens, then one token a code of the speech tokenizer, from `kimia_token_offset` on.

    `kimia_mimo_layers` extra layers leave behind layer `kimia_mimo_transformer_from_layer_index` and make speech; 0: text only.
    """

    model_type = "kimi_audio"

    kimia_mimo_layers: int = 6
    kimia_mimo_transformer_from_layer_index: int = 21
    kimia_token_offset: int = 152064
    kimia_adaptor_input_dim: int = 5120
    kimia_media_begin: int = 151661
    kimia_media_end: int = 151663
    kimia_text_blank: int = 151666


def whisper_config(**sizes: Any) -> WhisperConfig:
    """Whisper-large-v3 (Radford et al. 2022), or the like of other `sizes`."""
    large = dict(d_model=1280, encoder_layers=32, encoder_attention_heads=20, encoder_ffn_dim=5120, num_mel_bins=128)
    return WhisperConfig(**{**large, **sizes})


def speech_tokenizer_config(**sizes: Any) -> WhisperConfig:
    """The tokenizer of GLM-4-Voice (Zeng et al. 2024, arXiv 2412.02612): 16 layers of Whisper-large-v3, made causal, four states averaged
    into one and the nearest of 16,384 codes taken; or the like of other `sizes`."""
    made = dict(
        encoder_causal_convolution=True, pooling_kernel_size=4, pooling_type="avg", pooling_position=16, quantize_position=16,
        quantize_vocab_size=16384, quantize_causal_block_size=200,
    )  # fmt: skip
    return whisper_config(**{**made, **sizes})
