"""Qwen3-Omni (Xu et al. 2025, arXiv 2509.17765): the thinker, a mixture of experts, from the hub or a local folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef
from undertone.models.qwen2_5_omni import log_mel
from undertone.models.stock import Stock, toy_text


class Qwen3OmniMoe(Stock):
    """The thinker: audio tower (which ends in a projection of its own) and language model. The talker is not loaded."""

    family = "qwen3_omni_moe"
    model_types = ("qwen3_omni_moe_thinker", "qwen3_omni_moe")
    checkpoints = ("Qwen/Qwen3-Omni-30B-A3B-Instruct",)
    architecture = "Qwen3OmniMoeThinkerForConditionalGeneration"
    beside = ("talker", "code2wav")
    unused = ("model.visual",)

    @classmethod
    def toy(cls, tokenizer: Any) -> Any:
        from transformers import Qwen3OmniMoeThinkerConfig

        audio = dict(num_mel_bins=80, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64, d_model=32, output_dim=48,
                     downsample_hidden_size=8)  # fmt: skip
        vision = dict(depth=1, hidden_size=16, num_heads=2, intermediate_size=16, out_hidden_size=48, deepstack_visual_indexes=[0],
                      num_position_embeddings=16, patch_size=4)  # fmt: skip
        rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 2, 2], "mrope_interleaved": True}
        text = toy_text(tokenizer, head_dim=12, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2, rope_parameters=rope)
        ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in (
            ("audio_token_id", "<|AUDIO|>"), ("image_token_id", "<|IMAGE|>"), ("video_token_id", "<|VIDEO|>"),
            ("audio_start_token_id", "<|audio_bos|>"), ("vision_start_token_id", "<|vision_bos|>"),
            ("vision_end_token_id", "<|vision_eos|>"), ("audio_end_token_id", "<|audio_eos|>"),
        )}  # fmt: skip
        return Qwen3OmniMoeThinkerConfig(audio_config=audio, vision_config=vision, text_config=text, **ids)

    @property
    def projector(self) -> nn.Module:
        return self.tower.proj2  # type: ignore[no-any-return]

    def frozen_front(self) -> nn.Module:
        return self.tower  # type: ignore[no-any-return]

    def experts(self, layer: LayerRef) -> Sequence[str]:
        """The experts' `gate_up_proj` and `down_proj`."""
        found = ((path, part) for path, part in self.module.named_modules() if path.endswith(".experts"))
        inside = {id(part) for part in self.blocks()[layer].modules()}
        return [f"{path}.{name}" for path, part in found if id(part) in inside for name, _ in part.named_parameters(recurse=False)]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return log_mel(self.extractor, wave)

    def token_count(self, frames: int) -> int:
        whole, rest = divmod(frames, 2 * self.tower.n_window)
        for _ in range(3):
            rest = (rest - 1) // 2 + 1
        return rest + 13 * whole  # type: ignore[no-any-return]

    def listen(self, batch: Batch) -> Tensor:
        """A clip shorter than a chunk is heard by itself: in a batch the tower would fill it up and hear its end otherwise."""
        clips = self.heard(batch)
        whole = [i for i, clip in enumerate(clips) if len(clip) >= 2 * self.tower.n_window]
        made: dict[int, Tensor] = {}
        for group in ([whole] if whole else []) + [[i] for i in range(len(clips)) if i not in whole]:
            lengths = torch.tensor([len(clips[i]) for i in group], device=clips[0].device)
            heard = self.tower(torch.cat([clips[i] for i in group]).T, feature_lens=lengths).last_hidden_state
            made |= zip(group, heard.split([self.token_count(n) for n in lengths.tolist()]), strict=True)
        return torch.cat([made[i] for i in range(len(clips))]).to(self.device)
