"""Reads SAVEE: four English men say fifteen sentences in each of six emotions, and thirty neutrally.

- Layout: `AudioData/DC/a01.wav`, or flat as `DC_a01.wav`; the letters of a name are the emotion, the digits the sentence's number.
- Emotions: those of `EMOTIONS`; disgust is left out, undertone has no value for it.
- Words: the files do not tell them, and a number means other words in another emotion; so there are neither texts nor pairs.
- Split: the publisher gives none. Ours, by speaker: train DC and JE, dev JK, test KL.
- Licence: research only, asked for by a form.
- Source: Haq and Jackson (2010), Multimodal Emotion Recognition, in: Machine Audition, IGI Global, 398–423.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, meaning, parts, sounds, spoken

EMOTIONS = {"a": "angry", "d": None, "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprised"}
SPEAKERS = ("DC", "JE", "JK", "KL")
SPLIT = Parts(dev=("JK",), test=("KL",))
NAME = re.compile(r"(?:(?P<speaker>[A-Z]{2})_)?(?P<sentence>(?P<emotion>[a-z]+)\d\d)")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a file whose name says nothing that the publisher knows."""
    pattern = "[A-Z][A-Z]"
    for path in sounds(folder, f"AudioData/{pattern}/*", f"AudioData/{pattern}_*", f"{pattern}/*", f"{pattern}_*"):
        said = parts(NAME, path, "DC/a01.wav or DC_a01.wav")
        speaker = said["speaker"] or path.parent.name
        meaning(dict.fromkeys(SPEAKERS), speaker, "speaker", path)
        if emotion := meaning(EMOTIONS, said["emotion"], "emotion", path):
            voice = Voice(speaker, SPLIT.of(speaker), {"age": "adult", "gender": "male", "emotion": emotion})
            name = f"{speaker}_{said['sentence']}"  # a01.wav is four files, one a speaker
            yield spoken("savee", path, str(path.relative_to(folder)), voice, name=name)


SAVEE = Published("savee", "AudioData/DC/a01.wav … or DC_a01.wav …", read)
