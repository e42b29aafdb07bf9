"""What is wrong with a corpus, a language model or an encoder is one line that names it, whichever command of the frozen road meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import llama
from encoder_folders import ENCODERS
from layouts import LAYOUTS, RAVDESS, SPEECHOCEAN762, lay_out, write_sound

from undertone.cli import main
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Rejected, read_rows

FEW = ["--steps", "1", "--check-every", "1", "--batch-size", "4", "--trains", "note", "--note-tokens", "4"]
EARS = ["--model", "undertone-tiny-ears"]


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which the command says what is wrong."""
    capsys.readouterr()
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("undertone:")]
    assert len(lines) == 1
    return lines[0]


def _two_splits(folder: Path) -> None:
    shutil.copytree(folder / "data" / "train" / "001", folder / "data" / "test" / "001")
    (moved,) = (folder / "data" / "test" / "001").rglob("*.wav")
    moved.rename(moved.with_stem("myst_001_2014-01-02_MX_1.1_001"))


CORPORA: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a list is missing": ("crema_d", lambda folder: (folder / "VideoDemographics.csv").unlink(), "VideoDemographics.csv"),
    "a code that nobody knows": (
        "ravdess",
        lambda folder: next(folder.glob("Actor_01/03-01-01*")).rename(folder / "Actor_01" / "03-01-99-01-01-01-01.wav"),
        "03-01-99-01-01-01-01.wav",
    ),
    "a speaker in two splits": ("myst", _two_splits, "speaker 'myst/001' stands in"),
    "another folder": ("emodb", lambda folder: shutil.rmtree(folder / "wav"), "wav"),
}


@pytest.mark.parametrize("command", ["align", "recognize"])
@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_that_is_wrong_is_named(command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, spoil, said = CORPORA[name]
    data = lay_out(tmp_path / "data", LAYOUTS[corpus])
    spoil(data)
    words = [command, *EARS, "--data", str(data), "--corpus", corpus, "--out", str(tmp_path / "out")]
    assert said in complaint(words, capsys)


def test_a_listed_sound_that_is_not_there_is_noted_and_mixed_rates_are_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = lay_out(tmp_path / "data", SPEECHOCEAN762, (".wav",))
    (data / "WAVE" / "SPEAKER0001" / "000010001.wav").unlink()
    write_sound(data / "WAVE" / "SPEAKER0003" / "000030001.wav", 8_000)
    words = ["align", *EARS, "--data", str(data), "--corpus", "speechocean762", "--attributes", "age", *FEW, "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    assert [row.file_name for row in read_rows(tmp_path / "out" / "rejected.jsonl", Rejected)] == ["WAVE/SPEAKER0001/000010001.WAV"]
    assert "000010001.WAV" in complaint([*words, str(tmp_path / "strict"), "--strict"], capsys)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "data", RAVDESS)


@pytest.mark.parametrize(("how", "said"), [
    ({"template": False}, "no chat template"),
    ({"vocabulary": 100}, "the tokenizer is another model's"),
])  # fmt: skip
def test_a_language_model_that_cannot_be_asked_is_named(
    how: dict[str, int], said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = llama(tmp_path / "llm", **how)  # type: ignore[arg-type]
    line = complaint(
        ["align", "--language-model", name, "--data", str(data), "--corpus", "ravdess", "--out", str(tmp_path / "out")], capsys
    )
    assert said in line
    assert name in line


def test_ears_are_not_put_before_another_language_model(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its weights, by its words, and by its name."""
    name, saved = llama(tmp_path / "llm"), tmp_path / "saved"
    FrozenLLM.fresh(name, "conformer", {"hidden": 32, "heads": 2}).save(saved)
    there = ["--data", str(data), "--corpus", "ravdess", "--out", str(tmp_path / "out")]
    line = complaint(["align", "--model", str(saved), "--language-model", "other/llm", *there], capsys)
    assert f"belongs to {name}, not to other/llm" in line
    words = Path(name) / "tokenizer.json"
    table = json.loads(before := words.read_text())
    vocabulary = table["model"]["vocab"]
    first, second, *_ = vocabulary
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    words.write_text(json.dumps(table))
    for command in ("align", "recognize"):
        assert "trained with another vocabulary than the tokenizer of" in complaint([command, "--model", str(saved), *there], capsys)
    words.write_text(before)
    llama(tmp_path / "llm")  # the same shape, other weights
    for command in ("align", "recognize"):
        assert "trained for a language model" in complaint([command, "--model", str(saved), *there], capsys)


def test_prosody_is_for_the_embedded_encoder_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ENCODERS["whisper"](tmp_path / "whisper")
    words = ["align", "--encoder", str(tmp_path / "whisper"), "--data", str(data), "--corpus", "ravdess", "--out", str(tmp_path / "out")]
    assert "prosody: only the encoder conformer can be given it" in complaint([*words, "--prosody"], capsys)
