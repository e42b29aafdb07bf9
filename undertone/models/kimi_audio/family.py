"""Kimi-Audio (Kimi Team 2025, arXiv 2504.18425) as a family: text answers to speech and text, on two streams of tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, Prompt, SpeechLM
from undertone.models.kimi_audio import hearing, weights
from undertone.models.kimi_audio.prompt import Ids, Message, streams
from undertone.models.kimi_audio.text_tokenizer import read_ranks, text_tokenizer

if TYPE_CHECKING:
    from undertone.models.kimi_audio.hearing import Ears

WHISPER = "whisper-large-v3"
"""The folder within the checkpoint that holds Whisper."""

SPEECH_TOKENIZER = "glm-4-voice-tokenizer"
"""The folder within the checkpoint where the speech tokenizer may lie; it is published by itself."""

SPEECH_TOKENIZER_NAME = f"THUDM/{SPEECH_TOKENIZER}"
"""Where it is published."""


class Turn(NamedTuple):
    """One message of a chat: a text, a mono wave at 16 kHz, or, as a tensor (token, width), what was heard of one before."""

    role: Literal["user", "assistant"]
    said: "str | NDArray[np.float32] | Tensor"


class KimiAudio(SpeechLM):
    """`module` holds the language model, the adaptor and, where asked for, the speech branch; what hears lies beside it in `ears`.

    Kimi-Audio knows no system role: a system prompt and a speaker note are the user's first messages.
    """

    family = "kimi_audio"
    model_types = ("kimi_audio", "moonshot_kimia")
    checkpoints = ("moonshotai/Kimi-Audio-7B-Instruct",)
    sample_rate = 16_000

    def __init__(self, module: nn.Module, tokenizer: Any, ears: "Ears") -> None:
        from transformers import GenerationConfig

        self.module = module.eval()
        self.tokenizer = tokenizer
        self.ears = ears.eval()
        if tokenizer is not None:
            self.ids = Ids.of(tokenizer)
            ends = {"eos_token_id": self.ids.text_end, "pad_token_id": tokenizer.pad_token_id}
            module.generation_config = GenerationConfig(**ends)  # type: ignore[assignment]
        self._decoder: Any = module.model
        self._names = {id(child): name for name, child in module.named_modules()}

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        speech: bool = False,
        speech_tokenizer: str = "",
    ) -> Self:
        """Open a local folder or a hub name, without its speech branch (2.0 billion weights of 9.8) unless `speech`.

        The speech tokenizer is `speech_tokenizer`, the checkpoint's own folder of that name, or the one on the hub. ValueError or OSError
        names the file that does not fit.
        """
        from undertone.models.kimi_audio.config import KimiAudioConfig
        from undertone.models.kimi_audio.language_model import KimiAudioForCausalLM

        config = KimiAudioConfig.from_pretrained(checkpoint)
        config.kimia_mimo_layers *= speech
        with torch.device("meta"):
            wanted = weights.shapes(KimiAudioForCausalLM(config))
        beside = weights.ROTARY if speech else f"{weights.ROTARY}|{weights.SPEECH_BRANCH}"
        weights.check(weights.Part(checkpoint, beside=beside), wanted)
        there = {} if device == "cpu" else {"device_map": {"": device}}
        module = KimiAudioForCausalLM.from_pretrained(checkpoint, config=config, dtype=dtype, use_safetensors=True, **there)
        ranks = weights.found_file(checkpoint, "tiktoken.model")
        if ranks is None:
            raise OSError(f"model {checkpoint}: no tiktoken.model, its text tokenizer; download the checkpoint again")
        return cls(module, text_tokenizer(read_ranks(ranks)), open_ears(checkpoint, speech_tokenizer, device, dtype))

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        from undertone.models.kimi_audio import config
        from undertone.models.kimi_audio.language_model import KimiAudioForCausalLM
        from undertone.models.kimi_audio.speech_tokenizer import SpeechTokenizer

        torch.manual_seed(seed)
        tokens = text_tokenizer(tiny_ranks())
        small: dict[str, Any] = dict(d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32)
        codes = config.speech_tokenizer_config(**small, pooling_position=2, quantize_position=2, quantize_vocab_size=32)
        module = KimiAudioForCausalLM(
            config.KimiAudioConfig(
                vocab_size=len(tokens) + codes.quantize_vocab_size, hidden_size=64, intermediate_size=128, num_hidden_layers=4,
                num_attention_heads=4, num_key_value_heads=2, kimia_mimo_layers=1, kimia_mimo_transformer_from_layer_index=2,
                kimia_token_offset=len(tokens), kimia_adaptor_input_dim=64, kimia_text_blank=Ids.of(tokens).blank,
                pad_token_id=tokens.pad_token_id,
            )
        )  # fmt: skip
        ears = hearing.Ears(WhisperEncoder(config.whisper_config(**small)), SpeechTokenizer(codes))
        return cls(module, tokens, ears)

    @classmethod
    def configuration(cls, checkpoint: str | Path) -> Any:
        from undertone.models.kimi_audio.config import KimiAudioConfig

        config = KimiAudioConfig.from_pretrained(checkpoint)
        config.kimia_mimo_layers = 0
        return config

    @classmethod
    def hollow(cls, config: Any, dtype: torch.dtype = torch.bfloat16) -> Self:
        """As of `Stock`."""
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        from undertone.models.kimi_audio.config import speech_tokenizer_config, whisper_config
        from undertone.models.kimi_audio.language_model import KimiAudioForCausalLM
        from undertone.models.kimi_audio.speech_tokenizer import SpeechTokenizer

        with torch.device("meta"):
            module = KimiAudioForCausalLM._from_config(config, dtype=dtype)
            ears = hearing.Ears(WhisperEncoder(whisper_config()), SpeechTokenizer(speech_tokenizer_config()))
        return cls(module, None, ears)

    # --- layers ---------------------------------------------------------------------------------------------------------------

    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        whisper: Any = self.ears.whisper
        tower = {LayerRef("audio_tower", i): block for i, block in enumerate(whisper.layers)}
        decoder = {LayerRef("language_model", i): block for i, block in enumerate(self._decoder.layers)}
        return {**tower, LayerRef("projector", 0): self._decoder.vq_adaptor, **decoder}

    def linears(self, layer: LayerRef) -> Sequence[str]:
        found = [self._names.get(id(child)) for child in self.blocks()[layer].modules() if isinstance(child, nn.Linear)]
        return [name for name in found if name]

    @property
    def text_model(self) -> nn.Module:
        return self._decoder  # type: ignore[no-any-return]

    def frozen_front(self) -> nn.Module:
        # The table is part of what is heard: a code is a row of it.
        return nn.ModuleList([self.ears, self._decoder.vq_adaptor, self._decoder.embed_tokens])

    @property
    def forgettable(self) -> nn.Module:
        return self.ears

    # --- hearing --------------------------------------------------------------------------------------------------------------

    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """The wave in hops of 10 ms, (frame, 160), the last one filled up with silence: both of the ears begin with the wave itself."""
        return np.pad(wave, (0, -len(wave) % hearing.HOP)).reshape(-1, hearing.HOP)

    def token_count(self, frames: int) -> int:
        return hearing.token_count(frames)

    def listen(self, batch: Batch) -> Tensor:
        if batch.frames is None or batch.frame_lengths is None:
            raise ValueError("this batch has no frames to listen to")
        place = next(self.ears.parameters()).device
        heard = self.ears(torch.split(batch.frames.to(place, torch.float32), batch.frame_lengths.tolist()))
        return self._decoder.heard(heard.codes.to(self.device), heard.states.to(self.device))  # type: ignore[no-any-return]

    @property
    def audio_token_id(self) -> int:
        """The blank: nowhere else in a prompt are both streams silent."""
        return self.ids.blank

    # --- prompts --------------------------------------------------------------------------------------------------------------

    def encode(self, prompts: Sequence[Prompt], replies: Sequence[str | list[int]] | None = None, close: bool = True) -> Batch:
        return self.encode_chats([chat_of(prompt) for prompt in prompts], replies, close)

    def encode_chats(self, chats: Sequence[Sequence[Turn]], replies: Sequence[str | list[int]] | None = None, close: bool = True) -> Batch:
        """As `encode`, of whole chats with any number of clips each; ValueError where waves and cached embeddings are mixed."""
        rows: list[tuple[list[int], list[int]]] = []
        frames: list[Tensor] = []
        heard: list[Tensor] = []
        for i, chat in enumerate(chats):
            messages = []
            for role, said in chat:
                if isinstance(said, str):
                    messages.append(Message(role, "text", self.reply_ids(said)))
                    continue
                cached = isinstance(said, Tensor)
                clip = said if isinstance(said, Tensor) else torch.from_numpy(said if said.ndim == 2 else self.frames(said))
                (heard if cached else frames).append(clip)
                messages.append(Message(role, "audio", [self.ids.blank] * (len(clip) if cached else self.token_count(len(clip)))))
            answer = [*self.reply_ids(replies[i]), *[self.end_token_id] * close] if replies is not None else []
            rows.append((streams(messages, self.ids).merged(self.ids.blank), answer))
        if frames and heard:
            raise ValueError("one batch mixes waves and cached audio embeddings: encode them apart")
        return self.left_padded(rows, frames, heard)


def chat_of(prompt: Prompt) -> list[Turn]:
    """A prompt's parts as messages of the user, in its order."""
    parts = [prompt.system, prompt.note, prompt.audio, prompt.text]
    return [Turn("user", part) for part in parts if part is not None and not (isinstance(part, str) and not part)] or [Turn("user", "")]


