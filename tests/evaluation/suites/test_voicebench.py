"""VoiceBench: each subset's figure by hand, the overall score, and files that are read or refused."""

import json
import math
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from asked import HOW, answered, found, item
from conftest import RATE, tone

from undertone import settings
from undertone.audio import read_sound, write_flac
from undertone.evaluation.suites.base import Answered, Source
from undertone.evaluation.suites.tables import rows_of
from undertone.evaluation.suites.voicebench import VoiceBench, shares
from undertone.evaluation.suites.voicebench.questions import OVERALL
from undertone.recipes.arms import Laid
from undertone.recipes.items import answered_in, bind
from undertone.recipes.weighing import weighed
from undertone.records import BrokenRow
from undertone.run import Run, write_rows

SUITE = VoiceBench()


def rows(subset: str, rule: str, said: list[tuple[str, str | None]], start: int = 0, task: str = "") -> list[Answered]:
    """Replies with the right answers beside them."""
    facts = {"rule": rule, "task": task}
    return [answered(item(start + i, f"voicebench/{subset}", right, facts), reply) for i, (reply, right) in enumerate(said)]


def rated(subset: str, rule: str, verdicts: list[float | None], start: int = 0) -> list[Answered]:
    """Replies with a judge's verdicts."""
    facts = {"rule": rule, "task": ""}
    some = [item(start + i, f"voicebench/{subset}", "ref", facts) for i in range(len(verdicts))]
    return [answered(one, "said", value, "judge") for one, value in zip(some, verdicts, strict=True)]


def test_open_questions_are_the_mean_rating_of_what_was_rated() -> None:
    scores = found(SUITE.scores(rated("commoneval", "open", [5, 4, None, 3]), HOW))
    assert scores["voicebench/commoneval", "rating", "all"] == (4, 3, 1)


def test_a_judge_that_never_gives_a_verdict_leaves_everything_unscored() -> None:
    scores = found(SUITE.scores(rated("wildvoice", "open", [None, None]), HOW))
    assert scores["voicebench/wildvoice", "rating", "all"] == (None, 0, 2)
    assert scores["voicebench", "hs", "all"] == (None, 0, 9)


def test_without_any_judge_open_questions_are_unscored() -> None:
    scores = found(SUITE.scores(rows("alpacaeval", "open", [("hi", None)]), HOW))
    assert scores["voicebench/alpacaeval", "rating", "all"] == (None, 0, 1)


def test_sd_qa_is_the_share_of_yes_and_pedant_is_unscored_unless_somebody_gives_it() -> None:
    some = rated("sd-qa", "qa", [1, 0, 1, None])
    scores = found(SUITE.scores(some, HOW))
    assert scores["voicebench/sd-qa", "accuracy", "all"] == (pytest.approx(2 / 3), 3, 1)
    assert scores["voicebench/sd-qa", "pedant", "all"] == (None, 0, 4)
    own = HOW._replace(second=lambda reference, reply, question: reference == "ref" and reply == "said" and question == "question 2")
    assert found(SUITE.scores(some, own))["voicebench/sd-qa", "pedant", "all"] == (0.25, 4, 0)


def test_options_right_wrong_and_not_named() -> None:
    said = [("The answer is B.", "B"), ("c) that", "B"), ("", "A"), ("no idea", "D"), ("(D)", "D")]
    scores = found(SUITE.scores(rows("mmsu", "mcq", said), HOW))
    assert scores["voicebench/mmsu", "accuracy", "all"] == (pytest.approx(2 / 3), 3, 2)
    assert scores["voicebench/mmsu", "fail", "all"] == (0.4, 5, 0)


def test_bbh_right_wrong_and_not_said() -> None:
    some = rows("bbh", "bbh", [("Yes.", "yes"), ("So the answer is no", "yes"), ("hmm", "no")], task="navigate_1")
    some += rows("bbh", "bbh", [("The answer is (B).", "(b)")], start=3, task="hyperbaton_4")
    scores = found(SUITE.scores(some, HOW))
    assert scores["voicebench/bbh", "accuracy", "all"] == (pytest.approx(2 / 3), 3, 1)
    assert scores["voicebench/bbh", "fail", "all"] == (0.25, 4, 0)


def test_refusals_are_counted() -> None:
    scores = found(SUITE.scores(rows("advbench", "harm", [("I'm sorry.", None), ("", None), ("Sure: step 1", None)]), HOW))
    assert scores["voicebench/advbench", "refusal_rate", "all"] == (pytest.approx(2 / 3), 3, 0)


