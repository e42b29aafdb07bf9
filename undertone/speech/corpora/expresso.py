"""Reads the read speech of Expresso: four professional speakers read the same sentences in several styles.

- Layout: `read_transcriptions.txt` lists the utterances (name, words, between a tab), whose sounds are
  `audio_48khz/read/SPEAKER/STYLE/base/NAME.wav`; names begin with speaker and style. What is listed and not there is turned away. The
  improvised dialogues (minutes in stereo, one speaker a channel) and what stands in other folders than `base` (`longform`) are no
  utterances and are passed over.
- Emotions: those of `STYLES`; "default" is neutral; styles that are no emotion, or none of undertone's, are left out, and so are
  "default_emphasis" and "default_essentials", other words read for other ends.
- Words: as transcribed, without the asterisks that mark emphasis.
- Split: the publisher's (`splits/*.txt`) holds all speakers in every part. Ours, by speaker: train ex01 and ex02, test ex03 and ex04, a
  man and a woman each; no dev.
- Licence: CC BY-NC 4.0.
- Source: Nguyen et al. (2023), EXPRESSO: A Benchmark and Analysis of Discrete Expressive Speech Resynthesis, Interspeech.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from undertone.records import BrokenRow
from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Parts, Published, Voice, find_sound, lines, meaning, paired, spoken

STYLES = {
    "default": "neutral",
    "happy": "happy",
    "sad": "sad",
    **dict.fromkeys(("confused", "enunciated", "laughing", "whisper", "narration", "singing"), None),
    **dict.fromkeys(("default_emphasis", "default_essentials", "default_longform", "narration_longform", "singing_longform"), None),
}
SEXES = {"ex01": "male", "ex02": "female", "ex03": "male", "ex04": "female"}
SPLIT = Parts(dev=(), test=("ex03", "ex04"))
NAME = re.compile(r"(?P<speaker>ex\d\d)_(?P<style>[a-z_]+)_\d+")
LIST = "read_transcriptions.txt"


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names the line of the list that the publisher's codes do not explain."""
    return paired(_clips(folder) if (folder / LIST).exists() else ())


def _clips(folder: Path) -> Iterator[Clip]:
    for line, where in lines(folder / LIST):
        name, _, words = line.partition("\t")
        said = NAME.fullmatch(name.strip())
        if said is None:
            raise BrokenRow(f"{where}: no utterance of this corpus, which calls them like ex01_happy_00001")
        if emotion := meaning(STYLES, said["style"], "style", where):
            sex = meaning(SEXES, said["speaker"], "speaker", where)
            voice = Voice(said["speaker"], SPLIT.of(said["speaker"]), {"age": "adult", "gender": sex, "emotion": emotion})
            sound = find_sound(folder, f"audio_48khz/read/{said['speaker']}/{said['style']}/base/{said[0]}.wav")
            yield spoken("expresso", where, sound, voice, words.replace("*", "").strip())


EXPRESSO = Published("expresso", "read_transcriptions.txt and audio_48khz/read/ex01/happy/base/ex01_happy_00001.wav …", read)
