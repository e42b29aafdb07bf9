"""SD-Eval (arXiv 2406.13340), its age and emotion parts: people of two ages and five feelings speak, and five right replies stand beside
each."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite, unique_items
from undertone.evaluation.suites.pa import in_folder, verdict_scores
from undertone.evaluation.suites.references import FEELINGS, likeness, ratings
from undertone.records import BrokenRow, Score, Utterance, build
from undertone.speech.corpora.clips import json_rows

AGE, EMOTION = "sd-eval/age", "sd-eval/emotion"
FILES = ("sdeval_test-age.json", "sdeval_test-emo.json")
_KINDS = (("wav_path", str, "a path"), ("info", str, "a word"), ("target", list, "a list of objects with a reply each"))
_OTHER = {"child": "adult", "adult": "child"}


@final
class SDEval(Suite):
    """SD-Eval: replies to children and adults, and to five feelings, against five right replies each."""

    reads = "a folder with `sdeval_test-age.json`, `sdeval_test-emo.json` and the sounds that they name, or one of these files"
    gives = "rouge_1, rouge_l (the likest right reply), pa_score … of age, empathy of emotion"
    judges = ("chosen", "empathy")

    def load(self, source: Source) -> Loaded:
        """The rows of both files, or of the one that is named."""
        paths = [source.data] if source.data.is_file() else [path for name in FILES if (path := source.data / name).is_file()]
        if not paths:
            raise FileNotFoundError(f"{source.data}: neither {' nor '.join(FILES)} there")
        items = [_item(row, where) for path in paths for row, where in json_rows(path)]
        return Loaded(unique_items(items, source.data), in_folder(paths[0].parent))

    def judged_by(self, item: Item) -> str:
        """Age has a contrast, so the PA judge tells; of feelings there are many, and the reply is rated."""
        return "chosen" if item.suite == AGE else "empathy"

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Likeness of both parts, verdicts of age, ratings of emotion."""
        yield from likeness(answered, how)
        yield from verdict_scores([row for row in answered if row.item.suite == AGE], how)
        yield from ratings([row for row in answered if row.item.suite == EMOTION], how)


def _item(row: Mapping[str, Any], where: str) -> Item:
    for field in ("utt_id", "transcript", "wav_path", "info", "target"):
        if not row.get(field):
            raise BrokenRow(f"{where}: no {field}")
    for field, kind, words in _KINDS:
        if not isinstance(row[field], kind):
            raise BrokenRow(f"{where}: {field} should be {words}")
    right = [one.get("reply") for one in row["target"] if isinstance(one, Mapping)]
    if not right or not all(isinstance(one, str) and one for one in right):
        raise BrokenRow(f"{where}: target should be a list of objects with a reply each")
    style, aged = str(row["info"]), row["info"] in _OTHER
    feeling = FEELINGS.get(style)
    if not aged and not feeling and style != "disgust":
        raise BrokenRow(f"{where}: info {style!r} is neither child nor adult nor a feeling of SD-Eval")
    told = {"age": style} if aged else {"emotion": feeling} if feeling else {}
    fields = {
        "id": f"{AGE if aged else EMOTION}/{row['utt_id']}/{style}",
        "text": str(row["transcript"]),
        "file_name": str(Path(row["wav_path"])),
        "seconds": 0.0,
        "attributes": told,
        "speaker": str(Path(row["wav_path"]).parent),
        "source": "sd-eval",
        "split": "test",
        "reply": right[0],
    }
    fields |= {"category": "age", "contrast": _OTHER[style]} if aged else {}
    return Item(build(Utterance, fields, where), AGE if aged else EMOTION, {"right": right, "style": style})
