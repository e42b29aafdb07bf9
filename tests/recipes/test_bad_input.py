"""Bad input through the command line: one clear line that names file, row or setting, exit status 2, and nothing finished is lost."""

import json
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import BAD_FILES, RATE, tone

from undertone.audio import write_flac
from undertone.cli import main
from undertone.models import EMBEDDED, open_model
from undertone.models.tiny import WEIGHTS
from undertone.records import Reply, Score, Utterance, read_rows
from undertone.run import Journal
from undertone.speech.folder import write_folder
from undertone.training.lora import MadeWith, adapt, choose_layers, save_adapter

Make = Callable[..., Utterance]
QUICK = ["--max-new-tokens", "8", "--bootstrap", "10", "--batch", "8"]


@pytest.fixture
def data(tmp_path: Path, utterance: Make) -> Path:
    """A data folder of twelve pairs in the test split."""
    rows = []
    for i in range(24):
        said = {"age": "child" if i % 2 else "adult"}
        right = {"category": "age", "contrast": "adult" if i % 2 else "child", "reply": "yes", "contrast_reply": "no"}
        rows.append(utterance(i, split="test", attributes=said, text=f"words {i // 2}", pair=f"p{i // 2}", **right))
        write_flac(tmp_path / "data" / rows[-1].file_name, tone(120 + 10 * i, 0.3), RATE)
    write_folder(tmp_path / "data", rows)
    return tmp_path / "data"


