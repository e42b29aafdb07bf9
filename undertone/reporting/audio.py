"""Clips → FLAC inside the page."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

MOST = 1_500_000
"""bytes of FLAC that one clip may add: about a minute at 16 kHz"""


class Player(NamedTuple):
    """A clip as a data URL, or (`url` empty) why it is not there."""

    url: str
    problem: str = ""


def embed(path: Path) -> Player:
    """The clip as FLAC in a data URL. A missing, unreadable or very long clip is told, not dropped."""
    import soundfile

    if not path.is_file():
        return Player("", f"{path.name}: no such file")
    try:
        octets = path.read_bytes() if soundfile.info(path).format == "FLAC" else _flac(path)
    except soundfile.LibsndfileError as error:
        return Player("", f"{path.name}: not readable as sound ({error.error_string.rstrip('.')})")
    if len(octets) > MOST:
        return Player("", f"{path.name}: too long to embed ({len(octets) / 1e6:.1f} MB)")
    return Player("data:audio/flac;base64," + base64.b64encode(octets).decode("ascii"))


def _flac(path: Path) -> bytes:
    import soundfile

    wave, rate = soundfile.read(path, dtype="int16", always_2d=True)
    sink = io.BytesIO()
    soundfile.write(sink, wave, rate, format="FLAC")
    return sink.getvalue()
