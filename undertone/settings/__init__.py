"""Every setting of every recipe: strict, frozen, read from --config FILE.toml and flags. This package imports no model code."""

from undertone.settings.frozen import Align, Condition, Objectives, Projector, Recognize, Tasks
from undertone.settings.outputs import Demo, Export, Report
from undertone.settings.reading import BadSetting, Endpoint, S, Server, Settings, build, closest, flags, known, read_config, to_toml
from undertone.settings.recipes import (
    SERVED,
    Adch,
    Analyze,
    Ask,
    Dpo,
    Evaluate,
    Finetune,
    Lora,
    Model,
    Speaking,
    Synthesize,
    Training,
)
from undertone.settings.study import Arm, Grid, Study, read_grid

__all__ = [
    "SERVED",
    "Adch",
    "Align",
    "Analyze",
    "Arm",
    "Ask",
    "BadSetting",
    "Condition",
    "Demo",
    "Dpo",
    "Endpoint",
    "Evaluate",
    "Export",
    "Finetune",
    "Grid",
    "Lora",
    "Model",
    "Objectives",
    "Projector",
    "Recognize",
    "Report",
    "S",
    "Server",
    "Settings",
    "Speaking",
    "Study",
    "Synthesize",
    "Tasks",
    "Training",
    "build",
    "closest",
    "flags",
    "known",
    "read_config",
    "read_grid",
    "to_toml",
]
