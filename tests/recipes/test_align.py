"""The frozen road through its recipes, at a size for tests: align, evaluate, recognize; killed and taken up again; baselines and faults."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from checkpoints import llama, tiny_bert
from conftest import tone
from encoder_folders import ENCODERS
from safetensors.torch import load_file
from test_corridor import killed_when, lines, undertone

from undertone import settings
from undertone.cli import main
from undertone.models import EARS, open_model
from undertone.models.base import Prompt
from undertone.models.chosen import Chosen
from undertone.models.frozen_llm import FrozenLLM
from undertone.recipes.adapters import as_trained
from undertone.recipes.align import align
from undertone.recipes.evaluate import evaluate
from undertone.recipes.pupils import noted, open_pupil
from undertone.recipes.recognize import recognize
from undertone.recipes.synthesize import synthesize
from undertone.records import Rejected, Reply, Score, Utterance, read_rows
from undertone.run import write_rows
from undertone.training.batches import Mixture

SMALL = {"hidden": 32, "layers": 1, "heads": 2, "pooling": "convolution", "dropout": 0.1}


def chosen(data: Path, out: Path, **more: object) -> settings.Align:
    """Four steps from a fresh projector."""
    fixed = {"steps": 4, "batch_size": 8, "check_every": 2, "projector": settings.Projector.model_validate(SMALL)}
    return settings.Align(data=data, out=out, **(fixed | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen") / "data"
    few = {"age": 8, "gender": 8, "emotion": 30, "content": 8}
    synthesize(settings.Synthesize(out=folder, train=few, dev={"age": 4, "content": 2}, test=few, safety_speakers=0, speakers=6))
    return folder


@pytest.fixture(scope="module")
def aligned(data: Path) -> Path:
    return align(chosen(data, data.parent / "aligned"))


def scores(folder: Path) -> dict[tuple[str, str, str], Score]:
    return {(row.suite, row.metric, row.group): row for row in read_rows(folder / "scores.jsonl", Score)}


def test_the_language_model_is_the_same_before_and_after(aligned: Path) -> None:
    row = scores(aligned.parent)["frozen", "weights_identical", "all"]
    assert row.value == 1.0
    assert row.details["sha256"] == row.details["before"] != ""
    model = open_model(str(aligned))
    assert isinstance(model, FrozenLLM)
    assert scores(aligned.parent)["cost", "trainable_parameters", "all"].value == sum(value.numel() for value in model.front.parameters())


WAYS: dict[str, dict[str, object]] = {
    "semantic": {"stage": "semantic"},
    "v1": {"version": "v1"},
    "v2": {"version": "v2"},
    "changed clips": {"augment": 1.0, "spec_augment": 1.0},
    "attention pooling": {"projector": settings.Projector.model_validate(SMALL | {"pooling": "attention"})},
    "KL and contrast": {"objectives": settings.Objectives(cross_entropy=0.0, distillation=1.0, contrast=0.3, ctc=0.0, style=0.0)},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_align_trains_and_answers(way: str, data: Path, tmp_path: Path) -> None:
    folder = align(chosen(data, tmp_path / "a", steps=2, check_every=1, **WAYS[way]))
    assert scores(folder.parent)["frozen", "weights_identical", "all"].value == 1.0
    assert {"KL and contrast": {"train/distillation", "train/contrast"}}.get(way, {"train/loss"}) <= logged(folder.parent)
    trained, fresh = (open_model(str(one), dtype="float32") for one in (folder, untrained(folder, tmp_path / "fresh")))
    assert isinstance(trained, FrozenLLM)
    assert isinstance(fresh, FrozenLLM)
    moved = [name for name, value in trained.front.state_dict().items() if not value.equal(fresh.front.state_dict()[name])]
    assert any(name.startswith("encoder.") for name in moved)
    assert any(name.startswith("projector.") for name in moved)
    assert len(trained.reply([Prompt(audio=tone(200.0, 0.5))], 3)) == 1


def logged(out: Path) -> set[str]:
    """Names of the curves that are not 0 throughout."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(out / "logs"))
    found.Reload()
    return {name for name in found.Tags()["scalars"] if any(event.value for event in found.Scalars(name))}


