"""Reads CREMA-D: 91 actors of 20 to 74 years say twelve sentences in six emotions.

- Layout: `AudioWAV/1001_DFA_ANG_XX.wav` (or `AudioMP3/….mp3`) beside `VideoDemographics.csv`, as in the publisher's repository; the parts
  of a name are actor, sentence, emotion and intensity, the table's columns ActorID and Sex say who the actors are.
- Emotions: those of `EMOTIONS`, as the actor meant them; disgust is left out, undertone has no value for it.
- Split: the publisher gives none. Ours, by actor: train 1001–1064, dev 1065–1073, test 1074–1091.
- Licence: Open Database License 1.0, its contents under the Database Contents License 1.0.
- Source: Cao et al. (2014), IEEE Transactions on Affective Computing 5(4), 377–390.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone.records import BrokenRow
from undertone.speech.corpora.clips import Clip, check_columns
from undertone.speech.corpora.published import Parts, Published, Voice, entry, lines, meaning, paired, parts, sounds, spoken

EMOTIONS = {"ANG": "angry", "DIS": None, "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = {
    "IEO": "it's eleven o'clock",
    "TIE": "that is exactly what happened",
    "IOM": "i'm on my way to the meeting",
    "IWW": "i wonder what this is about",
    "TAI": "the airplane is almost full",
    "MTI": "maybe tomorrow it will be cold",
    "IWL": "i would like a new alarm clock",
    "ITH": "i think i have a doctor's appointment",
    "DFA": "don't forget a jacket",
    "ITS": "i think i've seen this before",
    "TSI": "the surface is slick",
    "WSI": "we'll stop in a couple of minutes",
}
SEXES = {"Male": "male", "Female": "female"}
SPLIT = Parts(dev=[str(actor) for actor in range(1065, 1074)], test=[str(actor) for actor in range(1074, 1092)])
NAME = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?:XX?|LO|MD|HI)")
ACTORS = "VideoDemographics.csv"


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; FileNotFoundError where it lacks the actors' table, `BrokenRow` names a file that the publisher's codes or the
    table do not explain."""
    return paired(_clips(folder))


def _clips(folder: Path) -> Iterator[Clip]:
    found = sounds(folder, "AudioWAV/*") or sounds(folder, "AudioMP3/*")
    sexes = _sexes(folder / ACTORS) if found else {}
    for path in found:
        said = parts(NAME, path, "1001_DFA_ANG_XX.wav")
        if emotion := meaning(EMOTIONS, said["emotion"], "emotion", path):
            sex = entry(sexes, said["actor"], folder / ACTORS)
            voice = Voice(said["actor"], SPLIT.of(said["actor"]), {"age": "adult", "gender": sex, "emotion": emotion})
            text = meaning(SENTENCES, said["sentence"], "sentence", path)
            yield spoken("crema_d", path, str(path.relative_to(folder)), voice, text, topic=said["sentence"])


def _sexes(path: Path) -> Mapping[str, str]:
    """Actor → sex."""
    table = csv.DictReader(line for line, _ in lines(path))
    check_columns(("ActorID", "Sex"), table.fieldnames or (), f"{path}:1")
    try:
        return {row["ActorID"]: meaning(SEXES, row["Sex"], "sex", f"{path}:{table.line_num}") for row in table}
    except csv.Error as error:
        raise BrokenRow(f"{path}:{table.line_num}: {error}") from None


CREMA_D = Published("crema_d", "AudioWAV/1001_DFA_ANG_XX.wav … and VideoDemographics.csv", read)
