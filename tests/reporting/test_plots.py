"""Layer panels: forward order, ranges where they belong, words escaped, colours of the page."""

import re
from importlib.resources import files
from xml.etree.ElementTree import Element, fromstring

import pytest
from matplotlib import rc_context, rcParams
from report_rows import SELECTION, layers

from undertone.records import LayerScore
from undertone.reporting.folder import Selection
from undertone.reporting.plots import ordered, panels


def named(root: Element, part: str) -> dict[str, Element]:
    """Class → what is drawn in the groups whose class begins with `part`."""
    return {look: group for group in root.iter("g") if (look := group.get("class") or "").split(" ")[0] == part}


def corners(drawn: Element) -> list[float]:
    """Where the corners of a shape stand from left to right, in drawing units."""
    return sorted({float(x) for path in drawn.iter("path") for x in re.findall(r"[ML] ([\d.]+)", path.get("d", ""))})


def dots(root: Element, look: str) -> list[float]:
    """Where the dots of a curve stand from left to right, in drawing units."""
    return [float(dot.get("x", "nan")) for dot in named(root, "dots")[f"dots {look}"].iter("use")]


def said(root: Element) -> list[str | None]:
    return [text.text for text in root.iter("text")]


def test_layers_stand_in_forward_order() -> None:
    names = ["language_model.10", "projector.0", "language_model.2", "audio_tower.1", "audio_tower.0"]
    assert ordered(names) == ["audio_tower.0", "audio_tower.1", "projector.0", "language_model.2", "language_model.10"]
    with pytest.raises(ValueError, match=r"layers.jsonl: 'decoder.1' is no layer"):
        ordered(["decoder.1"])


def test_the_control_is_drawn_dashed_in_the_panel_of_its_analysis() -> None:
    (panel,) = panels(layers(), Selection.model_validate(SELECTION))
    root = fromstring(panel.drawing)
    paths = {look: group.find("path").get("style", "") for look, group in named(root, "line").items()}
    assert {look: "stroke-dasharray" in style for look, style in paths.items()} == {"line s1": False, "line s1 dashed": True}
    assert panel.lines == {"age": "s1"}
    assert "language_model.0: probe age 0.900 (0.850 to 0.950), n 60" in [title.text for title in root.iter("title")]


def test_ranges_are_shaded_over_their_layers() -> None:
    (panel,) = panels(layers(), Selection.model_validate(SELECTION))
    root = fromstring(panel.drawing)
    voice, meaning, adapted = (corners(named(root, part)[part]) for part in ("voice", "meaning", "accent"))
    at = dots(root, "s1")
    assert voice[0] < at[2] < voice[1]
    assert voice[1] == meaning[0]
    assert meaning[0] < at[3] < meaning[1]
    assert adapted == [voice[0], meaning[1]]
    assert corners(named(root, "turn")["turn"]) == pytest.approx([at[3]])


def test_intervals_are_bands_and_stand_only_where_stated() -> None:
    (panel,) = panels(layers(), None)
    root = fromstring(panel.drawing)
    bands = named(root, "band")
    assert corners(bands["band s1"]) == pytest.approx(dots(root, "s1"))
    assert corners(bands["band s1 dashed"]) == []


def test_unknown_analyses_get_a_panel_and_their_words_are_escaped() -> None:
    (panel,) = panels([LayerScore(layer="projector.0", analysis="<b>new", attribute="<i>", value=1e-9, n=1)], None)
    assert panel.title == "<b>new"
    assert "<i>" not in panel.drawing
    assert fromstring(panel.drawing) is not None


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ((0.1, 0.9), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-3, 12), ["0", "5", "10"]),
        ((0.91, 0.93), ["0.910", "0.915", "0.920", "0.925", "0.930"]),
        ((0, 0), ["−0.04", "−0.02", "0.00", "0.02", "0.04"]),
    ],
)
def test_levels_are_round(values: tuple[float, float], levels: list[str]) -> None:
    analysis = "probe" if levels[-1] == "1.0" else "new"
    rows = [
        LayerScore(layer=f"language_model.{at}", analysis=analysis, attribute="age", value=value, n=1) for at, value in enumerate(values)
    ]
    (panel,) = panels(rows, None)
    assert said(fromstring(panel.drawing)) == ["0", "1", "language model layer", *levels]


def test_every_colour_is_one_of_the_page() -> None:
    (panel,) = panels(layers(), Selection.model_validate(SELECTION))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", panel.drawing))
    known = re.findall(r"(--\w+):", files("undertone.reporting").joinpath("page.css").read_text())
    assert {"var(--s1)", "var(--voice)", "var(--rule)"} < colours <= {"none", *(f"var({name})" for name in known)}


def test_the_same_rows_give_the_same_drawing_whatever_matplotlib_was_told() -> None:
    once = panels(layers(), None)
    with rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linestyle": ":"}):
        before = dict(rcParams)
        assert panels(layers(), None) == once
        assert dict(rcParams) == before
