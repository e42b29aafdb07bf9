"""What analyze says in scores, and that no table of replies takes it for one."""

from pathlib import Path

from report_rows import before_and_after

from undertone.analysis.selection import Selection
from undertone.recipes.analyze import summary
from undertone.records import LayerScore
from undertone.reporting.estimates import as_trained
from undertone.reporting.markdown import results
from undertone.run import Run


def curve(analysis: str, attribute: str, values: dict[str, float]) -> list[LayerScore]:
    return [
        LayerScore(layer=layer, analysis=analysis, attribute=attribute, value=value, low=value - 0.1, high=value + 0.1, n=60)
        for layer, value in values.items()
    ]


def test_the_ranges_and_the_best_probes_are_scores() -> None:
    layers = [
        *curve("probe", "age", {"projector.0": 0.99, "language_model.0": 0.9, "language_model.1": 0.95}),
        *curve("probe", "emotion", {"language_model.0": 0.6, "language_model.1": 0.5}),
        *curve("probe-text-only", "age", {"language_model.0": 0.97}),
    ]
    scores = summary(Run(Path(), "analyze", 0, "c"), Selection((0, 2), 3, (3, 4), (0, 4), ()), layers, 120)
    assert {row.suite for row in scores} == {"layers"}
    found = {(row.metric, row.group): (row.value, row.low, row.high, row.n) for row in scores}
    assert found == {
        ("paralinguistic_last", "all"): (2, None, None, 120),
        ("hand_over", "all"): (3, None, None, 120),
        ("semantic_last", "all"): (4, None, None, 120),
        ("adapt_last", "all"): (4, None, None, 120),
        ("probe_accuracy", "age"): (0.95, 0.95 - 0.1, 0.95 + 0.1, 60),
        ("probe_accuracy", "emotion"): (0.6, 0.6 - 0.1, 0.6 + 0.1, 60),
    }
    rows = before_and_after()
    assert as_trained([*rows, *scores]) == as_trained(rows)
    told, plain = (results(some, "rows.jsonl").partition("change the rows")[2] for some in ([*rows, *scores], rows))
    assert told == plain
