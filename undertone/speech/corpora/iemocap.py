"""Reads IEMOCAP: five sessions, in each of which a woman and a man play scripted and improvised scenes; labelled turn by turn.

- Layout: per session, `Session1/dialog/EmoEvaluation/*.txt` list the turns ("[start - end]", turn, emotion, between tabs; other lines are
  passed over), `Session1/dialog/transcriptions/*.txt` their words ("turn [start-end]: words"), and the sounds are
  `Session1/sentences/wav/SCENE/TURN.wav`. The speaker is the session and the letter of the turn's last part (Ses01F_impro01_M000: the man
  of session 1). A turn that is listed and has no sound is turned away.
- Emotions: the majority's, by `EMOTIONS`; "exc" (excited) counts as happy, which is common practice for four emotions; disgust,
  frustration, "oth" and turns without a majority ("xxx") are left out.
- Split: the publisher gives none. Ours, by session: train 1–3, dev 4, test 5. Folds keep speakers apart, not sessions: the other voice of
  a scene, faintly on the same recording, may then be in another split.
- Licence: IEMOCAP's own, research only, asked for by a form.
- Source: Busso et al. (2008), Language Resources and Evaluation 42(4), 335–359.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Published, Voice, find_sound, lines, meaning, paired, spoken

EMOTIONS = {
    "neu": "neutral",
    "hap": "happy",
    "exc": "happy",
    "sad": "sad",
    "ang": "angry",
    "fea": "fearful",
    "sur": "surprised",
    "dis": None,
    "fru": None,
    "oth": None,
    "xxx": None,
}
SEXES = {"F": "female", "M": "male"}
SPLITS: Mapping[str, Split] = {"1": "train", "2": "train", "3": "train", "4": "dev", "5": "test"}
TURN = re.compile(r"\[[\d. -]+\]\t(?P<turn>(?P<scene>Ses0(?P<session>\d)[FM]_\w+)_(?P<sex>[FM])\w+)\t(?P<emotion>\w+)\t\[.*\]")
WORDS = re.compile(r"(?P<turn>Ses\w+) \[[\d. -]+\]: ?(?P<words>.*)")


def read(folder: Path) -> Iterator[Clip]:
    """The clips of `folder`; `BrokenRow` names file and line of an emotion that the publisher does not know."""
    return paired(clip for session in sorted(folder.glob("Session[0-9]")) for clip in _clips(folder, session))


def _clips(folder: Path, session: Path) -> Iterator[Clip]:
    texts = dict(_texts(session / "dialog" / "transcriptions"))
    for path in _lists(session / "dialog" / "EmoEvaluation"):
        for line, where in lines(path, ("utf-8-sig", "latin-1")):
            if line.startswith("[") and (voice := _voice(said := _turn(line, where), where)):
                sound = find_sound(folder, f"{session.name}/sentences/wav/{said['scene']}/{said['turn']}.wav")
                yield spoken("iemocap", where, sound, voice, texts.get(said["turn"], ""))


def _turn(line: str, where: str) -> Mapping[str, str]:
    if said := TURN.fullmatch(line.rstrip()):
        return said.groupdict()
    raise BrokenRow(f"{where}: should be [start - end], a turn like Ses01F_impro01_F000, its emotion and [V, A, D], between tabs")


def _voice(said: Mapping[str, str], where: str) -> Voice | None:
    """Who speaks in a turn, or None where its emotion is left out."""
    emotion = meaning(EMOTIONS, said["emotion"], "emotion", where)
    split = meaning(SPLITS, said["session"], "session", where)
    traits = {"age": "adult", "gender": SEXES[said["sex"]]}
    return Voice(f"Ses0{said['session']}{said['sex']}", split, {**traits, "emotion": emotion}) if emotion else None


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in _lists(folder):
        for line, _ in lines(path, ("utf-8-sig", "latin-1")):
            if said := WORDS.fullmatch(line.strip()):
                yield said["turn"], said["words"].strip()


def _lists(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))  # ._x.txt: left there by macOS


IEMOCAP = Published("iemocap", "Session1/dialog/EmoEvaluation/*.txt and Session1/sentences/wav/SCENE/TURN.wav …", read)
