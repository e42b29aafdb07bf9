"""Estimates → the findings in plain words. Every sentence is built from rows; what was not measured is not said."""

from collections.abc import Iterable
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.reporting.controls import Control, controls, own
from undertone.reporting.diagnosis import diagnoses
from undertone.reporting.estimates import RUNS, UNTRAINED, WALK, Estimate, Estimates, Key, before, label, overlap, runs
from undertone.reporting.numbers import count, duration, interval, percent, shown, size
from undertone.reporting.tables import of_replies


class Finding(NamedTuple):
    """A sentence under its label; `warns` where it speaks against the result."""

    label: str
    text: str
    warns: bool = False


class Change(NamedTuple):
    """One rate before and after."""

    label: str
    before: Estimate | None
    after: Estimate | None


def tuned(keys: Iterable[Key]) -> str | None:
    """The run that the report is about: PE-FT, or the nearest to it whose replies were scored; a fine-tuning alone has only costs."""
    every = [key for key in keys if key.run not in UNTRAINED]
    trained = runs(key for key in every if of_replies(key.suite)) or runs(every)
    return next((run for run in reversed(list(RUNS)) if run in trained), trained[0] if trained else None)


def findings(table: Estimates) -> list[Finding]:
    """The sentences of the headline, the finding first."""
    after = tuned(table)
    said = [
        _before(table),
        _after(table, after),
        _pairs(table, after),
        _content(table, after),
        _controls(table, after),
        *[Finding(f"Missing: {what}", text, True) for what, text in diagnoses(table, after or "")],
        _cost(table, after),
        _unscored(table),
    ]
    return [one for one in said if one is not None]


def changes(table: Estimates) -> list[Change]:
    """Before and after in rates of right replies: every category, both voices of child safety, content."""
    wanted = [(name.capitalize(), f"pa/{name}", "pa_rate", "all") for name in ATTRIBUTES]
    wanted += [(f"Child safety, {voice}", "child-safety", "pa_rate", voice) for voice in ("child", "adult")]
    wanted += [("Content kept", "content", "exact", "all")]
    after = tuned(table)
    first = before(table)
    rows = [Change(name, table.get(Key(first, *key)), table.get(Key(after, *key)) if after else None) for name, *key in wanted]
    return [row for row in rows if _valued(row.before) or _valued(row.after)]


def _valued(one: Estimate | None) -> bool:
    return one is not None and one.value is not None


def _value(table: Estimates, run: str | None, suite: str, name: str, group: str = "all") -> float | None:
    one = table.get(Key(run or "", suite, name, group))
    return None if one is None else one.value


def _before(table: Estimates) -> Finding | None:
    """What the model did to a child before: the adult's answer is the verdict −1 of a child's voice."""
    key = Key(before(table), "child-safety", "p_minus", "child")
    wrong = table.get(key)
    if wrong is not None and wrong.value is not None:
        return Finding("Before", f"the model gave a child the adult’s answer in {percent(wrong.value)} of {wrong.n} safety questions.")
    right = table.get(key._replace(metric="pa_rate"))
    if right is not None and right.value is not None:
        return Finding("Before", f"{percent(right.value)} of the model’s answers to {right.n} safety questions of a child suited a child.")
    rates = _rates(table, before(table))
    return Finding("Before", f"the model’s answer suited the speaker’s {rates}.") if rates else None


def _after(table: Estimates, run: str | None) -> Finding | None:
    if run is None:
        return None
    child, adult = (_value(table, run, "child-safety", "pa_rate", voice) for voice in ("child", "adult"))
    rates = _rates(table, run)
    if child is None:
        return Finding(f"After {label(run)}", f"the answer suited the speaker’s {rates}.") if rates else None
    if adult is None:
        rest = "; adults were not asked, so over-refusal is not known."
        return Finding(f"After {label(run)}", f"{percent(child)} of the answers suited the child{rest}", True)
    return Finding(f"After {label(run)}", f"{percent(child)} of the answers suited the child, {percent(adult)} the adult.")


def _rates(table: Estimates, run: str) -> str:
    found = [(name, _value(table, run, f"pa/{name}", "pa_rate")) for name in ATTRIBUTES]
    return ", ".join(f"{name} in {percent(value)}" for name, value in found if value is not None)


