"""What Kimi-Audio hears with: Whisper's encoder for how a clip sounds, GLM-4-Voice's tokenizer for what is said, 12.5 times a second each.

A frame is a hop of 160 samples: both parts make their log-mel bins of the wave itself, as they pad it differently.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

HOP, BINS, TRANSFORM = 160, 128, 400
WINDOW = 3000
"""Frames that either part hears at once, 30 s; longer clips are cut."""

STACK = 8
"""Frames a token: Whisper halves their number, and four of its states make a token."""

AT_ONCE = 16
"""Windows that are heard together."""


class Heard(NamedTuple):
    """Of all clips in a row: `codes` (token,) and, four of Whisper's side by side, `states` (token, 4 · width)."""

    codes: Tensor
    states: Tensor


def token_count(frames: int) -> int:
    """Tokens of a clip of `frames`."""
    return -(-frames // STACK)


class Ears(nn.Module):
    """`whisper` is Transformers' `WhisperEncoder`, `tokenizer` a `SpeechTokenizer`. The latter stays in float32: a code is the nearest one
    or another."""

    def __init__(self, whisper: nn.Module, tokenizer: nn.Module) -> None:
        super().__init__()
        self.whisper, self.tokenizer = whisper, tokenizer

    def forward(self, clips: Sequence[Tensor]) -> Heard:
        """Of clips (frame, 160), waves cut into hops."""
        windows = [window for clip in clips for window in torch.split(clip, WINDOW)]
        counts = [token_count(len(window)) for window in windows]
        mels = [mel for clip in clips for mel in tokenizer_mels(clip)]
        codes = _in_parts(mels, self._codes)
        states = _in_parts(windows, self._states)
        return Heard(*(torch.cat([row[:n] for row, n in zip(rows, counts, strict=True)]) for rows in (codes, states)))

    def _codes(self, mels: Sequence["Mel"]) -> Tensor:
        width = max(mel.bins.shape[-1] for mel in mels)
        padded = torch.stack([nn.functional.pad(mel.bins, (0, width - mel.bins.shape[-1])) for mel in mels])
        return self.tokenizer(padded, torch.tensor([mel.frames for mel in mels], device=padded.device))  # type: ignore[no-any-return]

    def _states(self, windows: Sequence[Tensor]) -> Tensor:
        waves = torch.stack([_padded(window, WINDOW) for window in windows])
        out = self.whisper(log_mel(waves).to(next(self.whisper.parameters()))).last_hidden_state
        return out.reshape(len(out), WINDOW // STACK, -1)  # type: ignore[no-any-return]


class Mel(NamedTuple):
    """Log-mel `bins` (bin, frame) of a window, of which `frames` are not padding."""

    bins: Tensor
    frames: int


def tokenizer_mels(clip: Tensor) -> list[Mel]:
    """The log-mel bins of each window of a clip as the speech tokenizer is given them: waves padded with silence to whole tokens, and the
    last window to the length of those before it."""
    windows = torch.split(clip, WINDOW)
    width = STACK * token_count(len(windows[0]))
    bins = log_mel(torch.stack([_padded(window, width) for window in windows]))
    return [Mel(mel, len(window)) for mel, window in zip(bins, windows, strict=True)]


def log_mel(waves: Tensor) -> Tensor:
    """Whisper's log-mel bins (window, 128, frame) of waves (window, sample), clamped to eight decades below the loudest of each window."""
    shape = torch.hann_window(TRANSFORM, device=waves.device)
    power = torch.stft(waves, TRANSFORM, HOP, window=shape, return_complex=True)[..., :-1].abs() ** 2
    decades = (_filters().to(waves.device) @ power).clamp(min=1e-10).log10()
    return (decades.maximum(decades.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


@lru_cache(1)
def _filters() -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(TRANSFORM // 2 + 1, BINS, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(bank).float().T


def _padded(window: Tensor, frames: int) -> Tensor:
    return nn.functional.pad(window.flatten(), (0, HOP * (frames - len(window))))


def _in_parts(windows: Sequence[Any], of: Callable[[Sequence[Any]], Tensor]) -> list[Tensor]:
    return [row for i in range(0, len(windows), AT_ONCE) for row in of(windows[i : i + AT_ONCE])]