def untrained(trained: Path, folder: Path) -> Path:
    """The model that the training began with."""
    made = settings.Align.model_validate_json((trained.parent / "settings.json").read_text())
    open_pupil(made.model_copy(update={"dtype": "float32"})).save(folder)
    return folder


@pytest.mark.parametrize("note", ["made", "chosen"])
@pytest.mark.parametrize("name", ["whisper", "wavlm"])
def test_a_folder_of_another_encoder_drops_in(name: str, note: str, data: Path, tmp_path: Path) -> None:
    """It is not needed any more once it was aligned, and its clips' notes can be chosen by what it hears."""
    ENCODERS[name](tmp_path / name)
    few = {"steps": 1, "check_every": 1, "batch_size": 2, "note": note, "trains": "note" if note == "chosen" else "front"}
    few |= {"note_tokens": 8, "attributes": ["emotion"]}
    folder = align(chosen(data, tmp_path / "a", encoder=str(tmp_path / name), **few))
    shutil.rmtree(tmp_path / name)
    made = recognize(settings.Recognize(model=str(folder), data=data, out=tmp_path / "r", bootstrap=0, limit=6))
    assert next(row.n for row in made if row.metric == "ua") == 6


def test_the_shipped_settings_of_llama_and_whisper_lead_from_voices_to_scores(data: Path, tmp_path: Path) -> None:
    """docs/which-road.md's commands, word for word, with tiny checkpoints of the two classes in place of the hub's."""
    ENCODERS["whisper"](tmp_path / "whisper")
    own = ["--language-model", llama(tmp_path / "llama"), "--data", str(data), "--dtype", "float32"]
    own += ["--projector.hidden", "32", "--projector.layers", "1", "--projector.heads", "2", "--max-new-tokens", "6"]
    short = ["--steps", "1", "--check-every", "1", "--batch-size", "2", "--accumulate", "1"]
    configs = Path(__file__).parents[2] / "configs" / "align"
    first, second = tmp_path / "semantic", tmp_path / "style"
    words = ["align", "--config", str(configs / "llama3_8b_whisper_semantic.toml"), "--encoder", str(tmp_path / "whisper"), *own, *short]
    assert main([*words, "--out", str(first)]) == 0
    words = ["align", "--config", str(configs / "llama3_8b_whisper_style.toml"), "--model", str(first / "model"), *own, *short]
    assert main([*words, "--out", str(second)]) == 0
    assert scores(second)["frozen", "weights_identical", "all"].value == 1.0
    asked = ["--model", str(second / "model"), "--data", str(data), "--name", "aligned", "--limit", "4", "--bootstrap", "0"]
    assert main(["evaluate", *asked, "--judge", "rule", "--max-new-tokens", "4", "--out", str(tmp_path / "e")]) == 0
    assert main(["recognize", *asked, "--attribute", "emotion", "--words", "--probe", "--out", str(tmp_path / "r")]) == 0
    assert ("recognition/emotion", "wer", "all") in scores(tmp_path / "r")


def test_a_killed_recognition_goes_on_behind_its_last_answer(data: Path, aligned: Path, tmp_path: Path) -> None:
    words = ("recognize", "--model", aligned, "--data", data, "--out", tmp_path / "r", "--batch", "4", "--bootstrap", "0")
    killed_when(lambda: lines(tmp_path / "r" / "replies.jsonl") >= 4, *words)
    before = (tmp_path / "r" / "replies.jsonl").read_bytes()
    undertone(*words)
    after = (tmp_path / "r" / "replies.jsonl").read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    asked = [row.utterance_id for row in read_rows(tmp_path / "r" / "replies.jsonl", Reply)]
    assert len(asked) == len(set(asked)) == sum(row.split == "test" for row in read_rows(data / "metadata.jsonl", Utterance))


