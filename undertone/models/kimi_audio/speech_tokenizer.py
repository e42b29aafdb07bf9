"""GLM-4-Voice's speech tokenizer (Zeng et al. 2024, arXiv 2412.02612): log-mel frames → one of 16,384 codes every 80 ms.

The front part of a Whisper encoder, made causal: convolutions see the past only, attention sees its own block of 4 s and what lies before.
Module names are those of the published checkpoint.
"""

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer


class SpeechTokenizer(nn.Module):
    """Whisper layers, pooling, and the nearest row of a codebook."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        if config.pooling_position > config.quantize_position or not config.encoder_causal_convolution:
            raise ValueError("speech tokenizer: not GLM-4-Voice's, whose convolutions are causal and which pools before it quantizes")
        config._attn_implementation = "sdpa"
        width = config.d_model
        self.config = config
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2)
        self.embed_positions = nn.Embedding(config.max_source_positions, width)
        self.layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.quantize_position))
        self.codebook = nn.Embedding(config.quantize_vocab_size, width)
        # Added behind the codebook, for decoders that read the codes' vectors; the codes do not need it.
        self.embed_positions2 = nn.Embedding(-(-config.max_source_positions // config.pooling_kernel_size), width)

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Codes (clip, ⌈frame / 8⌉) of log-mel frames `mel` (clip, bin, frame), a multiple of 8, of which each clip has `lengths`. Codes
        behind a clip's end mean nothing."""
        states = nn.functional.gelu(self.conv1(nn.functional.pad(mel, (2, 0))))
        states = nn.functional.gelu(self.conv2(nn.functional.pad(states, (2, 0)))).transpose(1, 2)
        states = states + self.embed_positions.weight[: states.shape[1]]
        real, block, pool = -(-lengths // 2), self.config.quantize_causal_block_size, self.config.pooling_kernel_size
        seen = _seen(states, real, block)
        for i, layer in enumerate(self.layers, 1):
            states = layer(states, attention_mask=seen)
            if i == self.config.pooling_position:
                states = self._pooled(states)
                seen = _seen(states, -(-real // pool), block // pool)
        return self.nearest(states)

    def _pooled(self, states: Tensor) -> Tensor:
        pool = nn.functional.avg_pool1d if self.config.pooling_type == "avg" else nn.functional.max_pool1d
        padded = nn.functional.pad(states.transpose(1, 2), (0, -states.shape[1] % self.config.pooling_kernel_size))
        return pool(padded, self.config.pooling_kernel_size).transpose(1, 2)

    def nearest(self, states: Tensor) -> Tensor:
        """The row of the codebook nearest to each of `states` (…, width)."""
        book, flat = self.codebook.weight, states.reshape(-1, states.shape[-1])
        # |c|² + |s|² - 2 s·c, summed as the published code sums it.
        apart = torch.addmm(book.square().sum(1) + flat.square().sum(1, keepdim=True), flat, book.T, alpha=-2.0)
        return apart.argmin(1).view(states.shape[:-1])


def _seen(states: Tensor, lengths: Tensor, block: int) -> Tensor:
    """Bool (clip, 1, state, state): a state sees those before it, those of its block, and nothing behind the clip's end."""
    place = torch.arange(states.shape[1], device=states.device)
    near = (place[None] <= place[:, None]) | (place[None] // block == place[:, None] // block)
    return (near & (place < lengths[:, None, None]))[:, None]
