"""Published corpora laid out small, as their publishers ship them, with tones for voices."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import soundfile
from conftest import RATE, tone

FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".opus": ("OGG", "OPUS"), ".mp3": ("MP3", "MPEG_LAYER_III")}
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "surprised")


class Row(NamedTuple):
    """What is to be read of a sound: id, speaker, split, attribute values, words."""

    id: str
    speaker: str
    split: str
    values: tuple[str, ...]
    text: str = ""


class Layout(NamedTuple):
    """Sounds without their suffix, the publisher's lists, and what is to be read of the sounds, in order; other sounds are left out."""

    sounds: Sequence[str]
    lists: Mapping[str, str | bytes]
    rows: Sequence[Row]


def write_sound(path: Path, rate: int = RATE) -> None:
    form, subtype = FORMATS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate), rate, format=form, subtype=subtype)


def lay_out(folder: Path, layout: Layout, suffixes: Sequence[str] = tuple(FORMATS)) -> Path:
    """The corpus in `folder`, its sounds in the formats `suffixes` in turn."""
    for sound, suffix in zip(layout.sounds, cycle(suffixes), strict=False):
        write_sound(folder / (sound + suffix))
    for name, text in layout.lists.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


RAVDESS = Layout(
    [f"Actor_{a}/03-0{c}-{e}-01-0{s}-01-{a}" for a, c, e, s in [
        ("01", 1, "01", 1), ("01", 1, "02", 1), ("01", 1, "08", 2), ("01", 2, "03", 1),
        ("18", 1, "05", 1), ("24", 1, "06", 1), ("24", 1, "07", 2),
    ]],
    {},
    [
        Row("03-01-01-01-01-01-01", "01", "train", ("adult", "male", "neutral"), "kids are talking by the door"),
        Row("03-01-08-01-02-01-01", "01", "train", ("adult", "male", "surprised"), "dogs are sitting by the door"),
        Row("03-01-05-01-01-01-18", "18", "dev", ("adult", "female", "angry"), "kids are talking by the door"),
        Row("03-01-06-01-01-01-24", "24", "test", ("adult", "female", "fearful"), "kids are talking by the door"),
    ],
)  # fmt: skip

CREMA_D = Layout(
    [f"AudioWAV/{name}" for name in (
        "1001_DFA_ANG_XX", "1001_DFA_DIS_XX", "1040_ITH_SAD_X", "1065_IEO_HAP_HI", "1091_WSI_FEA_XX",
    )],
    {"VideoDemographics.csv": "ActorID,Age,Sex,Race,Ethnicity\n"
        "1001,51,Male,Caucasian,Not Hispanic\n1040,42,Female,x,y\n1065,38,Male,x,y\n1091,29,Female,x,y\n"},
    [
        Row("1001_DFA_ANG_XX", "1001", "train", ("adult", "male", "angry"), "don't forget a jacket"),
        Row("1040_ITH_SAD_X", "1040", "train", ("adult", "female", "sad"), "i think i have a doctor's appointment"),
        Row("1065_IEO_HAP_HI", "1065", "dev", ("adult", "male", "happy"), "it's eleven o'clock"),
        Row("1091_WSI_FEA_XX", "1091", "test", ("adult", "female", "fearful"), "we'll stop in a couple of minutes"),
    ],
)  # fmt: skip

EMODB = Layout(
    ["wav/03a01Fa", "wav/03a01La", "wav/11b10Wc", "wav/14a07Ab", "wav/16b03Ea"],
    {},
    [
        Row("03a01Fa", "03", "train", ("adult", "male", "happy"), "der lappen liegt auf dem eisschrank"),
        Row("11b10Wc", "11", "dev", ("adult", "male", "angry"), "die wird auf dem platz sein, wo wir sie immer hinlegen"),
        Row("14a07Ab", "14", "test", ("adult", "female", "fearful"), "in sieben stunden wird es soweit sein"),
    ],
)

