"""What was trained is asked as it was trained: `undertone.json` beside an adapter names its model and system prompt, beside an aligned
model how it hears and what it calls its tasks."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from undertone.models import EARS, EMBEDDED, place
from undertone.records import parse_json
from undertone.run import write_atomic
from undertone.settings import Align, Analyze, Ask, Evaluate, Recognize
from undertone.training.lora import made_with

BESIDE = "undertone.json"
"""The file beside what was trained."""

Asking = TypeVar("Asking", Analyze, Ask, Evaluate, Recognize)


def as_trained(chosen: Asking) -> Asking:
    """`chosen` with the adapter's own model and system prompt where they were left open; a warning each where another one is asked for."""
    made = made_with(chosen.adapter) if chosen.adapter else None
    if made is None:
        return _taken_over(chosen, chosen.model, aligned_with(chosen.model))
    asked = chosen.model_copy(update={"model": located(chosen.model)})
    return _taken_over(chosen, str(chosen.adapter), {"model": made.model, "system": made.system}, asked)


def _taken_over(chosen: Asking, where: str, trained: Mapping[str, str | bool], asked: Asking | None = None) -> Asking:
    """`chosen` with what was `trained`, wherever that setting was left as it is by itself."""
    found = {}
    for name, own in trained.items():
        now = getattr(asked or chosen, name, own)
        if not own or own == now:
            continue
        if now == type(chosen).model_fields[name].default:
            found[name] = own
        else:
            logging.getLogger(__name__).warning("%s: trained with %s %r, asked with %r", where, name, own, now)
    return chosen.model_copy(update=found)


def remember(chosen: Align, folder: Path) -> None:
    """Write beside an aligned model how it was taught to hear, and the wording of its recognition."""
    table = {name: getattr(chosen, name) for name in ("per_speaker", "recognition")}
    write_atomic(folder / BESIDE, json.dumps(table, indent=2) + "\n")


def aligned_with(model: str) -> Mapping[str, str | bool]:
    """What `remember` wrote beside `model`; nothing where it is another kind of model, or not in a folder."""
    path = Path(place(model)) / BESIDE
    if not path.is_file():
        return {}
    table = parse_json(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(table, dict):
        raise OSError(f"{path}: no table of what the model was aligned with; delete the file or copy it again")
    return table


def located(model: str) -> str:
    """The model's name, or where its folder lies: adapters are asked from other places than they are trained in."""
    return model if model in (EMBEDDED, EARS) or not Path(model).is_dir() else str(Path(model).resolve())
