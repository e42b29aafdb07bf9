"""What all arms of a seed stand on: the voices, another synthesiser's voices, and which layers of the model do what."""

import json
import logging
import os
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.recipes.analyze import analyze
from undertone.recipes.stages import say
from undertone.recipes.synthesize import synthesize
from undertone.records import pairs
from undertone.settings.study import Grid
from undertone.speech.folder import read_folder, write_folder
from undertone.speech.synthesisers.command import NotInstalled

SHARE = "data-"
"""What stands before the share of the training pairs that a data folder holds."""


class Ground(NamedTuple):
    """What all arms of a seed share: folder, seed, data, the other synthesiser's data, and what layers placeholders stand for."""

    folder: Path
    seed: int
    data: Path
    other: Path | None
    layers: Mapping[str, str | int]


def ground_of(chosen: settings.Study, grid: Grid, folder: Path, seed: int) -> Ground:
    """What a seed's arms stand on: voices, another synthesiser's voices where there is one, and which layers do what."""
    data, other = chosen.data or folder / "data", None
    if not chosen.data:
        say(f"seed {seed}: speaking")
        synthesize(settings.build(settings.Synthesize, chosen.synthesize | {"out": str(data), "seed": seed}, "synthesize"))
    if chosen.other_voices:
        table = chosen.other_voices | {"out": str(folder / "other-voices"), "seed": seed}
        try:
            other = synthesize(settings.build(settings.Synthesize, table, "other_voices"))
        except NotInstalled as error:
            logging.getLogger(__name__).warning("other_voices: no test in another synthesiser's voices, for %s", error)
    if grid.recipe == "align" or chosen.layers:
        return Ground(folder, seed, data, other, with_ends(chosen.layers))
    say(f"seed {seed}: analysing")
    model = {"model": chosen.train["model"]} if "model" in chosen.train else {}
    own = model | chosen.analyze | {"data": str(data), "out": str(folder / "analyze"), "seed": seed}
    analyze(settings.build(settings.Analyze, own, "analyze"))
    return Ground(folder, seed, data, other, read_layers(folder / "analyze"))


def before_speaking(folder: Path, chosen: settings.Study, seed: int = 0) -> Ground:
    """A ground on which settings can be laid out and nothing else, before anything is made."""
    guess = {"voice": "0-0", "meaning": "1-1", "adapt": "0-1", "after": "2-2", "hand_over": "1"}
    return Ground(folder, seed, chosen.data or folder, folder if chosen.other_voices else None, with_ends(chosen.layers or guess))


def read_layers(folder: Path) -> dict[str, str | int]:
    """The layer ranges that an analysis chose."""
    chosen = json.loads((folder / "selection.json").read_text())
    layers = {row["layer"] for row in map(json.loads, (folder / "layers.jsonl").read_text().splitlines())}
    last = max(int(name.removeprefix("language_model.")) for name in layers if name.startswith("language_model."))
    first, end = chosen["adapt"]
    after = f"{end + 1}-{last}" if end < last else ""
    ranges = {name: f"{low}-{high}" for name, (low, high) in (("voice", chosen["paralinguistic"]), ("meaning", chosen["semantic"]))}
    found = with_ends({**ranges, "adapt": f"{first}-{end}", "after": after, "hand_over": str(chosen["hand_over"])})
    return found | {"depth": last + 1}


def with_ends(layers: Mapping[str, str]) -> dict[str, str | int]:
    """`layers`, and what follows from them: how many are adapted, the last of them, and the last that carries the voice."""
    found: dict[str, str | int] = {name: int(value) if value.isdecimal() else value for name, value in layers.items()}
    ends = {name: [int(end) for end in value.split("-")] for name, value in layers.items() if "-" in value}
    if "adapt" in ends:
        found |= {"count": ends["adapt"][1] - ends["adapt"][0] + 1, "last": ends["adapt"][1]}
    return found | ({"voice_end": ends["voice"][1]} if "voice" in ends else {})


def share_out(ground: Ground, wanted: Iterable[Path]) -> None:
    """Make the data folders among `wanted` that hold a share of the training pairs, beside links to the same sounds."""
    for folder in wanted:
        if not folder.name.startswith(SHARE) or (folder / "metadata.jsonl").exists():
            continue
        said = read_folder(ground.data)
        members = pairs([row for row in said.utterances if row.split == "train"])
        count = max(1, round(float(folder.name.removeprefix(SHARE)) * len(members)))
        kept = [row for one in random.Random(ground.seed).sample(members, count) for row in one]
        folder.mkdir(parents=True, exist_ok=True)
        for split in ("train", "dev", "test"):
            if not (folder / split).is_symlink():
                os.symlink((ground.data / split).resolve(), folder / split)
        write_folder(folder, [*kept, *(row for row in said.utterances if row.split != "train")], (), said.disjoint)


def refuse_mixture(folder: Path, now: Mapping[str, object] | None = None) -> None:
    """ValueError where two runs were made by other versions, or of one seed ask other data or compute in another number format."""
    versions: dict[str, Path | str] = {json.dumps({key: now[key] for key in ("commit", "packages")}): "this session"} if now else {}
    for seed in sorted(folder.glob("seed-*")):
        read: dict[str, tuple[object, Path]] = {}
        for path in sorted([*seed.glob("*/provenance.json"), *seed.glob("*/*/provenance.json")]):
            table, run, kind = json.loads(path.read_text()), path.parent, path.parent.parent.name
            made = versions.setdefault(json.dumps({key: table.get(key) for key in ("commit", "packages")}), run)
            if len(versions) > 1:
                other = next(where for where in versions.values() if where != made)
                raise ValueError(f"{run}: made by another commit or other packages than {other}; delete it, or choose another --out")
            if run.parent == seed:
                continue  # voices and analysis: what they were made of is another thing
            # An arm may train on a share of the data; all are asked the same.
            alike = {"dtype": "dtype"} | ({f"data of {kind}": "data"} if kind != "train" else {})
            for name, field in alike.items():
                content = table.get("inputs", {}).get(field)
                before, where = read.setdefault(name, (content, run))
                if before != content:
                    raise ValueError(f"{run}: its {field} is not that of {where} ({content}, {before}); delete one of them")
