"""An adapter is asked as it was trained: of the model and under the system prompt that `undertone.json` beside it names."""

import logging
from pathlib import Path
from typing import TypeVar

from undertone.models import EARS, EMBEDDED
from undertone.settings import Analyze, Ask, Evaluate, Model, Recognize
from undertone.training.lora import made_with

Asking = TypeVar("Asking", Analyze, Ask, Evaluate, Recognize)


def as_trained(chosen: Asking) -> Asking:
    """`chosen` with the adapter's own model and system prompt where they were left open; a warning each where another one is asked for."""
    made = made_with(chosen.adapter) if chosen.adapter else None
    if made is None:
        return chosen
    found = {}
    for name, own, asked in (("model", made.model, located(chosen.model)), ("system", made.system, chosen.system)):
        if not own or own == asked:
            continue
        if asked == Model.model_fields[name].default:
            found[name] = own
        else:
            warn = logging.getLogger(__name__).warning
            warn("%s: trained with %s %r, asked with %r", chosen.adapter, name, own, asked)
    return chosen.model_copy(update=found)


def located(model: str) -> str:
    """The model's name, or where its folder lies: adapters are asked from other places than they are trained in."""
    return model if model in (EMBEDDED, EARS) or not Path(model).is_dir() else str(Path(model).resolve())
