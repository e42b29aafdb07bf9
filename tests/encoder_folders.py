"""Tiny speech encoders as they lie on the hub: each class with random weights and its feature extractor, in a folder."""

from collections.abc import Callable
from pathlib import Path

from transformers import (
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerModel,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONVOLUTIONS = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}


def whisper(folder: Path) -> None:
    sizes = dict(d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=48)
    rest = dict(decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=48, vocab_size=60, pad_token_id=0)
    WhisperModel(WhisperConfig(num_mel_bins=80, **sizes, **rest, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)).save_pretrained(
        folder
    )
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


def waves(model: type, config: type, **more: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        model(config(**SMALL, **CONVOLUTIONS, **more)).save_pretrained(folder)
        Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)

    return write


def wav2vec2_bert(folder: Path) -> None:
    Wav2Vec2BertModel(Wav2Vec2BertConfig(**SMALL, attn_implementation="eager")).save_pretrained(folder)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2).save_pretrained(folder)


ENCODERS = {
    "whisper": whisper,
    "wavlm": waves(WavLMModel, WavLMConfig, feat_extract_norm="layer", do_stable_layer_norm=True),
    "wav2vec2 of group norm": waves(Wav2Vec2Model, Wav2Vec2Config),
    "wav2vec2-conformer": waves(Wav2Vec2ConformerModel, Wav2Vec2ConformerConfig, feat_extract_norm="layer", conv_depthwise_kernel_size=7),
    "wav2vec2-bert": wav2vec2_bert,
}
