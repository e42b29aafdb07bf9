"""Every setting of every recipe: strict, frozen, read from --config FILE.toml and flags. This package imports no model code."""

from undertone.settings.frozen import Align, Condition, Objectives, Projector, Recognize, Tasks
from undertone.settings.reading import BadSetting, Endpoint, S, Settings, build, closest, flags, known, read_config, to_toml
from undertone.settings.recipes import Adch, Analyze, Ask, Demo, Evaluate, Finetune, Lora, Model, Report, Synthesize, Training

__all__ = [
    "Adch",
    "Align",
    "Analyze",
    "Ask",
    "BadSetting",
    "Condition",
    "Demo",
    "Endpoint",
    "Evaluate",
    "Finetune",
    "Lora",
    "Model",
    "Objectives",
    "Projector",
    "Recognize",
    "Report",
    "S",
    "Settings",
    "Synthesize",
    "Tasks",
    "Training",
    "build",
    "closest",
    "flags",
    "known",
    "read_config",
    "to_toml",
]
