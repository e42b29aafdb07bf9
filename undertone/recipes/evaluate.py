"""`undertone evaluate`: ask every test clip, judge every reply, and score with intervals clustered by text (METHOD A.5)."""

import random
from collections.abc import Iterator, Sequence
from functools import partial

from undertone import settings
from undertone.attributes import note
from undertone.evaluation.cascade import fit_speakers, spoken_note
from undertone.evaluation.judges import open_judge
from undertone.evaluation.metrics import Asked, exact_drop, exact_scores, pa_scores, preference_scores
from undertone.evaluation.replies import Ask, ask
from undertone.models import device_name
from undertone.models.base import Prompt
from undertone.progress import bar
from undertone.recipes.opening import Corridor, open_corridor
from undertone.records import CONTENT, Reply, Score, Utterance, read_rows
from undertone.run import Journal, Run, open_run, write_rows
from undertone.training.lora import load_adapter


def evaluate(chosen: settings.Evaluate) -> list[Score]:
    """Writes replies.jsonl, judgements.jsonl and scores.jsonl; a killed run goes on behind its last reply."""
    run = open_run(chosen.out, chosen.name, chosen.model_dump(mode="json"), chosen.seed, device_name(chosen.device))
    if (run.folder / "scores.jsonl").exists():
        return list(read_rows(run.folder / "scores.jsonl", Score))
    corridor = open_corridor(chosen, run.folder)
    rows = [row for row in corridor.data.utterances if row.split == chosen.split and row.suite in chosen.suites][: chosen.limit or None]
    if not rows:
        raise ValueError(f"{chosen.data}: no utterance of {', '.join(chosen.suites)} in split {chosen.split!r}")
    rows = corridor.listen(rows, chosen.batch)
    prompt = prompting(chosen, corridor, rows)
    if chosen.adapter is not None and chosen.strength > 0:
        load_adapter(corridor.model, chosen.adapter, chosen.strength)

    journal = Journal(run.folder / "replies.jsonl")
    known = {reply.utterance_id for reply in journal.rows(Reply)}
    missing = [row for row in rows if row.id not in known]
    for replies in ask(corridor.model, missing, prompt, run.name, chosen.batch, chosen.max_new_tokens, chosen.preference, bar(run.name)):
        journal.append(replies)

    asked = judged(chosen, run, rows, {reply.utterance_id: reply for reply in journal.rows(Reply)})
    write_rows(run.folder / "judgements.jsonl", [row.judgement for row in asked if row.judgement])
    scores = list(scored(chosen, run, asked))
    write_rows(run.folder / "scores.jsonl", scores)
    return scores


def prompting(chosen: settings.Evaluate, corridor: Corridor, rows: Sequence[Utterance]) -> Ask:
    """How each utterance is put to the model: its audio; under a control, its text, a swapped rendering, or the true note as well."""
    system, heard = chosen.system, corridor.heard
    if chosen.control == "text-only":
        return lambda row: Prompt(text=row.text, system=system)
    if chosen.control == "oracle-label":
        return lambda row: Prompt(audio=heard[row.id], system=system, note=note(row.attributes))
    if chosen.control == "shuffled-audio":
        other = swapped(rows, chosen.seed)
        return lambda row: Prompt(audio=heard[other[row.id]], system=system)
    if chosen.cascade:
        train = [row for row in corridor.data.utterances if row.split == "train"]
        write = partial(spoken_note, fit_speakers(corridor.listen(train, chosen.batch), heard.__getitem__))
        return lambda row: Prompt(audio=heard[row.id], system=system, note=write(heard[row.id]))
    return lambda row: Prompt(audio=heard[row.id], system=system)


def swapped(rows: Sequence[Utterance], seed: int) -> dict[str, str]:
    """Utterance id → id of the rendering that is played instead: in every second pair, drawn by `seed`, the two voices change places."""
    pairs: dict[str, list[str]] = {}
    for row in rows:
        pairs.setdefault(row.pair or row.id, []).append(row.id)
    order = random.Random(seed).sample(list(pairs.values()), len(pairs))
    return {one: other for i, pair in enumerate(order) for one, other in zip(pair, pair[:: -1 if i % 2 else 1], strict=True)}


def judged(chosen: settings.Evaluate, run: Run, rows: Sequence[Utterance], replies: dict[str, Reply]) -> list[Asked]:
    """Each utterance with its reply and, where it belongs to a category, the judge's verdict."""
    paired = [row for row in rows if row.category != CONTENT]
    judge = open_judge(chosen.judge, chosen.endpoint.model_dump(), run.folder)
    verdicts = {verdict.utterance_id: verdict for verdict in judge.judge(paired, [replies[row.id] for row in paired])}
    return [Asked(row, replies[row.id], verdicts.get(row.id)) for row in rows]


def scored(chosen: settings.Evaluate, run: Run, asked: Sequence[Asked]) -> Iterator[Score]:
    """Every score of this run. A control's scores stand under control/NAME, with the suite as their group."""
    details = {name: getattr(chosen, name) for name in ("model", "system", "strength", "judge")}
    for family in (pa_scores, preference_scores, exact_scores):
        for score in family(asked, partial(run.score, details=details), chosen.bootstrap, chosen.seed):
            if not chosen.control:
                yield score
            elif score.group == "all":
                yield score.model_copy(update={"suite": f"control/{chosen.control}", "group": score.suite.removeprefix("pa/")})
    if chosen.against is not None:
        earlier = {row.utterance_id: row for row in read_rows(chosen.against / "replies.jsonl", Reply)}
        before = [row._replace(reply=earlier[row.utterance.id]) for row in asked if row.utterance.id in earlier]
        yield from exact_drop(before, asked, partial(run.score, details=details), chosen.bootstrap, chosen.seed)
