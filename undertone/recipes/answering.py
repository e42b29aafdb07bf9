"""The model's answers to a suite's items: clips are heard once, through the store of features, or their words are typed."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undertone import settings
from undertone.attributes import note
from undertone.audio import BadSound, read_sound
from undertone.evaluation.replies import ask
from undertone.evaluation.suites.base import Item, Loaded, Suite
from undertone.models import open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.progress import bar
from undertone.records import Rejected, Reply, Utterance
from undertone.run import Journal, Run
from undertone.training.features import FeatureStore
from undertone.training.lora import load_adapter


def answers(chosen: settings.Evaluate, suite: Suite, loaded: Loaded, items: Sequence[Item], run: Run) -> Iterator[list[Reply]]:
    """The model's replies, batch by batch; clips that cannot be heard are noted in rejected.jsonl and left out."""
    model = open_model(chosen.model, chosen.family, chosen.device, chosen.dtype)
    by_id = {item.utterance.id: item for item in items}
    rejected = Journal(run.folder / "rejected.jsonl")
    noted = {row.id for row in rejected.rows(Rejected)}
    rejected.append(row for row in loaded.rejected if row.id not in noted)
    heard = None if chosen.words else listened(chosen, model, loaded, [item.utterance for item in items], rejected, run.folder)
    rows = [item.utterance for item in items if heard is None or item.utterance.id in heard]
    if chosen.adapter is not None:
        load_adapter(model, chosen.adapter, chosen.strength)

    def prompt(row: Utterance) -> Prompt:
        asked = suite.prompt(by_id[row.id], None if heard is None else heard[row.id], chosen.system)
        if heard is not None:
            return asked
        return asked._replace(text=row.text, note=note(row.attributes) if chosen.words == "tagged" else "")

    yield from ask(model, rows, prompt, run.name, chosen.batch, chosen.max_new_tokens, False, bar(run.name))


def listened(
    chosen: settings.Evaluate, model: SpeechLM, loaded: Loaded, rows: Sequence[Utterance], rejected: Journal, folder: Path
) -> FeatureStore:
    """The clips as the frozen tower hears them."""
    noted = {row.id for row in rejected.rows(Rejected)}

    def wave(row: Utterance) -> NDArray[np.float32] | None:
        try:
            return read_sound(loaded.sound(row), model.sample_rate, where=row.id).wave
        except BadSound as error:
            if chosen.strict:
                raise
            if row.id not in noted:
                rejected.append([Rejected(id=row.id, file_name=row.file_name, reason=error.reason)])
            return None

    def key(row: Utterance) -> str:
        sound = loaded.sound(row)
        if isinstance(sound, BytesIO):
            return sha256(sound.getbuffer()).hexdigest()[:24]
        stat = sound.stat() if isinstance(sound, Path) and sound.exists() else None
        return sha256(repr((row.id, str(sound), stat and stat.st_size, stat and stat.st_mtime_ns)).encode()).hexdigest()[:24]

    store = FeatureStore(chosen.features or folder / ".features", model, key)
    store.fill(rows, wave, min(chosen.batch, 32), progress=bar("listening"))
    model.forget_front()
    return store
