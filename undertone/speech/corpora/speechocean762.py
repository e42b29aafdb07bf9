"""Reads speechocean762: 250 Mandarin natives, half of them children, read English sentences.

- Layout, Kaldi's: `train/` and `test/`, each with `wav.scp` (utterance, sound from the corpus' folder), `utt2spk`, `spk2age`, `spk2gender`
  and `text`, a line an entry, between white space; the sounds are `WAVE/SPEAKER0001/000010011.WAV`. What is listed and not there is
  turned away.
- Ages: up to 12 years is a child, from 18 an adult; who is in between is left out. Gender is said of adults only, for a child's is hardly
  audible.
- Split: the publisher's, speakers apart: train and test, no dev.
- Licence: CC BY 4.0 (OpenSLR 101).
- Source: Zhang et al. (2021), speechocean762: An Open-Source Non-Native English Speech Corpus for Pronunciation Assessment, Interspeech.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Published, Voice, entry, find_sound, lines, meaning, spoken

CHILD, ADULT = 12, 18
"""Years: the oldest child and the youngest adult."""

SEXES = {"m": "male", "f": "female"}
SPLITS: tuple[Split, ...] = ("train", "test")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; FileNotFoundError names a missing list, `BrokenRow` an utterance or a speaker that one of them lacks."""
    return (clip for split in SPLITS if (folder / split / "wav.scp").exists() for clip in _clips(folder, split))


def _clips(folder: Path, split: Split) -> Iterator[Clip]:
    home = folder / split
    speakers, texts = _table(home / "utt2spk"), _table(home / "text")
    ages, sexes = _table(home / "spk2age"), _table(home / "spk2gender")
    for name, sound in _table(home / "wav.scp").items():
        speaker = entry(speakers, name, home / "utt2spk")
        age = _age(entry(ages, speaker, home / "spk2age"), f"{home / 'spk2age'}: {speaker}")
        sex = meaning(SEXES, entry(sexes, speaker, home / "spk2gender"), "gender", f"{home / 'spk2gender'}: {speaker}")
        if age:
            traits = {"age": age} | ({"gender": sex} if age == "adult" else {})
            text = entry(texts, name, home / "text").lower()
            where = f"{home / 'wav.scp'}: {name}"
            yield spoken("speechocean762", where, find_sound(folder, sound), Voice(speaker, split, traits), text, "age")


def _age(years: str, where: str) -> str | None:
    if not years.isdecimal():
        raise BrokenRow(f"{where}: age {years!r} is no number of years")
    return "child" if int(years) <= CHILD else "adult" if int(years) >= ADULT else None


def _table(path: Path) -> Mapping[str, str]:
    """First word of each line → the rest."""
    rows = (line.split(maxsplit=1) for line, _ in lines(path))
    return {cells[0]: cells[1].strip() if len(cells) > 1 else "" for cells in rows}


SPEECHOCEAN762 = Published("speechocean762", "train/wav.scp, utt2spk, spk2age, spk2gender, text and WAVE/SPEAKER0001/000010011.WAV …", read)
