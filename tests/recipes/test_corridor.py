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
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from undertone import settings
from undertone.models import device_name
from undertone.recipes.analyze import analyze
from undertone.recipes.evaluate import evaluate
from undertone.records import LayerScore, Rejected, Reply, Score, Utterance, read_rows
from undertone.run import Journal

COMMAND = [sys.executable, "-c", "import sys; from undertone.cli import main; sys.exit(main())"]
CLIPS = [
    "--train.age", "12", "--train.gender", "12", "--train.emotion", "30", "--train.content", "8",
    "--dev.age", "4", "--dev.gender", "4", "--dev.emotion", "6", "--dev.content", "4",
    "--test.age", "8", "--test.gender", "8", "--test.emotion", "8", "--test.content", "8",
    "--safety-speakers", "1", "--speakers", "6",
]  # fmt: skip
TUNE = ["--layers", "0-1", "--steps", "4", "--batch-size", "8", "--check-every", "2"]


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
    undertone("finetune", *TUNE, "--data", data, "--out", out)
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
    selection = json.loads((analyzed / "selection.json").read_text())
    assert 0 < selection["hand_over"] <= selection["adapt"][1]
    scores = {(row.metric, row.group): row for row in read_rows(analyzed / "scores.jsonl", Score)}
    assert scores["hand_over", "all"].value == selection["hand_over"]
    assert scores["adapt_last", "all"].value == selection["adapt"][1]
    dry = undertone("finetune", "--config", analyzed / "finetune.toml", "--dry-run")
    assert f'layers = "0-{selection["adapt"][1]}"' in dry.stdout


OWN = """
from undertone.analysis.curves import curve

def size(of):
    clusters = [row.speaker for row in of.rows]
    yield from curve(of.spoken, of.spoken.states.norm(dim=-1), "size", "", clusters, of.draw)

def words(rows, score, resamples, seed):
    yield score("pa/age", "words", "all", sum(len(row.reply.text.split()) for row in rows) / len(rows), len(rows))
"""


def test_an_analysis_and_a_metric_of_ones_own_need_no_registration(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    names = ["intent", "similarity", "logit-lens", "own:size"]
    analyze(settings.Analyze(data=data, out=tmp_path / "a", folds=2, bootstrap=0, limit=60, analyses=names))
    found = {row.analysis for row in read_rows(tmp_path / "a" / "layers.jsonl", LayerScore)}
    assert found == {"intent", "intent-text-only", "same-content", "different-content", "attribute-conditioned", "logit-lens", "size"}
    chosen = settings.Evaluate(data=data, out=tmp_path / "e", suites=["pa"], bootstrap=0, max_new_tokens=2, metrics=["exact", "own:words"])
    scores = evaluate(chosen)
    assert {score.metric for score in scores if score.suite != "cost"} == {"exact", "words"}
    assert all(reply.preference is None for reply in read_rows(tmp_path / "e" / "replies.jsonl", Reply))


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


def test_every_run_folder_says_where_it_was_made(data: Path, tuned: Path, evaluated: Path) -> None:
    made = {folder: json.loads((folder / "provenance.json").read_text()) for folder in (data, tuned, evaluated)}
    assert made[data]["device"].startswith("cpu (")
    assert made[tuned]["device"] == made[evaluated]["device"] == device_name("")
    for table in made.values():
        assert {"commit", "packages", "machine"} <= table.keys()
        assert table["packages"]["torch"]


def test_finetuning_reports_its_cost_and_its_heads(data: Path, tuned: Path) -> None:
    cells = {(score.suite, score.metric, score.group): score.value for score in read_rows(tuned / "scores.jsonl", Score)}
    per_layer = 16 * ((192 + 192) + (192 + 64))  # r 16 on q (192 → 192) and v (192 → 64)
    assert cells["cost", "trainable_parameters", "all"] == 2 * per_layer
    for level in ("category", "attribute"):
        assert {("adch", "accuracy", f"{level}, dev"), ("adch", "accuracy", f"{level}, test")} <= cells.keys()
    (tuned / "scores.jsonl").unlink()  # as if it had been killed behind the last step
    undertone("finetune", *TUNE, "--data", data, "--out", tuned)
    again = {(score.suite, score.metric, score.group): score.value for score in read_rows(tuned / "scores.jsonl", Score)}
    memory = ("cost", "peak_bytes", "training")
    assert 0 < again.pop(memory) <= cells.pop(memory), "memory is that of the last session, which took no step"
    assert again == cells, "time is that of the steps, in whichever session they were taken"


HEARD = """
import atexit, os
from undertone.models.qwen2_5_omni import Qwen2_5Omni
calls, listen = [], Qwen2_5Omni.listen
Qwen2_5Omni.listen = lambda model, batch: [calls.append(1), listen(model, batch)][1]
atexit.register(lambda: print(f"heard {os.environ['RANK']} {len(calls)}", flush=True))
"""


def test_two_processes_fine_tune_as_one_does(data: Path, tmp_path: Path) -> None:
    """By torchrun, on gloo: the same weights, up to the order in which numbers are added; and the first one hears the clips for both."""
    (tmp_path / "program.py").write_text(HEARD + "import sys; from undertone.cli import main; sys.exit(main())")
    copy = unheard(data, tmp_path / "data")
    spoilt = next(row for row in read_rows(data / "metadata.jsonl", Utterance) if row.split == "dev")
    (copy / spoilt.file_name).write_bytes(b"")
    words = ["finetune", *TUNE, "--lora.dropout", "0", "--dtype", "float32", "--data", str(copy), "--device", "cpu", "--out"]
    undertone(*words, tmp_path / "one")
    shutil.rmtree(copy / ".features")
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(tmp_path / "program.py")]
    done = subprocess.run([*start, *words, str(tmp_path / "two")], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    batches = [int(line.split()[2]) for rank in "01" for line in done.stdout.splitlines() if line.startswith(f"heard {rank} ")]
    assert len(batches) == 2
    assert batches[0] > batches[1] == 0, "clips were heard twice"
    assert [row.file_name for row in Journal(tmp_path / "two" / "rejected.jsonl").rows(Rejected)] == [spoilt.file_name]
    one, two = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)
    losses = [
        {(row.suite, row.metric, row.group): row.value for row in read_rows(tmp_path / name / "scores.jsonl", Score)}
        for name in ("one", "two")
    ]
    assert losses[0].keys() == losses[1].keys()
    processes = [next(read_rows(tmp_path / name / "scores.jsonl", Score)).details["processes"] for name in ("one", "two")]
    assert processes == [1, 2], "they did not train together"
    assert losses[1]["cost", "dev_loss", "all"] == pytest.approx(losses[0]["cost", "dev_loss", "all"], rel=1e-4)


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
    one, other = (list(read_rows(tmp_path / name / "scores.jsonl", Score)) for name in ("straight", "killed"))
    assert [row for row in one if row.suite != "cost"] == [row for row in other if row.suite != "cost"]
    kept = Journal(tmp_path / "killed" / "replies.jsonl").rows(Reply)
    assert all(reply.seconds > 0 for reply in kept)
    cost = {(row.metric, row.group): row for row in other if row.suite == "cost"}
    assert set(cost) == {("seconds", "asking")}, "what an adapter took to train is for finetune to say"
    assert cost["seconds", "asking"].value == pytest.approx(sum(reply.seconds for reply in kept))
    assert cost["seconds", "asking"].n == len(kept)


