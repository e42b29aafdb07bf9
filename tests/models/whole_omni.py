"""A whole Qwen2.5-Omni (thinker, talker, codec, voices) of the real class at toy size, in a folder as it lies on the hub."""

from pathlib import Path

import torch

from undertone.models import tiny

CODES = 64
"""Speech codes of the toy talker; the last of them begin, end, fill and hide."""


def config(layers: int = 3) -> object:
    """Its configuration: the thinker is the toy family's, cut to `layers`."""
    from transformers import Qwen2_5OmniConfig

    tokens = tiny.tokenizer()
    thinker = tiny.config(tokens).to_dict()
    thinker["text_config"] |= {"num_hidden_layers": layers, "layer_types": None, "hidden_size": 48, "intermediate_size": 64}
    thinker["text_config"] |= {"num_attention_heads": 2, "num_key_value_heads": 1}
    thinker["text_config"]["rope_parameters"] |= {"mrope_section": [2, 5, 5]}
    thinker["audio_config"] |= {"d_model": 32, "output_dim": 48, "encoder_layers": 1, "encoder_ffn_dim": 32, "encoder_attention_heads": 2}
    thinker["vision_config"] |= {"out_hidden_size": 48}
    same = ("audio_token_index", "image_token_index", "video_token_index", "audio_start_token_id", "audio_end_token_id")
    talker = {name: thinker[name] for name in same} | dict(
        vocab_size=CODES, tts_codec_start_token_id=CODES - 4, tts_codec_end_token_id=CODES - 3, tts_codec_pad_token_id=CODES - 2,
        tts_codec_mask_token_id=CODES - 1, tts_text_start_token_id=7, tts_text_end_token_id=8, tts_text_pad_token_id=0,
        vision_start_token_id=8, vision_end_token_id=9, embedding_size=48, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
    )  # fmt: skip
    dit = dict(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, ff_mult=1, emb_dim=16, head_dim=16, look_ahead_layers=[0],
        look_backward_layers=[0], num_embeds=CODES + 1, mel_dim=8, enc_emb_dim=8, enc_dim=8, enc_channels=[8, 8, 8, 8, 24],
        enc_attention_channels=4, enc_se_channels=4,
    )  # fmt: skip
    vocoder = dict(
        mel_dim=8, upsample_initial_channel=16, resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 1, 1]], upsample_rates=[2],
        upsample_kernel_sizes=[4],
    )  # fmt: skip
    return Qwen2_5OmniConfig(
        thinker_config=thinker,
        talker_config=talker,
        token2wav_config={"dit_config": dit, "bigvgan_config": vocoder},
        enable_audio_output=True,
    )


def save(folder: Path, dtype: torch.dtype = torch.float32, shard: str = "100KB") -> Path:
    """Write one with random weights, in many shards, with voices, tokenizer and front end beside them."""
    from transformers import Qwen2_5OmniForConditionalGeneration

    torch.manual_seed(4)
    model = Qwen2_5OmniForConditionalGeneration(config()).to(dtype)
    model.thinker.generation_config.eos_token_id = None
    model.save_pretrained(folder, max_shard_size=shard)
    voice = {"bos_token": 5, "cond": torch.zeros(1, 8), "ref_mel": torch.zeros(1, 4, 8)}
    torch.save({"Chelsie": voice}, folder / "spk_dict.pt")
    tiny.tokenizer().save_pretrained(folder)
    tiny.feature_extractor().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: toy-licence\n---\nA toy.\n", encoding="utf-8")
    return folder
