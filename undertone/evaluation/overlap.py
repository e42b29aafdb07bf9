"""Replies beside references: ROUGE and BERTScore (METHOD B.4), and word errors. The libraries that count are an extra: undertone[scores].

All three compare words, not what they do for the speaker: a fitting reply in other words scores low.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from undertone.text import normalise


class Rouge(NamedTuple):
    """F-measures of each reply against its reference: of the words they share (ROUGE-1), and of their longest common subsequence; None:
    unscored, the reference has no word that ROUGE knows."""

    rouge1: list[float | None]
    rouge_l: list[float | None]


class Likeness(NamedTuple):
    """BERTScore's F of a reply; `value` None: unscored, `reason` says why."""

    value: float | None
    reason: str = ""


class WordErrors(NamedTuple):
    """Substitutions, deletions and insertions of a hypothesis, and the words of its reference: WER is the ratio of the two sums."""

    errors: int
    words: int


def rouge(replies: Sequence[str], references: Sequence[str]) -> Rouge:
    """ROUGE-1 and ROUGE-L (Lin 2004) as rouge-score counts them: lower case, without stemming [O], the papers do not say.

    Its tokeniser knows a–z and 0–9 only, so references in other scripts are unscored; an empty reply has 0.
    """
    scorer = _library("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    tokenise = _library("rouge_score.tokenize").tokenize
    pairs = zip(replies, references, strict=True)
    found = [scorer.score(reference, reply) if tokenise(reference, None) else None for reply, reference in pairs]
    one, longest = ([float(row[name].fmeasure) if row else None for row in found] for name in ("rouge1", "rougeL"))
    return Rouge(one, longest)


def bert_score(
    replies: Sequence[str], references: Sequence[str], model: Path | None, layers: int | None = None, device: str = "cpu", batch: int = 64
) -> list[Likeness]:
    """BERTScore's F (Zhang et al. 2020) of each reply, without idf weights and without rescaling, from the model in the folder `model`.

    `layers` is how many of the model's layers are run (None: all). The published scores come from a middle layer chosen for each model
    (17 of roberta-large's 24), so name it to compare with them. Without a model, and where either text has no token, a row is unscored;
    the latter because bert-score would call a method that the tokenizers of transformers 5 no longer have. Texts are cut to the
    model's length. ValueError names what the folder lacks.
    """
    pairs = list(zip(replies, references, strict=True))
    if model is None:
        return [Likeness(None, "no BERTScore model: set bert_model to a local folder")] * len(pairs)
    tokenizer, depth = _opened(model)
    if layers is not None and not 0 < layers <= depth:
        raise ValueError(f"{model}: layers is {layers}, but the model has {depth}")
    empty = [_empty(tokenizer, *pair) for pair in pairs]
    kept = [pair for pair, reason in zip(pairs, empty, strict=True) if not reason]
    scorer = _library("bert_score").BERTScorer(str(model), num_layers=layers or depth, device=device)
    values = iter(scorer.score(*map(list, zip(*kept, strict=True)), batch_size=batch)[2].tolist() if kept else ())
    return [Likeness(None, reason) if reason else Likeness(float(next(values))) for reason in empty]


def word_errors(hypotheses: Sequence[str], references: Sequence[str]) -> list[WordErrors]:
    """Word errors of each hypothesis; case, punctuation and white space do not count. `clustered_ratio` makes a WER with its interval."""
    process = _library("jiwer").process_words
    counted = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        found = process(normalise(reference), normalise(hypothesis))
        errors = found.substitutions + found.deletions + found.insertions
        counted.append(WordErrors(errors, found.hits + found.substitutions + found.deletions))
    return counted


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: this score needs pip install 'undertone[scores]'", name=error.name) from error


class _Opened(NamedTuple):
    tokenizer: Any
    depth: int


def _opened(model: Path) -> _Opened:
    """The folder's tokenizer and how many layers its model has, once it is sure that bert-score can open and use both."""
    from transformers import AutoConfig, AutoTokenizer

    for name in ("config.json", "tokenizer_config.json"):
        if not (model / name).is_file():
            raise ValueError(f"{model}: no {name}; bert_model is the folder of a model with its tokenizer")
    if not any(model.glob("model*.safetensors")):
        raise ValueError(f"{model}: no model.safetensors; save the model in that format (weights in pickles are not read)")
    config, tokenizer = (one.from_pretrained(model, trust_remote_code=False) for one in (AutoConfig, AutoTokenizer))
    if "t5" in str(model) and config.model_type not in ("t5", "mt5"):
        raise ValueError(f"{model}: bert-score takes a path with t5 in it for a T5 and this is {config.model_type}; rename the folder")
    longest = getattr(config, "max_position_embeddings", tokenizer.model_max_length)
    if tokenizer.model_max_length > longest:
        raise ValueError(f"{model}/tokenizer_config.json: model_max_length is missing or above the model's {longest} positions; set it")
    return _Opened(tokenizer, int(config.num_hidden_layers))


def _empty(tokenizer: Any, reply: str, reference: str) -> str:
    """Which of the two has no token; "" if neither."""
    for what, text in (("reply", reply), ("reference", reference)):
        if not text.strip() or not tokenizer(text, add_special_tokens=False)["input_ids"]:
            return f"the {what} is empty"
    return ""
