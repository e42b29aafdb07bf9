"""Kimi-Audio's language model on Transformers' Qwen2 layers: two streams of tokens in, text out, and on demand speech tokens.

Module names are those of the published checkpoint. All text work is the stock forward of Qwen2; the speech branch is six more layers.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM, Qwen2Model
from transformers.masking_utils import create_causal_mask
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, Qwen2RMSNorm

from undertone.models.kimi_audio.config import KimiAudioConfig
from undertone.models.kimi_audio.weights import ROTARY, SPEECH_BRANCH


class StreamEmbedding(nn.Embedding):
    """Both streams through one table. A position of a prompt holds a token on one stream and the blank on the other, and their embeddings
    are summed: so one row of ids says all, and which stream a token is on makes no difference."""

    def __init__(self, rows: int, width: int, blank: int) -> None:
        super().__init__(rows, width)
        self.blank = blank

    def forward(self, input: Tensor) -> Tensor:
        return self.row(input) + self.weight[self.blank]

    def row(self, ids: Tensor) -> Tensor:
        """The embeddings of `ids` on one stream."""
        return super().forward(ids)


class Adaptor(nn.Module):
    """Four states of Whisper side by side → the width of the language model."""

    def __init__(self, config: KimiAudioConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.kimia_adaptor_input_dim, config.hidden_size),
            nn.SiLU(),
            nn.Dropout(0.0),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.LayerNorm(config.hidden_size, eps=config.rms_norm_eps),
        )

    def forward(self, states: Tensor) -> Tensor:
        """(token, width) of `states` (token, 4 · width of Whisper)."""
        return self.layers(states)  # type: ignore[no-any-return]


class KimiAudioModel(Qwen2Model):  # type: ignore[misc]
    """The decoder, the adaptor that feeds it, and, where the configuration asks for them, the layers that make speech."""

    config_class = KimiAudioConfig

    def __init__(self, config: KimiAudioConfig) -> None:
        super().__init__(config)
        self.embed_tokens = StreamEmbedding(config.vocab_size, config.hidden_size, config.kimia_text_blank)
        self.vq_adaptor = Adaptor(config)
        if config.kimia_mimo_layers:
            # All layers are of one kind, so the last index stands for those that Qwen2's configuration does not know of.
            last = config.num_hidden_layers - 1
            self.mimo_layers = nn.ModuleList(Qwen2DecoderLayer(config, last) for _ in range(config.kimia_mimo_layers))
            self.mimo_norm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def heard(self, codes: Tensor, states: Tensor) -> Tensor:
        """Input embeddings (token, width) where audio stands, from the speech tokenizer's `codes` (token,) and four `states` of Whisper a
        token: (E[code] + adaptor(states)) · √2 + E[blank]. √2 keeps the variance of a sum of two, and belongs nowhere else."""
        discrete = self.embed_tokens.row(codes + self.config.kimia_token_offset)
        root = torch.tensor(2.0, dtype=discrete.dtype, device=discrete.device).sqrt()
        heard: Tensor = (discrete + self.vq_adaptor(states.to(discrete))) * root + self.embed_tokens.weight[self.embed_tokens.blank]
        return heard

    def spoken(self, shared: Tensor, attention_mask: Tensor | None, position_ids: Tensor) -> Tensor:
        """States (batch, token, width) of the speech branch from the `shared` layers' states."""
        positions = self.rotary_emb(shared, position_ids)
        mask = create_causal_mask(
            config=self.config, inputs_embeds=shared, attention_mask=attention_mask, past_key_values=None, position_ids=position_ids
        )
        for layer in self.mimo_layers:
            shared = layer(shared, attention_mask=mask, position_ids=position_ids, position_embeddings=positions)
        return self.mimo_norm(shared)  # type: ignore[no-any-return]


class Logits(NamedTuple):
    """Of the next text token and of the next speech token, each (batch, token, vocabulary)."""

    text: Tensor
    speech: Tensor


class KimiAudioForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """Text from `lm_head` behind all layers; speech tokens from `mimo_output` behind the speech branch, where it is there."""

    config_class = KimiAudioConfig
    _tied_weights_keys: ClassVar[dict[str, str]] = {}
    # What a checkpoint may hold beyond this; `weights.check` has looked at it.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [ROTARY, SPEECH_BRANCH]

    def __init__(self, config: KimiAudioConfig) -> None:
        super(Qwen2ForCausalLM, self).__init__(config)
        self.model = KimiAudioModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.kimia_mimo_layers:
            self.mimo_output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def speak(self, inputs_embeds: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None) -> Logits:
        """What the model would write and say next at every position; ValueError where it was opened without its speech branch."""
        if not self.config.kimia_mimo_layers:
            raise ValueError("Kimi-Audio was opened without its speech branch; open it with speech=True")
        if position_ids is None:
            position_ids = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)[None]
        out = self.model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=False,
            output_hidden_states=True,
        )
        shared = out.hidden_states[self.config.kimia_mimo_transformer_from_layer_index + 1]
        return Logits(self.lm_head(out.last_hidden_state), self.mimo_output(self.model.spoken(shared, attention_mask, position_ids)))
