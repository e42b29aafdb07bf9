"""`undertone evaluate`: ask every test clip, judge every reply, and score with intervals clustered by text (METHOD A.5)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from undertone import settings
from undertone.evaluation import METRICS
from undertone.evaluation.controls import of_control
from undertone.evaluation.judges import open_judge
from undertone.evaluation.judges.base import Judge
from undertone.evaluation.metrics import Asked, Metric, exact_drop, suite_of
from undertone.lookup import resolve
from undertone.models.base import SpeechLM
from undertone.models.endpoint import Served
from undertone.models.frozen_llm import FrozenLLM
from undertone.recipes import pricing
from undertone.recipes.adapters import as_trained
from undertone.recipes.asking import Asking, comparable, prompting, questions
from undertone.recipes.judging import conditions
from undertone.recipes.opening import begin, open_corridor
from undertone.recipes.served import open_line, replied, unanswered
from undertone.recipes.suite import evaluate_suite
from undertone.records import CONTENT, Judgement, Reply, Score, Utterance, read_rows
from undertone.run import Journal, Run, write_rows


def evaluate(chosen: settings.Evaluate) -> list[Score]:
    """Writes replies.jsonl, judgements.jsonl and scores.jsonl; a killed run goes on behind its last reply, and one whose judge gave no
    verdict on some asks for those again. With `estimate_cost` nothing is asked: it prints what the judges would cost."""
    metrics = [metric(name, chosen) for name in chosen.metrics]
    chosen = as_trained(chosen).model_copy(update={"name": chosen.name or called(chosen)})
    if chosen.estimate_cost:
        pricing.say(chosen)
        return []
    if chosen.suite:
        return evaluate_suite(chosen)
    run = begin(chosen, chosen.name)
    if (run.folder / "scores.jsonl").exists() and not unscored(run.folder):
        return list(read_rows(run.folder / "scores.jsonl", Score))
    judge = open_judge(chosen.judge, chosen.endpoint.model_dump(), chosen.verdicts or run.folder, chosen.draws)
    before = list(read_rows(chosen.against / "replies.jsonl", Reply)) if chosen.against else []
    corridor = open_line(chosen, run.folder) if chosen.model.startswith(settings.SERVED) else open_corridor(chosen, run.folder)
    rows = questions(chosen, corridor)
    if chosen.against:
        before = comparable(before, rows, chosen.against)
    asking = prompting(chosen, corridor, rows)
    journal = Journal(run.folder / "replies.jsonl")
    known = {reply.utterance_id for reply in journal.rows(Reply)}
    missing = [row for row in rows if row.id not in known]
    silent = replied(chosen, run, corridor, missing, asking.prompt, journal)
    asked = judged(judge, rows, {reply.utterance_id: reply for reply in journal.rows(Reply)})
    asked += [unanswered(row, silent[row.id], run.name, judge.name) for row in rows if row.id in silent]
    write_rows(run.folder / "judgements.jsonl", [row.judgement for row in asked if row.judgement])
    scores = [*scored(chosen, run, metrics, asked), *lost(chosen, run, before, asked)]
    scores += cost(chosen, run, asked, asking, corridor.model)
    write_rows(run.folder / "scores.jsonl", scores)
    if open_ones := [row.judgement for row in asked if row.judgement and row.judgement.value is None]:
        said = "%d of %d replies are unscored (%s); the same command makes requests that failed again"
        logging.getLogger(__name__).warning(said, len(open_ones), len(asked), open_ones[0].reason)
    return scores


def metric(name: str, chosen: settings.Evaluate) -> Metric:
    """The metric called `name`, told what it needs of the settings."""
    found: Callable[..., Iterator[Score]] = resolve(METRICS, name, "metric")
    return partial(found, model=chosen.bert_model) if name == "bert_score" else found


def unscored(folder: Path) -> list[Judgement]:
    """The replies of a run on which there is no verdict."""
    return [row for row in read_rows(folder / "judgements.jsonl", Judgement) if row.value is None]


def called(chosen: settings.Evaluate) -> str:
    """What a run is called that was given no name."""
    if chosen.model.startswith(settings.SERVED):
        return chosen.model.rpartition("/")[2].removeprefix(settings.SERVED)
    return "cascade" if chosen.cascade else "tuned" if chosen.adapter else "vanilla"


def judged(judge: Judge, rows: Sequence[Utterance], replies: dict[str, Reply]) -> list[Asked]:
    """Each utterance that has one with its reply and, where it belongs to a category, the judge's verdict."""
    rows = [row for row in rows if row.id in replies]
    paired = [row for row in rows if row.category != CONTENT]
    verdicts = {verdict.utterance_id: verdict for verdict in judge.judge(paired, [replies[row.id] for row in paired])}
    return [Asked(row, replies[row.id], verdicts.get(row.id)) for row in rows]


def scored(chosen: settings.Evaluate, run: Run, metrics: Sequence[Metric], asked: Sequence[Asked]) -> Iterator[Score]:
    """Every score of this run."""
    details = conditions(chosen, asked)
    pairs = [row._replace(under=chosen.together) for row in asked if chosen.together and suite_of(row.utterance).startswith("pa/")]
    for metric, rows in [(metric, rows) for rows in (asked, pairs) if rows for metric in metrics]:
        found = metric(rows, partial(run.score, details=details), chosen.bootstrap, chosen.seed)
        yield from of_control(found, chosen.control) if chosen.control else found


def lost(chosen: settings.Evaluate, run: Run, before: Sequence[Reply], asked: Sequence[Asked]) -> Iterator[Score]:
    """How many right replies of an earlier run were lost since, in pairs."""
    earlier = {row.utterance_id: row for row in before}
    then = [row._replace(reply=earlier[row.utterance.id]) for row in asked if row.utterance.id in earlier]
    yield from exact_drop(then, asked, partial(run.score, details=conditions(chosen, asked)), chosen.bootstrap, chosen.seed)


def cost(chosen: settings.Evaluate, run: Run, asked: Sequence[Asked], asking: Asking, model: SpeechLM | Served) -> Iterator[Score]:
    """What this way of asking took. What an adapter or an aligned model cost is known to `finetune` or `align`; a control costs nothing of
    interest."""
    if chosen.control:
        return
    how = {"batch": chosen.batch, "preference": "preference" in chosen.metrics}
    score = partial(run.score, "cost", details=conditions(chosen, asked) | how)
    yield score("seconds", "asking", sum(row.reply.seconds for row in asked), len(asked))
    if isinstance(model, Served):
        yield score("tokens", "asking", model.tokens, len(asked))
    elif chosen.adapter is None and (chosen.cascade or not isinstance(model, FrozenLLM)):
        yield score("seconds", "training", asking.seconds, 1)
        yield score("trainable_parameters", "all", asking.weights, 1)