def open_ears(checkpoint: str | Path, speech_tokenizer: str, device: str, dtype: torch.dtype) -> "Ears":
    """Whisper's encoder and the speech tokenizer, each from its published weights."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from undertone.models.kimi_audio.speech_tokenizer import SpeechTokenizer

    where, folder = _speech_tokenizer(checkpoint, speech_tokenizer)
    heard_by, cut_by = (WhisperConfig.get_config_dict(place, subfolder=sub)[0] for place, sub in ((checkpoint, WHISPER), (where, folder)))
    with torch.device("meta"):
        whisper, tokenizer = WhisperEncoder(WhisperConfig.from_dict(heard_by)), SpeechTokenizer(WhisperConfig.from_dict(cut_by))
    return hearing.Ears(
        weights.filled(whisper, weights.Part(checkpoint, WHISPER, "model.encoder.", weights.WHISPER_DECODER), device, dtype),
        weights.filled(tokenizer, weights.Part(where, folder, beside=weights.CODEBOOK_TRAINING), device, torch.float32),
    )


def _speech_tokenizer(checkpoint: str | Path, asked: str) -> tuple[str | Path, str]:
    """Where the speech tokenizer lies: a folder or hub name, and the folder within it."""
    if asked:
        return asked, ""
    if weights.found_file(checkpoint, "config.json", SPEECH_TOKENIZER):
        return checkpoint, SPEECH_TOKENIZER
    missing = OSError(
        f"model {checkpoint}: no speech tokenizer in its folder {SPEECH_TOKENIZER}, and {SPEECH_TOKENIZER_NAME} cannot be reached; "
        f"download that repository to {checkpoint}/{SPEECH_TOKENIZER}"
    )
    try:
        there = weights.found_file(SPEECH_TOKENIZER_NAME, "config.json")
    except OSError as error:
        raise missing from error
    if there is None:
        raise missing
    return SPEECH_TOKENIZER_NAME, ""


def tiny_ranks() -> dict[bytes, int]:
    """The embedded tokenizer's tokens as tiktoken ranks them."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    from undertone.models import tiny

    octets = {letter: octet for octet, letter in bytes_to_unicode().items()}
    vocabulary = sorted(tiny.tokenizer().get_vocab().items(), key=lambda item: item[1])
    return {bytes(octets[letter] for letter in token): rank for rank, (token, _) in enumerate(vocabulary[len(tiny.SPECIAL_TOKENS) :])}