def said_by(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What a command that must fail says: one line."""
    capsys.readouterr()
    assert main(list(map(str, words))) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"undertone: {words[0]}: ")
    return lines[0]


def break_line(lines: list[str]) -> None:
    lines[4] = lines[4][:40]


def double(lines: list[str]) -> None:
    lines[4] = lines[2]


def name_unknown(lines: list[str]) -> None:
    lines[4] = json.dumps(json.loads(lines[4]) | {"attributes": {"accent": "scots"}})


@pytest.mark.parametrize("command", ["analyze", "finetune", "evaluate", "align", "recognize"])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (break_line, "metadata.jsonl:5: not JSON"),
        (double, "metadata.jsonl: duplicate id 'u2'"),
        (name_unknown, "metadata.jsonl:5: attributes: Value error, unknown attribute 'accent'; known: age, gender, emotion"),
    ],
)
def test_a_spoilt_row_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], command: str, ours: bool, spoil: Callable[[list[str]], None], said: str
) -> None:
    lines = (data / "metadata.jsonl").read_text().splitlines()
    spoil(lines)
    (data / "metadata.jsonl").write_text("\n".join(lines))
    if not ours:
        (data / "folder.json").unlink()
    assert said in said_by(capsys, command, "--data", data, "--out", data / "run")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("own.jsonl", '{"messages": [{"role": "user", "content": "<audio>"}], "audios": ["clips/u0.flac"]}\n{', "own.jsonl:2: not JSON"),
        ("own.csv", "audio,id\nclips/u0.flac,a\nclips/u1.flac,a\n", "own.csv: duplicate id 'a'"),
        ("own.csv", "audio,age\nclips/u0.flac,kid\n", "own.csv:2: attributes: Value error, age has no value 'kid'; known: adult, child"),
        ("own.csv", "audio,category\nclips/u0.flac,accent\n", "own.csv:2: Value error, unknown attribute 'accent'"),
    ],
)
def test_a_spoilt_row_of_ones_own_is_named(data: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str) -> None:
    (data / name).write_text(text)
    assert said in said_by(capsys, "evaluate", "--data", data / name, "--out", data / "run")


def test_a_checkpoint_that_cannot_be_opened_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("evaluate", "--data", data, "--out", data / "run", "--model")
    other = WEIGHTS / f"{EMBEDDED}-lm"
    assert f"model {other}: no family reads model_type 'qwen2'; families: qwen2_5_omni" in said_by(capsys, *words, other)
    torn = data / "torn"
    torn.mkdir()
    for path in (WEIGHTS / EMBEDDED).iterdir():
        (torn / path.name).write_bytes(path.read_bytes()[: 100_000 if path.suffix == ".safetensors" else None])
    assert f"model {torn}: no whole checkpoint (" in said_by(capsys, *words, torn)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_an_endpoint_that_nobody_answers_at_is_named_and_the_replies_are_kept(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    address = f"http://127.0.0.1:{closed_port()}/v1"
    endpoint = ("--endpoint.model", "m", "--endpoint.base-url", address, "--endpoint.attempts", "1")
    line = said_by(capsys, "evaluate", "--data", data, "--out", data / "run", "--judge", "openai", *endpoint, *QUICK)
    assert address in line
    assert "cannot be reached" in line
    assert "endpoint.base_url" in line
    assert len(Journal(data / "run" / "replies.jsonl").rows(Reply)) == 24
    line = said_by(capsys, "synthesize", "--out", data / "made", "--writer", "openai", "--topics", "age: kitchen", *endpoint)
    assert "cannot be reached" in line


def test_a_run_that_would_go_on_in_other_numbers_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("evaluate", "--data", data, "--out", data / "run", "--limit", "2", *QUICK, "--dtype")
    assert main([*map(str, words), "float32"]) == 0
    assert "this run began in float32 and would go on in bfloat16; set --dtype float32" in said_by(capsys, *words, "bfloat16")


def no_kind(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    del config["peft_type"]
    (folder / "adapter_config.json").write_text(json.dumps(config))


def other_rank(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 4}))


def other_modules(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["nothing"]}))


def no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def torn_weights(folder: Path) -> None:
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights[: len(weights) // 2])


def no_table(folder: Path) -> None:
    (folder / "undertone.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_kind, "no whole adapter"),
        (other_rank, "does not fit this model"),
        (other_modules, "does not fit this model"),
        (no_weights, "no adapter_model.safetensors"),
        (torn_weights, "no whole adapter"),
        (no_table, "not JSON"),
    ],
)
def test_an_adapter_that_cannot_be_put_on_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], said: str
) -> None:
    model = open_model(EMBEDDED, dtype="float32")
    adapted = adapt(model, choose_layers("0-1", model), ["q_proj"], 2, 4, 0.0, 0)
    save_adapter(adapted, data / "adapter", MadeWith(EMBEDDED, "", "0,1", "abc"))
    spoil(data / "adapter")
    line = said_by(capsys, "ask", "--max-new-tokens", "2", "--adapter", data / "adapter", data / "clips" / "u0.flac")
    assert f"{data / 'adapter'}" in line
    assert said in line


def on_a_full_disk(most: int, *words: str | Path, kept: str = "what was there is kept") -> str:
    """What a command says where no file may grow beyond `most` bytes, which fails as a full disk does: in the middle of a write."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import sys; from undertone.cli import main; sys.exit(main())", *map(str, words)],
        capture_output=True, text=True, check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("undertone: ")]
    assert "Traceback" not in done.stderr
    assert f"cannot write, {kept}: " in line
    assert "File too large" in line
    return line


def test_a_full_disk_is_named_and_evaluation_goes_on_behind_the_last_reply(data: Path) -> None:
    words = ("evaluate", "--data", data, *QUICK)
    assert main([*map(str, words), "--out", str(data / "straight")]) == 0
    whole = (data / "straight" / "replies.jsonl").stat().st_size
    settings = (data / "straight" / "settings.json").stat().st_size
    assert settings < whole - 200
    line = on_a_full_disk(whole - 200, *words, "--out", data / "full")
    assert str(data / "full" / "replies.jsonl") in line
    finished = Journal(data / "full" / "replies.jsonl").rows(Reply)
    assert len(finished) == 16, "two of three batches fitted"
    assert main([*map(str, words), "--out", str(data / "full")]) == 0
    assert Journal(data / "full" / "replies.jsonl").rows(Reply)[:16] == finished
    one, other = (
        [row for row in read_rows(data / name / "scores.jsonl", Score) if row.metric != "seconds"] for name in ("straight", "full")
    )
    assert one == other