def test_it_is_asked_as_it_was_aligned(data: Path, tmp_path: Path) -> None:
    words = {"prosody": True, "per_speaker": True, "recognition": "say it again", "steps": 1, "check_every": 1}
    model = align(chosen(data, tmp_path / "aligned", **words))
    found = as_trained(settings.Recognize(model=str(model)))
    assert (found.per_speaker, found.recognition) == (True, "say it again")
    assert as_trained(settings.Evaluate(model=str(model))).per_speaker
    assert as_trained(settings.Recognize(model="undertone-tiny-ears")) == settings.Recognize(model="undertone-tiny-ears")


def test_it_is_asked_like_any_other_model(data: Path, aligned: Path, tmp_path: Path) -> None:
    asked = settings.Evaluate(model=str(aligned), data=data, bootstrap=20, suites=["pa", "content"], max_new_tokens=4)
    heard = evaluate(asked.model_copy(update={"out": tmp_path / "heard", "together": "frozen/synthesised", "metrics": ["exact", "rouge"]}))
    cells = {(row.suite, row.metric, row.group): row for row in heard}
    parts = [cells[f"pa/{name}", "exact", "all"] for name in ("age", "gender", "emotion")]
    whole = cells["frozen/synthesised", "exact", "all"]
    assert whole.n == sum(part.n for part in parts)
    assert whole.value == pytest.approx(sum((part.value or 0) * part.n for part in parts) / whole.n)
    assert 0 <= (cells["frozen/synthesised", "rouge_l", "all"].value or 0) <= 1


def test_the_words_with_their_note_are_the_ceiling(data: Path, aligned: Path, tmp_path: Path) -> None:
    """The frozen model knows what suits whom once it is told: typed, it is nearly always right, and without the note it cannot be."""
    asked = settings.Evaluate(model=str(aligned), data=data, bootstrap=20, suites=["pa"])
    rates = {}
    for words in ("plain", "tagged"):
        made = evaluate(asked.model_copy(update={"out": tmp_path / words, "words": words}))
        rates[words] = {row.suite: row.value for row in made if (row.metric, row.group) == ("pa_score", "all")}
    assert all((value or 0) > 0.9 for value in rates["tagged"].values())
    assert all(abs(value or 0) < 0.1 for value in rates["plain"].values())


def test_a_killed_alignment_goes_on_and_ends_the_same(data: Path, tmp_path: Path) -> None:
    words = ["align", "--data", str(data), "--encoder", "conformer", "--steps", "6", "--batch-size", "8", "--check-every", "2", "--out"]
    undertone(*words, tmp_path / "straight")
    killed = tmp_path / "killed"
    killed_when(lambda: (killed / "last.safetensors").exists(), *words, killed)
    assert not (killed / "model").exists()
    undertone(*words, killed)
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("straight", "killed"))
    assert all(one[name].equal(other[name]) for name in one)


def test_the_teacher_is_not_asked_twice(data: Path, aligned: Path, tmp_path: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (data / ".teacher").rglob("*.safetensors")}
    assert kept
    align(chosen(data, tmp_path / "other", learning_rate=1e-4, steps=1, check_every=1))
    assert {path: path.stat().st_mtime_ns for path in (data / ".teacher").rglob("*.safetensors")} == kept


def test_the_teacher_is_asked_for_what_is_drawn_alone(data: Path, tmp_path: Path) -> None:
    lessons = {}
    for steps in (1, 2):
        kept = tmp_path / f"teacher {steps}"
        align(chosen(data, tmp_path / str(steps), teacher=kept, steps=steps, check_every=steps))
        lessons[steps] = {name.partition(".")[0] for path in kept.rglob("*.safetensors") for name in load_file(path)}
    assert lessons[1] < lessons[2]