@pytest.mark.parametrize("words", [(), ("--cascade",)], ids=["vanilla", "cascade"])
def test_untrained_methods_report_their_cost_too(data: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    undertone("evaluate", "--data", data, "--out", tmp_path / "out", "--suites", "pa", "--bootstrap", "0", "--max-new-tokens", "2", *words)
    cost = {(row.metric, row.group): row.value for row in read_rows(tmp_path / "out" / "scores.jsonl", Score) if row.suite == "cost"}
    assert cost["seconds", "asking"] > 0  # type: ignore[operator]
    classes = 2 + 2 + 6
    assert cost["trainable_parameters", "all"] == ((192 + 1) * classes if words else 0)
    assert (cost["seconds", "training"] > 0) == bool(words)  # type: ignore[operator]


def test_killed_analysis_hears_no_clip_twice_and_finds_the_same(data: Path, analyzed: Path, tmp_path: Path) -> None:
    copy, out = unheard(data, tmp_path / "data"), tmp_path / "run"
    words = ("analyze", "--data", copy, "--out", out, *ANALYZE)
    killed_when(lambda: bool(heard(copy)), *words)
    before = heard(copy)
    assert not (out / "selection.json").exists()
    undertone(*words)
    assert heard(copy) == before, "clips were heard again"
    for name in ("layers.jsonl", "selection.json", "scores.jsonl"):
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
        [row.model_dump() for row in read_rows(folder / "scores.jsonl", Score) if row.metric not in ("seconds", "peak_bytes")]
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
        (("evaluate", "--data", "{data}", "--metrics", "pa", "exakt"), "did you mean 'exact'?"),
        (("analyze", "--data", "{data}", "--analyses", "prob"), "known: probe, intent, similarity, logit-lens, patching"),
        (("ask", "nowhere.wav"), "nowhere.wav"),
        (("report", "--runs", "nowhere"), "nowhere"),
    ],
)
def test_errors_name_what_to_mend(data: Path, tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    said = [word.format(data=data) for word in words]
    out = [] if words[0] in ("ask", "report") else ["--out", str(tmp_path / "out")]
    done = subprocess.run([*COMMAND, *said, *out], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_without_a_name_is_called_by_what_was_asked(data: Path, tuned: Path, tmp_path: Path) -> None:
    for words, name in (((), "vanilla"), (("--adapter", tuned / "adapter"), "tuned")):
        undertone("evaluate", "--data", data, "--out", tmp_path / name, "--limit", "2", "--bootstrap", "0", *words)
        assert json.loads((tmp_path / name / "settings.json").read_text())["name"] == name
        assert {row.run for row in read_rows(tmp_path / name / "scores.jsonl", Score)} == {name}
