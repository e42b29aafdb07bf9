"""ROUGE, BERTScore and word errors through their libraries, on texts that can be counted by hand."""

import json
import sys
from pathlib import Path

import pytest
import torch
from checkpoints import tiny_bert

from undertone.evaluation.metrics import Asked, bert_scores
from undertone.evaluation.overlap import Likeness, WordErrors, bert_score, rouge, word_errors
from undertone.intervals import clustered_ratio
from undertone.records import Reply, Utterance
from undertone.run import Run

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ask", "your", "mother", "heat", "the", "oven", "please", "a", "cake"]


@pytest.fixture
def counted() -> None:
    for name in ("rouge_score", "jiwer", "bert_score"):
        pytest.importorskip(name, reason="the scores extra is not installed: pip install 'undertone[scores]'")


@pytest.fixture
def bert(tmp_path: Path, counted: None) -> Path:
    """A BERT of two layers with random weights and a vocabulary of our own, as a folder."""
    return tiny_bert(tmp_path / "bert", WORDS)


def test_rouge_by_hand(counted: None) -> None:
    found = rouge(["Ask your mother!", "your mother ask", "", "heat the oven"], ["ask your mother please"] * 4)
    # Three of three and of four words: P = 1, R = 3/4. In the second, two of them stand in the right order: P = 2/3, R = 1/2.
    assert found.rouge1 == pytest.approx([6 / 7, 6 / 7, 0, 0])
    assert found.rouge_l == pytest.approx([6 / 7, 4 / 7, 0, 0])


def test_rouge_does_not_stem(counted: None) -> None:
    assert rouge(["asking mothers"], ["ask mother"]).rouge1 == [0]


@pytest.mark.parametrize("reference", ["", "...", "да"])
def test_a_reference_without_words_is_unscored(counted: None, reference: str) -> None:
    found = rouge(["yes", "yes"], ["yes", reference])
    assert found == ([1.0, None], [1.0, None])


def test_word_errors_by_hand(counted: None) -> None:
    said = ["Heat the oven.", "heat an oven", "heat oven now please", "", "a cake"]
    found = word_errors(said, ["heat the OVEN"] * 4 + [""])
    assert found == [WordErrors(0, 3), WordErrors(1, 3), WordErrors(3, 3), WordErrors(3, 3), WordErrors(2, 0)]
    rate = clustered_ratio([row.errors for row in found], [row.words for row in found], range(5))
    assert rate.value == pytest.approx(9 / 12)


def test_texts_stand_in_pairs(counted: None) -> None:
    for score in (rouge, word_errors):
        with pytest.raises(ValueError, match="zip"):
            score(["a", "b"], ["a"])


def test_without_a_model_there_is_no_bert_score() -> None:
    found = bert_score(["a", ""], ["a", "b"], None)
    assert found == [Likeness(None, "no BERTScore model: set bert_model to a local folder")] * 2


def test_bert_score_is_one_for_the_same_words_and_less_for_others(bert: Path) -> None:
    same, near, far = bert_score(["ask your mother", "ask your oven", "heat a cake"], ["Ask your mother"] * 3, bert)
    assert same.value == pytest.approx(1, abs=1e-5)
    assert -1 < far.value < near.value < 0.999


def test_bert_score_by_hand(bert: Path) -> None:
    from transformers import BertModel

    model = BertModel.from_pretrained(bert).eval()
    first, second = (
        torch.nn.functional.normalize(model(torch.tensor([[2, *map(WORDS.index, text.split()), 3]])).last_hidden_state[0], dim=-1)
        for text in ("ask your mother", "heat the oven please")
    )
    close = (first @ second.T).detach()
    precision, recall = close[1:-1].max(1).values.mean(), close.T[1:-1].max(1).values.mean()  # [CLS] and [SEP] weigh nothing
    (found,) = bert_score(["ask your mother"], ["heat the oven please"], bert)
    assert found.value == pytest.approx(float(2 * precision * recall / (precision + recall)), abs=1e-5)


def test_all_layers_unless_told_otherwise(bert: Path) -> None:
    pair = (["ask your oven"], ["heat the oven please"], bert)
    assert bert_score(*pair) == bert_score(*pair, layers=2)
    assert bert_score(*pair) != bert_score(*pair, layers=1)
    for layers in (0, 3):
        with pytest.raises(ValueError, match=f"layers is {layers}, but the model has 2"):
            bert_score(*pair, layers=layers)


def test_an_empty_reply_is_unscored_and_moves_no_other(bert: Path) -> None:
    found = bert_score(["", "ask your mother", " \n", "\u200b", "a cake"], ["a cake"] * 4 + [" "], bert)
    assert [row.reason for row in found] == ["the reply is empty", "", "the reply is empty", "the reply is empty", "the reference is empty"]
    assert found[1] == bert_score(["ask your mother"], ["a cake"], bert)[0]
    assert [row.value is None for row in found] == [True, False, True, True, True]
    assert bert_score([""], ["a"], bert) == [Likeness(None, "the reply is empty")]


def test_long_replies_are_cut_to_what_the_model_takes(bert: Path) -> None:
    (long,) = bert_score(["ask your mother " * 40], ["ask your mother " * 30], bert)
    assert long.value == pytest.approx(1, abs=1e-5)


def test_what_the_folder_lacks_is_named(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no config\.json"):
        bert_score(["a"], ["a"], tmp_path / "nowhere")
    settings = bert / "tokenizer_config.json"
    kept = json.loads(settings.read_text())
    settings.write_text(json.dumps({name: value for name, value in kept.items() if name != "model_max_length"}))
    with pytest.raises(ValueError, match="model_max_length is missing or above the model's 16"):
        bert_score(["a"], ["a"], bert)
    settings.write_text(json.dumps(kept))
    other = bert.rename(tmp_path / "t5-like")
    with pytest.raises(ValueError, match="rename the folder"):
        bert_score(["a"], ["a"], other)
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"no model\.safetensors"):
        bert_score(["a"], ["a"], other)


def test_a_library_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(ModuleNotFoundError, match=r"jiwer.*undertone\[scores\]"):
        word_errors(["a"], ["a"])


def test_as_a_metric_it_leaves_out_what_is_unscored(bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        Asked(
            Utterance(
                id=f"u{i}", text=f"t{i}", file_name="x.flac", seconds=1, attributes={"age": "child"}, speaker="s", source="t", split="test",
                suite="pa", category="age", reply="heat a cake",
            ),
            Reply(utterance_id=f"u{i}", run="r", text=said), None,
        )
        for i, said in enumerate(["heat a cake", ""])
    ]  # fmt: skip
    score = Run(Path(), "r", 0, "c").score
    found = next(bert_scores(rows, score, 10, 0, bert))
    assert (found.metric, found.value, found.n, found.unscored) == ("bert_score", pytest.approx(1.0, abs=1e-5), 1, 1)
    assert "the reply is empty" in caplog.text
    assert next(bert_scores(rows, score, 10, 0)).value is None
    assert "set bert_model to a local folder" in caplog.text