def test_recognition_by_every_reading(data: Path, aligned: Path, tmp_path: Path) -> None:
    asked = settings.Recognize(model=str(aligned), data=data, bootstrap=20)
    likeness = tiny_bert(tmp_path / "bert", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "to", "the", "a", "it", "off", "of"])
    every: dict[str, object] = {"bert_model": likeness, "suite": "frozen/synthesised"}
    every |= dict.fromkeys(("words", "probe", "consistency", "leaning", "leakage"), True)
    whole = recognize(asked.model_copy(update=every | {"out": tmp_path / "a"}))
    cells = {(row.metric, row.group) for row in whole if row.suite == "frozen/synthesised"}
    once = ("ua", "wa", "f1", "unparsed", "probe_wa", "wer", "reply_rouge_1", "reply_rouge_l", "reply_kl", "matched", "own_likeliest")
    once += ("leakage", "value_preference", "reply_bert_score")
    assert {
        *((metric, "all") for metric in once),
        ("r2", "f0_mean"),
        ("r2_encoder", "f0_mean"),
        ("reply_kl", "sad"),
        ("recall", "sad"),
    } <= cells
    by = {how: recognize(asked.model_copy(update={"out": tmp_path / how, "by": how})) for how in ("reply", "head", "note")}
    tested = sum(row.split == "test" for row in read_rows(data / "metadata.jsonl", Utterance))
    assert all(next(row.n for row in rows if row.metric == "ua") == tested for rows in by.values())
    against = recognize(
        asked.model_copy(update={"out": tmp_path / "b", "condition": "snr0", "against": tmp_path / "a", "among": ["sad", "happy"]})
    )
    assert {row.group for row in against if row.metric == "recall"} == {"sad", "happy"}
    difference = next(row for row in against if row.metric == "ua_difference")
    own = next(row.value for row in against if row.metric == "ua")
    assert difference.low <= difference.value <= difference.high  # type: ignore[operator]
    assert -1 <= (own or 0) - (difference.value or 0) <= 1


def test_a_cascade_writes_what_the_ears_do_not_say(data: Path, tmp_path: Path) -> None:
    """The embedded ears pass the words on; the note that classifiers write beside them is what the reply follows."""
    asked = settings.Recognize(model=EARS, data=data, bootstrap=0, leaning=True)
    likeliest = {
        cascade: next(
            row.value or 0.0
            for row in recognize(asked.model_copy(update={"out": tmp_path / str(cascade), "cascade": cascade}))
            if (row.metric, row.group) == ("own_likeliest", "all")
        )
        for cascade in (False, True)
    }
    assert likeliest[False] + 0.15 < likeliest[True]
    for wrong in ({"split": "train"}, {"by": "head"}, {"consistency": True}):
        with pytest.raises(ValueError, match=r"cascade|consistency"):
            settings.Recognize.model_validate({"cascade": True} | wrong)


def test_an_encoder_is_pretrained_on_clips_of_which_nothing_is_known(data: Path, tmp_path: Path) -> None:
    """Without words and labels, also under per_speaker; the next stage goes on from it."""
    bare = tmp_path / "bare"
    shutil.copytree(data, bare)
    write_rows(
        bare / "metadata.jsonl",
        [
            row.model_copy(update={"text": "", "attributes": {}, "category": "content", "contrast": None, "pair": None})
            for row in read_rows(data / "metadata.jsonl", Utterance)
            if row.split == "train"
        ],
    )
    folder = align(chosen(bare, tmp_path / "acoustic", stage="acoustic", prosody=True, per_speaker=True, augment=0.5))
    assert {"train/masked", "train/contours", "dev/loss"} <= logged(folder.parent)
    trained, fresh = (open_model(str(one), dtype="float32") for one in (folder, untrained(folder, tmp_path / "fresh")))
    assert isinstance(trained, FrozenLLM)
    assert isinstance(fresh, FrozenLLM)
    own = trained.front.state_dict()
    moved = [name for name, value in fresh.front.state_dict().items() if not value.equal(own[name])]
    assert moved
    assert all(name.startswith("encoder.") for name in moved)
    learnt = scores(folder.parent)["cost", "trainable_parameters", "all"].value
    assert learnt == sum(value.numel() for value in trained.front.encoder.parameters())
    align(chosen(data, tmp_path / "semantic", stage="semantic", model=str(folder)))
    for wrong in ({"trains": "note"}, {"note": "chosen", "trains": "note"}, {"objectives": {"masked": 0, "contours": 0}}):
        with pytest.raises(ValueError, match="acoustic stage"):
            settings.Align.model_validate({"stage": "acoustic"} | wrong)