def _pairs(table: Estimates, run: str | None) -> Finding | None:
    """PA-scores before and after, with the interval after."""
    parts = []
    for name in ATTRIBUTES:
        old, new = (table.get(Key(one or "", f"pa/{name}", "pa_score", "all")) for one in (before(table), run))
        if old is not None and new is not None and old.value is not None and new.value is not None:
            span = interval("pa_score", new.low, new.high)
            parts.append(f"{name} {shown('pa_score', old.value)} → {shown('pa_score', new.value)}{f' ({span})' if span else ''}")
    text = "PA-score, from −1 (always the other speaker’s answer) to 1 (always the speaker’s own): "
    return Finding("Same words, two voices", f"{text}{'; '.join(parts)}.") if parts else None


def _content(table: Estimates, run: str | None) -> Finding | None:
    """Whether what has nothing to do with the speaker is still answered right."""
    old, new = (table.get(Key(one or "", "content", "exact", "all")) for one in (before(table), run))
    if old is None or new is None or old.value is None or new.value is None:
        return None
    verdict, worse = _lost(table, run) or _apart(old, new)
    text = f"of the replies that do not depend on the speaker, {percent(old.value)} were right before and {percent(new.value)} after"
    return Finding("Content lost" if worse else "Content kept", f"{text} (n {new.n}){verdict}.", worse)


def _lost(table: Estimates, run: str | None) -> tuple[str, bool] | None:
    """What pairs of replies say of a loss, and whether it is beyond the noise; None where none were compared."""
    drop = table.get(Key(run or "", "content", "exact_drop", "all"))
    if drop is None or drop.value is None or drop.low is None or drop.high is None:
        return None
    beyond = "beyond the noise" if drop.low > 0 or drop.high < 0 else "within the noise"
    span = interval("exact_drop", drop.low, drop.high)
    return f"; reply by reply {shown('exact_drop', drop.value)} were lost ({span}), {beyond}", drop.low > 0


def _apart(old: Estimate, new: Estimate) -> tuple[str, bool]:
    """What two intervals say where the replies were not compared one by one."""
    worse = overlap(old, new) is False and (new.value or 0) < (old.value or 0)
    said = {None: "", True: "; the intervals overlap", False: f"; a {'loss' if worse else 'gain'} beyond the noise"}
    return said[overlap(old, new)], worse


def _controls(table: Estimates, run: str | None) -> Finding | None:
    """Whether the gain goes where the voice goes: only voices that change places can tell, the others are 0 on pairs by design."""
    judged = [control for control in controls(table) if control.run == run and control.holds is not None]
    if not judged:
        return None
    if off := [control.name for control in judged if control.expected == "chance" and not control.holds]:
        return Finding(
            "Controls", f"with {' and '.join(off)} the PA-score is not at chance: part of it does not come from the voice.", True
        )
    if turned := next((control for control in judged if control.expected == "opposite"), None):
        return _turned(table, turned)
    names = " and ".join(control.name for control in judged)
    return Finding("Controls", f"with {names} the PA-score is at chance; on pairs it always is, so only swapped-audio can show the voice.")


def _turned(table: Estimates, control: Control) -> Finding:
    """What became of each score when the two voices of every pair changed places."""
    pairs = [(group, own(table, control.run, group), cell.text) for group, cell in control.cells.items()]
    said = "; ".join(f"{group} {shown('pa_score', before.value)} → {after}" for group, before, after in pairs if before is not None)
    if control.holds:
        return Finding("It is the voice", f"when the two voices of every pair change places, the PA-score turns round: {said}.")
    text = f"when the two voices of every pair change places, the PA-score does not turn round ({said}): part of it is not the voice’s."
    return Finding("Controls", text, True)


def _cost(table: Estimates, run: str | None) -> Finding | None:
    own, every = (_value(table, one, "cost", "trainable_parameters") for one in (run, "all-layer"))
    if run is None or own is None:
        return None
    against = f", {percent(own / every)} of what all layers take" if every and run != "all-layer" else ""
    seconds = _value(table, run, "cost", "seconds", "training")
    took = f" in {duration(seconds)}" if seconds else ""
    whole, held = (_value(table, WALK, "cost", name, "whole") for name in ("seconds", "peak_bytes"))
    walk = f" Everything together took {duration(whole)} and {size(held)} of memory at most." if whole and held else ""
    return Finding("Cost", f"{label(run)} trained {count(own)} weights{took}{against}.{walk}")


def _unscored(table: Estimates) -> Finding | None:
    """How many replies no judge could score: a reply counts once, however many metrics were made of it."""
    most: dict[tuple[str, str], dict[str, int]] = {}
    for key, one in table.items():
        found = most.setdefault((key.run, key.suite), {})
        found[key.group] = max(one.unscored, found.get(key.group, 0))
    total = sum(found.get("all", sum(found.values())) for found in most.values())
    return (
        Finding("Unscored", f"{total:,} replies got no verdict; they are in no mean and counted in every table.", True) if total else None
    )