ESD = Layout(
    ["0001/Angry/train/0001_000351", "0007/Sad/evaluation/0007_001051", "0016/Neutral/0016_000001", "0020/Surprise/test/0020_001401"],
    {
        "0001/0001.txt": "0001_000351\t打远一看,它们的确很是美丽。\t生气\n".encode("gb18030"),
        "0007/0007.txt": "0007_001051\t我被吓得赶紧往后退。\t伤心\r\n".encode("utf-16"),
        "0016/0016.txt": "0016_000001\tThe café is cold.\tNeutral\n".encode("latin-1"),
        "0020/0020.txt": "0020_001401 a broken line of the publisher's\nno name\n0020_001401\tthe same, twice\n".encode("utf-8-sig"),
        "ReadMe.txt": "0001: Chinese Female\n",
    },
    [
        Row("0001_000351", "0001", "train", ("adult", "female", "angry"), "打远一看,它们的确很是美丽。"),
        Row("0007_001051", "0007", "dev", ("adult", "female", "sad"), "我被吓得赶紧往后退。"),
        Row("0016_000001", "0016", "train", ("adult", "female", "neutral"), "The café is cold."),
        Row("0020_001401", "0020", "test", ("adult", "male", "surprised")),
    ],
)

SAVEE = Layout(
    ["AudioData/DC/a01", "AudioData/DC/d01", "AudioData/JE/a01", "AudioData/JK/sa15", "AudioData/KL/su02"],
    {"AudioData/Info.txt": "Speakers"},
    [
        Row("DC_a01", "DC", "train", ("adult", "male", "angry")),
        Row("JE_a01", "JE", "train", ("adult", "male", "angry")),
        Row("JK_sa15", "JK", "dev", ("adult", "male", "sad")),
        Row("KL_su02", "KL", "test", ("adult", "male", "surprised")),
    ],
)

SAVEE_FLAT = Layout(["DC_a01", "DC_d01", "JE_a01", "JK_sa15", "KL_su02"], {}, SAVEE.rows)

TESS = Layout(
    ["OAF_Fear/OAF_back_fear", "OAF_neutral/OA_bite_neutral", "OAF_Pleasant_surprise/OAF_back_ps",
     "YAF_disgust/YAF_back_disgust", "YAF_sad/YAF_back_sad"],
    {},
    [
        Row("OAF_back_fear", "OAF", "train", ("adult", "female", "fearful"), "say the word back"),
        Row("OAF_back_ps", "OAF", "train", ("adult", "female", "surprised"), "say the word back"),
        Row("OA_bite_neutral", "OAF", "train", ("adult", "female", "neutral"), "say the word bite"),
        Row("YAF_back_sad", "YAF", "test", ("adult", "female", "sad"), "say the word back"),
    ],
)  # fmt: skip

TESS_FLAT = Layout(["OAF_back_fear", "OA_bite_neutral", "OAF_back_ps", "YAF_back_disgust", "YAF_back_sad"], {}, TESS.rows)

