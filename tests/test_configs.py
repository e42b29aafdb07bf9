"""Every settings file resolves, and those of one checkpoint agree on how it is asked."""

from pathlib import Path

import pytest

from undertone.cli import COMMANDS
from undertone.settings import read_config

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*/*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_settings_file_loads(path: Path) -> None:
    read_config(COMMANDS[path.parent.name][0], path)


def test_a_model_is_asked_as_it_was_trained() -> None:
    by_model: dict[str, set[str]] = {}
    for path in CONFIGS:
        chosen = read_config(COMMANDS[path.parent.name][0], path)
        if hasattr(chosen, "system"):
            by_model.setdefault(chosen.model, set()).add(chosen.system)
    assert by_model
    assert all(len(systems) == 1 for systems in by_model.values()), by_model
