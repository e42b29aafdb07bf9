"""The model's answers to a suite's items: clips are heard once, through the store of features, or their words are typed."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undertone import settings
from undertone.attributes import note
from undertone.endpoint import Endpoint
from undertone.evaluation.controls import CONTROLS
from undertone.evaluation.replies import ask
from undertone.evaluation.suites.base import Item, Loaded, Suite
from undertone.models import open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.models.endpoint import Served
from undertone.progress import bar
from undertone.recipes.asking import swapped
from undertone.recipes.listening import Waves, listened, usable
from undertone.recipes.rows import exchangeable
from undertone.recipes.served import BOUGHT, send
from undertone.records import Rejected, Utterance
from undertone.run import Journal, Run
from undertone.training.features import FeatureStore
from undertone.training.lora import load_adapter


def answers(
    chosen: settings.Evaluate, suite: Suite, loaded: Loaded, items: Sequence[Item], known: Collection[str], run: Run, journal: Journal
) -> None:
    """Ask for the replies to those of `items` that are not `known`, which go into `journal`; clips that cannot be heard are noted in
    rejected.jsonl and left out, and so is, with a warning, what a model behind an endpoint gives no reply to."""
    rejected = Journal(run.folder / "rejected.jsonl")
    noted = {row.id for row in rejected.rows(Rejected)}
    rejected.append(row for row in loaded.rejected if row.id not in noted)
    control = CONTROLS.get(chosen.control)
    by_id = {item.utterance.id: item for item in items}
    # Which voices change places is drawn over all pairs, however many of them were asked before.
    rows = [item.utterance for item in items if item.utterance.id not in known or (control and control.every)]
    model = opened(chosen, run.folder)
    hear = usable(loaded, model.sample_rate, rejected, chosen.strict)
    heard: FeatureStore | Mapping[str, NDArray[np.float32]] | None = None
    if not (chosen.words or (control and control.typed)):
        heard = Waves(rows, hear) if isinstance(model, Served) else listened(chosen, model, loaded, rows, hear, run.folder)
        rows = [row for row in rows if row.id in heard]
    if control and control.every:
        rows = exchangeable(rows, chosen.data)  # a clip that cannot be heard leaves its partner alone
    played = swapped(rows, chosen.seed, control.every) if control and control.every else {}
    rows = [row for row in rows if row.id not in known]
    tells = chosen.words == "tagged" or bool(control and control.told)

    def prompt(row: Utterance) -> Prompt:
        told = note(row.attributes) if tells else ""
        if heard is not None:
            return suite.prompt(by_id[row.id], heard[played.get(row.id, row.id)], chosen.system)._replace(note=told)
        made = suite.prompt(by_id[row.id], None, chosen.system)
        return made._replace(text="\n".join(filter(None, [row.text, made.text])), note=told)

    if isinstance(model, Served):
        silent = send(model, rows, prompt, run.name, chosen.max_new_tokens, journal)
        if silent:
            said = "%d items got no reply (%s); the same command asks again"
            logging.getLogger(__name__).warning(said, len(silent), next(iter(silent.values())))
        return
    if chosen.adapter is not None and chosen.strength > 0:
        load_adapter(model, chosen.adapter, chosen.strength)
    plain = chosen.engine == "plain"
    for batch in ask(model, rows, prompt, run.name, chosen.batch, chosen.max_new_tokens, False, bar(run.name), plain):
        journal.append(batch)


def opened(chosen: settings.Evaluate, folder: Path) -> SpeechLM | Served:
    """The model that is here, or the one behind an endpoint, of which is kept in `folder` what was bought."""
    if chosen.model.startswith(settings.SERVED):
        return Served(Endpoint(chosen.model.removeprefix(settings.SERVED), **chosen.served.model_dump()), folder / BOUGHT)
    return open_model(chosen.model, chosen.family, chosen.device, chosen.dtype, chosen.bits, chosen.remote_code)
