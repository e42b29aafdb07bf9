"""Reads ESD: ten speakers of Mandarin (0001–0010) and ten of English (0011–0020) say 350 utterances each in five emotions.

- Layout: `0001/Angry/train/0001_000351.wav` (also `evaluation`, `test`, or the sounds in `Angry` itself) and `0001/0001.txt`, a line an
  utterance: name, words, emotion, between tabs. The emotion is that of the folder. The lists come in UTF-16, UTF-8, GB 18030 and Latin-1,
  and some of their lines are broken: their sounds are read, without words. A line whose sound is not there is turned away.
- Emotions: those of `EMOTIONS`.
- Split: the publisher's holds the same speakers in every part. Ours, by speaker: dev 0007, 0008, 0014, 0018, test 0009, 0010, 0019, 0020,
  a woman and a man of each language in both, everybody else in train. The speakers of a language share their texts.
- Licence: research only, asked for by a form.
- Source: Zhou et al. (2022), Speech Communication 137, 1–18.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, lines, meaning, paired, parts, sounds, spoken

EMOTIONS = {"Angry": "angry", "Happy": "happy", "Neutral": "neutral", "Sad": "sad", "Surprise": "surprised"}
FEMALE = ("0001", "0002", "0003", "0007", "0009", "0015", "0016", "0017", "0018", "0019")
MALE = ("0004", "0005", "0006", "0008", "0010", "0011", "0012", "0013", "0014", "0020")
SEXES = {**dict.fromkeys(FEMALE, "female"), **dict.fromkeys(MALE, "male")}
SPLIT = Parts(dev=("0007", "0008", "0014", "0018"), test=("0009", "0010", "0019", "0020"))
NAME = re.compile(r"(?P<speaker>\d{4})_\d{6}")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a file or a folder that the publisher's codes do not explain, FileNotFoundError a speaker's
    missing list."""
    return paired(clip for speaker in sorted(folder.glob("[0-9]" * 4)) for clip in _clips(folder, speaker))


def _clips(folder: Path, speaker: Path) -> Iterator[Clip]:
    texts = _texts(speaker / f"{speaker.name}.txt")
    sex, split = meaning(SEXES, speaker.name, "speaker", speaker), SPLIT.of(speaker.name)
    for path in sounds(speaker, "*/*", "*/*/*"):
        parts(NAME, path, "0001_000351.wav")
        emotion = meaning(EMOTIONS, path.relative_to(speaker).parts[0], "emotion", path)
        voice = Voice(speaker.name, split, {"age": "adult", "gender": sex, "emotion": emotion})
        yield spoken("esd", path, str(path.relative_to(folder)), voice, texts.pop(path.stem, ""))
    for name in texts:  # listed, but not there
        voice = Voice(speaker.name, split, {"age": "adult", "gender": sex})
        yield spoken("esd", speaker / f"{speaker.name}.txt", f"{speaker.name}/{name}.wav", voice, category="content")


def _texts(path: Path) -> dict[str, str]:
    """Utterance → its words, "" where its line is broken."""
    rows = [line.strip().split("\t") for line, _ in lines(path, _encodings(path))]
    return {cells[0].strip(): cells[1].strip() if len(cells) == 3 else "" for cells in rows if NAME.fullmatch(cells[0].strip())}


def _encodings(path: Path) -> tuple[str, ...]:
    # Any even number of bytes is UTF-16, so only the mark at its beginning tells; and any bytes are Latin-1.
    marked = path.is_file() and path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")
    return ("utf-16",) if marked else ("utf-8-sig", "gb18030" if path.stem <= "0010" else "latin-1")


ESD = Published("esd", "0001/Angry/train/0001_000351.wav … and 0001/0001.txt", read)
