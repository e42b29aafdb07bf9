"""Judges, one a file, and the one table that names them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertone.evaluation.judges.base import Judge
from undertone.lookup import resolve

JUDGES = {
    "rule": "undertone.evaluation.judges.rule:RuleJudge",
    "openai": "undertone.evaluation.judges.openai:OpenAIJudge",
}


def open_judge(name: str, endpoint: Mapping[str, Any], folder: Path) -> Judge:
    """The judge called `name`; one that asks a model sits at `endpoint` (arguments of `Endpoint`) and keeps its verdicts in `folder`."""
    kind = resolve(JUDGES, name, "judge")
    judge: Judge = kind(_endpoint(endpoint), folder / "verdicts.jsonl") if name == "openai" else kind()
    return judge


def _endpoint(arguments: Mapping[str, Any]) -> Any:
    from undertone.endpoint import Endpoint

    return Endpoint(**arguments)
