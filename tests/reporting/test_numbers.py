"""Numbers read right, at the edges too."""

import pytest

from undertone.reporting.numbers import count, duration, interval, percent, shown, signed, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "100 %"), (0.0, "0 %"), (0.9999, ">99.9 %"), (0.0001, "<0.1 %"), (0.9733, "97.3 %"), (-0.02, "−2.0 %"), (0.5, "50.0 %")],
)
def test_percent_never_rounds_to_all_or_nothing(value: float, text: str) -> None:
    assert percent(value).replace("\u202f", " ") == text


def test_signed_has_a_true_minus_and_no_negative_zero() -> None:
    assert (signed(-0.0123), signed(-0.0001), signed(0.945)) == ("−0.012", "0.000", "0.945")


def test_kinds_of_numbers() -> None:
    found = [count(811_008), count(1_622_016), duration(4.25), duration(185.2), duration(7800), size(1.43e9), shown("peak_bytes", 2.5e8)]
    assert [text.replace("\u202f", " ") for text in found] == [
        "811,008",
        "1.62 M",
        "4.2 s",
        "3 min 05 s",
        "2 h 10 min",
        "1.43 GB",
        "250 MB",
    ]


def test_an_interval_needs_both_ends() -> None:
    assert interval("pa_rate", 0.912, 0.974).replace("\u202f", " ") == "91.2 to 97.4 %"
    assert interval("pa_rate", None, 0.9) == ""
    assert shown("pa_score", None) == "–"
