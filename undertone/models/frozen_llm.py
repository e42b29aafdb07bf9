"""The second road's model: a frozen causal language model that hears through a speech encoder and a projector (METHOD B.2).

Any Transformers causal LM with a chat template; any speech encoder of `encoders.py`. Where the chat's words would stand, the projector's
tokens stand. A checkpoint holds encoder and projector only and names the language model by id and by the SHA-256 of its weights.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, Prompt, SpeechLM
from undertone.models.checkpoints import refuse_pickle, without_code
from undertone.models.chosen import Chosen
from undertone.models.digest import files_digest
from undertone.models.encoders import Conformer, SpeechEncoder, open_encoder, rebuild
from undertone.models.projector import Projector, pooled
from undertone.records import parse_json
from undertone.run import write_atomic

WEIGHTS, CONFIG = "model.safetensors", "config.json"
MODEL_TYPE = "undertone_frozen_llm"

_HERE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Where the audio goes while the chat template writes around it: Unicode's stand-in for what is no text."""


class LanguageModel(NamedTuple):
    """The frozen model by its name (a hub name, a folder, or undertone-tiny-lm), the SHA-256 of its weights, and that of its vocabulary
    (empty: not known)."""

    name: str
    sha256: str
    vocabulary: str = ""


class Front(nn.Module):
    """What is trained on this road: speech encoder and projector."""

    def __init__(self, encoder: SpeechEncoder, projector: Projector) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def count(self, frames: int) -> int:
        """Tokens of a clip of `frames`."""
        return self.projector.count(self.encoder.count(frames))

    def with_note(self, tokens: int, chooses: Mapping[str, Sequence[str]] | None = None) -> None:
        """From now on `tokens` tokens made of the whole clip, or chosen where `chooses` names attributes and values, stand before those of
        its words; their weights are fresh."""
        old, ear = self.projector, self.encoder
        kept = {name: value for name, value in old.settings.items() if name not in ("chooses", "profile")}
        kept |= {"note_tokens": tokens} | ({"chooses": chooses, "profile": ear.profile_width} if chooses else {})
        made = Projector(ear.width, old.out.out_features, ear.milliseconds, **kept)
        made.load_state_dict({name: value for name, value in old.state_dict().items() if not name.startswith("note.")}, strict=False)
        self.projector = made.to(old.out.weight.device).train(old.training)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (state, width) and tokens (token, llm_width) of all clips in a row, from their `frames` (frame, bins) in a row."""
        states, counts, whole = self.states(frames, lengths)
        tokens = self.projector(states, counts, whole)
        kept = [self.projector.count(n) for n in counts.tolist()]
        return _flat(states, counts.tolist()), _flat(tokens, kept)

    def states(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's states (clip, state, width), padded, how many each clip has, and what its note is made of (clip, …)."""
        counts = lengths.tolist()
        padded = nn.utils.rnn.pad_sequence(list(torch.split(frames, counts)), batch_first=True)
        within = torch.tensor([self.encoder.count(n) for n in counts], device=frames.device)
        if not isinstance(self.projector.note, Chosen):
            states = self.encoder(padded, lengths)
            return states, within, pooled(states, within)
        states, given = self.encoder.inside(padded, lengths)
        profile = [pooled(layer, within) for layer in (*given, states)]
        return states, within, torch.cat([*profile, self.encoder.told_of(padded)], dim=1)


