"""The corridor end to end on the embedded model, at a size for tests, through the command line; and what happens when it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from undertone.records import Reply, Score, Utterance, read_rows
from undertone.run import Journal

COMMAND = [sys.executable, "-c", "import sys; from undertone.cli import main; sys.exit(main())"]
CLIPS = [
    "--train.age", "12", "--train.gender", "12", "--train.emotion", "30", "--train.content", "8",
    "--dev.age", "4", "--dev.gender", "4", "--dev.emotion", "6", "--dev.content", "4",
    "--test.age", "8", "--test.gender", "8", "--test.emotion", "8", "--test.content", "8",
    "--safety-speakers", "1", "--speakers", "6",
]  # fmt: skip


def undertone(*words: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done


def killed_when(ready: Callable[[], bool], *words: str | Path) -> None:
    """Start a command and SIGKILL it, children and all, as soon as `ready`."""
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        while not ready() and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "the command ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corridor") / "data"
    undertone("synthesize", "--out", folder, *CLIPS)
    return folder


@pytest.fixture(scope="module")
def tuned(data: Path) -> Path:
    out = data.parent / "tune"
    undertone("finetune", "--data", data, "--out", out, "--layers", "0-1", "--steps", "4", "--batch-size", "8", "--check-every", "2")
    return out


@pytest.fixture(scope="module")
def evaluated(data: Path, tuned: Path) -> Path:
    out = data.parent / "eval"
    undertone("evaluate", "--data", data, "--out", out, "--name", "pe-ft", "--adapter", tuned / "adapter", "--bootstrap", "50")
    return out


def unheard(data: Path, folder: Path) -> Path:
    """A copy of the data that no model has heard yet."""
    return shutil.copytree(data, folder, ignore=shutil.ignore_patterns(".features"))


def heard(data: Path) -> dict[Path, int]:
    """The shards of audio embeddings beside the data, and when each was written."""
    return {shard: shard.stat().st_mtime_ns for shard in data.glob(".features/*/*.safetensors")}


ANALYZE = ("--folds", "2", "--bootstrap", "50", "--patch-pairs", "4")


@pytest.fixture(scope="module")
def analyzed(data: Path) -> Path:
    out = data.parent / "analyze"
    undertone("analyze", "--data", unheard(data, data.parent / "data for analyze"), "--out", out, *ANALYZE)
    return out


def test_a_pair_differs_in_its_category_alone(data: Path) -> None:
    pairs: dict[str, list[Utterance]] = {}
    for row in read_rows(data / "metadata.jsonl", Utterance):
        assert (data / row.file_name).stat().st_size > 1000
        if row.pair:
            pairs.setdefault(row.pair, []).append(row)
    assert len(pairs) > 60
    for one, other in pairs.values():
        assert {name for name in one.attributes if one.attributes[name] != other.attributes[name]} == {one.category}
        assert (one.text, one.speaker, one.split) == (other.text, other.speaker, other.split)
        assert (one.reply, one.contrast) == (other.contrast_reply, other.attributes[one.category])


def test_analysis_writes_curves_and_a_settings_file(analyzed: Path) -> None:
    out = analyzed
    selection = json.loads((out / "selection.json").read_text())
    assert 0 < selection["hand_over"] <= selection["adapt"][1]
    dry = undertone("finetune", "--config", out / "finetune.toml", "--dry-run")
    assert f'layers = "0-{selection["adapt"][1]}"' in dry.stdout


def test_scores_carry_all_that_a_doubter_asks_for(evaluated: Path) -> None:
    scores = list(read_rows(evaluated / "scores.jsonl", Score))
    cells = {(score.suite, score.metric, score.group): score for score in scores}
    for suite in ("pa/age", "pa/gender", "pa/emotion", "child-safety"):
        plus, zero, minus = (cells[suite, metric, "all"].value for metric in ("p_plus", "p_zero", "p_minus"))
        assert plus + zero + minus == pytest.approx(1)  # type: ignore[operator]
        assert cells[suite, "pa_score", "all"].value == pytest.approx(plus - minus)  # type: ignore[operator]
    assert cells["child-safety", "pa_rate", "child"].n == cells["child-safety", "pa_rate", "adult"].n >= 60
    assert ("content", "exact", "all") in cells
    assert all(score.n == 0 or score.low <= score.value <= score.high for score in scores if score.low is not None)  # type: ignore[operator]


def test_finetuning_reports_its_cost_and_its_heads(tuned: Path) -> None:
    cells = {(score.suite, score.metric, score.group): score.value for score in read_rows(tuned / "scores.jsonl", Score)}
    per_layer = 16 * ((192 + 192) + (192 + 64))  # r 16 on q (192 → 192) and v (192 → 64)
    assert cells["cost", "trainable_parameters", "all"] == 2 * per_layer
    for level in ("category", "attribute"):
        assert {("adch", "accuracy", f"{level}, dev"), ("adch", "accuracy", f"{level}, test")} <= cells.keys()


def test_killed_synthesis_goes_on_and_ends_the_same(data: Path, tmp_path: Path) -> None:
    words = ("synthesize", "--out", tmp_path / "data", *CLIPS)
    killed_when(lambda: lines(tmp_path / "data" / ".kept.jsonl") > 20, *words)
    kept = Journal(tmp_path / "data" / ".kept.jsonl").rows(Utterance)
    before = {row.file_name: (tmp_path / "data" / row.file_name).stat().st_mtime_ns for row in kept}
    undertone(*words)
    assert all((tmp_path / "data" / name).stat().st_mtime_ns == when for name, when in before.items()), "finished clips were spoken again"
    again, straight = ({row.id: row for row in read_rows(folder / "metadata.jsonl", Utterance)} for folder in (tmp_path / "data", data))
    assert again == straight


def test_killed_evaluation_goes_on_and_scores_the_same(data: Path, tuned: Path, evaluated: Path, tmp_path: Path) -> None:
    words = ("evaluate", "--data", data, "--name", "pe-ft", "--adapter", tuned / "adapter", "--bootstrap", "50", "--batch", "8")
    undertone(*words, "--out", tmp_path / "straight")
    killed_when(lambda: lines(tmp_path / "killed" / "replies.jsonl") >= 16, *words, "--out", tmp_path / "killed")
    finished = Journal(tmp_path / "killed" / "replies.jsonl").rows(Reply)
    assert not (tmp_path / "killed" / "scores.jsonl").exists()
    undertone(*words, "--out", tmp_path / "killed")
    assert Journal(tmp_path / "killed" / "replies.jsonl").rows(Reply)[: len(finished)] == finished
    straight, killed = (
        {row.utterance_id: row.text for row in read_rows(tmp_path / name / "replies.jsonl", Reply)} for name in ("straight", "killed")
    )
    assert straight == killed
    one, other = ([row.model_dump() for row in read_rows(tmp_path / name / "scores.jsonl", Score)] for name in ("straight", "killed"))
    assert one == other


def test_killed_analysis_hears_no_clip_twice_and_finds_the_same(data: Path, analyzed: Path, tmp_path: Path) -> None:
    copy, out = unheard(data, tmp_path / "data"), tmp_path / "run"
    words = ("analyze", "--data", copy, "--out", out, *ANALYZE)
    killed_when(lambda: bool(heard(copy)), *words)
    before = heard(copy)
    assert not (out / "selection.json").exists()
    undertone(*words)
    assert heard(copy) == before, "clips were heard again"
    for name in ("layers.jsonl", "selection.json", "finetune.toml"):
        assert (out / name).read_bytes() == (analyzed / name).read_bytes(), name


def test_killed_finetuning_goes_on_and_ends_with_the_same_adapter(data: Path, tmp_path: Path) -> None:
    words = ("finetune", "--data", data, "--layers", "0-1", "--steps", "16", "--batch-size", "8", "--check-every", "2")
    undertone(*words, "--out", tmp_path / "straight")
    out = tmp_path / "killed"
    killed_when(lambda: (out / "last.safetensors").exists(), *words, "--out", out)
    finished, logs = steps_saved(out), set((out / "logs").iterdir())
    assert 0 < finished < 16
    assert not (out / "scores.jsonl").exists()
    undertone(*words, "--out", out)
    (log,) = set((out / "logs").iterdir()) - logs
    assert min(steps_logged(log)) == finished, "finished steps were trained again"
    straight, killed = (load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (tmp_path / "straight", out))
    assert straight.keys() == killed.keys()
    assert all(straight[name].equal(killed[name]) for name in straight)
    one, other = (
        [row.model_dump() for row in read_rows(folder / "scores.jsonl", Score) if row.metric != "seconds"]
        for folder in (tmp_path / "straight", out)
    )
    assert one == other


def steps_saved(out: Path) -> int:
    """The step at which the last training state was saved."""
    with safe_open(out / "last.safetensors", "pt") as file:
        return int(json.loads(file.metadata()["progress"])["step"])


def steps_logged(log: Path) -> list[int]:
    """The steps whose loss stands in a TensorBoard file."""
    events = EventAccumulator(str(log))
    events.Reload()
    return [event.step for event in events.Scalars("train/loss")]


def test_ask_answers_a_clip_before_and_after(data: Path, tuned: Path) -> None:
    clip = next(iter(read_rows(data / "metadata.jsonl", Utterance))).file_name
    said = undertone("ask", "--adapter", tuned / "adapter", data / clip).stdout
    assert "before: " in said
    assert "after: " in said


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("evaluate", "--data", "nowhere"), "nowhere"),
        (("evaluate", "--data", "{data}", "--model", "{data}"), "config.json"),
        (("finetune", "--data", "{data}", "--layers", "0-99"), "layers"),
        (("finetune", "--data", "{data}", "--lora.targets", "nothing"), "lora.targets"),
        (("evaluate", "--data", "{data}", "--adapter", "nowhere"), "adapter_config.json"),
        (("ask", "nowhere.wav"), "nowhere.wav"),
        (("report", "--run", "nowhere"), "nowhere"),
    ],
)
def test_errors_name_what_to_mend(data: Path, tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    said = [word.format(data=data) for word in words]
    out = [] if words[0] in ("ask", "report") else ["--out", str(tmp_path / "out")]
    done = subprocess.run([*COMMAND, *said, *out], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
