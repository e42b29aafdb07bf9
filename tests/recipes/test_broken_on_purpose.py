"""Each rule of the diagnosis on a model that was broken on purpose, asked by the recipe: a deaf encoder, ears that were never aligned to
voices, ears that only know silence around them."""

from pathlib import Path

import pytest
import torch

from undertone import settings
from undertone.models import EARS, open_model
from undertone.models.frozen_llm import FrozenLLM
from undertone.recipes.recognize import recognize
from undertone.recipes.report import report
from undertone.recipes.synthesize import synthesize
from undertone.reporting.diagnosis import REMEDIES, diagnoses
from undertone.reporting.estimates import estimates


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagnosis") / "data"
    few = {"gender": 4}
    synthesize(settings.Synthesize(out=folder, train=few, dev=few, test={"gender": 80}, safety_speakers=0, speakers=40))
    return folder


def ask(data: Path, out: Path, **more: object) -> settings.Recognize:
    fixed = {"model": EARS, "attribute": "gender", "name": "ears", "bootstrap": 0, "suite": "frozen/synthesised"}
    return settings.Recognize.model_validate({"data": data, "out": out, **fixed, **more})


def missing(*asked: settings.Recognize) -> list[str]:
    """What the rules find missing; the report page of these runs says so, and what to do."""
    found = dict(diagnoses(estimates([row for one in asked for row in recognize(one)]), "ears"))
    shown = report(settings.Report(runs=[one.out for one in asked], out=asked[0].out.parent / "report.html")).read_text()
    assert all(REMEDIES[what] in shown for what in found)
    assert not any(text in shown for what, text in REMEDIES.items() if what not in found)
    return list(found)


def test_a_deaf_encoder(data: Path, tmp_path: Path) -> None:
    ears = open_model(EARS)
    assert isinstance(ears, FrozenLLM)
    with torch.no_grad():
        for value in ears.front.encoder.parameters():
            value.zero_()
    ears.save(tmp_path / "deaf")
    assert missing(ask(data, tmp_path / "run", model=str(tmp_path / "deaf"), probe=True)) == ["encoder"]


def test_ears_without_alignment(data: Path, tmp_path: Path) -> None:
    assert missing(ask(data, tmp_path / "run", probe=True)) == ["alignment"]


@pytest.mark.parametrize("how", [{"by": "head"}, {"model": "undertone-tiny"}], ids=["heads of ears", "a model that is asked in words"])
def test_ears_in_noise(how: dict[str, str], data: Path, tmp_path: Path) -> None:
    through = [ask(data, tmp_path / name, condition=name, suite=f"noise/{name}", **how) for name in ("clean", "snr0")]
    assert missing(*through) == ["robustness"]
