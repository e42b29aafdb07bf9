"""The page from real folders: whole, safe, self-contained, and honest about what is absent."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
from report_rows import PROVENANCE, SELECTION, before_and_after, clip, example, folder, layers, score

from undertone.cli import main
from undertone.recipes import report as recipe
from undertone.recipes.report import again, report
from undertone.records import BrokenRow
from undertone.reporting.folder import Example
from undertone.reporting.page import spread
from undertone.run import write_rows
from undertone.settings import Demo, Evaluate, Finetune, Lora, Report, Synthesize

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        ({"probe_wa": 0.6, "ua": 0.55}, "encoder"),
        ({"probe_wa": 0.98, "ua": 0.6}, "alignment"),
        ({"probe_wa": 0.98, "ua": 0.95, "snr0": 0.4}, "robustness"),
    ],
)
def test_the_page_says_what_an_aligned_model_is_missing(found: dict[str, float], missing: str, tmp_path: Path) -> None:
    rows = [score("semantic", "frozen/synthesised", "ua", "all", 0.2)]
    rows += [score("aligned", "frozen/synthesised", name, "all", value) for name, value in found.items() if name != "snr0"]
    rows += [score("aligned", "frozen/synthesised", "wa", "all", found["ua"])]
    rows += [score("aligned", f"noise/{name}", "ua", "all", found.get(name, found["ua"])) for name in ("clean", "snr0")]
    report(Report(runs=[folder(tmp_path / "run", rows, provenance=PROVENANCE)], out=tmp_path / "page.html"))
    text = Reader((tmp_path / "page.html").read_text()).text
    assert f"Missing: {missing}" in text
    assert text.count("Missing: ") == 1


class Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def build(path: Path, title: str) -> str:
    return recipe.build(Report(runs=[path], title=title))


def full(path: Path, reply: str = "fetch a grown-up") -> Path:
    clip(path / "a.flac")
    shown = {"selection": SELECTION, "settings": json.loads(Demo().model_dump_json()), "provenance": PROVENANCE}
    return folder(path, before_and_after(), layers=layers(), examples=[example("a.flac", reply=reply)], **shown)


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    clip(tmp_path / "a.flac")
    rows = [*before_and_after(), score(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 0.5)]
    evil = {**SELECTION, "evidence": [HOSTILE]}
    lines = [example("a.flac", HOSTILE, HOSTILE, HOSTILE)]
    html = build(
        folder(tmp_path, rows, examples=lines, selection=evil, settings={HOSTILE: HOSTILE}, provenance={"commit": HOSTILE}), HOSTILE
    )
    page = Reader(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 5


def test_nothing_outside_the_page_is_asked_for(tmp_path: Path) -> None:
    html = build(full(tmp_path), "Title")
    page = Reader(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "poster")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"https?:|@import|url\(", html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert set(re.findall(r'href="#([\w-]+)"', html)) <= {value for name, value in page.attributes if name == "id"}


def test_every_score_stands_with_its_interval_and_n(tmp_path: Path) -> None:
    page = Reader(build(folder(tmp_path, before_and_after()), "Title"))
    text = page.text.replace("\u202f", " ")
    for wanted in (
        "0.950 0.930 to 0.970 n 420",
        "97.0 % 96.0 to 98.0 % n 420",
        "99.0 % 98.0 to 100 % n 209 1 unscored",
        "95.9 % 94.9 to 96.9 % n 1,000",
        "811,008 n 1",
    ):
        assert wanted in text


def test_every_row_stands_in_the_list_of_numbers(tmp_path: Path) -> None:
    rows = [*before_and_after(), score("pe-ft@0.5", "child-safety", "pa_rate", "child", None, n=0, unscored=7, details={"strength": 0.5})]
    html = build(folder(tmp_path, rows), "Title")
    body = html[html.index('class="rows"') :]
    listed = [re.split("<td>", line)[1:] for line in re.findall(r"<tr>(<td>.*?)</tr>", body)]
    assert [cells[:4] for cells in listed] == [[row.run, row.suite, row.metric, row.group] for row in rows]
    assert [[_number(cell) for cell in cells[4:9]] for cells in listed] == [
        [pytest.approx(each) if each is not None else None for each in (row.value, row.low, row.high, row.n, row.unscored)] for row in rows
    ]
    assert listed[-1][-1] == "strength=0.5"


def _number(cell: str) -> float | None:
    return float(cell.replace("−", "-").replace(",", "")) if cell else None


@pytest.mark.parametrize("name", ["layers.jsonl", "selection.json", "examples.jsonl", "settings.json", "provenance.json"])
def test_an_absent_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    whole = full(tmp_path)
    assert f"No {name} in this folder" not in build(whole, "Title")
    (whole / name).unlink()
    assert f"No {name} in this folder" in build(whole, "Title")


def test_scores_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scores.jsonl: no such file; .* run undertone evaluate"):
        build(tmp_path, "Title")
    with pytest.raises(ValueError, match=r"scores.jsonl: holds no score"):
        build(folder(tmp_path, []), "Title")
    with pytest.raises(ValueError, match=r"scores.jsonl: holds no score of replies"):
        build(folder(tmp_path, [score("analyze", "layers", "hand_over", "all", 3, None)]), "Title")


@pytest.mark.parametrize(("name", "text", "said"), [
    ("examples.jsonl", '{"text": 3}\n', r"examples.jsonl:1: text"),
    ("selection.json", '{"paralinguistic": [0]}', r"selection.json: paralinguistic"),
    ("settings.json", "{", r"settings.json:1: not JSON"),
    ("provenance.json", "[]", r"provenance.json: holds no table"),
    ("layers.jsonl", '{"layer": "projector.0"}\n', r"layers.jsonl:1: analysis"),
])  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (full(tmp_path) / name).write_text(text)
    with pytest.raises(BrokenRow, match=said):
        build(tmp_path, "Title")


def test_sounds_are_embedded_as_flac_whatever_they_were(tmp_path: Path) -> None:
    clip(tmp_path / "a.flac")
    clip(tmp_path / "b.wav", 22050)
    (tmp_path / "c.wav").write_bytes(b"no sound")
    lines = [example("a.flac"), example(str(tmp_path / "b.wav")), example("c.wav"), example("gone.wav")]
    page = Reader(build(folder(tmp_path, before_and_after(), examples=lines), "Title"))
    sounds = [base64.b64decode(value.partition(",")[2]) for name, value in page.attributes if name == "src"]
    assert [soundfile.info(io.BytesIO(sound)).samplerate for sound in sounds] == [16000, 16000, 22050, 22050]
    assert sounds[0] == (tmp_path / "a.flac").read_bytes()
    assert "c.wav: not readable as sound" in page.text
    assert "gone.wav: no such file" in page.text


def test_verdicts_stand_beside_the_replies(tmp_path: Path) -> None:
    html = build(full(tmp_path), "Title")
    assert re.findall(r'class="answer (\w+)"', html) == ["unsuited", "suits", "suits", "unscored"]


def test_the_page_stays_small(tmp_path: Path) -> None:
    clip(tmp_path / "a.flac")
    lines = [example("a.flac", f"question {at}") for at in range(40)]
    html = build(folder(tmp_path, before_and_after() * 30, layers=layers(), examples=lines), "Title")
    assert html.count("<audio") == 24
    assert "12 of 40 pairs" in html
    assert len(html) < 250_000 + 24 * 1.4 * (tmp_path / "a.flac").stat().st_size


def test_pairs_are_taken_from_the_categories_in_turn() -> None:
    rows = [Example(text=str(at), category=category, voices=()) for at, category in enumerate(["age", "age", "age", "gender", "emotion"])]
    assert [row.category for row in spread(rows, 4)] == ["age", "gender", "emotion", "age"]


def test_the_command_that_made_the_folder(tmp_path: Path) -> None:
    assert again(json.loads(Demo(out=tmp_path, size="small").model_dump_json())) == f"undertone demo --out {tmp_path} --size small"
    chosen = Finetune(lora=Lora(rank=8, targets=["k_proj", "v_proj"]), mixture={"emotion": 2.0})
    assert (
        again(json.loads(chosen.model_dump_json())) == "undertone finetune --lora.rank 8 --lora.targets k_proj v_proj --mixture emotion 2.0"
    )
    assert again(json.loads(Evaluate(cascade=True, name="my run").model_dump_json())) == "undertone evaluate --name 'my run' --cascade"
    mapped = Evaluate(columns={"gender": "sex"}, values={"gender": {"F": "female", "M": "male"}})
    assert again(json.loads(mapped.model_dump_json())) == "undertone evaluate --columns gender sex --values.gender F female M male"
    spoken = Synthesize(train={"age": 4}, command_renders={"gender": ["male"]})
    assert again(json.loads(spoken.model_dump_json())) == (
        "undertone synthesize --command-renders.age --command-renders.gender male --command-renders.emotion "
        "--train.age 4 --train.gender 0 --train.emotion 0 --train.content 0"
    )
    assert again({"mine": 1}) == ""


def test_the_recipe_writes_beside_the_scores_or_where_told(tmp_path: Path) -> None:
    full(tmp_path)
    assert report(Report(runs=[tmp_path])) == tmp_path / "report.html"
    there = report(Report(runs=[tmp_path], out=tmp_path / "deep" / "page.html"))
    assert there.read_text() == (tmp_path / "report.html").read_text()
    both = [folder(tmp_path / "runs" / name, before_and_after()) for name in ("one", "two")]
    assert report(Report(runs=both)) == tmp_path / "runs" / "report.html"


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--runs", str(full(tmp_path)), "--title", "My model"]) == 0
    assert "<h1>My model</h1>" in (tmp_path / "report.html").read_text()
    assert main(["report", "--runs", str(tmp_path / "none")]) == 2
    assert "scores.jsonl: no such file" in capsys.readouterr().err


def test_whiskers_stay_on_their_track(tmp_path: Path) -> None:
    rows = [score(run, "content", "exact", "all", value, 0.05) for run, value in (("vanilla", 0.02), ("pe-ft", 0.98))]
    found = re.findall(r'whisker \w+" style="left:([\d.]+)%;width:([\d.]+)%', build(folder(tmp_path, rows), "Title"))
    assert [(float(left), round(float(left) + float(width), 6)) for left, width in found] == [(0, 7), (93, 100)]


def test_runs_made_apart_stand_on_one_page(tmp_path: Path) -> None:
    scores = before_and_after()
    rows = {name: [row for row in scores if row.run == name] for name in ("vanilla", "pe-ft", "all-layer")}
    tuned = json.loads(Finetune(out=tmp_path / "tune", name="all-layer").model_dump_json())
    other = {**PROVENANCE, "commit": "def456", "device": "cuda (NVIDIA H200)"}
    runs = [
        folder(tmp_path / "vanilla", rows["vanilla"], settings=json.loads(Evaluate().model_dump_json()), provenance=PROVENANCE),
        folder(tmp_path / "tuned", rows["pe-ft"], provenance=PROVENANCE),
        folder(tmp_path / "tune", rows["all-layer"], settings=tuned, provenance=other),
        folder(tmp_path / "analyze", [], layers=layers(), selection=SELECTION),
    ]
    (runs[-1] / "scores.jsonl").unlink()
    page = Reader(recipe.build(Report(runs=runs, title="All of it")))
    text = page.text.replace("\u202f", " ")
    assert "98.1 % of the answers suited the child" in text
    assert "50.0 % of what all layers take" in text
    assert "carries the voice: layers 0 to 0" in text
    again = f"git checkout abc123 undertone evaluate git checkout def456 undertone finetune --out {tmp_path / 'tune'} --name all-layer"
    assert f"{again} undertone report --runs {' '.join(map(str, runs))} --title 'All of it'" in text
    assert "cpu (Some CPU, 2 threads) / cuda (NVIDIA H200)" in text


def test_two_analyses_or_two_answers_under_one_name_are_refused(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / name, before_and_after(), layers=layers()) for name in ("one", "two"))
    with pytest.raises(ValueError, match=r"one/layers.jsonl and .*two/layers.jsonl: a page shows one analysis"):
        recipe.build(Report(runs=[one, two]))
    (two / "layers.jsonl").unlink()
    write_rows(two / "scores.jsonl", [score("vanilla", "pa/age", "pa_score", "all", 0.5)])
    with pytest.raises(ValueError, match="two rows say different things of vanilla"):
        recipe.build(Report(runs=[one, two]))
