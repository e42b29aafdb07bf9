"""What `finetune --estimate` tells from a configuration is what a step on the real classes takes, at toy size on a CPU."""

import shutil
from pathlib import Path

import pytest
from checkpoints import STOCK, named, saved
from estimated import compare

from undertone.cli import main
from undertone.lookup import resolve
from undertone.models import FAMILIES


@pytest.mark.parametrize("family", STOCK)
def test_an_estimate_is_within_a_tenth_of_what_a_step_takes(family: str) -> None:
    found = compare(family)
    assert (found.told.trained, found.told.parameters) == (found.trained, found.parameters)
    assert found.told.flops == pytest.approx(found.flops, rel=0.1)
    assert found.told.activations == pytest.approx(found.most, rel=0.1)


@pytest.mark.parametrize("family", STOCK)
def test_the_command_needs_a_configuration_alone(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(family, tmp_path)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "config.json":
            path.unlink()
    targets = resolve(FAMILIES, family, "model family").targets
    assert main(["finetune", "--estimate", *named(family, folder), "--layers", "0-2", "--lora.targets", *targets]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("parameters", "trained", "memory", "FLOPs", family))