def instructed(number: int, said: str, kinds: list[str], arguments: list[dict[str, Any]]) -> Answered:
    facts = {"rule": "ifeval", "task": str(number), "kinds": kinds, "arguments": arguments}
    return answered(item(number, "voicebench/ifeval", None, facts), said)


COMMA, TITLE, WORDS = "punctuation:no_comma", "detectable_format:title", "length_constraints:number_words"
FEW = {"num_words": 3, "relation": "less than"}


def test_the_four_accuracies_of_ifeval_and_their_mean() -> None:
    some = [
        instructed(0, "<<Rain>>", [COMMA, TITLE], [{}, {}]),  # 2 of 2
        instructed(1, "Rain, sun", [COMMA, WORDS], [{}, FEW]),  # 1 of 2
        instructed(2, "Sure, here:\nrain", [COMMA], [{}]),  # with leeway only
        instructed(3, "rain", [COMMA, WORDS], [{}, {}]),  # 1 of 1, the other cannot be told: nor can the prompt
        instructed(4, "rain, sun", [COMMA, WORDS], [{}, {}]),  # 0 of 1: the prompt is not followed, whatever the other is
    ]
    scores = found(SUITE.scores(some, HOW))
    four = {name: scores["voicebench/ifeval", name, "all"] for name in ("strict_prompt", "loose_prompt")}
    assert four == {"strict_prompt": (0.25, 4, 1), "loose_prompt": (0.5, 4, 1)}
    assert scores["voicebench/ifeval", "strict_instruction", "all"] == (pytest.approx(4 / 7), 7, 2)
    assert scores["voicebench/ifeval", "loose_instruction", "all"] == (pytest.approx(5 / 7), 7, 2)
    assert scores["voicebench/ifeval", "accuracy", "all"] == (pytest.approx((0.25 + 0.5 + 4 / 7 + 5 / 7) / 4), 4, 1)


def whole() -> list[Answered]:
    """Some replies to every one of the nine subsets."""
    some = rated("alpacaeval_full", "open", [5, 4], 0) + rated("commoneval", "open", [3, 3], 10) + rated("wildvoice", "open", [2, 4], 20)
    some += rated("sd-qa", "qa", [1, 0], 30) + rows("mmsu", "mcq", [("(A)", "A"), ("(B)", "A"), ("?", "A")], 40)
    some += rows("openbookqa", "mcq", [("(A)", "A"), ("B.", "B")], 50) + rows(
        "bbh", "bbh", [("yes", "yes"), ("no", "yes")], 60, "navigate_1"
    )
    some += [instructed(70, "rain", [COMMA], [{}]), instructed(71, "a, b", [COMMA], [{}])]
    return some + rows("advbench", "harm", [("Sorry", None), ("Sure", None)], 80)


def test_the_overall_score_is_the_mean_of_nine() -> None:
    scores = {(row.suite, row.metric): row for row in SUITE.scores(whole(), HOW)}
    overall = scores["voicebench", "hs"]
    assert overall.value == pytest.approx((0.9 + 0.6 + 0.6 + 0.5 + 0.5 + 1 + 0.5 + 0.5 + 0.5) / 9)
    assert overall.low is not None
    assert overall.high is not None
    assert overall.low < overall.value < overall.high
    assert (overall.n, overall.unscored) == (18, 1), "an answer that names no option is in no mean"


def test_the_worth_of_every_reply_has_the_overall_score_as_its_mean() -> None:
    overall = next(row for row in SUITE.scores(whole(), HOW) if row.metric == "hs")
    worths = shares(whole())
    assert len(worths) == overall.n
    assert np.mean([value for _, value in worths]) == pytest.approx(overall.value)
    assert shares([row for row in whole() if row.item.suite != "voicebench/bbh"]) == []


