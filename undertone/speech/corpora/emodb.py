"""Reads EmoDB, the Berlin database of emotional speech: ten German actors say ten everyday sentences in seven emotions.

- Layout: `wav/03a01Fa.wav`; the parts of a name are speaker, sentence, emotion (a German word's first letter) and version.
- Emotions: those of `EMOTIONS`; boredom and disgust are left out, undertone has no value for them.
- Split: the publisher gives none. Ours, by speaker: train 03, 08, 09, 10, 15, 16, dev 11 and 13, test 12 and 14: each with as many women
  as men.
- Licence: CC0-1.0.
- Source: Burkhardt et al. (2005), A Database of German Emotional Speech, Interspeech.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, meaning, paired, parts, sounds, spoken

EMOTIONS = {
    "W": "angry",  # Wut
    "L": None,  # Langeweile
    "E": None,  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}
SENTENCES = {
    "a01": "der lappen liegt auf dem eisschrank",
    "a02": "das will sie am mittwoch abgeben",
    "a04": "heute abend könnte ich es ihm sagen",
    "a05": "das schwarze stück papier befindet sich da oben neben dem holzstück",
    "a07": "in sieben stunden wird es soweit sein",
    "b01": "was sind denn das für tüten, die da unter dem tisch stehen",
    "b02": "sie haben es gerade hochgetragen und jetzt gehen sie wieder runter",
    "b03": "an den wochenenden bin ich jetzt immer nach hause gefahren und habe agnes besucht",
    "b09": "ich will das eben wegbringen und dann mit karl was trinken gehen",
    "b10": "die wird auf dem platz sein, wo wir sie immer hinlegen",
}
SEXES = {
    **dict.fromkeys(("03", "10", "11", "12", "15"), "male"),
    **dict.fromkeys(("08", "09", "13", "14", "16"), "female"),
}
SPLIT = Parts(dev=("11", "13"), test=("12", "14"))
NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[a-z]\d\d)(?P<emotion>[A-Z])[a-z]?")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names a file whose name says nothing that the publisher knows."""
    return paired(_clips(folder))


def _clips(folder: Path) -> Iterator[Clip]:
    for path in sounds(folder, "wav/*"):
        said = parts(NAME, path, "03a01Fa.wav")
        if emotion := meaning(EMOTIONS, said["emotion"], "emotion", path):
            sex = meaning(SEXES, said["speaker"], "speaker", path)
            voice = Voice(said["speaker"], SPLIT.of(said["speaker"]), {"age": "adult", "gender": sex, "emotion": emotion})
            text = meaning(SENTENCES, said["sentence"], "sentence", path)
            yield spoken("emodb", path, str(path.relative_to(folder)), voice, text, topic=said["sentence"])


EMODB = Published("emodb", "wav/03a01Fa.wav …", read)