class FrozenLLM(SpeechLM):
    """`module` is the language model, unmodified; encoder and projector stand beside it, in float32 whatever it is in: they are trained."""

    family = "frozen_llm"
    model_types = (MODEL_TYPE,)

    def __init__(self, module: nn.Module, tokenizer: Any, front: Front, language_model: LanguageModel) -> None:
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.front = front.eval()
        self.language_model = language_model
        self.sample_rate = front.encoder.sample_rate
        self._names = {id(child): name for name, child in module.named_modules()}
        self._check_tokenizer()

    def _check_tokenizer(self) -> None:
        name, rows = self.language_model.name, len(self.module.get_input_embeddings().weight)  # type: ignore[operator]
        if len(self.tokenizer) > rows:
            raise ValueError(
                f"language model {name}: its tokenizer has {len(self.tokenizer)} tokens, its embedding table {rows}: the tokenizer is "
                "another model's; copy the right one beside the weights"
            )
        if not self.tokenizer.chat_template:
            raise ValueError(f"language model {name}: its tokenizer has no chat template; name an instruction-tuned model")
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token_id = self.tokenizer.eos_token_id

    @classmethod
    def fresh(
        cls,
        language_model: str,
        encoder: str,
        projector: Mapping[str, Any],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> Self:
        """An untrained projector between `encoder` (conformer, a folder, a hub name) and `language_model`; ValueError or OSError names
        what cannot be opened."""
        module, tokenizer, found = open_language_model(language_model, device, dtype)
        torch.manual_seed(seed)
        table = module.get_input_embeddings().weight  # type: ignore[operator]
        ear = open_encoder(encoder)
        front = Front(ear, Projector(ear.width, table.shape[1], ear.milliseconds, **projector))
        front.projector.scale.copy_(table.detach().float().square().mean().sqrt())  # type: ignore[operator]
        return cls(module, tokenizer, front.to(device), found)

    @classmethod
    def load(cls, checkpoint: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        from safetensors.torch import load_file
        from transformers.utils import cached_file

        folder = Path(str(cached_file(str(checkpoint), CONFIG))).parent
        weights = Path(str(cached_file(str(checkpoint), WEIGHTS)))
        table = parse_json((folder / CONFIG).read_text(encoding="utf-8"), str(folder / CONFIG))
        if table.get("model_type") != MODEL_TYPE:
            raise ValueError(f"model {checkpoint}: of type {table.get('model_type')!r}, not one that undertone align made")
        asked = LanguageModel(**table["language_model"])
        module, tokenizer, found = open_language_model(asked.name, device, dtype)
        if found.sha256 != asked.sha256:
            raise ValueError(
                f"model {checkpoint}: trained for a language model {asked.name} of SHA-256 {asked.sha256[:12]}…, the one there is "
                f"{found.sha256[:12]}…; put the right weights there, or align anew (undertone align --language-model {asked.name})"
            )
        if asked.vocabulary and found.vocabulary != asked.vocabulary:
            raise ValueError(
                f"model {checkpoint}: trained with another vocabulary than the tokenizer of {asked.name} has now, though the weights are "
                "the same; put the right tokenizer there"
            )
        ear = rebuild(table["encoder"], str(checkpoint))
        width = module.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        front = Front(ear, Projector(ear.width, width, ear.milliseconds, **table["projector"]))
        try:
            front.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise ValueError(
                f"model {checkpoint}: weights and config.json do not fit together ({' '.join(str(error).split())[:200]})"
            ) from None
        return cls(module, tokenizer, front.to(device), found)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Encoder and projector as safetensors in `dtype`, and a config that names the language model; OSError names a file that cannot be
        written."""
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        self.front.encoder.save_front_end(folder)
        tensors = {name: value.detach().cpu().to(dtype).contiguous() for name, value in self.front.state_dict().items()}
        write_atomic(folder / WEIGHTS, save(tensors, {"format": "pt"}))
        table = {
            "model_type": MODEL_TYPE,
            "language_model": self.language_model._asdict(),
            "encoder": dict(self.front.encoder.settings),
            "projector": dict(self.front.projector.settings),
        }
        write_atomic(folder / CONFIG, json.dumps(table, indent=2, default=str) + "\n")

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        from transformers import Qwen2Config, Qwen2ForCausalLM

        from undertone.models import tiny

        torch.manual_seed(seed)
        tokens = tiny.tokenizer()
        config = Qwen2Config(
            vocab_size=len(tokens), hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            pad_token_id=tokens.pad_token_id, eos_token_id=tokens.eos_token_id,
        )  # fmt: skip
        front = Front(ear := Conformer(width=32, layers=2), Projector(ear.width, 48, ear.milliseconds, hidden=32))
        return cls(Qwen2ForCausalLM(config), tokens, front, LanguageModel("tiny", ""))

    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        tower = {LayerRef("audio_tower", i): block for i, block in enumerate(self.front.encoder.layers)}
        decoder = {LayerRef("language_model", i): block for i, block in enumerate(decoder_layers(self.module))}
        return {**tower, LayerRef("projector", 0): self.front.projector, **decoder}

    def linears(self, layer: LayerRef) -> Sequence[str]:
        """Of the language model's layers; encoder and projector are trained whole and take no LoRA."""
        found = [self._names.get(id(child)) for child in self.blocks()[layer].modules() if isinstance(child, nn.Linear)]
        return [name for name in found if name]

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.front.encoder.frames(wave)

    def token_count(self, frames: int) -> int:
        return self.front.count(frames)

    def listen(self, batch: Batch) -> Tensor:
        return self.hear(batch).tokens

    def hear(self, batch: Batch) -> "Heard":
        """What encoder and projector make of the batch's frames, each (…, width) over all clips in a row."""
        if batch.frames is None or batch.frame_lengths is None:
            raise ValueError("this batch has no frames to listen to")
        place = next(self.front.parameters())
        with self.hearing():
            states, tokens = self.front(batch.frames.to(place), batch.frame_lengths.to(place.device))
        return Heard(states, tokens.to(self.device))

    @torch.inference_mode()
    def inside(self, clips: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """`Front.states` of clips by their frames (frame, bins) each: what is looked at, and not said to the language model."""
        place = next(self.front.parameters())
        lengths = torch.tensor([len(clip) for clip in clips], device=place.device)
        with self.hearing():
            return self.front.states(torch.cat(list(clips)).to(place), lengths)

    def hearing(self) -> torch.autocast:
        """The number format in which encoder and projector work."""
        place = next(self.front.parameters())
        return torch.autocast(place.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def frozen_front(self) -> nn.Module:
        return self.front

    @property
    def text_model(self) -> nn.Module:
        return self.module.base_model  # type: ignore[return-value]

    @property
    def audio_token_id(self) -> int:
        """An id beyond the vocabulary: no language model has a token for what it was not made to hear."""
        return len(self.module.get_input_embeddings().weight)  # type: ignore[operator]

    def prompt_ids(self, prompt: Prompt, audio_tokens: int) -> list[int]:
        said = "".join([f"{prompt.note} " if prompt.note else "", _HERE if audio_tokens else "", prompt.text])
        chat = [{"role": "system", "content": prompt.system}] if prompt.system else []
        written = self.tokenizer.apply_chat_template([*chat, {"role": "user", "content": said}], add_generation_prompt=True, tokenize=False)
        before, _, behind = written.partition(_HERE)
        ids = [self.tokenizer.encode(part, add_special_tokens=False) if part else [] for part in (before, behind)]
        return [*ids[0], *[self.audio_token_id] * audio_tokens, *ids[1]]


class Heard(NamedTuple):
    """The encoder's states (state, width) and the projector's tokens (token, llm_width) of all clips of a batch in a row."""

    states: Tensor
    tokens: Tensor


def open_language_model(name: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any, LanguageModel]:
    """The causal language model called `name` (undertone-tiny-lm, a folder, a hub name), its tokenizer, and who it is."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from undertone.models import tiny

    place = tiny.WEIGHTS / name if name == tiny.LANGUAGE_MODEL else name
    there = {} if device == "cpu" else {"device_map": {"": device}}
    refuse_pickle(place)
    with without_code(f"language model {name}"):
        module = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, use_safetensors=True, trust_remote_code=False, **there)
        tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", trust_remote_code=False)
    return module, tokenizer, LanguageModel(name, files_digest(place), vocabulary_digest(tokenizer))


def vocabulary_digest(tokenizer: Any) -> str:
    """SHA-256 of the tokens with their ids: what an id means is as much part of the model as its weights."""
    return sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()


def decoder_layers(module: nn.Module) -> nn.ModuleList:
    """The decoder's layers, found by walking: the first list as long as the configuration says."""
    count = module.config.get_text_config().num_hidden_layers  # type: ignore[operator,union-attr]
    return next(part for part in module.modules() if isinstance(part, nn.ModuleList) and len(part) == count)


def _flat(padded: Tensor, counts: Sequence[int]) -> Tensor:
    return torch.cat([row[:n] for row, n in zip(padded, counts, strict=True)])