_EVALUATED = (
    "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    "[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[4.0000, 4.0000, 2.5000]\n\n"
    "[14.8872 - 18.0175]\tSes01F_impro01_F001\txxx\t[2.5000, 2.5000, 2.5000]\n\n"
    "[19.2900 - 20.7875]\tSes01F_impro01_F002\tfru\t[2.0000, 4.0000, 4.0000]\n"
)
IEMOCAP = Layout(
    [f"Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}" for turn in ("F000", "M000", "F001", "F002")]
    + ["Session4/sentences/wav/Ses04M_script01_1/Ses04M_script01_1_MXX0", "Session5/sentences/wav/Ses05M_impro08a/Ses05M_impro08a_F010"],
    {
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": _EVALUATED,
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt": b"\x00\x05\x16\x07[",
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "[not ours]",
        "Session1/dialog/transcriptions/Ses01F_impro01.txt": "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\nF: Mmhmm.\n"
        "Ses01F_impro01_M000 [010.0100-011.3925]: Do you have your forms?\n",
        "Session4/dialog/EmoEvaluation/Ses04M_script01_1.txt": "[1.0 - 2.0]\tSes04M_script01_1_MXX0\tang\t[2.0, 4.0, 4.0]\n",
        "Session4/dialog/transcriptions/Ses04M_script01_1.txt": "",
        "Session5/dialog/EmoEvaluation/Ses05M_impro08a.txt": "[1.0 - 2.0]\tSes05M_impro08a_F010\tsur\t[3.0, 4.0, 4.0]\n",
    },
    [
        Row("Ses01F_impro01_F000", "Ses01F", "train", ("adult", "female", "neutral"), "Excuse me."),
        Row("Ses01F_impro01_M000", "Ses01M", "train", ("adult", "male", "happy"), "Do you have your forms?"),
        Row("Ses04M_script01_1_MXX0", "Ses04M", "dev", ("adult", "male", "angry")),
        Row("Ses05M_impro08a_F010", "Ses05F", "test", ("adult", "female", "surprised")),
    ],
)

EXPRESSO = Layout(
    [f"audio_48khz/read/{who}/{style}/base/{who}_{style}_00001" for who, style in (
        ("ex01", "default"), ("ex02", "happy"), ("ex03", "whisper"), ("ex04", "sad"),
    )],
    {
        "read_transcriptions.txt": "ex01_default_00001\tThe *boy* ran.\nex02_happy_00001\tYes!\nex03_whisper_00001\tNo.\n"
        "ex04_sad_00001\tNo.\nex01_default_emphasis_00002\tNot *this*.\n",
        "splits/train.txt": "ex01_default_00001\n",
    },
    [
        Row("ex01_default_00001", "ex01", "train", ("adult", "male", "neutral"), "The boy ran."),
        Row("ex02_happy_00001", "ex02", "train", ("adult", "female", "happy"), "Yes!"),
        Row("ex04_sad_00001", "ex04", "test", ("adult", "female", "sad"), "No."),
    ],
)  # fmt: skip


def _kaldi(split: str, *rows: str) -> dict[str, str]:
    """The lists of a split from rows of utterance, speaker, years, sex."""
    said = [row.split() for row in rows]
    return {
        f"{split}/wav.scp": "".join(f"{name}\tWAVE/SPEAKER{who}/{name}.WAV\n" for name, who, _, _ in said),
        f"{split}/utt2spk": "".join(f"{name} {who}\n" for name, who, _, _ in said),
        f"{split}/text": "".join(f"{name}\tGO AWAY {who}\n" for name, who, _, _ in said),
        f"{split}/spk2age": "".join(f"{who} {years}\n" for _, who, years, _ in said),
        f"{split}/spk2gender": "".join(f"{who}\t{sex}\n" for _, who, _, sex in said),
    }


SPEECHOCEAN762 = Layout(
    [f"WAVE/SPEAKER000{i}/0000{i}0001" for i in range(1, 6)],
    _kaldi("train", "000010001 0001 12 m", "000020002 0002 13 f", "000020001 0002 13 f", "000030001 0003 18 f")
    | _kaldi("test", "000040001 0004 6 f", "000050001 0005 37 m"),
    [
        Row("000010001", "0001", "train", ("child",), "go away 0001"),
        Row("000030001", "0003", "train", ("adult", "female"), "go away 0003"),
        Row("000040001", "0004", "test", ("child",), "go away 0004"),
        Row("000050001", "0005", "test", ("adult", "male"), "go away 0005"),
    ],
)

_TURNS = [f"data/{part}/00{i}/myst_00{i}_2014-01-01_MX_1.1/myst_00{i}_2014-01-01_MX_1.1_001"
          for i, part in enumerate(("train", "development", "test"), start=1)]  # fmt: skip
MYST = Layout(
    _TURNS,
    {f"{_TURNS[0]}.trn": "<breath> it is a magnet\n"},
    [
        Row("myst_001_2014-01-01_MX_1.1_001", "001", "train", ("child",), "<breath> it is a magnet"),
        Row("myst_002_2014-01-01_MX_1.1_001", "002", "dev", ("child",)),
        Row("myst_003_2014-01-01_MX_1.1_001", "003", "test", ("child",)),
    ],
)

LAYOUTS: Mapping[str, Layout] = {
    "ravdess": RAVDESS,
    "crema_d": CREMA_D,
    "emodb": EMODB,
    "esd": ESD,
    "savee": SAVEE,
    "tess": TESS,
    "iemocap": IEMOCAP,
    "expresso": EXPRESSO,
    "speechocean762": SPEECHOCEAN762,
    "myst": MYST,
}
