"""Reads TESS: two women, of 26 (YAF) and 64 years (OAF), say 200 words in a carrier phrase in seven emotions.

- Layout: `OAF_angry/OAF_back_angry.wav`, or all files in one folder; the parts of a name are speaker, word and emotion ("ps" is a pleasant
  surprise). The folders are spelt in several ways and are not read. One file of the publisher's says OA for OAF.
- Emotions: those of `EMOTIONS`; disgust is left out, undertone has no value for it.
- Words: "say the word back", by the file's name.
- Split: the publisher gives none. Ours, by speaker: train OAF, test YAF. Of the folds, two have a speaker.
- Licence: CC BY-NC-ND 4.0.
- Source: Pichora-Fuller and Dupuis (2020), Toronto emotional speech set (TESS), doi:10.5683/SP2/E8H2MF.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, meaning, paired, parts, sounds, spoken

EMOTIONS = {
    "angry": "angry",
    "disgust": None,
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}
SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}
SPLIT = Parts(dev=(), test=("YAF",))
NAME = re.compile(r"(?P<speaker>[A-Z]+)_(?P<word>[A-Za-z'-]+)_(?P<emotion>[a-z]+)")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a file whose name says nothing that the publisher knows."""
    return paired(_clips(folder))


def _clips(folder: Path) -> Iterator[Clip]:
    for path in sounds(folder, "[OY]A*_*", "[OY]A*_*/*"):
        said = parts(NAME, path, "OAF_back_angry.wav")
        speaker = meaning(SPEAKERS, said["speaker"], "speaker", path)
        if emotion := meaning(EMOTIONS, said["emotion"], "emotion", path):
            voice = Voice(speaker, SPLIT.of(speaker), {"age": "adult", "gender": "female", "emotion": emotion})
            yield spoken("tess", path, str(path.relative_to(folder)), voice, f"say the word {said['word'].lower()}")


TESS = Published("tess", "OAF_angry/OAF_back_angry.wav … or OAF_back_angry.wav …", read)
