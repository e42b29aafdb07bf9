"""Layer panels: forward order, ranges where they belong, words escaped."""

from xml.etree.ElementTree import fromstring

import pytest
from report_rows import SELECTION, layers

from undertone.records import LayerScore
from undertone.reporting.folder import Selection
from undertone.reporting.plots import ordered, panels
from undertone.reporting.svg import Span, around, steps


def test_layers_stand_in_forward_order() -> None:
    names = ["language_model.10", "projector.0", "language_model.2", "audio_tower.1", "audio_tower.0"]
    assert ordered(names) == ["audio_tower.0", "audio_tower.1", "projector.0", "language_model.2", "language_model.10"]
    with pytest.raises(ValueError, match=r"layers.jsonl: 'decoder.1' is no layer"):
        ordered(["decoder.1"])


def test_the_control_is_drawn_dashed_in_the_panel_of_its_analysis() -> None:
    (panel,) = panels(layers(), Selection.model_validate(SELECTION))
    root = fromstring(panel.drawing)
    assert [path.get("class") for path in root.iter("path") if "line" in (path.get("class") or "").split()] == ["line s1", "line s1 dashed"]
    assert panel.lines == {"age": "s1"}
    assert "language_model.0: probe age 0.900 (0.850 to 0.950), n 60" in [title.text for title in root.iter("title")]


def test_ranges_are_shaded_over_their_layers() -> None:
    (panel,) = panels(layers(), Selection.model_validate(SELECTION))
    root = fromstring(panel.drawing)
    boxes = {box.get("class"): (float(box.get("x", 0)), float(box.get("width", 0))) for box in root.iter("rect")}
    dots = [float(dot.get("cx", 0)) for dot in root.iter("circle")][:4]
    assert boxes["voice"][0] < dots[2] < sum(boxes["voice"])
    assert sum(boxes["voice"]) == pytest.approx(boxes["meaning"][0], abs=0.2)
    assert boxes["meaning"][0] < dots[3] < sum(boxes["meaning"])


def test_unknown_analyses_get_a_panel_and_their_words_are_escaped() -> None:
    (panel,) = panels([LayerScore(layer="projector.0", analysis="<b>new", attribute="<i>", value=1e-9, n=1)], None)
    assert panel.title == "<b>new"
    assert "<i>" not in panel.drawing
    assert fromstring(panel.drawing) is not None


@pytest.mark.parametrize(
    ("span", "found"),
    [(Span(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]), (Span(-3, 12), [0, 5, 10]), (Span(0.91, 0.93), [0.91, 0.915, 0.92, 0.925, 0.93])],
)
def test_steps_are_round(span: Span, found: list[float]) -> None:
    assert steps(span) == found


def test_a_flat_curve_still_has_an_axis() -> None:
    span = around([0.0, 0.0])
    assert span.high > span.low
    assert around([0.2, 0.4], (0, 1)) == Span(0, 1)
