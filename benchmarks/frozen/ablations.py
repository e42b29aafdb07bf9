"""What each part of the frozen road buys, on simulated voices: tasks, objectives, what is trained, how many labels, wrong notes.

    python benchmarks/frozen/ablations.py --data runs/demo-frozen/seed-0/data --seeds 0 1 2 --out runs/ablations

Rows go to OUT/scores.jsonl: run aligned, suite frozen/ablations, group = what differs from the method (`VARIATIONS`). All are trained as
`undertone demo --road frozen` trains and asked about the same speakers, texts and topics. Finished parts are not repeated.
"""

import argparse
import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.models import EARS
from undertone.recipes.align import align
from undertone.recipes.evaluate import evaluate
from undertone.recipes.frozen_road import NOTE, SUITE
from undertone.recipes.recognize import recognize
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.records import Score, Utterance, pairs, read_rows
from undertone.run import write_rows
from undertone.speech.folder import read_folder, write_folder

METHOD = settings.Objectives(ctc=0.0, note=1.0)
TASKS = settings.Tasks()
TASKS_IN_AND_OUT = ("reply", "recognition", "captioning", "naming")
LABELS = settings.Tasks(reply=0.0, recognition=0.0, captioning=0.0, naming=1.0)
UNALIGNED = {"tasks": LABELS, "objectives": settings.Objectives(ctc=0.0, style=0.0)}
FRONT = {"trains": "front", "learning_rate": 2e-4}
SHARES = {"10 % of the clips": 0.1, "25 % of the clips": 0.25, "50 % of the clips": 0.5}

VARIATIONS: dict[str, dict[str, Any]] = {
    "the method": {},
    **{f"without task {name}": {"tasks": TASKS.model_copy(update={name: 0.0})} for name in TASKS_IN_AND_OUT},
    **{f"without {name}": {"objectives": METHOD.model_copy(update={name: 0.0})} for name in ("cross_entropy", "style", "note")},
    "with distillation": {"objectives": METHOD.model_copy(update={"distillation": 1.0})},
    "with contrast": {"objectives": METHOD.model_copy(update={"contrast": 0.3})},
    "no alignment (labels only)": UNALIGNED,
    "trained encoder": FRONT,
    "trained encoder, no alignment": FRONT | UNALIGNED,
    **{name: {} for name in SHARES},
    "10 % wrong notes": {"wrong_notes": 0.1},
    "30 % wrong notes": {"wrong_notes": 0.3},
}  # fmt: skip
"""What differs → the settings that say so. Where only the note's tokens learn, CTC on the encoder has nothing to teach and is left out."""


def run_all(given: argparse.Namespace) -> Iterator[Score]:
    """Train and ask every variation with every seed."""
    for seed in given.seeds:
        say(f"seed {seed}: {len(given.variations)} variations")
        folders = {
            name: given.out / f"seed-{seed}" / name.replace(" ", "-").replace(",", "").replace("%", "percent") for name in given.variations
        }
        teach = partial(
            settings.Align, model=EARS, note_tokens=NOTE, seed=seed, steps=given.steps, check_every=given.steps // 4,
            teacher=given.data / ".teacher",
        )  # fmt: skip
        usual = {"objectives": METHOD, "trains": "note", "learning_rate": 2e-3}
        side_by_side(
            Stage(align, teach(data=labelled(given, name, seed), out=folder / "align").model_copy(update=usual | VARIATIONS[name]))
            for name, folder in folders.items()
        )
        ask = partial(
            settings.Evaluate, data=given.data, suites=["pa", "content"], together=SUITE, metrics=["pa", "preference", "exact"],
            name="aligned", seed=seed, limit=given.limit,
        )  # fmt: skip
        hear = partial(settings.Recognize, data=given.data, suite=SUITE, name="aligned", seed=seed, limit=3 * given.limit)
        models = {name: str(folder / "align" / "model") for name, folder in folders.items()}
        side_by_side(Stage(evaluate, ask(model=models[name], out=folder / "eval")) for name, folder in folders.items())
        side_by_side(Stage(recognize, hear(model=models[name], out=folder / "recognize")) for name, folder in folders.items())
        for name, folder in folders.items():
            yield from kept(folder, name)


def labelled(given: argparse.Namespace, name: str, seed: int) -> Path:
    """The data folder with a share of its training clips, whole pairs, beside links to the same sounds."""
    share, data = SHARES.get(name), given.data
    if share is None:
        return Path(data)
    folder: Path = given.out / f"seed-{seed}" / f"data-{share}"
    folder.mkdir(parents=True, exist_ok=True)
    said = read_folder(data)
    members = pairs([row for row in said.utterances if row.split == "train"])
    kept_ones = random.Random(seed).sample(members, round(share * len(members)))
    rows: list[Utterance] = [row for one in kept_ones for row in one] + [row for row in said.utterances if row.split != "train"]
    for split in ("train", "dev", "test"):
        if not (folder / split).is_symlink():
            os.symlink((data / split).resolve(), folder / split)
    write_folder(folder, rows, (), said.disjoint)
    return folder


def kept(folder: Path, name: str) -> Iterator[Score]:
    """What is compared: replies, naming and content, with the variation as the group."""
    wanted = {(SUITE, "pa_score"), (SUITE, "exact"), (SUITE, "preference"), (SUITE, "ua"), ("content", "exact")}
    for part in ("eval", "recognize"):
        for row in read_rows(folder / part / "scores.jsonl", Score):
            if row.group == "all" and (row.suite, row.metric) in wanted:
                metric = "content_exact" if row.suite == "content" else row.metric
                yield row.model_copy(update={"suite": "frozen/ablations", "metric": metric, "group": name})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/demo-frozen/seed-0/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--variations",
        nargs="+",
        default=list(VARIATIONS),
        choices=list(VARIATIONS),
        metavar="NAME",
        help="; ".join(VARIATIONS).replace("%", "%%"),
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--limit", type=int, default=300, help="clips asked of each category")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    chosen = parser.parse_args()
    write_rows(chosen.out / "scores.jsonl", list(run_all(chosen)))