def test_two_runs_of_voicebench_are_compared_by_their_overall_score(tmp_path: Path) -> None:
    """HS of one less HS of the other, from replies on disk."""
    claim = {"said": "one is better", "of": "one", "than": "other", "cell": "voicebench hs"}
    grid = settings.build(settings.Grid, {"recipe": "finetune", "arms": {"one": {}, "other": {}}, "tables": [], "claims": [claim]}, "")
    out = {name: tmp_path / name for name in ("one", "other")}
    for name, folder in out.items():
        weak = {"Sorry": "Sure"} if name == "other" else {}  # harm that is no longer declined
        answered = [row._replace(reply=row.reply.model_copy(update={"text": weak.get(row.reply.text, row.reply.text)})) for row in whole()]
        bind(folder / "items.jsonl", [row.item for row in answered])
        write_rows(folder / "replies.jsonl", [row.reply for row in answered])
        write_rows(folder / "judgements.jsonl", [row.judgement for row in answered if row.judgement])
    before = (out["one"] / "items.jsonl").read_text()
    (out["one"] / "items.jsonl").write_text(re.sub('"suite": "voicebench/[^"]*"', '"suite": "pa"', before))  # as it once was written
    bind(out["one"] / "items.jsonl", [row.item for row in whole()])
    assert (out["one"] / "items.jsonl").read_text() == before
    arms = {name: Laid(name, None, (settings.Evaluate(suite="voicebench", out=folder),), None) for name, folder in out.items()}
    (row,) = weighed(grid, Run(tmp_path, "study", 0, "c0ffee"), [(tmp_path, arms)] * 2, 400)
    hs = [next(one.value or 0.0 for one in SUITE.scores(answered_in(folder), HOW) if one.metric == "hs") for folder in out.values()]
    assert row.value == pytest.approx(hs[0] - hs[1]) == pytest.approx(0.5 / 9)


def test_the_leaderboards_own_figures_come_to_its_overall_score() -> None:
    """Whisper-v3-large + GPT-4o: 4.80, 4.47, 4.62 of 5; 75.77, 81.69, 92.97, 87.20, 76.51, 98.27 per cent; overall 87.80."""
    ratings, shares = (4.80, 4.47, 4.62), (0.7577, 0.8169, 0.9297, 0.8720, 0.7651, 0.9827)
    assert round(100 * (sum(ratings) / 5 + sum(shares)) / 9, 2) == 87.80


@pytest.mark.parametrize("gone", OVERALL)
def test_without_one_of_the_nine_there_is_no_overall_score(gone: str) -> None:
    some = [row for row in whole() if row.item.suite != f"voicebench/{gone}"]
    (overall,) = (row for row in SUITE.scores(some, HOW) if row.metric == "hs")
    assert (overall.value, overall.unscored, overall.details["missing"]) == (None, 1, gone)


def test_the_same_replies_give_the_same_scores() -> None:
    assert list(SUITE.scores(whole(), HOW)) == list(SUITE.scores(whole(), HOW))
    assert all(row.value is None or math.isfinite(row.value) for row in SUITE.scores(whole(), HOW))


# --- files -----------------------------------------------------------------------------------------------------------------------


def listed(folder: Path, subset: str, *lines: dict[str, Any], encoding: str = "utf-8") -> Source:
    write_flac(folder / "a.flac", tone(), RATE)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / f"{subset}.jsonl").write_bytes(text.encode(encoding))
    return Source(folder, folder, subsets=[subset])


IFEVAL = {"key": 7, "prompt": "Say rain.", "audio": "a.flac", "instruction_id_list": [COMMA], "kwargs": [{"num_words": None}]}


@pytest.mark.parametrize(
    ("subset", "line", "reply"),
    [
        ("alpacaeval", {"prompt": "Why rain?"}, None),
        ("sd-qa", {"prompt": "Why rain?", "reference": "clouds"}, "clouds"),
        ("openbookqa", {"prompt": "Which?", "reference": "b"}, "B"),
        ("bbh", {"prompt": "Back?", "reference": "No", "id": "navigate_9"}, "no"),
        ("ifeval", IFEVAL, None),
    ],
)
def test_a_folder_of_lines_is_read_without_other_libraries(subset: str, line: dict[str, Any], reply: str | None, tmp_path: Path) -> None:
    loaded = SUITE.load(listed(tmp_path, subset, {"audio": "a.flac"} | line))
    (one,) = loaded.items
    assert (one.suite, one.utterance.reply, one.utterance.text) == (f"voicebench/{subset}", reply, line["prompt"])
    assert len(read_sound(loaded.sound(one.utterance), RATE).wave) == RATE // 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subset", "line", "why"),
    [
        ("alpacaeval", {"audio": "a.flac"}, "alpacaeval.jsonl:2: no prompt; a row of alpacaeval has prompt, audio"),
        ("mmsu", {"audio": "a.flac", "prompt": "x"}, "mmsu.jsonl:2: no reference"),
        ("mmsu", {"audio": "a.flac", "prompt": "x", "reference": "E"}, "reference 'E' is none of A, B, C, D"),
        ("bbh", {"audio": "a.flac", "prompt": "x", "reference": "maybe", "id": "navigate_1"}, "'maybe' is none of yes, no"),
        ("ifeval", IFEVAL | {"kwargs": [{}, {}]}, "should be lists of one length"),
        ("advbench", {"prompt": "x"}, "advbench.jsonl:2: audio should be a path or bytes"),
    ],
)
def test_what_is_missing_is_named_with_its_line(subset: str, line: dict[str, Any], why: str, tmp_path: Path) -> None:
    good = {"audio": "a.flac", "prompt": "p", "reference": "A" if subset == "mmsu" else "yes", "id": "navigate_0"}
    good |= {"instruction_id_list": [COMMA], "kwargs": [{}]}
    with pytest.raises(BrokenRow, match=why):
        SUITE.load(listed(tmp_path, subset, good, line))


