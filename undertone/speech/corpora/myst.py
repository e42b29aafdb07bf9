"""Reads MyST, My Science Tutor: 1371 children of grades 3 to 5 talk with a virtual tutor about science.

- Layout: `data/{train,development,test}/SPEAKER/SESSION/*.flac`, the words of a turn beside it in a file of the same name that ends in
  `.trn`, where it was transcribed at all; from the folder that holds `data`, or from `data` itself.
- Ages: everybody is a child; gender is not said.
- Words: as transcribed, with the marks of noises such as <breath>.
- Split: the publisher's, speakers apart; development is dev.
- Licence: CC BY-NC-SA 4.0; older copies under the LDC's (LDC2021S05).
- Source: Pradhan et al. (2024), My Science Tutor (MyST): a Large Corpus of Children's Conversational Speech, LREC-COLING.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone.records import Split
from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Published, Voice, lines, sounds, spoken

SPLITS: Mapping[str, Split] = {"train": "train", "development": "dev", "test": "test"}


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a transcript that is no text."""
    home = folder / "data" if (folder / "data").is_dir() else folder
    for name, split in SPLITS.items():
        for path in sounds(home, f"{name}/*/*/*"):
            voice = Voice(path.parent.parent.name, split, {"age": "child"})
            yield spoken("myst", path, str(path.relative_to(folder)), voice, _words(path.with_suffix(".trn")), "age")


def _words(path: Path) -> str:
    return " ".join(line.strip() for line, _ in lines(path)) if path.exists() else ""


MYST = Published("myst", "data/train/SPEAKER/SESSION/*.flac …, data/development and data/test", read)
