"""Settings and the command line: strict, round-trip, and quick to show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertone import cli, lookup
from undertone.settings import BadSetting, Endpoint, Evaluate, Finetune, Settings, Synthesize, build, flags, read_config, to_toml

KINDS = [kind for kind, _ in cli.COMMANDS.values()]
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
finetune = st.builds(
    lambda **table: build(Finetune, table, "drawn"),
    model=words,
    layers=words,
    steps=st.integers(0, 10**9),
    learning_rate=st.floats(1e-12, 1e3),
    mixture=st.dictionaries(words, st.floats(-1e6, 1e6), max_size=3),
    lora=st.fixed_dictionaries({"rank": st.integers(1, 512), "targets": st.lists(words, max_size=3)}),
    adch=st.fixed_dictionaries({}, optional={"layer": st.none() | st.integers(0, 99), "weight": st.floats(0, 9)}),
    dtype=st.sampled_from(["", "float32", "bfloat16"]),
)


@given(chosen=finetune)
def test_settings_come_back_from_their_toml(tmp_path_factory: pytest.TempPathFactory, chosen: Finetune) -> None:
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_text(to_toml(chosen), encoding="utf-8")
    assert read_config(Finetune, path) == chosen


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_of_every_recipe_come_back_from_toml_and_from_no_flags(tmp_path: Path, kind: type[Settings]) -> None:
    (tmp_path / "s.toml").write_text(to_toml(kind()))
    assert read_config(kind, tmp_path / "s.toml") == kind()
    assert cli.parse(kind, [], "x") == (kind(), False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora.rnk = 8", "unknown setting 'lora.rnk'; closest known: lora.rank"),
        ("learning_rates = 1e-3", "unknown setting 'learning_rates'; closest known: learning_rate"),
        ("steps = 1.5", "steps: "),
        ("steps = true", "steps: "),
        ("steps = '8'", "steps: "),
        ("lora = 3", "lora: "),
        ("learning_rate = inf", "learning_rate: "),
        ("learning_rate = nan", "learning_rate: "),
        ("lora.rank = 0", "lora.rank: "),
        ("dtype = 'float8'", "dtype: "),
        ("steps =", "not TOML"),
        (f"steps = {'9' * 5000}", "not TOML"),
        (f"steps = {'[' * 5000}", "not TOML"),
        ("steps = 1\nsteps = 2", "not TOML"),
    ],
)
def test_a_settings_file_that_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(BadSetting) as caught:
        read_config(Finetune, path)
    assert str(caught.value).startswith(f"{path}: {said}")


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_an_arbitrary_file_is_settings_or_named(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.toml"
    path.write_bytes(content)
    try:
        read_config(Finetune, path)
    except BadSetting as error:
        assert str(path) in str(error)


def test_flags_go_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("steps = 7\nlora.rank = 4\nlora.alpha = 9\n")
    chosen, dry = cli.parse(
        Finetune, ["--config", str(tmp_path / "f.toml"), "--lora.rank", "8", "--mixture", "emotion", "2", "--dry-run"], "x"
    )
    assert (chosen.steps, chosen.lora.rank, chosen.lora.alpha, chosen.mixture, dry) == (7, 8, 9, {"emotion": 2.0}, True)
    chosen, dry = cli.parse(Finetune, [f"--config={tmp_path / 'f.toml'}"], "x")
    assert (chosen.steps, dry) == (7, False)
    assert cli.parse(Evaluate, ["--suites", "pa", "--no-cascade"], "x")[0] == Evaluate(suites=["pa"], cascade=False)
    assert cli.parse(Synthesize, ["--train.age", "4"], "x")[0].train["age"] == 4


def test_what_cells_mean_comes_from_flags_or_a_file(tmp_path: Path) -> None:
    words = ["--columns", "gender", "sex", "--values.gender", "F", "female", "M", "male", "--values.split", "validation", "dev"]
    chosen = cli.parse(Evaluate, words, "x")[0]
    assert chosen.columns == {"gender": "sex"}
    assert chosen.values == Evaluate().values | {"gender": {"F": "female", "M": "male"}, "split": {"validation": "dev"}}
    (tmp_path / "e.toml").write_text(
        'columns.gender = "sex"\n[values]\ngender = {F = "female", M = "male"}\nsplit = {validation = "dev"}\n'
    )
    assert cli.parse(Evaluate, ["--config", str(tmp_path / "e.toml")], "x")[0] == chosen
    assert cli.parse(Evaluate, ["--config", str(tmp_path / "e.toml"), "--values.age", "C", "child"], "x")[0].values["age"] == {"C": "child"}
    (tmp_path / "e.toml").write_text(to_toml(chosen))
    assert read_config(Evaluate, tmp_path / "e.toml") == chosen


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["finetune", "--lora.rnak", "8"], "unknown setting '--lora.rnak'; closest known: --lora.rank\n"),
        (["finetune", "--rank=8"], "unknown setting '--rank'; closest known: --lora.rank\n"),
        (["finetune", "--no-stric"], "unknown setting '--no-stric'; closest known: --strict\n"),
        (["finetune", "--mixture.emotion", "2"], "unknown setting '--mixture.emotion'; closest known: --mixture\n"),
        (["analyze", "--values.gendre", "F", "female"], "unknown setting '--values.gendre'; closest known: --values.gender\n"),
        (["analyze", "--values.gender", "F", "femal"], "gender has no value 'femal'; known: female, male"),
        (["analyze", "--values.split", "validation", "devel"], "split has no value 'devel'; known: train, dev, test"),
        (["finetune", "--zzz", "8"], "unknown setting '--zzz'; closest known: none\n"),
        (["synthesize", "--train.emotoin", "3"], "unknown setting '--train.emotoin'; closest known: --train.emotion\n"),
        (["synthesize", "--train", "foo", "3"], "unknown setting '--train'; closest known: --train."),
        (["synthesize", "--endpoint.modl", "m"], "unknown setting '--endpoint.modl'; closest known: --endpoint.model\n"),
        (["finetune", "--lora.rank", "many"], "finetune: Error parsing --lora.rank: invalid literal for int() with base 10: 'many'\n"),
        (["finetune", "--lora.rank"], "Missing value for argument '--lora.rank'"),
        (["finetune", "--lora.rank", "0"], "finetune: Error parsing lora: rank Input should be greater than or equal to 1\n"),
        (["finetune", "--learning-rate", "inf"], "learning_rate Input should be a finite number\n"),
        (["analyze", "--dtype", "float8"], "invalid choice 'float8' for argument '--dtype'"),
        (["evaluate", "--control", "text-only", "--cascade"], "a control is asked by itself; leave cascade, words and against out\n"),
        (["finetune", "--config", "nowhere.toml"], "nowhere.toml: no such settings file"),
        (["finetune", "--config"], "--config: name a TOML file"),
        (["fine-tune"], "unknown command 'fine-tune' (did you mean 'finetune'?)"),
    ],
)
def test_a_wrong_flag_ends_with_status_2_and_names_the_right_one(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_an_unknown_category_in_a_file_is_named_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text("train.emotoin = 3\n")
    assert cli.main(["synthesize", "--config", str(tmp_path / "s.toml"), "--dry-run"]) == 2
    assert "unknown category 'emotoin' (did you mean 'emotion'?); known: age, gender, emotion, content" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_every_flag_of_the_help_is_known(kind: type[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(kind, ["--help"], "x")
    shown = set(re.findall(r"--[a-z][a-z0-9.-]*", capsys.readouterr().out)) - {"--help"}
    known = {f"--{flag}".replace("_", "-") for flag in flags(kind())}
    assert known <= shown
    assert all(flag in known or flag.replace("--no-", "--", 1) in known for flag in shown)


def test_ask_takes_its_clip_as_the_first_word() -> None:
    chosen = cli.parse(cli.COMMANDS["ask"][0], ["a.wav", "--adapter", "there", "--strict"], "ask")[0].model_dump()
    assert (chosen["clip"], chosen["adapter"], chosen["strict"]) == ("a.wav", Path("there"), True)


def test_ask_takes_its_clip_as_the_last_word() -> None:
    kind = cli.COMMANDS["ask"][0]
    assert cli.parse(kind, ["--model", "m", "a.wav"], "ask")[0].model_dump()["clip"] == "a.wav"
    assert cli.parse(kind, ["a.wav"], "ask")[0].model_dump()["clip"] == "a.wav"
    assert cli.parse(kind, ["--model", "m"], "ask")[0].model_dump()["clip"] == ""
    assert cli.parse(kind, ["--strict", "a.wav"], "ask")[0].model_dump()["clip"] == "a.wav"


def test_dry_run_prints_what_config_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["finetune", "--steps", "3", "--dry-run"]) == 0
    (tmp_path / "f.toml").write_text(capsys.readouterr().out)
    assert read_config(Finetune, tmp_path / "f.toml") == Finetune(steps=3)


SLOW = """
import sys, time
from undertone.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = [name for name in ("torch", "transformers", "numpy", "scipy") if name in sys.modules]
print(time.process_time(), *heavy, file=sys.stderr)
"""


@pytest.mark.parametrize("argv", [["--help"], ["finetune", "--help"]])
def test_help_is_quick_and_loads_nothing_heavy(argv: list[str]) -> None:
    runs = [subprocess.run([sys.executable, "-c", SLOW, *argv], capture_output=True, text=True, check=True) for _ in range(3)]
    assert all("usage: undertone" in run.stdout for run in runs)
    seconds, *heavy = min(run.stderr.split() for run in runs)
    assert heavy == []
    assert float(seconds) < 0.5


def test_help_shows_every_setting_with_its_default() -> None:
    shown = subprocess.run([sys.executable, "-c", SLOW, "finetune", "--help"], capture_output=True, text=True, check=True).stdout
    shown = " ".join(shown.replace("│", " ").split())  # long lines are wrapped
    for flag, default in (("--lora.rank", "16"), ("--adch.weight", "0.5"), ("--learning-rate", "0.002"), ("--layers", "0-3")):
        assert flag in shown
        assert f"(default: {default})" in shown


def test_an_interrupt_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "stopping.py").write_text("def stop(settings):\n    raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.COMMANDS, "report", (cli.COMMANDS["report"][0], "stopping:stop"))
    assert cli.main(["report"]) == 130
    assert "what is finished is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["espaek", ".speech:X", "a.b:", ":X", "no_such_package:X", "undertone.lookup:nothing", "a b:c", ":", "a:b:c"]
)
def test_a_name_that_stands_for_nothing_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="synthesiser"):
        lookup.resolve({"espeak": "undertone.lookup:resolve"}, name, "synthesiser")


def test_a_name_or_an_address_is_resolved() -> None:
    assert lookup.resolve({"it": "undertone.lookup:resolve"}, "it", "thing") is lookup.resolve
    assert lookup.resolve({}, "undertone.lookup:suggest", "thing") is lookup.suggest
    with pytest.raises(ValueError, match=r"unknown thing 'itt' \(did you mean 'it'\?\); known: it;"):
        lookup.resolve({"it": "undertone.lookup:resolve"}, "itt", "thing")


def test_a_login_in_an_address_never_reaches_a_settings_file() -> None:
    with pytest.raises(ValueError, match="leave the login out"):
        Endpoint(base_url="http://me:secret@127.0.0.1:1/v1")


def test_nothing_is_trained_in_float16() -> None:
    with pytest.raises(BadSetting, match=r"dtype: float16 loses small gradients.*bfloat16 or float32"):
        build(Finetune, {"dtype": "float16"}, "here")
    assert build(Evaluate, {"dtype": "float16"}, "here").dtype == "float16"
