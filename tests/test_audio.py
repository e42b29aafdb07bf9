"""Sound files in and out."""

import logging
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import BAD_FILES, RATE, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from undertone.audio import BadSound, Conversions, read_sound, write_flac


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]
)
def test_any_format_is_read_as_mono_at_the_asked_rate(tmp_path: Path, form: str, subtype: str | None) -> None:
    left = tone(220, 1.0, 48_000)
    soundfile.write(tmp_path / "clip", np.stack([left, left], axis=1), 48_000, format=form, subtype=subtype)
    sound = read_sound(tmp_path / "clip", RATE)
    assert sound.wave.dtype == np.float32
    assert sound.seconds == pytest.approx(1.0, abs=0.06)
    assert sound.resampled
    assert sound.downmixed
    assert np.argmax(np.abs(np.fft.rfft(sound.wave[:RATE]))) / (len(sound.wave[:RATE]) / RATE) == pytest.approx(220, abs=2)


def test_channels_are_averaged_not_picked(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", np.stack([tone(), -tone()], axis=1), RATE, subtype="FLOAT")
    assert np.abs(read_sound(tmp_path / "s.wav", RATE).wave).max() < 1e-6


@pytest.mark.parametrize(("name", "said"), BAD_FILES.items())
def test_a_bad_file_is_named_with_its_reason(clips: Path, name: str, said: str) -> None:
    with pytest.raises(BadSound, match=said) as caught:
        read_sound(clips / name, RATE)
    assert str(caught.value).startswith(str(clips / name))
    assert str(clips) not in caught.value.reason


def test_a_name_does_not_make_a_sound_file(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"\x00\x01" * 500)
    with pytest.raises(BadSound, match="is no sound file"):
        read_sound(tmp_path / "x.raw", RATE)
    with pytest.raises(BadSound, match="cannot be opened"):
        read_sound(tmp_path / ("x" * 300), RATE)
    with pytest.raises(BadSound, match="not a file"):
        read_sound(tmp_path, RATE)


@settings(max_examples=150)
@given(
    content=st.binary(max_size=300), head=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"FORM", b".snd", b"caff"])
)
def test_arbitrary_bytes_are_a_bad_sound_or_a_sound(tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    path.write_bytes(head + content)
    try:
        assert np.isfinite(read_sound(path, RATE).wave).all()
    except BadSound as error:
        assert str(path) in str(error)


@settings(max_examples=60)
@given(at=st.integers(0, 20_000), byte=st.integers(0, 255), rate=st.sampled_from([8_000, 16_000, 44_100]))
def test_a_damaged_flac_never_crashes(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, rate: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.flac"
    write_flac(path, tone(), rate)
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] = byte
    path.write_bytes(whole)
    try:
        read_sound(path, RATE)
    except BadSound as error:
        assert str(path) in str(error)


def test_flac_comes_back_as_written(tmp_path: Path) -> None:
    write_flac(tmp_path / "deep" / "a.flac", tone(), RATE)
    sound = read_sound(tmp_path / "deep" / "a.flac", RATE)
    assert np.abs(sound.wave - tone()).max() < 1e-4
    assert not sound.resampled
    assert not sound.downmixed
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.flac"]


@pytest.mark.parametrize("wave", [np.zeros(0, np.float32), np.zeros((9, 2), np.float32), np.full(9, np.nan, np.float32)])
def test_what_is_no_wave_is_not_written(tmp_path: Path, wave: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a\.flac"):
        write_flac(tmp_path / "a.flac", wave, RATE)
    assert not list(tmp_path.iterdir())


def test_conversions_are_counted_and_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone(), tone()], axis=1), RATE)
    soundfile.write(tmp_path / "slow.wav", tone(rate=8_000), 8_000)
    soundfile.write(tmp_path / "fine.wav", tone(), RATE)
    counts = Conversions()
    for path in tmp_path.iterdir():
        counts.add(read_sound(path, RATE))
    with caplog.at_level(logging.WARNING):
        counts.warn(Path("my.csv"), RATE)
    said = "my.csv: of 3 clips 1 were at another rate and 1 in stereo; converted to 16000 Hz mono"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_bytes_are_read_as_their_file_is_and_errors_say_who_sent_them(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", tone(rate=24_000), 24_000)
    sent = (tmp_path / "s.wav").read_bytes()
    assert (read_sound(BytesIO(sent), RATE).wave == read_sound(tmp_path / "s.wav", RATE).wave).all()
    # A server that streams does not know the length yet and writes the greatest one.
    at = sent.index(b"data") + 4
    endless = sent[:4] + b"\xff" * 4 + sent[8:at] + b"\xff" * 4 + sent[at + 4 :]
    assert read_sound(BytesIO(endless), RATE).seconds == pytest.approx(0.5)
    with pytest.raises(BadSound, match=r"^the server: is no sound file"):
        read_sound(BytesIO(b"an error page"), RATE, where="the server")
