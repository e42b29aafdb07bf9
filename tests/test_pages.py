"""Pages that scripts write hold what the scripts write today."""

import runpy
import subprocess
from pathlib import Path

import pytest

from undertone.records import Score

HOME = Path(__file__).parent.parent


def test_results_are_those_of_the_rows() -> None:
    script = runpy.run_path(str(HOME / "scripts" / "results.py"))
    assert (HOME / "docs" / "results.md").read_text() == script["page"](), "run make results"


def test_every_speed_target_is_a_line_reached_missed_or_not_measured() -> None:
    script = runpy.run_path(str(HOME / "scripts" / "results.py"))

    def row(metric: str, value: float | None) -> Score:
        return Score(
            run="trainer",
            suite="speed/training",
            metric=metric,
            group="embedded",
            value=value,
            n=5,
            unscored=0,
            seed=0,
            commit="",
            details={},
        )

    def said(*rows: Score) -> list[str]:
        lines = script["targets"](rows).splitlines()[4:]
        assert len(lines) > 30
        return [line.rpartition("**")[0].rpartition("**")[2] for line in lines if "official processor" in line or "peak memory" in line][
            ::2
        ]

    assert said()[:2] == ["not measured", "not measured"]
    assert said(row("ratio", 2.1), row("memory_share", 0.71))[:2] == ["reached", "missed"]
    assert said(row("ratio", 1.97), row("memory_share", 0.7))[:2] == ["missed", "reached"]
    assert said(row("ratio", None))[0] == "not measured"


@pytest.mark.skipif(not (HOME / ".git").exists(), reason="the tree lists what git keeps, and this is no checkout")
def test_the_tree_in_the_readme_lists_every_file() -> None:
    script = runpy.run_path(str(HOME / "scripts" / "readme.py"))
    readme = (HOME / "README.md").read_text()
    assert script["fill"](readme, "tree", script["tree"](HOME)) == readme, "run make results"


def test_the_table_of_suites_in_the_readme_is_the_one_in_the_code() -> None:
    script = runpy.run_path(str(HOME / "scripts" / "readme.py"))
    readme = (HOME / "README.md").read_text()
    assert script["fill"](readme, "suites", script["suites"](), fence="") == readme, "run make results"
    assert "| `voicebench` | open questions" in readme


def test_the_families_in_the_readme_are_those_of_the_table() -> None:
    script = runpy.run_path(str(HOME / "scripts" / "readme.py"))
    readme = (HOME / "README.md").read_text()
    assert script["fill"](readme, "families", script["families"](HOME), fence="") == readme, "run make results"


@pytest.mark.skipif(not (HOME / ".git").exists(), reason="git knows which files are the project's, and this is no checkout")
def test_no_merge_was_left_half_done() -> None:
    found = subprocess.run(["git", "grep", "-nE", "^(<{7}|>{7}) "], cwd=HOME, capture_output=True, text=True)
    assert not found.stdout
