"""Speech encoders of the frozen road: any Transformers speech encoder, or a small Conformer of our own.

An encoder turns what its front end makes of a wave (`frames`) into states of `milliseconds` each, however the clips are padded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.checkpoints import refuse_pickle, without_code
from undertone.models.qwen2_5_omni import log_mel
from undertone.speech.prosody import STATISTICS, statistics
from undertone.speech.speakers import Scale

CONFORMER = "conformer"
"""The embedded encoder's `model_type`."""


class SpeechEncoder(nn.Module, ABC):
    """Frames → states. `settings` rebuild the encoder without its weights."""

    milliseconds: ClassVar[int]
    settings: Mapping[str, Any]
    width: int
    sample_rate: int = 16_000

    @abstractmethod
    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """The front end: wave → (frames, bins)."""

    @abstractmethod
    def count(self, frames: int) -> int:
        """How many states a clip of `frames` becomes."""

    @abstractmethod
    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """States (clip, state, width) of right-padded `frames` (clip, frame, bins), of which each clip has `lengths`."""

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """Its layers, in the order in which they fire."""

    def inside(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The states, as `forward` makes them, and what each of the layers was given on the way, padded alike."""
        given: list[list[Tensor]] = [[] for _ in self.layers]

        def keep(rows: list[Tensor]) -> Callable[..., None]:
            return lambda layer, args, named: rows.extend(args[0] if args else named["hidden_states"])

        hooks = [layer.register_forward_pre_hook(keep(rows), with_kwargs=True) for layer, rows in zip(self.layers, given, strict=True)]
        try:
            states = self(frames, lengths)
        finally:
            for hook in hooks:
                hook.remove()
        return states, [nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, : states.shape[1]] for rows in given]

    @property
    def stride(self) -> int:
        """Frames from one state to the next."""
        many = 1 << 22
        return round(many / self.count(many))

    def told_of(self, frames: Tensor) -> Tensor:
        """(clip, measure) what `frames` tell of each clip as a whole; nothing, unless the encoder is given the prosody."""
        return frames.new_zeros(len(frames), 0)

    @property
    def profile_width(self) -> int:
        """How many numbers describe a clip as a whole: mean and spread of what each layer is given and of the states, and what is told."""
        return 2 * self.width * (len(self.layers) + 1)

    def save_front_end(self, folder: Path) -> None:
        """What the front end needs beside `settings`."""

    def of_speaker(self, frames: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
        """`frames` as if everybody had one voice: relative to what the speaker says otherwise. ValueError where the encoder cannot."""
        raise ValueError(f"per_speaker: the encoder {self.settings['model_type']} hears clip by clip; only {CONFORMER} can be told more")


class Conformer(SpeechEncoder):
    """The embedded default (METHOD B.2 at toy size): log-mel frames stacked by four, then Conformer layers (Gulati et al. 2020) of
    Transformers' Wav2Vec2-BERT; 40 ms a state.

    With `prosody`, it is also given what `speech.prosody.statistics` says of the whole clip: a linear map of it is added to every state.
    These numbers stand behind the log-mel bins of every frame.
    """

    milliseconds = 40
    STACK = 4

    def __init__(
        self,
        bins: int = 80,
        width: int = 192,
        layers: int = 4,
        heads: int = 4,
        kernel: int = 15,
        dropout: float = 0.1,
        prosody: bool = False,
    ) -> None:
        from transformers import Wav2Vec2BertConfig, WhisperFeatureExtractor
        from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertEncoder

        super().__init__()
        self.settings = {
            "model_type": CONFORMER, "bins": bins, "width": width, "layers": layers, "heads": heads, "kernel": kernel, "dropout": dropout,
            "prosody": prosody,
        }  # fmt: skip
        self.width, self.bins = width, bins
        self.extractor = WhisperFeatureExtractor(feature_size=bins, chunk_length=30)
        self.stem = nn.Linear(self.STACK * bins, width)
        self.body = Wav2Vec2BertEncoder(
            Wav2Vec2BertConfig(
                hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width,
                conv_depthwise_kernel_size=kernel, position_embeddings_type="rotary", layerdrop=0.0, hidden_dropout=dropout,
                attention_dropout=dropout, activation_dropout=dropout, conformer_conv_dropout=dropout, attn_implementation="eager",
            )
        )  # fmt: skip

        self.told = nn.Linear(len(STATISTICS), width) if prosody else None
        if self.told is not None:
            nn.init.zeros_(self.told.weight)
            nn.init.zeros_(self.told.bias)
            self.register_buffer("mean", torch.zeros(bins + len(STATISTICS)))
            self.register_buffer("spread", torch.ones(bins + len(STATISTICS)))

    def with_prosody(self) -> "Conformer":
        """The same encoder, which from now on is also given the prosody; at first it makes no difference."""
        made = Conformer(**{name: value for name, value in self.settings.items() if name != "model_type"} | {"prosody": True})
        made.load_state_dict(self.state_dict(), strict=False)
        return made.to(next(self.parameters()).device)

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        mel = log_mel(self.extractor, wave)
        if self.told is None:
            return mel
        said = statistics(wave, self.sample_rate)
        return np.concatenate([mel, np.broadcast_to(said, (len(mel), len(said)))], axis=1)

    def of_speaker(self, frames: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
        """Log-mel bins with the usual mean instead of the speaker's, statistics with the usual mean and spread."""
        if self.told is None:
            raise ValueError("per_speaker: this encoder knows no usual speaker; align it with --prosody")
        mean, spread = (one.cpu().numpy() for one in (self.mean, self.spread))  # type: ignore[operator]
        stretch = np.where(np.arange(len(mean)) < self.bins, 1.0, spread / scale.spread)
        return np.asarray((frames - scale.mean) * stretch + mean, np.float32)

    def count(self, frames: int) -> int:
        return -(-frames // self.STACK)

    def told_of(self, frames: Tensor) -> Tensor:
        """(clip, statistic) on the scale of what was trained on."""
        if self.told is None:
            return super().told_of(frames)
        mean, spread = self.mean[self.bins :], self.spread[self.bins :]  # type: ignore[index]
        return ((frames[:, 0, self.bins :] - mean) / spread).clamp(-5, 5)  # type: ignore[no-any-return]

    @property
    def profile_width(self) -> int:
        return super().profile_width + (0 if self.told is None else self.told.in_features)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        mel = frames[..., : self.bins]
        padded = nn.functional.pad(mel, (0, 0, 0, -mel.shape[1] % self.STACK))
        states = self.stem(padded.reshape(len(padded), -1, self.STACK * self.bins))
        heard = self.body(states, attention_mask=_mask(-(-lengths // self.STACK), states.shape[1])).last_hidden_state
        if self.told is None:
            return heard  # type: ignore[no-any-return]
        return heard + self.told(self.told_of(frames))[:, None]  # type: ignore[no-any-return]

    @property
    def layers(self) -> nn.ModuleList:
        return self.body.layers  # type: ignore[no-any-return]


class Pretrained(SpeechEncoder):
    """What the encoders of Transformers share: the module, its configuration, its own feature extractor; 20 ms a state."""

    milliseconds = 20

    def __init__(self, module: nn.Module, extractor: Any) -> None:
        super().__init__()
        self.module, self.extractor = module, extractor
        # Masks are drawn outside torch's generator and need long clips, dropped layers have no gradients: neither goes on after a kill.
        module.config.apply_spec_augment, module.config.layerdrop = False, 0.0  # type: ignore[union-attr]
        self.settings = module.config.to_dict()  # type: ignore[operator,union-attr]
        self.width = module.config.hidden_size  # type: ignore[union-attr,assignment]
        self.sample_rate = extractor.sampling_rate

    def train(self, mode: bool = True) -> Self:
        """As every module; but batch norms keep the statistics they came with: those of a few clips would be worse, and no checkpoint of
        trainable weights holds them."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.eval()
        return self

    @property
    def layers(self) -> nn.ModuleList:
        return self.module.encoder.layers if hasattr(self.module, "encoder") else self.module.layers  # type: ignore[union-attr,return-value]

    def save_front_end(self, folder: Path) -> None:
        self.extractor.save_pretrained(folder)


class Whisper(Pretrained):
    """Whisper's encoder (Radford et al. 2022). It knows windows of 30 s only: each clip is padded to one, longer ones are refused."""

    WINDOW = 3000

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        mel = log_mel(self.extractor, wave)
        if len(mel) > self.WINDOW:
            raise ValueError(
                f"Whisper hears {self.WINDOW // 100} s at most, this clip lasts {len(mel) / 100:.0f} s: cut it into utterances"
            )
        return mel

    def count(self, frames: int) -> int:
        return -(-frames // 2)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        # Silence is what the extractor's padding gives, and it is not 0: it clamps to eight decades below the loudest, two units here.
        inside = _mask(lengths, frames.shape[1])[..., None]
        floor = frames.masked_fill(~inside, float("-inf")).amax((1, 2), keepdim=True) - 2.0
        window = torch.cat([frames.where(inside, floor), floor.expand(-1, self.WINDOW - frames.shape[1], frames.shape[2])], dim=1)
        states = self.module(window.transpose(1, 2)).last_hidden_state
        return states[:, : self.count(frames.shape[1])]  # type: ignore[no-any-return]


class Waves(Pretrained):
    """Encoders that hear samples (wav2vec 2.0, Wav2Vec2-Conformer, WavLM, HuBERT): a frame is a sample."""

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.extractor(wave, sampling_rate=self.sample_rate, return_tensors="np").input_values[0][:, None])

    def count(self, frames: int) -> int:
        return int(self.module._get_feat_extract_output_lengths(torch.tensor(frames)))  # type: ignore[operator]

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        config = self.module.config
        if config.feat_extract_norm == "group" or config.model_type == "wav2vec2-conformer":  # type: ignore[union-attr]
            # Normalised over the whole clip, padding included, or convolved across its end: such clips are heard one by one.
            rows = [self.module(clip[None, :n, 0]).last_hidden_state[0] for clip, n in zip(frames, lengths.tolist(), strict=True)]
            return nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = _mask(lengths, frames.shape[1])
        return self.module(frames[..., 0], attention_mask=mask.long()).last_hidden_state  # type: ignore[no-any-return]


class Wav2Vec2Bert(Pretrained):
    """Wav2Vec2-BERT (Seamless Communication 2023): a Conformer on stacked filter banks."""

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        found = self.extractor(wave, sampling_rate=self.sample_rate, return_tensors="np", pad_to_multiple_of=self.extractor.stride)
        return np.asarray(found.input_features[0], np.float32)

    def count(self, frames: int) -> int:
        return frames

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        return self.module(frames, attention_mask=_mask(lengths, frames.shape[1]).long()).last_hidden_state  # type: ignore[no-any-return]


KINDS: Mapping[str, type[Pretrained]] = {
    "whisper": Whisper,
    "wav2vec2": Waves,
    "wav2vec2-conformer": Waves,
    "wavlm": Waves,
    "hubert": Waves,
    "wav2vec2-bert": Wav2Vec2Bert,
}


def is_sinusoid(parameter: str) -> bool:
    """Whether the parameter called so is Whisper's table of positions, which is no weight to learn."""
    return "embed_positions" in parameter


def open_encoder(name: str, weights: bool = True) -> SpeechEncoder:
    """The embedded Conformer, untrained, or the encoder of a local folder or hub name, without its weights on demand; ValueError lists what
    is known where it is of another kind."""
    from transformers import AutoConfig, AutoModel

    if name == CONFORMER:
        return Conformer()
    with without_code(f"encoder {name}"):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    kind = KINDS.get(config.model_type)
    if kind is None:
        raise ValueError(
            f"encoder {name}: no speech encoder of type {config.model_type!r} is known; known: {CONFORMER}, {', '.join(KINDS)}"
        )
    refuse_pickle(name)
    safe = {"use_safetensors": True, "trust_remote_code": False}
    module = AutoModel.from_pretrained(name, dtype=torch.float32, **safe) if weights else AutoModel.from_config(config)
    return kind(module.encoder if kind is Whisper else module, _extractor(name))


def rebuild(settings: Mapping[str, Any], checkpoint: str) -> SpeechEncoder:
    """The encoder that was saved with `settings`, still without its weights; its feature extractor lies in `checkpoint`."""
    from transformers import AutoConfig, AutoModel

    kind = settings["model_type"]
    if kind == CONFORMER:
        return Conformer(**{name: value for name, value in settings.items() if name != "model_type"})
    if kind not in KINDS:
        raise ValueError(f"{checkpoint}: no speech encoder of type {kind!r} is known; known: {CONFORMER}, {', '.join(KINDS)}")
    module = AutoModel.from_config(AutoConfig.for_model(**settings))
    return KINDS[kind](module.encoder if KINDS[kind] is Whisper else module, _extractor(checkpoint))


def _extractor(checkpoint: str) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(checkpoint, trust_remote_code=False)


def _mask(lengths: Tensor, width: int) -> Tensor:
    """Bool (clip, width): the first `lengths` places of each clip."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]
