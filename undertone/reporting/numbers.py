"""How a number reads: one row a metric, and the few kinds of numbers there are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

NARROW = "\u202f"
"""narrow space that does not break: between a number and its unit"""


class Metric(NamedTuple):
    """A column: what it is called, what it means, how it is written, and which way is better (+1, −1, 0 neither)."""

    label: str
    meaning: str
    written: Callable[[float], str]
    better: int = 1


def signed(value: float) -> str:
    """A score between −1 and 1, three decimals, with a true minus: 0.945, −0.012."""
    text = f"{value:.3f}".replace("-", "−")
    return "0.000" if text == "−0.000" else text


def percent(value: float) -> str:
    """A fraction in percent with one decimal; 100 % and 0 % stand for nothing but themselves."""
    if value in (0, 1):
        return f"{100 * value:.0f}{NARROW}%"
    text = f"{100 * value:.1f}".replace("-", "−")
    text = {"100.0": ">99.9", "0.0": "<0.1"}.get(text, text)
    return f"{text}{NARROW}%"


def count(value: float) -> str:
    """1,234 as it is; from a million on, 1.23 M."""
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{NARROW}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """4.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f}{NARROW}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NARROW}min {rest:02d}{NARROW}s"
    return f"{minutes // 60}{NARROW}h {minutes % 60:02d}{NARROW}min"


def size(octets: float) -> str:
    """Bytes in MB or GB (powers of ten)."""
    return f"{octets / 1e9:.2f}{NARROW}GB" if octets >= 1e9 else f"{octets / 1e6:.0f}{NARROW}MB"


