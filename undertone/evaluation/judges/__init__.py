"""Judges, one a file, and the one table that names them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertone.endpoint import Endpoint
from undertone.evaluation.judges.base import Judge
from undertone.evaluation.judges.chat import ChatJudge
from undertone.lookup import resolve

JUDGES = {
    "rule": "undertone.evaluation.judges.rule:RuleJudge",
    "empathy": "undertone.evaluation.judges.empathy:EmpathyJudge",
    "openai": "undertone.evaluation.judges.openai:OpenAIJudge",
}


def open_judge(name: str, endpoint: Mapping[str, Any], folder: Path) -> Judge:
    """The judge called `name`; one that asks a model sits at `endpoint` (arguments of `Endpoint`) and keeps its verdicts in `folder`."""
    kind = resolve(JUDGES, name, "judge")
    asks = isinstance(kind, type) and issubclass(kind, ChatJudge)
    judge: Judge = kind(Endpoint(**endpoint), folder / "verdicts.jsonl") if asks else kind()
    return judge
