"""What families on stock Transformers classes share: opening, prompts through the model's own template, and its parts by walking."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, Prompt, SpeechLM
from undertone.models.chat import Chat, processor_template, render
from undertone.models.checkpoints import open_module


class Stock(SpeechLM):
    """A family whose `module` is one class of Transformers, called `architecture` there.

    `template`: the published chat template, for checkpoints that keep it in code. `beside`: beginnings of the names of weights that a
    checkpoint holds for parts that are not loaded. What is `unused`, for no picture is ever shown, is not dropped, so that the module saves
    whole and is the class that stock PEFT opens.
    """

    architecture: ClassVar[str]
    template: ClassVar[str] = ""
    beside: ClassVar[tuple[str, ...]] = ()

    def __init__(self, module: nn.Module, tokenizer: Any, extractor: Any, name: str = "") -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.extractor = extractor
        self.sample_rate = extractor.sampling_rate
        self._names = {id(child): path for path, child in module.named_modules()}
        if tokenizer is not None:
            self.chat = Chat.of(tokenizer, tokenizer.convert_ids_to_tokens(self.audio_token_id), name or self.family)
            tokenizer.padding_side = "left"
            # A tokenizer that was made of tekken.json alone names neither.
            tokenizer.eos_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(self.chat.end)
            tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token

    @classmethod
    def kind(cls) -> Any:
        """The class of Transformers."""
        import transformers

        return getattr(transformers, cls.architecture)

    @classmethod
    def load(cls, checkpoint: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        return cls.around(cls.weights(checkpoint, device, dtype), checkpoint)

    @classmethod
    def around(cls, module: nn.Module, checkpoint: str | Path, remote_code: bool = False) -> Self:
        """The model of `module`, with the tokenizer and the front end that lie in the checkpoint."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=remote_code)
        tokenizer.chat_template = tokenizer.chat_template or cls.template or processor_template(checkpoint)
        return cls(module, tokenizer, cls.front_end(module.config, checkpoint), str(checkpoint))

    @classmethod
    def weights(cls, checkpoint: str | Path, device: str, dtype: torch.dtype) -> nn.Module:
        """The module with its weights, on `device`."""
        module = open_module(cls.kind(), checkpoint, device, dtype, cls.beside)
        for path in cls.unused:
            module.get_submodule(path).to("cpu")
        return module

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        torch.manual_seed(seed)
        tokenizer = cls.toy_tokenizer()
        config = cls.toy(tokenizer)
        return cls(cls.kind()(config), tokenizer, cls.front_end(config))

    @classmethod
    def hollow(cls, config: Any, dtype: torch.dtype = torch.bfloat16) -> Self:
        """The full-size model of `config` without weights (meta device) and without a tokenizer: it can be measured, not asked."""
        with torch.device("meta"):
            module = cls.kind()._from_config(config, dtype=dtype)
        return cls(module, None, cls.front_end(config))

    @classmethod
    def configuration(cls, checkpoint: str | Path) -> Any:
        return cls.kind().config_class.from_pretrained(checkpoint)

    @classmethod
    @abstractmethod
    def toy(cls, tokenizer: Any) -> Any:
        """The configuration at toy size."""

    @classmethod
    def toy_tokenizer(cls) -> Any:
        """The tokenizer of the toy size; its template is the published one."""
        from undertone.models import tiny

        return tiny.tokenizer(template=cls.template or tiny.CHAT_TEMPLATE)

    @classmethod
    def front_end(cls, config: Any, checkpoint: str | Path = "") -> Any:
        """The feature extractor of a checkpoint, or what its class makes of `config`."""
        from transformers import WhisperFeatureExtractor

        if checkpoint:
            return WhisperFeatureExtractor.from_pretrained(checkpoint)
        audio = config.audio_config
        seconds = getattr(audio, "max_source_positions", None) or audio.max_position_embeddings
        return WhisperFeatureExtractor(feature_size=audio.num_mel_bins, chunk_length=min(30, seconds // 50))

    @property
    def tower(self) -> Any:
        """The audio tower; its layers are `layers`."""
        return self.module.model.audio_tower  # type: ignore[union-attr]

    @property
    def projector(self) -> nn.Module:
        """From the tower's states to the language model's embeddings."""
        return self.module.model.multi_modal_projector  # type: ignore[union-attr,return-value]

    @property
    def text_model(self) -> nn.Module:
        return self.module.model.language_model  # type: ignore[union-attr,return-value]

    def frozen_front(self) -> nn.Module:
        return nn.ModuleList([self.tower, self.projector])

    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        tower = {LayerRef("audio_tower", i): block for i, block in enumerate(self.tower.layers)}
        decoder = {LayerRef("language_model", i): block for i, block in enumerate(self.text_model.layers)}  # type: ignore[arg-type]
        return {**tower, LayerRef("projector", 0): self.projector, **decoder}

    def linears(self, layer: LayerRef) -> Sequence[str]:
        return [self._names[id(child)] for child in self.blocks()[layer].modules() if isinstance(child, nn.Linear)]

    @property
    def audio_token_id(self) -> int:
        return self.module.config.audio_token_id  # type: ignore[union-attr,return-value]

    @property
    def end_token_id(self) -> int:
        return self.chat.end

    def prompt_ids(self, prompt: Prompt, audio_tokens: int) -> list[int]:
        if prompt.system and not self.chat.system:
            raise ValueError(f"system: the chat template of {self.family} has no place for a system prompt; leave system empty")
        if self.chat.parts:
            return super().prompt_ids(prompt, audio_tokens)
        here = self.tokenizer.convert_ids_to_tokens(self.audio_token_id) if audio_tokens else ""
        said = "".join([f"{prompt.note} " if prompt.note else "", here, prompt.text])
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        ids = render(self.tokenizer, [*system, {"role": "user", "content": said}])
        at = ids.index(self.audio_token_id) if audio_tokens else 0
        return [*ids[:at], *[self.audio_token_id] * audio_tokens, *ids[at + bool(audio_tokens) :]]

    def heard(self, batch: Batch) -> list[Tensor]:
        """The frames of each clip, (frame, bins), where the tower's weights lie."""
        if batch.frames is None or batch.frame_lengths is None:
            raise ValueError("this batch has no frames to listen to")
        weight = next(self.tower.parameters())
        return list(torch.split(batch.frames.to(weight), batch.frame_lengths.tolist()))


def toy_text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Sizes of a toy language model: 4 layers of width 48, 4 heads and 2 for keys."""
    sizes = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
    ids = dict(pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)
    return dict(vocab_size=len(tokenizer), max_position_embeddings=4096, tie_word_embeddings=False) | sizes | ids | more


# --- Whisper's windows ---------------------------------------------------------------------------------------------------------------

TAIL = 3
"""Frames kept behind a clip: two that still hear its end, and one of the silence that fills the window."""


def windowed(extractor: Any, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel (frame + `TAIL`, bins) of a clip that a tower hears in windows of a fixed length, each with a loudness of its own.

    The silence that fills the last window is not kept: `windows` puts it back, frame for frame.
    """
    size = extractor.n_samples
    parts = [wave[i : i + size] for i in range(0, len(wave), size)]
    how = dict(sampling_rate=extractor.sampling_rate, padding="max_length", return_tensors="np")
    mel = np.concatenate([extractor(part, **how).input_features[0].T for part in parts])
    real = (len(parts) - 1) * (size // extractor.hop_length) + -(-len(parts[-1]) // extractor.hop_length)
    tail = mel[real : real + TAIL]
    fill = np.repeat(mel[-1:], TAIL - len(tail), axis=0)
    return np.ascontiguousarray(np.concatenate([mel[:real], tail, fill]).astype(np.float32))


def windows(clips: Sequence[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """The windows (window, bins, `size`) of all `clips` made by `windowed`, and how many frames of each are real (window,)."""
    rows, lengths = [], []
    for clip in clips:
        real = len(clip) - TAIL
        count = -(-real // size)
        kept = clip[: min(len(clip), count * size)]
        whole = torch.cat([kept, kept[-1:].expand(count * size - len(kept), -1)])
        rows.append(whole.view(count, size, -1).transpose(1, 2))
        lengths += [size] * (count - 1) + [real - (count - 1) * size]
    return torch.cat(rows), torch.tensor(lengths, device=clips[0].device)


def real_frames(lengths: Tensor, size: int) -> Tensor:
    """Bool (window, `size`): which frames are real."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def quarter(frames: int) -> int:
    """Tokens of `frames` behind a convolution of stride 2 and a mean of two, as in Qwen2-Audio and its heirs."""
    return ((frames - 1) // 2 + 1 - 2) // 2 + 1