def plain(value: float) -> str:
    """Six significant digits; whole numbers whole."""
    return (f"{value:.0f}" if value == int(value) else f"{value:.6g}").replace("-", "−")


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "pa_score": Metric("PA-score", "mean verdict: +1 suits the speaker, 0 suits anyone, −1 suits the other voice", signed),
        "pa_rate": Metric("PA-rate", "share of replies that suit the speaker", percent),
        "exact": Metric("Exact", "share of replies right to the letter", percent),
        "exact_drop": Metric("Lost", "share of replies that were right before and are no longer, less those won, in pairs", percent, -1),
        "ua": Metric("UA", "unweighted average recall: how well the voice is recognised, every value counting alike", percent),
        "wa": Metric("WA", "share of voices recognised", percent),
        "f1": Metric("Macro F1", "mean F1 over the values", percent),
        "recall": Metric("Recall", "share of the voices of this value that were recognised", percent),
        "unparsed": Metric("Unparsed", "share of answers that name no value, or several", percent, -1),
        "ua_difference": Metric("UA against", "UA less that of another run on the same clips, in pairs", signed),
        "probe_wa": Metric("Probe", "share that a linear probe on the mean token tells, speakers held out", percent),
        "r2": Metric("R²", "how much of it a linear probe reads from the mean token, speakers held out", signed),
        "wer": Metric("WER", "word errors per word of what the model repeats", percent, -1),
        "rouge_1": Metric("ROUGE-1", "words shared with the right reply, F-measure", signed),
        "rouge_l": Metric("ROUGE-L", "longest common subsequence with the right reply, F-measure", signed),
        "bert_score": Metric("BERTScore", "likeness of meaning to the right reply, F-measure of a language model’s states", signed),
        "own_likeliest": Metric("Own reply likeliest", "share of voices whose own right reply is the likeliest of all values’", percent),
        "own_probability": Metric("Own reply", "probability of the voice’s own right reply among those of all values", percent),
        "leakage": Metric("Leakage", "how much answers follow the words instead of the voice, 0 to 1", signed, -1),
        "empathy": Metric("Empathy", "a chat model’s rating of the reply, 1 to 10", lambda value: f"{value:.2f}"),
        "r2_encoder": Metric("R², encoder", "the same from the mean state of the speech encoder", signed),
        "reply_rouge_1": Metric("Same words", "ROUGE-1 of the reply to speech and the reply to the words with the true note", signed),
        "reply_rouge_l": Metric("Same reply", "ROUGE-L of the reply to speech and the reply to the words with the true note", signed),
        "reply_bert_score": Metric(
            "Same meaning", "BERTScore of the reply to speech and the reply to the words with the true note", signed
        ),
        "reply_kl": Metric("KL", "nats per token between these two replies’ probabilities", signed, -1),
        "matched": Metric("Matched", "how much nearer the spoken prompt is to its own note’s than to another’s, in cosines", signed),
        "ratio": Metric("Times faster", "the peer’s median seconds over ours, both in turn on one machine", lambda value: f"{value:.1f}×"),
        "flops_ratio": Metric("FLOPs", "told from the configuration, over what a step took", signed, 0),
        "memory_ratio": Metric("Bytes", "told from the configuration, over the most that a step held", signed, 0),
        "weights_identical": Metric("Same weights", "1: the language model is bit for bit what it was before training", count, 0),
        "accuracy": Metric("Accuracy", "share of clips classified right", percent),
        "hs": Metric("HS", "VoiceBench’s overall score: mean of its nine subsets", percent),
        "rating": Metric("Rating", "a chat model’s rating of the reply, 1 to 5", lambda value: f"{value:.2f}"),
        "refusal_rate": Metric("Refused", "share of harmful requests that are declined", percent),
        "fail": Metric("No answer", "share of replies that name no option or conclusion", percent, -1),
        "pedant": Metric("PEDANT", "SD-QA’s second score, where somebody gives it", percent),
        "strict_prompt": Metric("Prompts, strict", "share of prompts all of whose instructions are followed", percent),
        "loose_prompt": Metric("Prompts, loose", "as before, first or last line or asterisks aside", percent),
        "strict_instruction": Metric("Instructions, strict", "share of instructions that are followed", percent),
        "loose_instruction": Metric("Instructions, loose", "as before, first or last line or asterisks aside", percent),
        "own_closer": Metric("Own style closer", "share of replies liker their own style’s right reply than another’s", percent),
        "acc_gt": Metric("Follows the voice", "share of answers that name what the voice is, where the words claim another", percent),
        "ala": Metric("Follows the words", "share of answers that name what the words claim, where the voice is another", percent, -1),
        "consistent": Metric("Both agree", "share of right answers where voice and words say the same", percent),
        "leakage_shuffled": Metric("Leakage by chance", "the same answers dealt out at random", signed, 0),
        "kappa": Metric("κ", "agreement of two judges beyond chance", signed),
        "agreement": Metric("Agreement", "share of replies on which two judges agree", percent),
        "value_preference": Metric("Value preferred", "share of voices whose true value is found likelier than the others’ mean", percent),
        "preference": Metric("Preference", "share of voices whose right reply the model itself finds likelier; no judge", percent),
        "p_plus": Metric("p₊", "share of replies that suit the speaker", percent),
        "p_zero": Metric("p₀", "share of replies that suit anyone", percent, 0),
        "p_minus": Metric("p₋", "share of replies that suit the other voice", percent, -1),
        "trainable_parameters": Metric("Trainable parameters", "weights that training changed", count, 0),
        "seconds": Metric("Time", "wall clock", duration, 0),
        "peak_bytes": Metric(
            "Memory", "most that was held at once: by the process that trained (on a GPU, there), or by all of the walk", size, 0
        ),
    }
)
"""In the order of the columns; a metric that no row names is written by its suffix (_seconds, _bytes, _parameters) or as it is."""

_SUFFIXES: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {"seconds": duration, "bytes": size, "parameters": count, "rate": percent, "share": percent}
)


def metric(name: str) -> Metric:
    """The metric's row, or a fair guess from its name."""
    if name in METRICS:
        return METRICS[name]
    written = _SUFFIXES.get(name.rpartition("_")[2], plain)
    return Metric(name.removesuffix("_bytes").replace("_", " ").capitalize(), "", written, 0)


def shown(name: str, value: float | None) -> str:
    """The value as its metric writes it; a dash where there is none."""
    return "–" if value is None else metric(name).written(value)


def interval(name: str, low: float | None, high: float | None) -> str:
    """ "0.91 to 0.97"; empty where there is no interval."""
    if low is None or high is None:
        return ""
    first, last = shown(name, low), shown(name, high)
    unit = f"{NARROW}%"
    return f"{first.removesuffix(unit) if last.endswith(unit) else first} to {last}"


def rank(name: str) -> tuple[int, str]:
    """Sort key: table order, then the alphabet."""
    known = list(METRICS)
    return (known.index(name) if name in known else len(known), name)
