"""The settings of what others are given: a merged checkpoint, a report, the demo."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from undertone.settings.reading import Settings


class Export(Settings):
    """A trained adapter, merged into a plain checkpoint or renamed for servers, with a model card."""

    adapter: Path = Path("runs/finetune/adapter")
    """folder of a PEFT adapter"""
    model: str = ""
    """checkpoint that it is merged into; empty: the one that it was trained on"""
    family: str = ""
    """model family; empty: read from the checkpoint's config"""
    out: Path = Path("runs/export")
    """the folder that is written"""
    form: Literal["checkpoint", "adapter"] = "checkpoint"
    """checkpoint: the base's folder with the updates in its weights; adapter: the adapter under the names that vLLM expects"""
    runs: list[Path] = Field([])
    """run folders of evaluations whose scores go onto the model card; the fine-tuning's own are there"""
    title: str = ""
    """headline of the model card; empty: the name of the folder"""
    license: str = ""
    """licence on the model card, e.g. apache-2.0; empty: the base model's, where its README.md says it"""


class Report(Settings):
    """One self-contained HTML page from run folders."""

    runs: list[Path] = Field([Path("runs/demo")], min_length=1)
    """folders of evaluate, analyze, finetune or demo; what lies in them is shown side by side"""
    out: Path | None = None
    """the page; empty: report.html in the folder, or in the nearest one that holds them all"""
    title: str = "How the model hears its speakers"
    """headline"""


class Demo(Settings):
    """The whole corridor on the embedded model: synthesise, analyse, fine-tune or align, evaluate, report."""

    out: Path | None = None
    """run folder; empty: runs/demo, or runs/demo-frozen"""
    road: Literal["pe-ft", "frozen"] = "pe-ft"
    """pe-ft: fine-tune the layers that carry the voice; frozen: teach only a speech encoder, before a frozen language model"""
    size: Literal["small", "default", "full"] = "default"
    """small: under 3 minutes; full: adds selective, random-layers and three seeds"""
    seed: int = 0
    """seed of everything"""