def test_a_chosen_note_is_fitted_and_then_said(data: Path, tmp_path: Path) -> None:
    """Only the tokens of the values learn, and what the probes say can be read without the language model."""
    how = {"note": "chosen", "note_tokens": 8, "trains": "note", "attributes": ["age", "emotion"], "prosody": True}
    folder = align(
        chosen(data, tmp_path / "chosen", model="undertone-tiny-ears", objectives=settings.Objectives(ctc=0.0, style=0.0), **how)
    )
    before, after = (open_model(name, dtype="float32") for name in ("undertone-tiny-ears", str(folder)))
    assert isinstance(before, FrozenLLM)
    assert isinstance(after, FrozenLLM)
    kept = {name: value for name, value in after.front.state_dict().items() if name in before.front.state_dict()}
    assert len(kept) > 50
    assert all(value.equal(before.front.state_dict()[name]) for name, value in kept.items())
    note = after.front.projector.note
    assert isinstance(note, Chosen)
    assert scores(folder.parent)["cost", "trainable_parameters", "all"].value == note.bank.numel() == 8 * 4 * note.bank.shape[-1]
    asked = settings.Recognize(model=str(folder), data=data, bootstrap=0, by="choice", split="train")
    heard = {name: recognize(asked.model_copy(update={"attribute": name, "out": tmp_path / name})) for name in ("age", "emotion")}
    assert all(next(row.value for row in rows if row.metric == "ua") > 0.9 for rows in heard.values()), "it was fitted to these clips"
    with pytest.raises(ValueError, match="does not choose its note by gender"):
        recognize(asked.model_copy(update={"attribute": "gender", "out": tmp_path / "gender"}))


def test_only_voices_of_some_values_are_learnt_from(data: Path, tmp_path: Path) -> None:
    how = {"note": "chosen", "note_tokens": 8, "trains": "note", "attributes": ["emotion"], "among": ["sad", "angry"], "steps": 1}
    folder = align(chosen(data, tmp_path / "two", objectives=settings.Objectives(ctc=0.0, style=0.0), check_every=1, **how))
    asked = settings.Recognize(model=str(folder), data=data, bootstrap=0, by="choice")
    made = recognize(asked.model_copy(update={"among": ["sad", "angry"], "out": tmp_path / "asked"}))
    assert {row.group for row in made if row.metric == "recall"} == {"sad", "angry"}
    with pytest.raises(ValueError, match="knows the emotions sad, angry"):
        recognize(asked.model_copy(update={"out": tmp_path / "more"}))


def test_a_chosen_note_is_fitted_to_changed_clips_too(data: Path, tmp_path: Path) -> None:
    """Augmentation moves the probes, the same dice move them alike, and the clips as recorded are still told apart."""
    how = {"note": "chosen", "note_tokens": 8, "trains": "note", "attributes": ["emotion"], "steps": 1, "check_every": 1}
    slopes = {}
    for name, share in (("plain", 0.0), ("changed", 1.0), ("again", 1.0)):
        silent = settings.Objectives(ctc=0.0, style=0.0)
        folder = align(chosen(data, tmp_path / name, model="undertone-tiny-ears", objectives=silent, augment=share, **how))
        model = open_model(str(folder), dtype="float32")
        assert isinstance(model, FrozenLLM)
        note = model.front.projector.note
        assert isinstance(note, Chosen)
        slopes[name] = note.slopes
        asked = settings.Recognize(model=str(folder), data=data, bootstrap=0, by="choice", split="train", out=tmp_path / name / "asked")
        assert next(row.value for row in recognize(asked) if row.metric == "ua") > 0.9
    assert slopes["changed"].equal(slopes["again"])
    assert not slopes["changed"].allclose(slopes["plain"])


