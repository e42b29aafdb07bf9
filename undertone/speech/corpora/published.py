"""What the readers of published corpora share: what a corpus says of itself, its files, its codes, its pairs and its folds.

A published corpus is read from its folder, as its publisher ships it; no manifest has to be written. Speakers and ids begin with the
corpus' name, so that those of two corpora never collide.
"""

import random
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import Clip

SUFFIXES = (".wav", ".flac", ".opus", ".mp3")
"""Sound files that are looked for; where one sound lies there in several formats, the first of these is taken."""

FOLDS = 4
"""Groups that speakers are dealt into where every speaker shall be tested in turn."""

V = TypeVar("V")


class Published(NamedTuple):
    """A published corpus: its name in the table, the layout of its folder in words, and who reads that folder."""

    name: str
    layout: str
    read: Callable[[Path], Iterator[Clip]]


class Parts(NamedTuple):
    """A fixed split by speakers: who is in dev, who in test; everybody else is in train."""

    dev: Container[str]
    test: Container[str]

    def of(self, speaker: str) -> Split:
        """The split of `speaker`."""
        return "test" if speaker in self.test else "dev" if speaker in self.dev else "train"


class Voice(NamedTuple):
    """Who speaks: the publisher's name of the speaker, the split, and what is heard of the speaker, as far as it is known."""

    speaker: str
    split: Split
    attributes: Mapping[str, str]


def spoken(
    corpus: str, where: Path | str, sound: str, voice: Voice, text: str = "", category: str = "emotion", name: str = "", topic: str = ""
) -> Clip:
    """The clip of the file `sound` (relative to the corpus' folder); `name` becomes its id (empty: the file's own). `topic` is for a corpus
    of few sentences: the publisher's code of the one that is said, so that a probe may be asked which it is."""
    return Clip(
        str(where),
        sound,
        {
            "id": f"{corpus}/{name or Path(sound).stem}",
            "speaker": f"{corpus}/{voice.speaker}",
            "split": voice.split,
            "attributes": dict(voice.attributes),
            "category": category,
            "text": text,
            "intent": text,
            "topic": topic,
        },
    )


