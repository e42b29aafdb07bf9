"""Claims: from replies and judgements on disk to rows, with what has no value counted and nothing left out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from undertone import settings
from undertone.evaluation.comparison import holm
from undertone.recipes.arms import Laid
from undertone.recipes.facts import established
from undertone.recipes.ground import Ground
from undertone.recipes.weighing import check, weighed
from undertone.records import Judgement, Reply, Score, Utterance
from undertone.reporting.study import claims
from undertone.run import Run, write_rows
from undertone.speech.folder import write_folder

Make = Callable[..., Utterance]
PAIRS = 30

GRID = """
recipe = "finetune"
[arms.one]
[arms.other]
[arms.mute]
[arms.twin]
[[tables]]
title = "t"
arms = ["one", "other", "mute"]
cells = ["pa/age"]
[[claims]]
said = "one is better"
of = "one"
than = "other"
cell = "pa/age"
[[claims]]
said = "other is not above 0"
of = "other"
cell = "pa/age"
[[claims]]
said = "nobody was judged"
of = "mute"
cell = "pa/age"
[[claims]]
said = "the mute one against one"
of = "mute"
than = "one"
cell = "pa/age"
[[claims]]
said = "one against its twin"
of = "twin"
than = "one"
cell = "pa/age"
[[claims]]
said = "one as often right to the letter as the other"
of = "one"
than = "other"
cell = "pa/age exact"
lies = "within"
margin = 0.1
[[facts]]
said = "the weights are the same"
metric = "weights_identical"
[[facts]]
said = "handed over at a quarter"
layer = "hand_over"
at = 0.25
[[facts]]
said = "nobody counted this"
metric = "miracles"
"""


@pytest.fixture
def rows(tmp_path: Path, utterance: Make) -> list[Score]:
    """Two seeds of three arms: one mostly right, one by chance, one without any verdict; every third reply of the first is unscored."""
    (tmp_path / "grid.toml").write_text(GRID)
    laid = []
    for seed in (0, 1):
        data, made = tmp_path / f"data-{seed}", []
        for i in range(2 * PAIRS):
            said, other = ("child", "adult") if i % 2 else ("adult", "child")
            right = {"category": "age", "contrast": other, "reply": f"for the {said}", "contrast_reply": f"for the {other}"}
            made.append(utterance(i, split="test", attributes={"age": said}, text=f"words {i // 2}", pair=f"p{i // 2}", **right))
        write_folder(data, made)
        arms = {}
        for arm in ("one", "other", "mute"):
            out = tmp_path / f"seed-{seed}" / "eval" / arm
            values = {"one": [1, 1, None], "other": [1, -1, 1, -1], "mute": [None]}[arm]
            write_rows(out / "replies.jsonl", [Reply(utterance_id=row.id, run=arm, text="hm") for row in made])
            verdicts = [
                Judgement(utterance_id=row.id, run=arm, judge="j", value=values[i % len(values)], reason="because")
                for i, row in enumerate(made)
            ]
            write_rows(out / "judgements.jsonl", verdicts)
            arms[arm] = Laid(arm, None, (settings.Evaluate(data=data, out=out),), None)
        laid.append((data, arms | {"twin": Laid("twin", None, (), None, twin="one")}))
    return list(weighed(settings.read_grid(str(tmp_path / "grid.toml")), Run(tmp_path, "study", 0, "c0ffee"), laid, 400))


def test_every_claim_stands_there_with_what_has_no_value(rows: list[Score]) -> None:
    better, chance, nobody, against, twin, letter = rows
    assert [row.group for row in rows[:3]] == ["one is better", "other is not above 0", "nobody was judged"]
    assert better.value == 1.0
    assert (better.unscored, better.details["verdict"]) == (2 * 2 * PAIRS // 3, "supported")
    assert (chance.value, chance.unscored, chance.details["verdict"]) == (0.0, 0, "undecided")
    assert (nobody.value, nobody.n, nobody.unscored, nobody.details["verdict"]) == (None, 0, 2 * 2 * PAIRS, "not weighed")
    assert against.value is None
    assert against.unscored == 2 * 2 * PAIRS + better.unscored
    assert (twin.value, twin.details["verdict"]) == (None, "one training"), "an arm is not compared with itself"
    assert (letter.value, letter.details["verdict"]) == (None, "nought"), "0 is not the same as 0 where nobody can be right"
    page = claims(rows)
    assert "on this model both are one training" in page
    assert f"{better.unscored} unscored" in page
    assert page.count("not weighed: no reply has a value") == 2


def test_p_values_are_adjusted_for_those_that_were_weighed(rows: list[Score]) -> None:
    found = [float(row.details["p"]) for row in rows if "p" in row.details]  # type: ignore[arg-type]
    assert len(found) == 2
    alone = found[0] / 2  # the smaller of two is doubled
    assert found == pytest.approx(holm([alone, found[1]]))
    assert found[0] > 1 / 400, "as it stands alone it would be the least that 400 draws can give"
    assert json.loads(rows[0].model_dump_json())["details"]["trainings"] == 2


def test_facts_are_counted(tmp_path: Path) -> None:
    """Weights of every training, and where the chosen layer lies in each seed's analysis."""
    (tmp_path / "grid.toml").write_text(GRID)
    grid, run = settings.read_grid(str(tmp_path / "grid.toml")), Run(tmp_path, "study", 0, "c0ffee")

    def counted(same: float, *layers: int) -> dict[str, Score]:
        laid = []
        for seed, layer in enumerate(layers):
            out = tmp_path / f"train-{seed}"
            write_rows(out / "scores.jsonl", [run.score("frozen", "weights_identical", "all", 1.0 if seed else same, 1)])
            ground = Ground(tmp_path, seed, tmp_path, None, {"hand_over": layer, "depth": 8})
            laid.append((ground, {"one": Laid("one", settings.Finetune(data=tmp_path, out=out), (), None)}))
        return {row.group: row for row in established(grid, run, laid)}

    found = counted(1.0, 2, 3)
    assert {row.details["verdict"] for row in found.values()} == {"supported"}
    assert found.keys() == {"the weights are the same", "handed over at a quarter"}
    found = counted(0.0, 3, 5)
    assert found["the weights are the same"].details["verdict"] == "not supported"
    assert found["the weights are the same"].details["counted"] == "1 of 2 trainings"
    assert found["handed over at a quarter"].details["verdict"] == "undecided"
    page = claims(list(found.values()))
    assert "layer 3 of 8, layer 5 of 8; published 0.25 of the depth" in page
    assert counted(1.0, 5, 5)["handed over at a quarter"].details["verdict"] == "not supported"


def test_so_few_resamples_that_nothing_is_decided_are_refused(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    grid = settings.read_grid(str(tmp_path / "grid.toml"))
    check(grid, 240)
    with pytest.raises(ValueError, match="bootstrap: 239 resamples decide none of 6 claims"):
        check(grid, 239)
