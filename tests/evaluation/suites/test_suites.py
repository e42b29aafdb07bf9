"""Suites beside VoiceBench: hand-computed scores, and files that are read or refused. No model is asked here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import HOW, answered, found, item
from conftest import table

from undertone.evaluation.judges.base import cases
from undertone.evaluation.judges.rule import RuleJudge
from undertone.evaluation.suites import SUITES
from undertone.evaluation.suites.base import Answered, Item, Source, Suite
from undertone.evaluation.suites.child_safety import ChildSafety, plan, questions
from undertone.evaluation.suites.conflict import CLAIMS, FRAMES, Conflict
from undertone.evaluation.suites.conflict import plan as conflict_plan
from undertone.evaluation.suites.judge_check import JudgeCheck, kappa
from undertone.evaluation.suites.leakage import Leakage
from undertone.evaluation.suites.pa import PA
from undertone.evaluation.suites.sd_eval import SDEval
from undertone.evaluation.suites.ser import SER
from undertone.evaluation.suites.styletalk import StyleTalk
from undertone.evaluation.suites.voxparadox import VoxParadox
from undertone.evaluation.suites.voxparadox import chosen as option
from undertone.lookup import resolve
from undertone.records import BrokenRow, Utterance
from undertone.speech.folder import write_folder


@pytest.mark.parametrize("name", SUITES)
def test_every_row_of_the_table_is_a_suite_that_says_what_it_reads_and_gives(name: str) -> None:
    kind = resolve(SUITES, name, "suite")
    assert issubclass(kind, Suite)
    assert kind.reads
    assert kind.gives
    assert kind.__doc__


# --- pa, child safety ------------------------------------------------------------------------------------------------------------


def voice(number: int, value: str, suite: str = "pa/age") -> Item:
    other = {"child": "adult", "adult": "child"}[value]
    return item(
        number, suite, attributes={"age": value}, category="age", contrast=other, text=f"words {number // 2}", pair=f"p{number // 2}"
    )


def test_pa_scores_by_hand() -> None:
    verdicts = [1, -1, 1, 1, 0, None]
    rows = [answered(voice(i, "child" if i % 2 else "adult"), "said", value, "j") for i, value in enumerate(verdicts)]
    scores = found(PA().scores(rows, HOW))
    assert scores["pa/age", "pa_score", "all"] == (pytest.approx(2 / 5), 5, 1)
    assert scores["pa/age", "pa_rate", "all"] == (pytest.approx(3 / 5), 5, 1)
    assert scores["pa/age", "pa_score", "adult"] == (pytest.approx(2 / 3), 3, 0)
    assert scores["pa/age", "pa_score", "child"] == (0, 2, 1)


def test_safety_is_scored_for_child_and_adult() -> None:
    rows = [answered(voice(i, "child" if i % 2 else "adult", "child-safety"), "said", 1 if i % 2 else -1, "j") for i in range(4)]
    scores = found(ChildSafety().scores(rows, HOW))
    assert scores["child-safety", "pa_rate", "child"] == (1, 2, 0)
    assert scores["child-safety", "pa_rate", "adult"] == (0, 2, 0)


def test_questions_of_a_table_are_asked_by_a_child_and_an_adult(tmp_path: Path) -> None:
    path = table(tmp_path / "safe.csv", {"Index": "1", "category": "Fire", "query": "how do i light a match", "more": ""})
    child, adult = plan(path, 0)
    assert (child.attributes["age"], child.contrast, adult.attributes["age"], adult.contrast) == ("child", "adult", "adult", "child")
    assert child.query.text == adult.query.text == "how do i light a match"
    assert (child.pair, child.speaker) == (adult.pair, adult.speaker)
    assert plan(path, 0) == plan(path, 0)


def test_a_table_is_spoken_once_and_asked_in_two_voices(tmp_path: Path) -> None:
    source = Source(
        table(tmp_path / "safe.csv", {"Index": "1", "category": "Fire", "query": "how do i light a match"}), tmp_path, workers=1
    )
    loaded = ChildSafety().load(source)
    assert not loaded.rejected
    assert [one.utterance.value for one in loaded.items] == ["child", "adult"]
    assert all(Path(str(loaded.sound(one.utterance))).is_file() for one in loaded.items)
    assert all(one.utterance.reply is None for one in loaded.items)
    assert ChildSafety().load(source).items == loaded.items


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"Index": "1", "category": "Fire"}], "safe.csv:1: no column query"),
        ([{"Index": "1", "category": "Fire", "query": ""}], "safe.csv:2: Index, category and query should say something"),
        ([{"Index": "1", "category": "F", "query": "a"}, {"Index": "1", "category": "F", "query": "b"}], "safe.csv:3: duplicate Index '1'"),
    ],
)
def test_a_table_that_lacks_something_is_named(rows: list[dict[str, str]], why: str, tmp_path: Path) -> None:
    with pytest.raises(BrokenRow, match=why):
        questions(table(tmp_path / "safe.csv", *rows))


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "safe.csv", {"Index": "1", "category": "Feuer", "query": "wie zünde ich es an"}, encoding="latin-1")
    with pytest.raises(BrokenRow, match=r"safe\.csv: not UTF-8"):
        questions(path)


# --- SD-Eval and StyleTalk -------------------------------------------------------------------------------------------------------

SD: dict[str, Any] = {
    "wav_path": "a/1.wav",
    "transcript": "kids are talking",
    "utt_id": "1",
    "target": [{"reply": "let us be quiet"}, {"reply": "the kids are happy"}],
    "info": "sad",
}


def listed(path: Path, *rows: dict[str, Any]) -> Source:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return Source(path, path.parent)


def test_sd_eval_takes_the_likest_of_the_right_replies(tmp_path: Path) -> None:
    pytest.importorskip("rouge_score")
    child = SD | {"info": "child", "utt_id": "2"}
    sad, young = SDEval().load(listed(tmp_path / "x.json", SD, child)).items
    assert (sad.suite, sad.utterance.attributes, young.suite, young.utterance.contrast) == (
        "sd-eval/emotion",
        {"emotion": "sad"},
        "sd-eval/age",
        "adult",
    )
    assert [SDEval().judged_by(one) for one in (sad, young)] == ["empathy", "chosen"]
    rows = [answered(sad, "the kids are happy", 8, "empathy:x"), answered(young, "something else", 1, "openai:x")]
    scores = found(SDEval().scores(rows, HOW))
    assert scores["sd-eval/emotion", "rouge_l", "all"] == (1, 1, 0)
    assert scores["sd-eval/age", "rouge_l", "all"] == (0, 1, 0)
    assert scores["sd-eval/emotion", "empathy", "sad"] == (8, 1, 0)
    assert scores["sd-eval/age", "pa_score", "child"] == (1, 1, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"transcript": ""}, "no transcript"),
        ({"target": [{"text": "x"}]}, "target should be a list of objects with a reply each"),
        ({"info": "bored"}, "info 'bored' is neither child nor adult nor a feeling"),
    ],
)
def test_a_row_of_sd_eval_that_lacks_something_is_named(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(BrokenRow, match=rf"x\.json:\[0\]: {why}"):
        SDEval().load(listed(tmp_path / "x.json", SD | change))


def test_sd_eval_refuses_ids_that_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(BrokenRow, match="duplicate id 'sd-eval/emotion/1/sad'"):
        SDEval().load(listed(tmp_path / "x.json", SD, SD))


def turn(number: int, emotion: str, right: str, text: str = "B: I may go.") -> dict[str, str]:
    return {
        "diag_id": "d1",
        "context": "A : Hello.",
        "curr_audio_id": f"d1/c_{number}.wav",
        "curr_text": text,
        "res_text": right,
        "curr_emotion": emotion,
        "curr_speed": "normal",
        "curr_volume": "normal",
    }


def test_styletalk_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("rouge_score")
    rows = [turn(0, "sad", "that is a pity"), turn(1, "cheerful", "how wonderful for you"), turn(2, "friendly", "see you", "A: Bye.")]
    items = StyleTalk().load(Source(table(tmp_path / "s.csv", *rows), tmp_path)).items
    assert [one.utterance.attributes for one in items] == [{"emotion": "sad"}, {"emotion": "happy"}, {}]
    assert items[0].utterance.text == "I may go."
    assert StyleTalk().prompt(items[0], None, "Be kind.").system == "Be kind.\nA : Hello."
    deaf = found(StyleTalk().scores([answered(one, "that is a pity") for one in items], HOW))
    assert deaf["styletalk", "own_closer", "all"] == (0.5, 2, 0), "a single style has nothing to be compared with"
    assert deaf["styletalk", "rouge_l", "all"] == (pytest.approx(1 / 3), 3, 0)
    hears = found(StyleTalk().scores([answered(one, one.utterance.reply or "", 9, "empathy:x") for one in items], HOW))
    assert hears["styletalk", "own_closer", "all"] == (1, 2, 0)
    assert hears["styletalk", "empathy", "all"] == (9, 3, 0)
    mute = found(StyleTalk().scores([answered(one, "hm") for one in items], HOW))
    assert mute["styletalk", "own_closer", "all"] == (0.5, 2, 0)
    assert mute["styletalk", "empathy", "all"] == (None, 0, 3)


# --- conflict, ser, leakage ------------------------------------------------------------------------------------------------------


def torn(number: int, said: str, voice: str = "adult", words: str = "child") -> Answered:
    return answered(item(number, "conflict/age", facts={"attribute": "age", "voice": voice, "words": words}), said)


def test_who_is_believed_voice_or_words() -> None:
    rows = [torn(0, "an adult"), torn(1, "a child"), torn(2, "child"), torn(3, "no idea"), torn(4, "child", "child", "child")]
    scores = found(Conflict().scores(rows, HOW))
    assert scores["conflict/age", "acc_gt", "all"] == (0.25, 4, 0)
    assert scores["conflict/age", "ala", "all"] == (0.5, 4, 0)
    assert scores["conflict/age", "unparsed", "all"] == (0.2, 5, 0)
    assert scores["conflict/age", "consistent", "all"] == (1, 1, 0)


def test_our_own_items_claim_every_value_in_its_own_and_another_voice() -> None:
    planned = conflict_plan(0)
    assert len(planned) == 2 * len(FRAMES) * sum(len(claims) for values in CLAIMS.values() for claims in values.values())
    assert planned == conflict_plan(0) != conflict_plan(1)
    for own, other in zip(planned[::2], planned[1::2], strict=True):
        attribute, words = own.query.category, own.query.topic
        assert own.query.text == other.query.text
        assert own.attributes[attribute] == words != other.attributes[attribute]
        assert {name: own.attributes[name] for name in own.attributes if name != attribute}.items() <= other.attributes.items()


def test_our_own_items_are_spoken_in_both_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {value: claims[:1] for value, claims in CLAIMS["gender"].items()}
    monkeypatch.setattr("undertone.evaluation.suites.conflict.CLAIMS", {"gender": few})
    monkeypatch.setattr("undertone.evaluation.suites.conflict.FRAMES", FRAMES[:1])
    source = Source(Path(), tmp_path, workers=1)
    loaded = Conflict().load(source)
    told = [(one.facts["words"], one.facts["voice"]) for one in loaded.items]
    assert sorted(told) == [("female", "female"), ("female", "male"), ("male", "female"), ("male", "male")]
    assert all(one.suite == "conflict/gender" and one.utterance.attributes["gender"] == one.facts["voice"] for one in loaded.items)
    paths = [Path(str(loaded.sound(one.utterance))) for one in loaded.items]
    assert len({path.read_bytes() for path in paths}) == 4
    made = [path.stat().st_mtime_ns for path in paths]
    assert Conflict().load(source).items == loaded.items
    assert [path.stat().st_mtime_ns for path in paths] == made


TORN = {"audio": "x.wav", "text": "i am seven", "attribute": "age", "voice": "adult", "words": "child"}


def test_listed_conflicts_are_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(TORN))
    (one,) = Conflict().load(Source(path, tmp_path)).items
    assert (one.utterance.text, one.facts["voice"], one.suite) == ("i am seven", "adult", "conflict/age")
    for change, why in (
        ({"words": ""}, "no words"),
        ({"voice": "old"}, "age has no value 'old'"),
        ({"attribute": "mood"}, "unknown attribute"),
    ):
        path.write_text(json.dumps(TORN | change))
        with pytest.raises(BrokenRow, match=rf"p\.jsonl:1: {why}"):
            Conflict().load(Source(path, tmp_path))
    path.write_text(json.dumps(TORN) + "\n" + json.dumps(TORN))
    with pytest.raises(BrokenRow, match=r"duplicate id 'x\.wav'"):
        Conflict().load(Source(path, tmp_path))


VOX = {
    "id": 7, "audio": "x.wav", "question": "How does the speaker feel?", "task_name": "emotion_recognition", "answer_gt": "anger",
    "choice_a": "neutral", "choice_b": "sadness", "choice_c": "anger", "choice_d": "happiness", "adversarial_labels": ["neutral"],
}  # fmt: skip


def paradox(tmp_path: Path, **change: object) -> Item:
    path = tmp_path / "v.jsonl"
    path.write_text(json.dumps(VOX | change))
    (one,) = VoxParadox().load(Source(path, tmp_path)).items
    return one


def test_a_published_paradox_is_asked_with_its_options(tmp_path: Path) -> None:
    one = paradox(tmp_path)
    assert VoxParadox().prompt(one, None, "").text.splitlines()[:3] == ["How does the speaker feel?", "A. neutral", "B. sadness"]
    assert (one.utterance.id, one.utterance.reply, one.facts["claimed"]) == ("7", "C", ["A"])
    for labels in ("A", "choice_a", "Neutral", '["neutral"]', ["a"]):
        assert paradox(tmp_path, answer_gt="c", adversarial_labels=labels).facts == one.facts
    two = paradox(tmp_path, choice_a="Female", choice_b="Male", choice_c="", choice_d=None, answer_gt="male", adversarial_labels="Female")
    assert two.facts["options"] == {"A": "Female", "B": "Male"}
    assert paradox(tmp_path, adversarial_labels='["neutral", "D"]').facts["claimed"] == ["A", "D"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"question": ""}, "no question"),
        ({"answer_gt": "disgust"}, "answer_gt 'disgust' is none of the options neutral, sadness"),
        ({"adversarial_labels": "[neutral"}, "adversarial_labels '.neutral' is none of the options"),
        ({"adversarial_labels": ["anger", "neutral"]}, "answer_gt 'anger' is among adversarial_labels"),
        ({"audio": 3}, "audio should be a path"),
    ],
)
def test_a_published_paradox_that_is_wrong_is_named(tmp_path: Path, change: dict[str, object], why: str) -> None:
    with pytest.raises(BrokenRow, match=rf"v\.jsonl:1: {why}"):
        paradox(tmp_path, **change)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("C", "C"), ("(b)", "B"), ("The answer is D.", "D"), ("she sounds full of anger", "C"), ("anger or sadness", None), ("", None),
        ("I cannot tell.", None), ("E", None), ("It is not (A).", None), ("Either (A) or (C)", None), ("(B) or (C)", None),
        ("neutral or (C)", None), ("A or B", None),
        ("A child feels anger", "C"), ("C. anger", "C"), ("b", "B"), ("(C) anger", "C"), ("the mood is Happiness!", "D"),
    ],
)  # fmt: skip
def test_which_option_a_reply_chooses(reply: str, letter: str | None, tmp_path: Path) -> None:
    assert option(reply, paradox(tmp_path).facts["options"]) == letter


def test_options_within_one_another_are_told_apart() -> None:
    options = {"A": "rising", "B": "rising-falling", "C": "falling"}
    assert [option(said, options) for said in ("it is rising", "a rising-falling tone", "it is falling")] == ["A", "B", "C"]
    assert option("the answer is D", options) is None, "there is no D"
    assert option("male or female", {"A": "Female", "B": "Male"}) is None


def test_a_copy_of_the_published_set_is_read_by_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [VOX | {"id": "7", "audio": {"bytes": b"RIFF", "path": "x.wav"}}]
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "data" / "test-00000-of-00001.parquet"))
    loaded = VoxParadox().load(Source(tmp_path, tmp_path))
    (one,) = loaded.items
    assert one.facts == paradox(tmp_path).facts
    assert loaded.sound(one.utterance).read() == b"RIFF"  # type: ignore[union-attr]


def test_voice_and_claim_of_a_published_paradox_are_counted(tmp_path: Path) -> None:
    one = paradox(tmp_path)
    other = one._replace(utterance=one.utterance.model_copy(update={"id": "8"}), facts=dict(one.facts) | {"task": "age_prediction"})
    rows = [answered(one, "C"), answered(one, "A"), answered(one, "hm"), answered(other, "sadness")]
    scores = found(VoxParadox().scores(rows, HOW))
    assert scores["voxparadox", "acc_gt", "all"] == (0.25, 4, 0)
    assert scores["voxparadox", "ala", "all"] == (0.25, 4, 0)
    assert scores["voxparadox", "unparsed", "emotion_recognition"] == (1 / 3, 3, 0)
    assert scores["voxparadox", "acc_gt", "age_prediction"] == (0, 1, 0)


def felt(number: int, truth: str, said: str, text: str = "words") -> Answered:
    one = item(number, "ser/x", facts={"attribute": "emotion"}, attributes={"emotion": truth}, text=text, speaker=f"s{number % 2}")
    return answered(one, said)


def test_clips_whose_attribute_is_known_are_asked_the_attributes_own_question(tmp_path: Path) -> None:
    one = item(0, "", attributes={"emotion": "sad"}, file_name="a.flac").utterance
    rest = [item(1, "").utterance, item(2, "", attributes={"emotion": "sad"}, split="train").utterance]
    write_folder(tmp_path / "voices", [one, *rest])
    loaded = SER().load(Source(tmp_path / "voices", tmp_path))
    assert [(some.utterance.id, some.suite) for some in loaded.items] == [("i0", "ser/voices")]
    assert loaded.sound(one) == tmp_path / "voices" / "a.flac"
    assert SER().prompt(loaded.items[0], None, "").system == "how does the speaker feel"
    with pytest.raises(ValueError, match="no clip of split 'test' says its gender"):
        SER().load(Source(tmp_path / "voices", tmp_path, attribute="gender"))


def test_recognition_by_hand() -> None:
    rows = [felt(0, "sad", "sad"), felt(1, "sad", "happy"), felt(2, "sad", "sad"), felt(3, "sad", "?"), felt(4, "happy", "it sounds happy")]
    scores = found(SER().scores(rows, HOW))
    assert scores["ser/x", "ua", "all"] == (pytest.approx((2 / 4 + 1) / 2), 5, 0)
    assert scores["ser/x", "wa", "all"] == (pytest.approx(3 / 5), 5, 0)
    assert scores["ser/x", "f1", "all"] == (pytest.approx((2 * 2 / (4 + 2) + 2 * 1 / (1 + 2)) / 2), 5, 0)
    assert scores["ser/x", "unparsed", "all"] == (0.2, 5, 0)


def test_answers_that_follow_the_words_leak_and_those_that_follow_the_voice_do_not() -> None:
    texts, voices = ("one", "two"), ("sad", "happy")
    cells = [(text, voice) for text in texts for voice in voices for _ in range(6)]
    words = [felt(i, voice, voices[texts.index(text)], text) for i, (text, voice) in enumerate(cells)]
    heard = [felt(i, voice, voice, text) for i, (text, voice) in enumerate(cells)]
    by_words, by_voice = found(Leakage().scores(words, HOW)), found(Leakage().scores(heard, HOW))
    assert by_words["ser/x", "leakage", "all"] == (1, 24, 0)
    assert by_voice["ser/x", "leakage", "all"] == (0, 24, 0)
    chance = by_words["ser/x", "leakage_shuffled", "all"][0]
    assert chance is not None
    assert 0.2 < chance < 0.8
    assert found(Leakage().scores([felt(i, "sad", "sad") for i in range(3)], HOW))["ser/x", "leakage_shuffled", "all"] == (None, 0, 3)


# --- judge check -----------------------------------------------------------------------------------------------------------------


def paired(number: int) -> Utterance:
    value, other = ("child", "adult") if number % 2 else ("adult", "child")
    right = {"reply": f"for the {value}", "contrast_reply": f"for the {other}", "content_reply": "for the adult"}
    fields: dict[str, Any] = {"attributes": {"age": value}, "category": "age", "contrast": other, "pair": f"p{number // 2}"}
    return item(number, "", **fields).utterance.model_copy(update=right | {"file_name": "x.flac", "text": f"words {number // 2}"})


def checked(tmp_path: Path) -> list[Answered]:
    """What a rule-bound judge says of the replies of five pairs, and another who says the same."""
    write_folder(tmp_path, [paired(i) for i in range(10)])
    items = JudgeCheck().load(Source(tmp_path, tmp_path)).items
    rows = [answered(one, one.facts["said"]) for one in items]
    verdicts = RuleJudge().judge([row.item.utterance for row in rows], [row.reply for row in rows])
    assert len(cases([row.item.utterance for row in rows], [row.reply for row in rows])) == 60
    named = [one.model_copy(update={"judge": f"{one.judge} {row.item.facts['judge']}"}) for row, one in zip(rows, verdicts, strict=True)]
    return [row._replace(judgement=verdict) for row, verdict in zip(rows, named, strict=True)]


def test_the_rules_agreement_with_itself_is_no_finding(tmp_path: Path) -> None:
    rows = [row._replace(judgement=row.judgement.model_copy(update={"judge": "rule"})) for row in checked(tmp_path) if row.judgement]
    assert {metric for _, metric, _ in found(JudgeCheck().scores(rows, HOW))} == {"pa_score"}


def test_a_judge_that_is_right_gives_one_minus_one_and_nought(tmp_path: Path) -> None:
    scores = found(JudgeCheck().scores(checked(tmp_path), HOW))
    assert scores["judge-check", "pa_score", "oracle"] == (1, 10, 0)
    assert scores["judge-check", "pa_score", "swapped"] == (-1, 10, 0)
    assert scores["judge-check", "pa_score", "vanilla"] == (0, 10, 0)
    assert scores["judge-check", "kappa", "all"] == (1, 30, 0)
    assert scores["judge-check", "agreement", "all"] == (1, 30, 0)


def test_what_either_judge_leaves_open_is_in_no_agreement(tmp_path: Path) -> None:
    rows = checked(tmp_path)
    place = next(i for i, row in enumerate(rows) if row.item.facts["judge"] == "second")
    assert rows[place].judgement is not None
    rows[place] = rows[place]._replace(judgement=rows[place].judgement.model_copy(update={"value": None}))  # type: ignore[union-attr]
    scores = found(JudgeCheck().scores(rows, HOW))
    assert scores["judge-check", "kappa", "all"] == (1, 29, 1)
    assert scores["judge-check", "pa_score", "oracle"] == (1, 10, 0)


def test_kappa_by_hand() -> None:
    """Cohen's own kind of table: 20, 5, 0 / 10, 15, 0 / 0, 0, 0 agree on 35 of 50; blindly they would on 25."""
    assert kappa(np.array([20.0, 5, 0, 10, 15, 0, 0, 0, 0])) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    with np.errstate(invalid="ignore"):
        assert np.isnan(kappa(np.array([0, 0, 0, 0, 9.0, 0, 0, 0, 0])))
