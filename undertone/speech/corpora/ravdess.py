"""Reads RAVDESS: 24 actors (odd numbers male, even ones female) say two sentences in eight emotions.

- Layout: `Actor_XX/03-01-EE-II-SS-RR-XX.wav`, as `Audio_Speech_Actors_01-24.zip` unpacks; the parts of a name are modality, vocal channel,
  emotion, intensity, sentence, repetition and actor. What is sung (channel 02) is passed over, films are no sound files.
- Emotions: those of `EMOTIONS`; calm and disgust are left out, undertone has no value for them.
- Split: the publisher gives none. Ours, by actor: train 01–16, dev 17–20, test 21–24, two of each sex in dev and in test.
- Licence: CC BY-NC-SA 4.0.
- Source: Livingstone and Russo (2018), PLoS ONE 13(5), e0196391, table 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, meaning, paired, parts, sounds, spoken

EMOTIONS = {
    "01": "neutral",
    "02": None,  # calm
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": None,  # disgust
    "08": "surprised",
}
SENTENCES = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
SPLIT = Parts(dev=("17", "18", "19", "20"), test=("21", "22", "23", "24"))
NAME = re.compile(r"\d\d-(?P<channel>\d\d)-(?P<emotion>\d\d)-\d\d-(?P<sentence>\d\d)-\d\d-(?P<actor>\d\d)")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a file whose name says nothing that the publisher knows."""
    return paired(_clips(folder))


def _clips(folder: Path) -> Iterator[Clip]:
    for path in sounds(folder, "Actor_*/*"):
        said = parts(NAME, path, "03-01-06-01-02-01-12.wav")
        emotion = meaning(EMOTIONS, said["emotion"], "emotion", path)
        if said["channel"] == "01" and emotion:
            sex = "male" if int(said["actor"]) % 2 else "female"
            voice = Voice(said["actor"], SPLIT.of(said["actor"]), {"age": "adult", "gender": sex, "emotion": emotion})
            text = meaning(SENTENCES, said["sentence"], "sentence", path)
            yield spoken("ravdess", path, str(path.relative_to(folder)), voice, text, topic=said["sentence"])


RAVDESS = Published("ravdess", "Actor_01/03-01-01-01-01-01-01.wav …", read)
