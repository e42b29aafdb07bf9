"""Asking, judging and scoring, and the one table that names the metrics.

A metric is a function of rows of `metrics.Asked`, `Run.score`, the number of resamples and a seed that yields `Score` rows.
"""

METRICS = {
    "pa": "undertone.evaluation.metrics:pa_scores",
    "preference": "undertone.evaluation.metrics:preference_scores",
    "exact": "undertone.evaluation.metrics:exact_scores",
    "empathy": "undertone.evaluation.empathy:empathy_scores",
    "rouge": "undertone.evaluation.metrics:rouge_scores",
    "bert_score": "undertone.evaluation.metrics:bert_scores",
}
