"""The arms of a study with one seed: each one's settings, resolved and checked before anything is trained."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from undertone import settings
from undertone.lookup import suggest
from undertone.recipes.ground import SHARE, Ground
from undertone.settings.study import Arm, Grid

ASK, ABROAD, ALSO = "eval", "other", "also-"
"""Folders of evaluations: of the test, of the other synthesiser's voices, and what stands before the name of a further one."""

AS_IT_IS = {"cascade", "against"}
"""What an arm's questions may hold and a benchmark's may not."""


class Laid(NamedTuple):
    """An arm with its settings; `twin` is an earlier arm that trains the very same and is asked all that this one is."""

    name: str
    train: settings.Finetune | settings.Align | None
    ask: tuple[settings.Evaluate, ...]
    hear: settings.Recognize | None
    twin: str = ""

    def asked(self, kind: str) -> settings.Evaluate | None:
        """The evaluation that lies in the folder `kind`."""
        return next((one for one in self.ask if one.out.parent.name == kind), None)


def lay_out(chosen: settings.Study, grid: Grid, ground: Ground) -> dict[str, Laid]:
    """Every arm that is asked for. One whose layers do not exist in this model is left out; ValueError names a setting that is unknown."""
    wanted = chosen.arms or list(grid.arms)
    if unknown := [name for name in wanted if name not in grid.arms]:
        raise ValueError(f"arms: unknown {unknown[0]!r}{suggest(unknown[0], grid.arms)}; the grid has {', '.join(grid.arms)}")
    laid: dict[str, Laid] = {}
    for name in wanted:
        if not missing(grid.arms[name], ground.layers):
            one = lay(chosen, grid, name, ground)
            laid[name] = one._replace(twin=next((other.name for other in laid.values() if not other.twin and _covers(other, one)), ""))
    return laid


def lay(chosen: settings.Study, grid: Grid, name: str, ground: Ground) -> Laid:
    """One arm's settings."""
    arm = grid.arms[name]
    kind = settings.Finetune if grid.recipe == "finetune" else settings.Align
    common = {"name": name, "seed": ground.seed}
    bought = {"verdicts": str(chosen.out)}  # by all arms and seeds together: one spend limit, and no verdict twice
    own = {
        "data": str(ground.data if arm.share == 1 else ground.folder / f"{SHARE}{arm.share}"),
        "out": str(ground.folder / "train" / slug(name)),
        **common,
    }
    table = merged(chosen.train, filled(arm.train, ground.layers), own)
    train: settings.Finetune | settings.Align | None = settings.build(kind, table, f"arm {name!r}") if arm.trained else None  # type: ignore[assignment]
    source = arm.of or (name if arm.trained else "")
    model = answering(chosen, grid, ground.folder / "train" / slug(source) if source else None)
    asked = [
        settings.build(
            settings.Evaluate, merged(bought, chosen.ask, filled(arm.ask, ground.layers), model | common, table), f"arm {name!r}, {kind}"
        )
        for kind, table in questions(chosen, arm, name, ground)
    ]
    own = model | {"data": str(ground.data), "out": str(ground.folder / "recognize" / slug(name)), **common}
    heard = merged(chosen.hear, arm.hear, own) if chosen.hear and arm.heard else None
    return Laid(name, train, tuple(asked), settings.build(settings.Recognize, heard, f"arm {name!r}, hear") if heard else None)


def questions(chosen: settings.Study, arm: Arm, name: str, ground: Ground) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an arm is asked: the kind of question, which is a folder, and the settings of evaluate that are its own."""
    if not arm.asked:
        return
    yield ASK, placed(ground, ASK, name, {"data": str(ground.data)})
    if arm.abroad and ground.other is not None:
        yield ABROAD, placed(ground, ABROAD, name, {"data": str(ground.other), "suites": ["pa"]})
    for kind, table in chosen.also.items():
        if not ("suite" in table and arm.ask.keys() & AS_IT_IS):
            yield kind, placed(ground, f"{ALSO}{slug(kind)}", name, {"data": str(ground.data), **table})


def placed(ground: Ground, kind: str, name: str, table: dict[str, Any]) -> dict[str, Any]:
    """The table with its run folder."""
    return table | {"out": str(ground.folder / kind / slug(name))}


def answering(chosen: settings.Study, grid: Grid, trained: Path | None) -> dict[str, Any]:
    """The settings that name the model of an arm, trained in the folder `trained`, or the model as it came."""
    before = {"model": chosen.train["model"]} if "model" in chosen.train else {}
    if trained is None:
        return before
    return before | {"adapter": str(trained / "adapter")} if grid.recipe == "finetune" else {"model": str(trained / "model")}


def missing(arm: Arm, layers: Mapping[str, str | int]) -> bool:
    """Whether the arm speaks of layers that this model does not have."""
    return any(f"{{{name}}}" in str(arm.train) for name, value in layers.items() if value == "")


def filled(table: Any, layers: Mapping[str, str | int]) -> Any:
    """The table with layers in place of {voice}, {hand_over} …; a value that is nothing else keeps its type."""
    if isinstance(table, Mapping):
        return {name: filled(value, layers) for name, value in table.items()}
    if not isinstance(table, str) or "{" not in table:
        return table
    whole = layers.get(table[1:-1])
    try:
        return whole if whole is not None and table == f"{{{table[1:-1]}}}" else table.format(**layers)
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{table!r}: unknown layers {error}; known: {', '.join(layers)}") from None


def merged(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables one over the other, nested ones too."""
    result: dict[str, Any] = {}
    for table in tables:
        for name, value in table.items():
            inside = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
            result[name] = merged(result[name], value) if inside else value
    return result


def slug(name: str) -> str:
    """The arm's name as a folder."""
    return "".join(letter if letter.isalnum() or letter in "-.@" else "-" for letter in name)


def _covers(first: Laid, second: Laid) -> bool:
    """Whether `first` trains the same, whatever the two are called, and is asked all that `second` is. Whose model a trained arm asks is
    said by its training."""
    hidden = {"name", "out"} | ({"adapter", "model"} if second.train else set())

    def said(one: Laid) -> set[str]:
        return {part.model_dump_json(exclude=hidden) for part in (*one.ask, one.hear) if part}

    trained = [one.train.model_dump_json(exclude={"name", "out"}) if one.train else "" for one in (first, second)]
    return trained[0] == trained[1] and said(second) <= said(first)
