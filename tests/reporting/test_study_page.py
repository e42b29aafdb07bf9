"""A study's rows as tables and claims, in Markdown and on the page."""

import pytest
from report_rows import score

from undertone.records import CLAIMS, Score
from undertone.reporting import study
from undertone.reporting.estimates import as_trained
from undertone.reporting.folder import Shown
from undertone.reporting.page import page
from undertone.settings import Grid, build

GRID = build(
    Grid,
    {
        "recipe": "finetune",
        "arms": {"vanilla": {}, "selective": {}, "pe-ft": {}},
        "tables": [{"title": "Main", "arms": ["vanilla", "selective", "pe-ft"], "cells": ["pa/age", "child-safety pa_rate child"]}],
        "published": {"Big": {"pe-ft": {"child-safety pa_rate child": 0.97}, "vanilla": {"pa/age": "≈ 0"}}},
        "claims": [{"said": "nobody asked", "of": "selective", "cell": "pa/age"}],
    },
    "",
)


def claim(verdict: str, **more: object) -> Score:
    told = {"than": "vanilla", "cell": "pa/age", "lies": "above", "margin": 0.0, "p": 0.0004, "trainings": 2, "least": 0.9, "most": 0.95}
    told |= {"verdict": verdict, "than_cell": ""} | more
    return score("pe-ft", CLAIMS, "difference", f"claim <{verdict}>", 0.93, n=800, low=0.88, high=0.97, details=told)


def rows() -> list[Score]:
    measured = [
        score(run, suite, metric, group, value, n=400, seed=seed)
        for seed in (0, 1)
        for run, value in (("vanilla", 0.0), ("pe-ft", 0.93))
        for suite, metric, group in (("pa/age", "pa_score", "all"), ("child-safety", "pa_rate", "child"))
    ]
    return [
        *measured,
        claim("supported"),
        claim("undecided", p=0.3),
        claim("not supported", than="", than_cell="child-safety pa_rate child"),
    ]


def test_claims_stand_first_with_their_numbers_and_verdicts() -> None:
    said = study.page(rows(), GRID, "x.jsonl")
    assert said.index("## Claims") < said.index("## Main")
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in said.splitlines() if "claim <" in line
    }
    assert lines["claim <supported>"] == [
        "PE-FT − Vanilla: Age PA-score > 0", "0.930 [0.880 to 0.970], n 800", "0.900 to 0.950", "<0.001", "**supported**",
    ]  # fmt: skip
    assert lines["claim <undecided>"][-2:] == ["0.300", "**undecided at this size**"]
    assert "over 2 trainings an arm" in said


def test_what_was_published_stands_behind_what_was_measured_and_arms_not_run_are_named() -> None:
    said = study.page(rows(), GRID, "x.jsonl")
    line = next(line for line in said.splitlines() if line.startswith("| PE-FT |"))
    assert line.count("published") == 1
    assert "published: Big 97.0\u202f%" in line
    assert "; published: Big ≈ 0 |" in next(line for line in said.splitlines() if line.startswith("| Vanilla |"))
    assert "claims worded since):\n\n- nobody asked" in said
    assert "| Selective" not in said
    assert "Not run: selective." in said


def test_the_page_shows_claims_and_no_table_compares_them() -> None:
    html = page(Shown((), tuple(rows()), (), None, ()), "Study")
    assert '<section id="claims">' in html
    assert "claim &lt;not supported&gt;" in html
    assert 'class="legend plus">supported<' in html
    assert 'class="legend zero">undecided at this size<' in html
    assert "<code>claims</code>" not in html
    assert all(one.suite != CLAIMS for one in as_trained(rows()))
    assert '<section id="claims">' not in page(Shown((), tuple(rows()[:8]), (), None, ()), "None")


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"x\.jsonl: holds no score"):
        study.page([], GRID, "x.jsonl")