def test_a_full_disk_is_named_and_spoken_clips_are_kept(tmp_path: Path) -> None:
    none = [f"--{split}.{category}=0" for split in ("train", "dev", "test") for category in ("age", "gender", "emotion", "content")]
    words = ("synthesize", "--out", tmp_path / "data", *none, "--train.age", "12", "--safety-speakers", "0", "--speakers", "2")
    line = on_a_full_disk(42_000, *words, "--workers", "1")
    assert str(tmp_path / "data") in line
    assert ".flac" in line
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("data/**/*.flac")}
    kept = Journal(tmp_path / "data" / ".kept.jsonl").rows(Utterance)
    assert kept, "some clips are small enough"
    assert main([*map(str, words)]) == 0
    rows = {row.id: row for row in read_rows(tmp_path / "data" / "metadata.jsonl", Utterance)}
    assert len(rows) == 12
    for row in kept:
        path = tmp_path / "data" / row.file_name
        assert (rows[row.id], path.stat().st_mtime_ns) == (row, before[path]), "finished clips were spoken again"


def test_a_full_disk_is_named_and_alignment_goes_on(data: Path) -> None:
    """It fills up while the teacher answers, then while the state is saved, then while the model is."""
    rows = [
        row.model_copy(update={"split": "dev" if i >= 16 else "train"})
        for i, row in enumerate(read_rows(data / "metadata.jsonl", Utterance))
    ]
    write_folder(data, rows)
    out = data / "run"
    words = ("align", "--data", data, "--out", out, "--steps", "1", "--batch-size", "2", "--check-every", "1", "--projector.hidden", "32")
    words += ("--objectives.distillation", "1")  # with candidates, a few lessons are more than the disk holds
    assert ".teacher" in on_a_full_disk(8_000, *words)
    assert not list(data.glob(".teacher/*/*"))
    assert str(out / "last.safetensors") in on_a_full_disk(1_000_000, *words)
    assert not list(out.glob("*.safetensors")), "a torn state was left"
    assert main(list(map(str, words))) == 0
    weights = (out / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "model")
    (out / "scores.jsonl").unlink()
    assert str(out / "model" / "model.safetensors") in on_a_full_disk(len(weights) - 1000, *words)
    assert main(list(map(str, words))) == 0
    assert (out / "model" / "model.safetensors").read_bytes() == weights


def test_a_full_disk_is_named_and_fine_tuning_goes_on(data: Path) -> None:
    """It fills up while the clips are heard, then while the state is saved, then while the adapter is."""
    rows = [
        row.model_copy(update={"split": "dev" if i >= 16 else "train"})
        for i, row in enumerate(read_rows(data / "metadata.jsonl", Utterance))
    ]
    write_folder(data, rows)
    words = ("finetune", "--data", data, "--layers", "0-1", "--steps", "1", "--batch-size", "2", "--lora.rank", "64", "--adch.weight", "0")
    out = data / "run"
    assert ".features" in on_a_full_disk(40_000, *words, "--out", out)
    assert not list(data.glob(".features/*/*"))
    assert str(out / "last.safetensors") in on_a_full_disk(500_000, *words, "--out", out)
    assert not list(out.glob("*.safetensors")), "a torn state was left"
    assert main([*map(str, words), "--out", str(out)]) == 0
    adapter = (out / "adapter" / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(out / "adapter")
    (out / "scores.jsonl").unlink()
    line = on_a_full_disk(len(adapter) - 1000, *words, "--out", out, kept="the training state is kept")
    assert f"{out / 'adapter'}: " in line
    assert not list(out.glob("*adapter"))
    assert main([*map(str, words), "--out", str(out)]) == 0
    assert (out / "adapter" / "adapter_model.safetensors").read_bytes() == adapter


@pytest.mark.parametrize("name", BAD_FILES)
def test_ask_says_what_is_wrong_with_a_bad_file(clips: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    line = said_by(capsys, "ask", clips / name)
    assert str(clips / name) in line
    assert BAD_FILES[name] in line


def test_ask_says_that_it_converted_a_clip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(rate=22_050)] * 2, axis=1), 22_050)
    assert main(["ask", str(tmp_path / "a.wav"), "--max-new-tokens", "1"]) == 0
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("undertone")]
    assert "converted to 16000 Hz mono" in said


def test_strict_makes_the_first_clip_of_a_folder_that_cannot_be_heard_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "clips" / "u5.flac").write_bytes(b"no sound")
    line = said_by(capsys, "evaluate", "--data", data, "--out", data / "run", "--strict", *QUICK)
    assert f"{data / 'clips' / 'u5.flac'}: is no sound file" in line
