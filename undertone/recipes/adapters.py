"""What was trained is asked as it was trained: `undertone.json` beside an adapter names its model and system prompt, beside an aligned
model how it hears and what it calls its tasks."""

import json
import logging
from pathlib import Path
from typing import TypeVar

from undertone.models import EARS, EMBEDDED, place
from undertone.run import write_atomic
from undertone.settings import Align, Analyze, Ask, Evaluate, Recognize
from undertone.training.lora import BESIDE, beside, made_with

Asking = TypeVar("Asking", Analyze, Ask, Evaluate, Recognize)


def as_trained(chosen: Asking) -> Asking:
    """`chosen` with the adapter's own model and system prompt where they were left open; a warning each where another one is asked for."""
    made = made_with(chosen.adapter) if chosen.adapter else None
    where = str(chosen.adapter) if made else chosen.model
    trained = {"model": made.model, "system": made.system} if made else beside(Path(place(chosen.model)))
    asked = chosen.model_copy(update={"model": located(chosen.model)})
    found = {}
    for name, own in trained.items():
        now = getattr(asked, name, own)
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


def located(model: str) -> str:
    """The model's name, or where its folder lies: adapters are asked from other places than they are trained in."""
    return model if model in (EMBEDDED, EARS) or not Path(model).is_dir() else str(Path(model).resolve())
