"""Three rules read where the voice is lost, each on numbers that break it; on models broken on purpose in tests/recipes."""

import pytest
from report_rows import score

from undertone.records import Score
from undertone.reporting.diagnosis import diagnoses
from undertone.reporting.estimates import estimates


def missing(*rows: Score) -> list[str]:
    return [what for what, _ in diagnoses(estimates(rows), "aligned")]


def asked(probe: float | None, wa: float | None, ua: float | None = None) -> list[Score]:
    found = {"probe_wa": probe, "wa": wa, "ua": ua}
    return [score("aligned", "frozen/synthesised", name, "all", value) for name, value in found.items()]


def through(**left: float) -> list[Score]:
    return [score("aligned", f"noise/{name}", "ua", "all", value) for name, value in left.items()]


@pytest.mark.parametrize(
    ("probe", "wa", "expected"),
    [(0.60, 0.55, ["encoder"]), (0.98, 0.60, ["alignment"]), (0.98, 0.95, []), (None, 0.5, []), (0.98, None, [])],
)
def test_probe_and_answer_tell_encoder_from_alignment(probe: float | None, wa: float | None, expected: list[str]) -> None:
    assert missing(*asked(probe, wa)) == expected


def test_rare_values_do_not_look_like_missing_alignment() -> None:
    assert missing(*asked(0.90, 0.88, ua=0.60)) == []


def test_a_steep_slope_is_robustness_and_names_its_conditions() -> None:
    rows = through(clean=0.9, snr20=0.85, snr0=0.4, telephone=0.3)
    assert missing(*rows) == ["robustness"]
    ((_, text),) = diagnoses(estimates(rows), "aligned")
    assert "snr0 40.0" in text
    assert "telephone 30.0" in text
    assert "snr20" not in text


def test_nothing_is_said_without_clean_clips_or_of_other_runs() -> None:
    assert missing(*through(snr0=0.1)) == []
    assert missing(*[row.model_copy(update={"run": "shuffled"}) for row in asked(0.3, 0.2)]) == []
