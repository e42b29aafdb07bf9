"""The study: arms laid out and checked before any work, resumed after a kill, refused where they would mix; tables and claims from rows."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import two_voices
from server import KEY, TOKENS, Server
from test_corridor import CLIPS, killed_when, lines, undertone

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.endpoint import SpendLimit
from undertone.recipes.arms import filled, lay_out
from undertone.recipes.ground import before_speaking, ground_of, read_layers, refuse_mixture, share_out
from undertone.recipes.study import study
from undertone.records import Score, read_rows
from undertone.run import provenance
from undertone.settings.study import GRIDS
from undertone.speech.folder import read_folder

LAYERS = {"voice": "0-1", "meaning": "2-3", "adapt": "0-3", "after": "4-7", "hand_over": "2"}
TRAIN = {"steps": 2, "check_every": 2, "batch_size": 8, "lora": {"rank": 2, "targets": ["q_proj"]}, "adch": {"weight": 0.1}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "data"
    undertone("synthesize", "--out", folder, *CLIPS)
    return folder


def chosen(out: Path, data: Path | None = None, **more: object) -> settings.Study:
    table = {"out": str(out), "seeds": [0], "layers": LAYERS, "train": TRAIN, "data": str(data) if data else None}
    return settings.build(settings.Study, table | more, "")


@pytest.mark.parametrize("name", [path.stem for path in GRIDS.glob("*.toml")])
def test_every_arm_of_a_shipped_grid_is_laid_out_before_any_work(name: str, tmp_path: Path) -> None:
    wanted = chosen(tmp_path, grid=name, train={})
    grid = settings.read_grid(name)
    laid = lay_out(wanted, grid, before_speaking(tmp_path, wanted))
    assert list(laid) == list(grid.arms)
    assert not list(tmp_path.iterdir())
    cells = {cell.split()[0] for table in grid.tables for cell in table.cells} | {claim.cell.split()[0] for claim in grid.claims}
    assert cells
    for model in grid.published.values():
        assert set(model) <= set(grid.arms)
        assert {cell for row in model.values() for cell in row} <= {cell for table in grid.tables for cell in table.cells}


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs" / "study").glob("*.toml")), ids=lambda path: path.stem)
def test_every_arm_of_a_shipped_settings_file_is_laid_out(path: Path, tmp_path: Path) -> None:
    wanted = settings.read_config(settings.Study, path)
    grid = settings.read_grid(wanted.grid)
    assert list(lay_out(wanted, grid, before_speaking(tmp_path, wanted))) == list(grid.arms)


def test_layers_take_their_places_and_twins_are_trained_once(tmp_path: Path) -> None:
    wanted = chosen(tmp_path, layers=LAYERS | {"hand_over": "3"})
    laid = lay_out(wanted, settings.read_grid("pe_ft"), before_speaking(tmp_path, wanted))
    assert isinstance(tune := laid["voice layers"].train, settings.Finetune)
    assert (tune.layers, tune.lora.rank, tune.adch.weight) == ("0-1", 2, 0.0)
    assert isinstance(tune := laid["random-layers"].train, settings.Finetune)
    assert tune.layers == "random:4"
    assert isinstance(tune := laid["head at the hand-over"].train, settings.Finetune)
    assert tune.adch.layer == 3
    assert laid["head at the hand-over"].twin == "pe-ft"  # the last adapted layer is the hand-over here
    assert [name for name, one in laid.items() if one.twin] == ["head at the hand-over"]
    assert laid["vanilla"].train is None
    half = chosen(tmp_path, train=TRAIN | {"adch": {"weight": 0.5}}, other_voices={"test": {"gender": 4}})
    again = lay_out(half, settings.read_grid("pe_ft"), before_speaking(tmp_path, half))
    assert again["λ 0.5"].twin == "pe-ft", "which is asked in other voices as well"
    assert not again["pe-ft"].twin
    assert laid["pe-ft"].ask[0].adapter == tmp_path / "train" / "pe-ft" / "adapter"


def test_arms_whose_layers_the_model_lacks_are_left_out(tmp_path: Path) -> None:
    wanted = chosen(tmp_path, layers=LAYERS | {"adapt": "0-7", "after": ""})
    laid = lay_out(wanted, settings.read_grid("pe_ft"), before_speaking(tmp_path, wanted))
    assert "layers after" not in laid
    assert "meaning layers" in laid


def test_what_does_not_fit_is_said_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    arm = 'recipe = "finetune"\n[arms.one]\ntrain = { %s }\n[[tables]]\ntitle = "t"\narms = ["%s"]\ncells = ["pa/age"]\n'
    for inside, named, said in (
        ("lairs = 3", "one", "arm 'one': unknown setting 'lairs'; closest known: layers"),
        ('layers = "{voise}"', "one", "unknown layers 'voise'; known: voice"),
        ("steps = 3", "oen", "unknown arm 'oen'; closest known: one"),
        ("steps = true", "one", "arm 'one': steps"),
    ):
        file.write_text(arm % (inside, named))
        with pytest.raises(ValueError, match=said):
            study(chosen(tmp_path / "out", grid=str(file)))
        assert not list(tmp_path.glob("out/seed*"))
    file.write_text(arm % ("steps = 3", "one") + '[[claims]]\nsaid = "Hear, hear"\nof = "one"\ncell = "cost seconds"\n')
    with pytest.raises(ValueError, match=r"claims: 'Hear, hear': seconds is no mean over replies; compare pa_score"):
        study(chosen(tmp_path / "out", grid=str(file)))
    with pytest.raises(ValueError, match=r"unknown grid 'pe_fd'|grid: unknown 'pe_fd'; known: .*pe_ft"):
        study(chosen(tmp_path / "out", grid="pe_fd"))
    with pytest.raises(ValueError, match=r"arms: unknown 'pe-fd' \(did you mean 'pe-ft'\?\)"):
        study(chosen(tmp_path / "out", arms=["pe-fd"]))


def test_placeholders_alone_keep_their_type() -> None:
    layers = {"hand_over": 7, "voice": "0-6"}
    table = {"layers": "{voice}", "adch": {"layer": "{hand_over}", "weight": 0.5}, "x": "random:{hand_over}"}
    assert filled(table, layers) == {"layers": "0-6", "adch": {"layer": 7, "weight": 0.5}, "x": "random:7"}


def test_an_analysis_names_the_layers(tmp_path: Path) -> None:
    (tmp_path / "selection.json").write_text(
        json.dumps({"paralinguistic": [0, 6], "hand_over": 7, "semantic": [7, 14], "adapt": [0, 14], "evidence": []})
    )
    rows = [{"layer": f"language_model.{i}"} for i in range(28)] + [{"layer": "projector.0"}]
    (tmp_path / "layers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ranges = {"voice": "0-6", "meaning": "7-14", "adapt": "0-14", "after": "15-27"}
    assert read_layers(tmp_path) == ranges | {"hand_over": 7, "count": 15, "last": 14, "voice_end": 6, "depth": 28}


@pytest.mark.parametrize(("other", "said"), [
    ({"commit": "0" * 12}, "made by another commit or other packages than"),
    ({"inputs": {"dtype": "bfloat16", "data": "abc"}}, "its dtype is not that of"),
    ({"inputs": {"dtype": "float32", "data": "xyz"}}, "its data is not that of"),
])  # fmt: skip
def test_runs_that_disagree_are_refused(other: dict[str, object], said: str, tmp_path: Path) -> None:
    now, whole = provenance(), {"dtype": "float32", "data": "abc"}

    def made(name: str, change: dict[str, object]) -> None:
        folder = tmp_path / "seed-0" / name
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(json.dumps(now | {"inputs": whole} | change))

    made("train/share", {"inputs": whole | {"data": "a part of it"}})
    made("eval/pe-ft", {})
    made("analyze", {"inputs": {"data": "of its own"}})
    refuse_mixture(tmp_path, now)
    made("eval/vanilla", other)
    with pytest.raises(ValueError, match=rf"vanilla: {said} .*delete"):
        refuse_mixture(tmp_path, now)


def test_a_share_holds_whole_pairs_and_the_other_splits(data: Path, tmp_path: Path) -> None:
    wanted = chosen(tmp_path, data)
    ground = before_speaking(tmp_path, wanted)
    share_out(ground, [data, ground.folder / "data-0.5"])
    whole, half = read_folder(data).utterances, read_folder(ground.folder / "data-0.5").utterances
    assert [row for row in half if row.split != "train"] == [row for row in whole if row.split != "train"]
    kept = [row for row in half if row.split == "train"]
    assert len({row.pair or row.id for row in kept}) == round(len({row.pair or row.id for row in whole if row.split == "train"}) / 2)
    members = {row.pair: sum(other.pair == row.pair for other in whole) for row in kept if row.pair}
    assert all(sum(row.pair == pair for row in kept) == count for pair, count in members.items())
    assert all((ground.folder / "data-0.5" / row.file_name).exists() for row in half)


def test_a_study_from_voices_to_verdicts(data: Path, tmp_path: Path) -> None:
    """Killed while it trains, it goes on; a seed or an arm more is added to it; the page says what was measured."""
    out = tmp_path / "study"
    config = tmp_path / "study.toml"
    config.write_text(
        f'data = "{data}"\nlayers = {{ {", ".join(f"{k} = {v!r}" for k, v in LAYERS.items())} }}\nbootstrap = 1000\n'
        "[train]\nsteps = 2\ncheck_every = 2\nbatch_size = 8\nlora = { rank = 2, targets = ['q_proj'] }\nadch = { weight = 0.1 }\n"
        "[ask]\nbootstrap = 50\n"
    )
    words = ("study", "--config", config, "--out", out, "--seeds", "0", "--arms", "vanilla", "pe-ft")
    killed_when(lambda: (out / "seed-0" / "train" / "pe-ft" / "scores.jsonl").exists(), *words)
    trained = (out / "seed-0" / "train" / "pe-ft" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    undertone(*words)
    assert (out / "seed-0" / "train" / "pe-ft" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == trained
    asked = lines(out / "seed-0" / "eval" / "vanilla" / "replies.jsonl")
    replies = os.stat(out / "seed-0" / "eval" / "vanilla" / "replies.jsonl").st_mtime_ns

    undertone(*words, "PE-FT and DPO")
    assert os.stat(out / "seed-0" / "eval" / "vanilla" / "replies.jsonl").st_mtime_ns == replies
    rows = list(read_rows(out / "scores.jsonl", Score))
    assert {row.run for row in rows} == {"vanilla", "pe-ft", "PE-FT and DPO"}
    weights = {row.run: row.value for row in rows if row.metric == "trainable_parameters"}
    assert weights["pe-ft"] == weights["PE-FT and DPO"] > 0
    reference = lines(out / "seed-0" / "train" / "PE-FT-and-DPO" / "reference.jsonl")
    paired = [row for row in read_folder(data).utterances if row.contrast_reply]
    assert 0 < reference <= len(paired)

    claims = [row for row in rows if row.suite == "claims"]
    assert len(claims) == sum(not {claim.of, claim.than} - {"vanilla", "pe-ft", "PE-FT and DPO", ""}
                              and "other" not in claim.cell and "voicebench" not in claim.cell
                              for claim in settings.read_grid("pe_ft").claims)  # fmt: skip
    assert all(row.details["verdict"] in ("supported", "not supported", "undecided") for row in claims)
    age = next(row for row in claims if row.run == "pe-ft" and row.details["cell"] == "pa/age" and row.details["than"] == "vanilla")
    means = {row.run: row.value for row in rows if (row.suite, row.metric, row.group) == ("pa/age", "pa_score", "all")}
    assert age.value == pytest.approx(means["pe-ft"] - means["vanilla"])
    page = (out / "study.md").read_text()
    assert "## Main results (table 2)" in page
    assert "published: Qwen2.5-Omni 97.0 %".replace(" %", "\u202f%") in page
    assert "head at the hand-over" in page.rpartition("Not run:")[2]
    assert asked == len([row for row in read_folder(data).utterances if row.split == "test"])


def test_voices_of_another_program_are_asked_too_and_a_seed_more_is_added(data: Path, tmp_path: Path) -> None:
    other = {"synthesiser": "command", "train": {}, "dev": {}, "test": {"gender": 4}, "safety_speakers": 0, "workers": 1}
    few = {"arms": ["vanilla", "pe-ft"], "ask": {"bootstrap": 50, "suites": ["pa"], "limit": 4}, "bootstrap": 1000}
    out = tmp_path / "study"
    asked = chosen(out, data, other_voices=other | {"command": two_voices.command(tmp_path)}, **few)
    study(asked)
    rows = list(read_rows(out / "scores.jsonl", Score))
    there = {row.run: row for row in rows if (row.suite, row.metric, row.group) == ("other-voices/pa/gender", "pa_score", "all")}
    assert {name: row.n for name, row in there.items()} == {"vanilla": 4, "pe-ft": 4}
    weighed = next(row for row in rows if row.suite == "claims" and row.details["cell"] == "other-voices/pa/gender pa_rate")
    assert weighed.details["trainings"] == 1
    assert "of other voices" in (out / "study.md").read_text()

    adapter = out / "seed-0" / "train" / "pe-ft" / "adapter" / "adapter_model.safetensors"
    trained = adapter.stat().st_mtime_ns
    study(asked.model_copy(update={"seeds": [0, 1]}))
    assert adapter.stat().st_mtime_ns == trained
    assert {row.details["trainings"] for row in read_rows(out / "scores.jsonl", Score) if row.suite == "claims"} == {2}
    made_by = out / "seed-1" / "eval" / "pe-ft" / "provenance.json"
    made_by.write_text(json.dumps(json.loads(made_by.read_text()) | {"commit": "0" * 12}))
    before = (out / "scores.jsonl").read_bytes()
    with pytest.raises(ValueError, match="made by another commit or other packages"):
        study(asked.model_copy(update={"seeds": [0, 1]}))
    assert (out / "scores.jsonl").read_bytes() == before
    assert made_by.with_name("replies.jsonl").exists()


ALSO = {"names": {"suite": "ser", "attribute": "gender"}, "rated": {"judge": "empathy", "metrics": ["empathy"], "endpoint": {"model": "j"}}}


def test_further_questions_stand_beside_the_test(data: Path, tmp_path: Path) -> None:
    """A benchmark fills cells of its own, which the cascade does not, for no benchmark takes it; what the test has scored already
    stands under the name of the further question; no cost is told twice."""
    few = {"arms": ["vanilla", "cascade", "pe-ft"], "ask": {"bootstrap": 50, "limit": 4}, "bootstrap": 1000}
    again = {"metrics": ["exact"], "limit": 2}
    study(chosen(tmp_path, data, also={"names": ALSO["names"], "again": again}, **few))
    rows = list(read_rows(tmp_path / "scores.jsonl", Score))
    named = {row.run: row for row in rows if (row.suite, row.metric) == (f"ser/{data.name}/gender", "unparsed") and row.group == "all"}
    assert {name: row.n + row.unscored for name, row in named.items()} == {"vanilla": 4, "pe-ft": 4}
    assert {row.details["system"] for row in named.values()} == {ATTRIBUTES["gender"].question}
    places = Counter((row.run, row.suite, row.metric, row.group) for row in rows)
    assert set(places.values()) == {1}
    again_asked = {row.run: row.n for row in rows if (row.suite, row.metric, row.group) == ("again/pa/gender", "exact", "all")}
    assert again_asked == {"vanilla": 2, "cascade": 2, "pe-ft": 2}


def test_what_a_studys_judges_would_cost_is_known_before(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each arm's verdicts, once for every seed; an arm that is another's twin buys none."""
    asks = {"judge": "openai", "endpoint": {"model": "j", "max_tokens_spent": 10}, "suites": ["pa"]}
    few = {"arms": ["vanilla", "pe-ft", "head at the hand-over"], "layers": LAYERS | {"hand_over": "3"}}
    wanted = chosen(tmp_path / "out", data, ask=asks, also=ALSO, estimate_cost=True, seeds=[0, 1, 2], **few)
    assert study(wanted) is None
    said = capsys.readouterr().out
    paired = sum(row.split == "test" and row.suite == "pa" for row in read_folder(data).utterances)
    assert f"openai: {2 * 3 * paired} verdicts to buy, 0 bought already, about " in said
    felt = sum(row.split == "test" and row.suite == "pa" and "emotion" in row.attributes for row in read_folder(data).utterances)
    assert f"empathy: {2 * 3 * felt} verdicts to buy" in said
    assert "to buy are more than its endpoint.max_tokens_spent = 10, which all arms and seeds share" in said
    assert "tokens at most in all; nothing was asked" in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"estimate_cost: .*name a folder that holds them with data"):
        study(wanted.model_copy(update={"data": None}))