def test_any_model_can_be_asked_who_speaks(data: Path, tmp_path: Path) -> None:
    """The embedded thinker was taught to say so when it is asked."""
    made = recognize(settings.Recognize(data=data, out=tmp_path / "r", attribute="gender", bootstrap=20))
    assert next(row.value for row in made if row.metric == "ua") > 0.9  # type: ignore[operator]
    with pytest.raises(ValueError, match="has no auxiliary heads"):
        recognize(settings.Recognize(data=data, out=tmp_path / "h", by="head"))


def test_noise_is_heard(data: Path, aligned: Path, tmp_path: Path) -> None:
    asked = settings.Recognize(data=data, attribute="age", bootstrap=0, words=True)
    errors = {}
    for condition in ("clean", "snr0"):
        made = recognize(asked.model_copy(update={"out": tmp_path / condition, "condition": condition}))
        errors[condition] = next(row.value for row in made if row.metric == "wer")
    assert errors["clean"] < 0.1 < errors["snr0"]  # type: ignore[operator]


def test_shuffled_and_wrong_notes(data: Path) -> None:
    rows = [row for row in read_rows(data / "metadata.jsonl", Utterance) if row.split == "train"]
    own = [dict(row.attributes) for row in rows]
    shuffled = [dict(row.attributes) for row in noted(rows, chosen(data, data, shuffled=True))]
    assert shuffled != own
    assert Counter(map(str, shuffled)) == Counter(map(str, own))
    assert [dict(row.attributes) for row in noted(rows, chosen(data, data))] == own
    many = rows * 20
    wrong = [
        dict(row.attributes) != dict(one.attributes)
        for row, one in zip(noted(many, chosen(data, data, wrong_notes=0.3)), many, strict=True)
    ]
    assert 0.25 < sum(wrong) / len(wrong) < 0.35
    emotion_only = noted(rows, chosen(data, data, attributes=["emotion"]))
    assert {name for row in emotion_only for name in row.attributes} == {"emotion"}


def test_shuffled_clips_are_drawn_like_any_others(data: Path) -> None:
    """A control whose wrong notes were drawn less often than the few that are right by chance would be none."""
    rows = [row for row in read_rows(data / "metadata.jsonl", Utterance) if row.split == "train"]
    own = {row.id: dict(row.attributes) for row in rows}
    drawn = Mixture(noted(rows, chosen(data, data, shuffled=True)), 0.2, {}, 0)
    seen = [row for step in range(50) for row in drawn.batch(step, 16)]
    assert sum(dict(row.attributes) != own[row.id] for row in seen) / len(seen) > 0.8


def test_clips_that_cannot_be_heard_are_listed(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "data")
    spoilt = next(row for row in read_rows(copy / "metadata.jsonl", Utterance) if row.split == "train")
    (copy / spoilt.file_name).write_bytes(b"")
    align(chosen(copy, tmp_path / "out", steps=1, check_every=1))
    assert [row.file_name for row in read_rows(tmp_path / "out" / "rejected.jsonl", Rejected)] == [spoilt.file_name]
    with pytest.raises(ValueError, match="is empty"):
        align(chosen(copy, tmp_path / "strict", strict=True))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tasks.replay", "1"], "unknown setting '--tasks.replay'; closest known: --tasks.reply"),
        (
            ["--tasks.reply", "0", "--tasks.recognition", "0", "--tasks.noted", "0", "--stage", "semantic"],
            "none of reply, recognition, noted has a share",
        ),
        (["--language-model", "/nowhere"], "/nowhere"),
        (["--model", "undertone-tiny"], "undertone-tiny"),
        (["--dtype", "float16"], "float16 loses small gradients"),
        (["--note", "chosen", "--note-tokens", "6"], "set trains to note, or note to made"),
        (["--note", "chosen", "--note-tokens", "7", "--trains", "note"], "cannot share 7 tokens alike"),
        (["--note", "chosen", "--trains", "note"], "set note_tokens above 0, a multiple"),
        (["--among", "calm"], "among: unknown 'calm'"),
    ],
)
def test_faults_end_with_status_2_and_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["align", "--data", str(data), "--out", str(tmp_path / "out"), *words]) == 2
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("undertone:")]
    assert len(shown) == 1
    assert said in shown[0]