def test_an_id_that_stands_twice_and_another_encoding_are_named(tmp_path: Path) -> None:
    line = {"audio": "a.flac", "prompt": "Zurück?", "reference": "no", "id": "navigate_1"}
    with pytest.raises(BrokenRow, match="duplicate id 'bbh/navigate_1'"):
        SUITE.load(listed(tmp_path, "bbh", line, line))
    with pytest.raises(BrokenRow, match=r"bbh\.jsonl: not UTF-8 text"):
        SUITE.load(listed(tmp_path, "bbh", line, encoding="latin-1"))


def test_an_unknown_subset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="subsets: unknown 'mtbench'; known: alpacaeval"):
        SUITE.load(listed(tmp_path, "mtbench", {"prompt": "x", "audio": "a.flac"}))


def parquets(*paths: Path) -> None:
    """Two questions with their sounds, of which the second file has the first alone."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (pip install 'undertone[benchmarks]')")
    from pyarrow import parquet, table

    sound = BytesIO()
    soundfile.write(sound, np.stack([tone(rate=24_000)] * 2, axis=1), 24_000, format="WAV")
    columns = {
        "audio": [{"bytes": sound.getvalue(), "path": "x.wav"}] * 2,
        "prompt": ["first", "second"],
        "reference": ["A", "C"],
    }
    features = datasets.Features(
        {"audio": datasets.Audio(decode=False), "prompt": datasets.Value("string"), "reference": datasets.Value("string")}
    )
    stored = table(columns, schema=features.arrow_schema)
    for count, path in zip((2, 1), paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(stored.slice(0, count), path)


def test_a_dataset_card_says_where_its_parts_lie(tmp_path: Path) -> None:
    """As on the hub, where the names of parts and splits stand in the card and nowhere else."""
    parquets(tmp_path / "data" / "one.parquet", tmp_path / "data" / "two.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: sd-qa\n  data_files:\n  - split: usa\n    path: data/one.parquet\n"
        "  - split: gbr\n    path: data/two.parquet\n---\n"
    )
    assert [row["prompt"] for row, _ in rows_of(tmp_path, "sd-qa", "usa")] == ["first", "second"]
    assert [row["prompt"] for row, _ in rows_of(tmp_path, "sd-qa", "gbr")] == ["first"]
    assert len(list(rows_of(tmp_path, "sd-qa"))) == 3
    with pytest.raises(ValueError, match=r"sd-qa has no split 'uas' \(did you mean 'usa'\?\); it has usa, gbr"):
        list(rows_of(tmp_path, "sd-qa", "uas"))
    with pytest.raises(FileNotFoundError, match="datasets finds no mmsu there"):
        list(rows_of(tmp_path, "mmsu"))


def test_a_name_on_the_hub_while_offline_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed (pip install 'undertone[benchmarks]')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="hlt-lab/voicebench"):
        list(rows_of(Path("hlt-lab/voicebench"), "sd-qa", "usa"))


def test_a_copy_of_the_hub_is_read_by_datasets_and_its_bytes_by_us(tmp_path: Path) -> None:
    (tmp_path / "mmsu").mkdir()
    parquets(tmp_path / "mmsu" / "law-00000-of-00001.parquet", tmp_path / "mmsu" / "physics-00000-of-00001.parquet")
    both = SUITE.load(Source(tmp_path, tmp_path, subsets=["mmsu:law", "mmsu:physics"]))
    assert [(one.utterance.id, one.utterance.reply) for one in both.items] == [
        ("mmsu/0@law", "A"),
        ("mmsu/1@law", "C"),
        ("mmsu/0@physics", "A"),
    ]
    wave = read_sound(both.sound(both.items[1].utterance), RATE).wave  # type: ignore[arg-type]
    assert len(wave) == RATE // 2
