"""The settings of a study, and the grid that it runs: ways to train, tables, claims and what was published, read from a TOML file."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from undertone.settings.reading import BadSetting, Settings, closest, read_config

GRIDS = Path(__file__).parent.parent / "studies"
"""Where the grids of the two papers lie."""


class Arm(Settings):
    """A way to have the model answer: what differs from the study's own tables. {voice}, {meaning}, {adapt}, {after}, {count}, {hand_over}
    and {last} in it are layers."""

    trained: bool = True
    """whether anything is trained; if not, the model as it came is asked"""
    train: dict[str, Any] = Field({})
    """settings of finetune or align that differ"""
    ask: dict[str, Any] = Field({})
    """settings of evaluate that differ"""
    hear: dict[str, Any] = Field({})
    """settings of recognize that differ"""
    of: str = ""
    """whose trained model is asked; empty: its own, or the model as it came"""
    share: float = Field(1.0, gt=0, le=1)
    """of the training pairs, how many are used"""
    asked: bool = True
    """whether it replies; a classifier only recognises"""
    heard: bool = True
    """whether it is asked what it hears"""
    abroad: bool = False
    """whether it is also asked in the voices of the other synthesiser"""


class Claim(Settings):
    """What somebody said of two arms: `of` less `than` is above, below or within `margin`. Without `than`, `of` itself is."""

    said: str
    """the claim in words, with its source"""
    of: str
    """arm"""
    than: str = ""
    """arm"""
    cell: str
    """what is compared: suite, metric (pa_score where none is said) and group (all), e.g. child-safety pa_rate child"""
    than_cell: str = ""
    """where `than` is looked up; empty: in the same cell"""
    lies: Literal["above", "below", "within"] = "above"
    """where the difference lies if the claim is right"""
    margin: float = 0.0
    """bound of the difference"""


class Fact(Settings):
    """What somebody said that is counted and not weighed: a metric of trainings that is 1 in all of them, or the depth of a layer."""

    said: str
    """the claim in words, with its source"""
    metric: str = ""
    """metric of a training's scores that is 1 if the claim is right"""
    layer: Literal["", "hand_over", "last"] = ""
    """a layer that the analysis of the vanilla model chooses: the hand-over, or the last that is adapted"""
    at: float = Field(0.0, ge=0, le=1)
    """where it was published, as a share of the depth"""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.metric) == bool(self.layer):
            raise ValueError(f"facts: {self.said!r}: name a metric or a layer")
        return self


class TableOf(Settings):
    """A table: which arms, which cells, and what was published of them."""

    title: str
    """what it shows"""
    arms: list[str]
    """rows"""
    cells: list[str]
    """columns: suite, metric and group as above"""


class Grid(Settings):
    """What a study runs and asks."""

    recipe: Literal["finetune", "align"]
    """what trains"""
    arms: dict[str, Arm]
    """name → arm"""
    tables: list[TableOf]
    """tables"""
    claims: list[Claim] = Field([])
    """claims"""
    facts: list[Fact] = Field([])
    """claims that are counted"""
    published: dict[str, dict[str, dict[str, float | str]]] = Field({})
    """model → arm → cell → the published number, or what was said in words"""

    @field_validator("tables", "claims")
    @classmethod
    def _known_arms(cls, rows: list[Any], info: Any) -> list[Any]:
        known = info.data.get("arms", {})
        for row in rows:
            for name in row.arms if isinstance(row, TableOf) else filter(None, (row.of, row.than)):
                if name not in known:
                    raise ValueError(f"unknown arm {name!r}; closest known: {closest(name, list(known))}")
        return rows


def read_grid(name: str) -> Grid:
    """The grid called `name`, or in the file of that name."""
    shipped = GRIDS / f"{name}.toml"
    if not name.endswith(".toml") and not shipped.is_file():
        known = sorted(path.stem for path in GRIDS.glob("*.toml"))
        raise BadSetting(f"grid: unknown {name!r}; known: {', '.join(known)}; or name a TOML file")
    return read_config(Grid, shipped if shipped.is_file() else Path(name))


class Study(Settings):
    """Run a grid of ways to train over several seeds, fill the papers' tables, and say which of their claims hold.

    What the commands that it runs are told stands in tables of the settings file: synthesize, other_voices, analyze, train, ask, also and
    hear.
    """

    out: Path = Path("runs/study")
    """run folder"""
    grid: str = "pe_ft"
    """pe_ft, frozen, or a TOML file of arms, tables and claims"""
    arms: list[str] = Field([])
    """arms that are run; empty: all of the grid"""
    seeds: list[int] = Field([0, 1, 2], min_length=1)
    """one training an arm and seed"""
    data: Path | None = None
    """data folder of all seeds; empty: each seed has its own voices and texts made, as `synthesize` says"""
    layers: dict[str, str] = Field({})
    """voice, meaning, adapt, after, hand_over = layers, e.g. voice = 0-6; empty: as the analysis of the vanilla model chooses"""
    synthesize: dict[str, Any] = Field({})
    """settings of undertone synthesize"""
    other_voices: dict[str, Any] = Field({})
    """settings of undertone synthesize for a test in the voices of another synthesiser; empty: no such test"""
    analyze: dict[str, Any] = Field({})
    """settings of undertone analyze"""
    train: dict[str, Any] = Field({})
    """settings that all arms' trainings share, of finetune or align"""
    ask: dict[str, Any] = Field({})
    """settings of undertone evaluate that all arms share"""
    also: dict[str, dict[str, Any]] = Field({})
    """further evaluations of every arm that replies: name → settings, such as voicebench = { suite = "voicebench", data = "…" }"""
    hear: dict[str, Any] = Field({})
    """settings of undertone recognize that all arms share; empty: nobody is asked what they hear"""
    estimate_cost: bool = False
    """train and ask nothing; print how many verdicts the judges of all arms and seeds would give, and about how many tokens that takes"""
    bootstrap: int = Field(2000, ge=200)
    """resamples of every comparison; with fewer than 40 a claim no verdict can be reached, which is refused"""
