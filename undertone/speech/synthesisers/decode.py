"""What other programs and servers send as sound → samples as every synthesiser gives them."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from undertone.speech.synthesisers.base import Waveform

SAMPLE_RATE = 16_000


def decode(file: Path | BinaryIO, where: str) -> Waveform:
    """Mono float32 at 16 kHz in [−1, 1] from a sound file of any kind, rate and number of channels; RuntimeError begins with `where`."""
    import soundfile
    import soxr

    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RuntimeError(f"{where}: no sound file ({error.error_string})") from None
    if not len(samples):
        raise RuntimeError(f"{where}: a sound file without sound")
    if not np.isfinite(samples).all():
        raise RuntimeError(f"{where}: samples that are no finite numbers")
    wave: Waveform = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE, quality="HQ")
    return np.clip(wave, np.float32(-1), np.float32(1))
