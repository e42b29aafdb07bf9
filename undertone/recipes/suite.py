"""`undertone evaluate --suite NAME`: ask a benchmark's items, have the replies judged, and score them as the suite says."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from undertone import settings
from undertone.evaluation.controls import CONTROLS, of_control
from undertone.evaluation.judges import open_judges
from undertone.evaluation.suites import SUITES
from undertone.evaluation.suites.base import Answered, Item, Loaded, Source, Suite
from undertone.lookup import resolve
from undertone.recipes.answering import answers
from undertone.recipes.items import bind, canned
from undertone.recipes.judging import called, check, judged, needed, scoring, warn
from undertone.recipes.opening import begin
from undertone.recipes.rows import exchangeable, sample
from undertone.recipes.speaking import synthesiser
from undertone.records import Rejected, Reply, Score
from undertone.run import Journal, write_rows


def evaluate_suite(chosen: settings.Evaluate) -> list[Score]:
    """Writes items.jsonl, replies.jsonl, judgements.jsonl and scores.jsonl; a killed run goes on behind its last reply, and no verdict is
    bought twice."""
    suite: Suite = resolve(SUITES, chosen.suite, "suite")()
    check(suite, chosen)
    loaded, items = chosen_items(chosen, suite.load)
    run = begin(chosen, chosen.name)
    journal = Journal(run.folder / "replies.jsonl")
    bind(run.folder / "items.jsonl", items)
    judges = open_judges({name: called(name, chosen) for name in needed(suite, items, chosen)}, chosen.verdicts or run.folder, chosen.draws)

    known = {reply.utterance_id for reply in journal.rows(Reply)}
    missing = [item for item in items if item.utterance.id not in known]
    journal.append(canned(run.name, item) for item in missing if "said" in item.facts)
    if any("said" not in item.facts for item in missing):
        answers(chosen, suite, loaded, [item for item in items if "said" not in item.facts], known, run, journal)

    replies = {reply.utterance_id: reply for reply in journal.rows(Reply)}
    if not replies:
        raise ValueError(f"{chosen.data}: no clip can be heard, rejected.jsonl in {run.folder} says why; --words plain types the words")
    answered = judged(suite, judges, [Answered(item, replies[item.utterance.id]) for item in items if item.utterance.id in replies])
    write_rows(run.folder / "judgements.jsonl", [row.judgement for row in answered if row.judgement])
    known = replies.keys() | unheard(run.folder)
    silent = [item for item in items if item.utterance.id not in known]
    scores = [counting(row, silent, suite) for row in suite.scores(answered, scoring(chosen, run, judges, suite, items))]
    scores = list(of_control(scores, chosen.control)) if chosen.control else scores
    write_rows(run.folder / "scores.jsonl", scores)
    warn(answered, run.folder)
    return scores


def chosen_items(chosen: settings.Evaluate, load: Callable[[Source], Loaded], unspoken: bool = False) -> tuple[Loaded, list[Item]]:
    """What a suite holds, and which items of it are asked; `unspoken`: items of our own are planned, and nobody speaks them."""
    names = ("data", "seed", "subsets", "corpus", "fold", "attribute", "split", "columns", "values", "disjoint")
    told = {name: getattr(chosen, name) for name in names}
    speaker = synthesiser(chosen.speaking, unspoken)
    loaded = load(Source(make=chosen.out, speaker=speaker, workers=chosen.speaking.workers, unspoken=unspoken, **told))
    items = few(loaded.items, chosen)
    return loaded, controlled(items, chosen) if chosen.control or chosen.words else items


def unheard(folder: Path) -> set[str]:
    """Ids of the clips that could not be heard."""
    return {row.id for row in Journal(folder / "rejected.jsonl").rows(Rejected)}


def counting(row: Score, silent: Sequence[Item], suite: Suite) -> Score:
    """The score with the items counted to which an endpoint gave no reply: nobody can score what was not said."""
    own = [item for item in silent if item.suite == row.suite and row.group in ("all", *suite.groups(item))]
    return row.model_copy(update={"unscored": row.unscored + len(own)})


def controlled(items: Sequence[Item], chosen: settings.Evaluate) -> list[Item]:
    """The items that can be asked under the control, or whose words can be typed; ValueError where there is none."""
    control = CONTROLS.get(chosen.control)
    asked = [item for item in items if "said" not in item.facts]
    if control and not asked:
        raise ValueError(f"control: the suite {chosen.suite} asks no model, so there is nothing to control; leave control out")
    typed, told = bool(chosen.words or (control and control.typed)), chosen.words == "tagged" or bool(control and control.told)
    able = [item.utterance for item in asked if (item.utterance.text or not typed) and (item.utterance.attributes or not told)]
    mute = typed and not all(item.utterance.text for item in asked)
    missing = "words that could be typed" if mute else "attributes that could be told"
    if asked and not able:
        where, other = ("control", "under another control") if control else ("words", "by its sound")
        raise ValueError(f"{where}: no item of the suite {chosen.suite} has {missing}; ask it {other}")
    if len(able) < len(asked):
        logging.getLogger(__name__).warning("%d of %d items have no %s and are left out", len(asked) - len(able), len(asked), missing)
    kept = {row.id for row in (exchangeable(able, chosen.data) if control and control.every else able)}
    return [item for item in items if item.utterance.id in kept or ("said" in item.facts and not control)]


def few(items: Sequence[Item], chosen: settings.Evaluate) -> list[Item]:
    """At most `limit` items of each suite, whole pairs."""
    if not chosen.limit:
        return list(items)
    kept: set[str] = set()
    for name in dict.fromkeys(item.suite for item in items):
        some = [item.utterance for item in items if item.suite == name]
        kept |= {row.id for row in sample(some, chosen.limit, chosen.seed)}
    return [item for item in items if item.utterance.id in kept]