def sounds(folder: Path, *patterns: str) -> list[Path]:
    """The sound files in `folder` that match one of the glob `patterns`, each sound once, in order of their paths. Hidden files are no
    sounds: archives made on macOS are full of ._x.wav."""
    matching = {path for pattern in patterns for path in folder.glob(pattern)}
    able = [path for path in matching if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    able.sort(key=lambda path: SUFFIXES.index(path.suffix.lower()), reverse=True)
    return sorted({path.with_suffix(""): path for path in able}.values())


def find_sound(folder: Path, listed: str) -> str:
    """What is `listed` as x.wav, as it lies in `folder`: under that name or in another of the formats (x.flac); where there is none, as it
    is listed, so that whoever opens it says that it is missing."""
    path = folder / listed
    there = (other for other in (path, *(path.with_suffix(suffix) for suffix in SUFFIXES)) if other.is_file())
    return next(there, path).relative_to(folder).as_posix()


def parts(pattern: re.Pattern[str], path: Path, like: str) -> Mapping[str, str]:
    """The named groups of `pattern` in the name of a file; `BrokenRow` names the file whose name is not `like` the publisher's."""
    if found := pattern.fullmatch(path.stem):
        return found.groupdict()
    raise BrokenRow(f"{path}: no name of this corpus, which calls its files like {like}; move the file elsewhere")


def meaning(codes: Mapping[str, V], code: str, what: str, where: Path | str) -> V:
    """What `code` stands for; `BrokenRow` where the publisher's list does not know it."""
    if code not in codes:
        raise BrokenRow(f"{where}: unknown {what} {code!r}; the publisher's are: {', '.join(codes)}; mend it, or leave that clip out")
    return codes[code]


def entry(table: Mapping[str, V], key: str, path: Path) -> V:
    """The entry `key` of a list that the corpus is shipped with; `BrokenRow` where the list at `path` has none."""
    if key not in table:
        raise BrokenRow(f"{path}: no line for {key!r}; copy the list from the publisher's archive")
    return table[key]


def lines(path: Path, encodings: Sequence[str] = ("utf-8-sig",)) -> Iterator[tuple[str, str]]:
    """The lines of a text file that hold something, and where they stand, in the first of the `encodings` that fits.

    FileNotFoundError where a list that the corpus is shipped with is missing; `BrokenRow` where no encoding fits."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; it is part of the corpus, copy it from the publisher's archive")
    content = path.read_bytes()
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        yield from ((line, f"{path}:{i}") for i, line in enumerate(text.splitlines(), start=1) if line.strip())
        return
    raise BrokenRow(f"{path}: not text in {' or '.join(encodings)}")


def paired(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The `clips`, two by two in pairs where one speaker says the same words with two values of the category.

    Which values meet is drawn by speaker and words, in the same way every time; what is left over stays single."""
    given = list(clips)
    together: dict[tuple[str, str], list[int]] = {}
    for i, clip in enumerate(given):
        if clip.fields["text"] and _value(clip):
            together.setdefault((clip.fields["speaker"], clip.fields["text"]), []).append(i)
    for (speaker, text), members in together.items():
        for i, j in _couples([_value(given[i]) for i in members], f"{speaker}: {text}"):
            _marry(given, members[i], members[j])
    return iter(given)


def _value(clip: Clip) -> str:
    value: str = clip.fields["attributes"].get(clip.fields["category"], "")
    return value


def _couples(values: Sequence[str], seed: str) -> Iterator[tuple[int, int]]:
    """Indices of two different `values`, each index once. Sorted by value and half of them apart, two are alike only where one value has
    more than half."""
    kinds = sorted(set(values))
    random.Random(seed).shuffle(kinds)
    order = sorted(range(len(values)), key=lambda i: kinds.index(values[i]))
    half = (len(order) + 1) // 2
    return ((i, j) for i, j in zip(order, order[half:], strict=False) if values[i] != values[j])


def _marry(clips: list[Clip], i: int, j: int) -> None:
    one, other = clips[i], clips[j]
    pair = f"{one.fields['id']}+{other.fields['id']}"
    clips[i] = one._replace(fields={**one.fields, "pair": pair, "contrast": _value(other)})
    clips[j] = other._replace(fields={**other.fields, "pair": pair, "contrast": _value(one)})


def deal(kinds: Mapping[str, str], folds: int = FOLDS) -> dict[str, int]:
    """Speaker → group of `folds`, from speaker → kind (sex, age; "" where it is not known).

    Sorted by kind and name they are dealt like cards, so the groups' numbers of speakers, in all and of each kind, differ by one at most:
    of sixteen actors, odd ones male and even ones female, two of each sex come into every group."""
    order = sorted(kinds, key=lambda speaker: (kinds[speaker], speaker))
    return {speaker: i % folds for i, speaker in enumerate(order)}


def rotated(clips: Sequence[Clip], fold: int, folds: int = FOLDS) -> list[Clip]:
    """The `clips` with group `fold` of the speakers as the test split and everybody else in train, whatever the corpus' own split says.

    Speakers are dealt by age and gender, as far as they are said. ValueError where `fold` is no group, or one without speakers."""
    if fold not in range(folds):
        raise ValueError(f"fold {fold}: should be 0 to {folds - 1}; leave the setting fold at -1 for the corpus' own split")
    kinds = {clip.fields["speaker"]: _kind(clip) for clip in clips}
    groups = deal(kinds, folds)
    if fold not in groups.values():
        raise ValueError(f"fold {fold}: no speaker is in it, for there are {len(kinds)} in all; set fold below {len(set(groups.values()))}")
    return [clip._replace(fields={**clip.fields, "split": "test" if groups[clip.fields["speaker"]] == fold else "train"}) for clip in clips]


def _kind(clip: Clip) -> str:
    said = clip.fields["attributes"]
    return f"{said.get('age', '')} {said.get('gender', '')}"


def inventory(folder: Path) -> bytes:
    """Names and sizes of all files of a published corpus, whose names are its labels: what a run is bound to. Hidden ones are ours."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return "".join(f"{name.as_posix()}\t{(folder / name).stat().st_size}\n" for name in shown).encode("utf-8", "surrogateescape")
