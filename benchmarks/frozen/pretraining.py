"""Arms of steps.py whose encoder is pre-trained on sound alone, fold by fold: the acoustic stage of align, on simulated voices and on every
recording there is but for those of the speakers that are asked. Words and labels are left out.
"""

import argparse
import random
from functools import partial
from pathlib import Path
from typing import Any

from recorded import FOLDS, link

from undertone import settings
from undertone.recipes.align import align
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.records import Utterance
from undertone.speech.corpora import read_data
from undertone.speech.folder import write_folder

PRETRAINED: dict[str, dict[str, Any]] = {
    "untrained, acoustic": {"model": ""},
    "untrained, masked": {"model": "", "objectives": settings.Objectives(contours=0.0)},
    "untrained, contours": {"model": "", "objectives": settings.Objectives(masked=0.0)},
    "base, acoustic": {},
}
"""Run → what is pre-trained on sound alone before the probes are fitted."""

SIMULATED = 2000
"""Simulated voices beside the recordings, so that the words are not forgotten that they taught."""


def unlabelled(given: argparse.Namespace, fold: int) -> Path:
    """A data folder of links: simulated voices and all recordings, words and labels left out, but for the speakers that `fold` asks."""
    if not given.simulated:
        raise SystemExit("--simulated: name a data folder of simulated voices to pre-train on, or leave out the arms that are pre-trained")
    out = given.out / "unlabelled" / str(fold)
    corpora = {"ravdess": given.data} | {name: Path(where) for name, _, where in (one.partition("=") for one in given.recordings)}
    folders = [(name, where, read_data(where, {}, {}, disjoint=["speaker"], corpus=name, fold=fold)) for name, where in corpora.items()]
    folders.append(("simulated", given.simulated, read_data(given.simulated, {}, {}, disjoint=[], corpus="", fold=-1)))
    found: list[Utterance] = []
    for name, where, opened in folders:
        rows = [row for row in opened.data.utterances if row.split == "train" or name not in ("ravdess", "simulated")]
        for row in random.Random(fold).sample(rows, min(len(rows), SIMULATED)):
            link(where / row.file_name, out / name / row.file_name)
            bare = {"id": f"{name}-{row.id}", "file_name": f"{name}/{row.file_name}", "speaker": f"{name}-{row.speaker}"}
            found.append(Utterance(**bare, text="", seconds=row.seconds, attributes={}, source=name, split="train"))
    write_folder(out, found)
    return out


def pretrain(given: argparse.Namespace) -> None:
    """The acoustic stage of every arm that has one, and every fold."""
    arms = [arm for arm in given.arms if arm in PRETRAINED]
    stage = partial(
        settings.Align, model=given.base, stage="acoustic", steps=given.steps, batch_size=64, learning_rate=5e-4,
        check_every=given.steps, dtype=given.dtype,
    )  # fmt: skip
    say(f"pre-training {', '.join(arms)}")
    data = {fold: unlabelled(given, fold) for fold in FOLDS} if arms else {}
    side_by_side(
        Stage(align, stage(data=data[fold], out=pretrained(given.out, arm, fold).parent, name=arm).model_copy(update=PRETRAINED[arm]))
        for arm in arms
        for fold in FOLDS
    )


def pretrained(out: Path, arm: str, fold: int) -> Path:
    """Where the model of an arm and fold lies after the acoustic stage."""
    return Path(out / "pretrained" / f"{arm.replace(', ', '-')}-{fold}" / "model")
