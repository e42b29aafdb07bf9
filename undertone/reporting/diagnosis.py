"""Where a model loses the voice, by three rules: what a probe finds, what the model says when asked, what noise takes away. Pure.

The thresholds are ours [O]; each sentence gives the numbers that it was read from.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from undertone.reporting.estimates import Estimates, Key, label
from undertone.reporting.numbers import percent

FOUND = 0.75
"""Share of clips in which a linear probe must find the value, or the encoder is what is missing."""

SPOKEN = 0.1
"""How far the prompted model may stay behind the probe, or alignment is what is missing."""

SLOPE = 0.15
"""How much UA a condition may take away, or robustness is what is missing."""

CONDITION = "noise/"
"""Suites of clips heard through a condition begin so; `CLEAN` is the one that they are compared with."""
CLEAN = f"{CONDITION}clean"

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "encoder": "the voice is not in the tokens; train the encoder (align --trains front), or give it another",
        "alignment": "the voice is in the tokens and the language model is not told; align longer, or with more tasks",
        "robustness": "the voice is lost in noise; align on clips heard through it (--augment)",
    }
)


def diagnoses(table: Estimates, run: str) -> Iterator[tuple[str, str]]:
    """What is missing (encoder, alignment or robustness), and the sentence that says why, of every suite that asked `run` for a voice."""
    for key, probe in table.items():
        if key.run != run or key.metric != "probe_wa" or probe.value is None:
            continue
        said = table.get(key._replace(metric="wa"))  # of the same clips, weighed as the probe's are
        if probe.value < FOUND:
            yield _because("encoder", f"in {key.suite} a linear probe on the mean token finds {percent(probe.value)}")
        elif said is not None and said.value is not None and said.value < probe.value - SPOKEN:
            told = f"the model, asked, says {percent(said.value)} right"
            yield _because("alignment", f"in {key.suite} a linear probe on the mean token finds {percent(probe.value)}, {told}")
    if fallen := dict(_fallen(table, run)):
        worst = ", ".join(f"{name} {percent(value)}" for name, value in fallen.items())
        clean = table[Key(run, CLEAN, "ua", "all")].value or 0.0
        yield _because("robustness", f"{label(run)} recognises {percent(clean)} of the clean voices (UA), but {worst}")


def _fallen(table: Estimates, run: str) -> Iterator[tuple[str, float]]:
    """Conditions that cost more than they may, with the UA that is left."""
    clean = table.get(Key(run, CLEAN, "ua", "all"))
    if clean is None or clean.value is None:
        return
    through = [key for key in table if (key.run, key.metric, key.group) == (run, "ua", "all") and key.suite.startswith(CONDITION)]
    for key in through:
        left = table[key].value
        if left is not None and clean.value - left > SLOPE:
            yield key.suite.removeprefix(CONDITION), left


def _because(missing: str, why: str) -> tuple[str, str]:
    return missing, f"{why}: {REMEDIES[missing]}."
