"""The judges of a suite: which are needed, where they sit, and their verdicts; and what scores are measured under."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from undertone import settings
from undertone.evaluation.judges import JUDGES
from undertone.evaluation.judges.base import Judge
from undertone.evaluation.judges.chat import ChatJudge
from undertone.evaluation.metrics import Asked
from undertone.evaluation.suites import SUITES
from undertone.evaluation.suites.base import Answered, Item, Scoring, Suite
from undertone.lookup import resolve
from undertone.records import Judgement, Score
from undertone.run import Run


def called(name: str, chosen: settings.Evaluate) -> tuple[str, Mapping[str, object]]:
    """A judge and its endpoint: the chosen one, the second one, or one that the suite names and that sits where the chosen one does."""
    if name == "second":
        return chosen.second_judge, chosen.second_endpoint.model_dump()
    return (chosen.judge if name == "chosen" else name), chosen.endpoint.model_dump()


def asks_a_model(chosen: settings.Evaluate) -> bool:
    """Whether any judge of the evaluation is a chat model."""
    names = resolve(SUITES, chosen.suite, "suite").judges if chosen.suite else ("chosen",)
    kinds = [(resolve(JUDGES, kind, "judge"), place["model"]) for kind, place in (called(name, chosen) for name in names)]
    return any(isinstance(kind, type) and issubclass(kind, ChatJudge) and bool(model) for kind, model in kinds)


def check(suite: Suite, chosen: settings.Evaluate) -> None:
    """ValueError, before anything is made or asked, where a judge of the user's gives no verdicts of PA, or is compared with itself."""
    own = [name for name in suite.judges if name in ("chosen", "second")]
    for name in own:
        kind, _ = called(name, chosen)
        if not getattr(resolve(JUDGES, kind, "judge"), "of_pa", True):
            raise ValueError(f"judge: {kind} does not say whether a reply suits its speaker; the suite {chosen.suite} takes rule or openai")
    if len(own) > 1 and chosen.judge != "rule" and called("chosen", chosen) == called("second", chosen):
        raise ValueError("second_judge: the same judge at the same endpoint agrees with itself; name another one, such as rule")


def needed(suite: Suite, items: Sequence[Item], chosen: settings.Evaluate) -> list[str]:
    """The judges that these items need; without an endpoint those that would ask a model are left out, and their replies are unscored."""
    names = [name for name in suite.judges if any(suite.judged_by(item) == name for item in items)]
    able = [name for name in names if called(name, chosen)[0] == "rule" or called(name, chosen)[1]["model"]]
    if missing := [name for name in names if name not in able]:
        logging.getLogger(__name__).warning(
            "judge %s: endpoint.model is empty, so what it would judge is unscored", ", ".join(called(one, chosen)[0] for one in missing)
        )
    return able


def judged(suite: Suite, judges: Mapping[str, Judge], answered: Sequence[Answered]) -> list[Answered]:
    """Every reply with its verdict, where one of the judges judges it."""
    found: dict[str, Judgement] = {}
    for name, judge in judges.items():
        rows = [row for row in answered if suite.judged_by(row.item) == name]
        verdicts = judge.judge([row.item.utterance for row in rows], [row.reply for row in rows])
        found |= {verdict.utterance_id: verdict for verdict in verdicts}
    return [row._replace(judgement=found.get(row.item.utterance.id)) for row in answered]


def warn(answered: Sequence[Answered], folder: Path) -> None:
    """Say how many replies have no verdict, and why the first has none."""
    missing = [row.judgement for row in answered if row.judgement and row.judgement.value is None]
    if missing:
        logging.getLogger(__name__).warning(
            "%s: %d of %d replies are unscored (%s); the same command makes requests that failed again",
            folder, len(missing), len(answered), missing[0].reason,
        )  # fmt: skip


def scoring(chosen: settings.Evaluate, run: Run, judges: Mapping[str, Judge], suite: Suite, items: Sequence[Item]) -> Scoring:
    """How scores are made; each carries model, system prompt (a suite may ask a question of its own there) and the judges' names, which
    hold a hash of their rubrics."""
    asked = {item.suite: suite.prompt(item, None, chosen.system).system for item in items}
    usual = next(iter(asked.values())) if len(set(asked.values())) == 1 else chosen.system
    details = {"model": chosen.model, "words": chosen.words, "draws": chosen.draws}
    details |= {f"judge_{name}": judge.name for name, judge in judges.items()}

    def score(suite: str, metric: str, group: str, value: float | None, n: int, **more: object) -> Score:
        own = more.pop("details", None)
        told = details | {"system": asked.get(suite, usual)} | (own if isinstance(own, dict) else {})
        return run.score(suite, metric, group, value, n, details=told, **more)

    second = resolve({}, chosen.pedant, "pedant") if chosen.pedant else None
    return Scoring(score, chosen.bootstrap, chosen.seed, second)


def conditions(chosen: settings.Evaluate, asked: Sequence[Asked]) -> dict[str, str | float]:
    """What every score of this run was measured under; the judge's name tells its model, its rubric and the rubric's hash."""
    judge = next((row.judgement.judge for row in asked if row.judgement), chosen.judge)
    why: dict[str, str | float] = (
        {"probabilities": "none: an endpoint gives text alone"} if chosen.model.startswith(settings.SERVED) else {}
    )
    return why | {"model": chosen.model, "system": chosen.system, "strength": chosen.strength, "judge": judge}
