"""Tiny checkpoints as they lie on the hub: each family's own class with random weights, its tokenizer and its front end, in a folder."""

import json
from pathlib import Path
from typing import Any

from undertone.lookup import resolve
from undertone.models import FAMILIES

STOCK = tuple(name for name in FAMILIES if name != "frozen_llm")


def save(model: Any, folder: Path) -> Path:
    """What Transformers writes of `model`."""
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    if hasattr(model.extractor, "save_pretrained"):
        model.extractor.save_pretrained(folder)
    else:  # Granite's own class is not importable here; this is what of its file is read
        says = model.extractor._asdict()
        (folder / "preprocessor_config.json").write_text(json.dumps({"melspec_kwargs": {"sample_rate": says.pop("sampling_rate"), **says}}))
    return folder


def saved(family: str, folder: Path, seed: int = 0) -> Path:
    """A tiny checkpoint of `family`."""
    return save(resolve(FAMILIES, family, "model family").tiny(seed), folder)


def named(family: str, folder: Path) -> list[str]:
    """The flags that open it."""
    return ["--model", str(folder), *(["--family", "generic"] if family == "generic" else [])]
