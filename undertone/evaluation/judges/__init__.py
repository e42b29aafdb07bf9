"""Judges, one a file, and the one table that names them."""

JUDGES = {
    "rule": "undertone.evaluation.judges.rule:RuleJudge",
    "openai": "undertone.evaluation.judges.openai:OpenAIJudge",
}
