"""A suite's sounds: those that can be heard, as waves for an endpoint or as what the frozen tower makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undertone import settings
from undertone.audio import BadSound, read_sound
from undertone.evaluation.suites.base import Loaded
from undertone.evaluation.suites.tables import sound_key
from undertone.models.base import SpeechLM
from undertone.progress import bar
from undertone.recipes.complaints import no_room
from undertone.recipes.opening import threads
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.training.features import FeatureStore, Listen


class Waves(Mapping[str, NDArray[np.float32]]):
    """Sounds by utterance id, of those that can be heard; each is opened once to know, and again when it is asked for."""

    def __init__(self, rows: Sequence[Utterance], hear: Listen) -> None:
        self._hear, self._rows = hear, {row.id: row for row in bar("opening the clips", len(rows))(rows) if hear(row) is not None}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        wave = self._hear(self._rows[name])
        if wave is None:
            raise OSError(f"{name}: could be heard when this run began and cannot be heard now; put the file back")
        return wave

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def usable(loaded: Loaded, rate: int, rejected: Journal, strict: bool) -> Listen:
    """The wave of a clip; None, once it is noted in `rejected` (`strict`: an error), where it cannot be used."""
    noted = {row.id for row in rejected.rows(Rejected)}

    def wave(row: Utterance) -> NDArray[np.float32] | None:
        try:
            return read_sound(loaded.sound(row), rate, where=row.id).wave
        except BadSound as error:
            if strict:
                raise
            if row.id not in noted:
                rejected.append([Rejected(id=row.id, file_name=row.file_name, reason=error.reason)])
                noted.add(row.id)
            return None

    return wave


def listened(
    chosen: settings.Evaluate, model: SpeechLM, loaded: Loaded, rows: Sequence[Utterance], hear: Listen, folder: Path
) -> FeatureStore:
    """The clips as the frozen tower hears them."""
    store = FeatureStore(
        chosen.features or folder / ".features", model, lambda row: sound_key(row.id, loaded.sound(row)), chosen.features_gb * 1e9
    )
    store.fill(rows, hear, min(chosen.batch, 32), progress=bar("listening"), workers=threads(chosen.workers, model.device))
    if store.unkept:
        no_room(store.unkept, len(rows), store.folder.parent)
    else:
        model.forget_front()
    return store