def test_arms_and_seeds_share_their_judges_verdicts_and_spend_limit(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the untrained model says is said once to the judge, whatever the seed; the limit is the study's and not each evaluation's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Server() as server:
        asks = {"judge": "openai", "suites": ["pa"], "limit": 2, "bootstrap": 50}

        def limited(most: int) -> settings.Study:
            place = {"model": "j", "base_url": server.url, "max_tokens_spent": most, "concurrency": 1}
            return chosen(tmp_path, data, seeds=[0, 1], arms=["vanilla", "prompted"], ask=asks | {"endpoint": place}, bootstrap=1000)

        with pytest.raises(SpendLimit):
            study(limited(3 * TOKENS))
        assert sum(server.sold().values()) == 3
        study(limited(1000 * TOKENS))
        assert set(server.sold().values()) == {1}
        bought = lines(tmp_path / "verdicts.jsonl")
    assert bought == sum(server.sold().values())
    replies = {path.parent.name: lines(path) for path in tmp_path.glob("seed-*/eval/*/replies.jsonl")}
    assert bought < 2 * sum(replies.values()), "the second seed's vanilla replies are the first's"


def test_a_program_that_is_not_there_is_no_test_and_no_end(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = {"synthesiser": "command", "command": "no-such-program {text} {out}", "test": {"gender": 4}, "train": {}, "dev": {}}
    ground = ground_of(chosen(tmp_path, data, other_voices=other), settings.read_grid("pe_ft"), tmp_path, 0)
    assert ground.other is None
    assert "other_voices: no test in another synthesiser's voices, for command" in caplog.text


@pytest.mark.slow
def test_the_frozen_roads_grid_runs_too(data: Path, tmp_path: Path) -> None:
    """Arms that ask another arm's model, that only recognise, that train on a share of the clips."""
    out, config = tmp_path / "study", tmp_path / "study.toml"
    config.write_text(
        f'grid = "frozen"\ndata = "{data}"\nbootstrap = 1000\n'
        '[train]\nmodel = "undertone-tiny-ears"\nnote_tokens = 14\ntrains = "note"\nsteps = 2\ncheck_every = 2\nbatch_size = 8\n'
        "objectives = { ctc = 0.0, note = 1.0 }\n"
        '[ask]\nsuites = ["pa", "content"]\ntogether = "frozen/synthesised"\nbootstrap = 50\n'
        '[hear]\nsuite = "frozen/synthesised"\nbootstrap = 50\n'
    )
    arms = ["semantic", "words-only", "untagged", "cascade", "classifier", "oracle", "aligned", "10 % of the clips"]
    undertone("study", "--config", config, "--out", out, "--seeds", "0", "--arms", *arms)
    rows = list(read_rows(out / "scores.jsonl", Score))
    found = {(row.run, row.suite, row.metric): row for row in rows if row.group == "all"}
    assert found["oracle", "frozen/synthesised", "pa_score"].value == 1
    assert ("classifier", "frozen/synthesised", "pa_score") not in found
    assert ("oracle", "frozen/synthesised", "ua") not in found
    assert {run for run, suite, metric in found if (suite, metric) == ("frozen/synthesised", "ua")} == set(arms) - {"cascade", "oracle"}
    assert {row.details.get("cell") for row in rows if row.suite == "claims"} >= {
        "frozen/synthesised wa",
        "frozen/synthesised",
        "content exact",
    }
    assert (out / "seed-0" / "data-0.1" / "metadata.jsonl").exists()
    assert "## How many clips, how many wrong notes" in (out / "study.md").read_text()
