"""Small real things that many tests need."""

import csv
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from undertone.audio import Wave, write_flac
from undertone.records import Utterance

RATE = 16_000

hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")  # how long an example takes says how busy the machine is, not what is wrong


def tone(hertz: float = 220.0, seconds: float = 0.5, rate: int = RATE, level: float = 0.3) -> Wave:
    """A buzz with harmonics, mono float32."""
    time = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6))
    return (level * np.asarray(buzz) / 2).astype(np.float32)


def age_pairs(make: Callable[..., Utterance], count: int) -> list[Utterance]:
    """So many pairs about age of the test split, the adult first, with the replies that suit each."""
    rows = []
    for i in range(2 * count):
        said, other = ("child", "adult") if i % 2 else ("adult", "child")
        right = {"category": "age", "contrast": other, "reply": f"for the {said}", "contrast_reply": f"for the {other}"}
        rows.append(make(i, split="test", attributes={"age": said}, text=f"words {i // 2}", pair=f"p{i // 2}", **right))
    return rows


@pytest.fixture
def utterance() -> Callable[..., Utterance]:
    """Makes an utterance; keyword arguments change its fields."""

    def make(number: int = 0, **more: object) -> Utterance:
        fields = {
            "id": f"u{number}",
            "text": f"words {number}",
            "file_name": f"clips/u{number}.flac",
            "seconds": 0.5,
            "attributes": {"age": "child"},
            "speaker": f"s{number}",
            "source": "test",
            "split": "train",
        }
        return Utterance.model_validate(fields | more)

    return make


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with three good clips, a.flac … c.flac, and one bad file of each kind, called by what is wrong with it."""
    import soundfile

    folder = tmp_path / "clips"
    for name, hertz in zip("abc", (150, 220, 330), strict=True):
        write_flac(folder / f"{name}.flac", tone(hertz), RATE)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("these are words, not samples\n" * 40)
    (folder / "corrupt.flac").write_bytes((folder / "a.flac").read_bytes()[:3000])
    soundfile.write(folder / "zero-length.wav", np.zeros(0), RATE)
    soundfile.write(folder / "click.wav", tone(seconds=0.02), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "ten-minutes.wav", np.zeros(600 * 4000, np.int16), 4000)
    return folder


BAD_FILES = {
    "missing.wav": "no such file",
    "empty.wav": "is empty",
    "text.wav": "is no sound file",
    "corrupt.flac": "corrupt",
    "zero-length.wav": "holds no samples",
    "click.wav": "lasts 20 ms, too short",
    "nan.wav": "NaN",
    "ten-minutes.wav": "the limit is 300 s",
}
"""The bad files of `clips` (and one that is not there), and what is said of each."""


def table(path: Path, *rows: dict[str, str], encoding: str = "utf-8") -> Path:
    """A CSV with the columns of the first row."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
