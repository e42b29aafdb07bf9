"""What every recipe that asks a model opens first: the model, the data, and the clips as the frozen tower hears them."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from undertone.audio import BadSound, Wave
from undertone.models import open_model
from undertone.models.base import SpeechLM
from undertone.progress import bar
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.settings import Model
from undertone.speech import corpora
from undertone.speech.folder import Data, load_wave
from undertone.training.features import FeatureStore


class Corridor(NamedTuple):
    """Model, data, and the store of audio embeddings; clips that cannot be heard are noted in `rejected` (`strict`: an error)."""

    model: SpeechLM
    data: Data
    heard: FeatureStore
    rejected: Journal
    strict: bool

    def listen(self, rows: Sequence[Utterance], batch: int) -> list[Utterance]:
        """The `rows` that can be heard, once their embeddings are in the store."""

        def wave(row: Utterance) -> Wave | None:
            try:
                return load_wave(self.data, row, self.model.sample_rate)
            except BadSound as error:
                if self.strict:
                    raise
                if row.id not in {known.id for known in self.rejected.rows(Rejected)}:
                    self.rejected.append([Rejected(id=row.id, file_name=row.file_name, reason=error.reason)])
                return None

        self.heard.fill(rows, wave, min(batch, 32), progress=bar("listening"))
        return [row for row in rows if row.id in self.heard]


def open_corridor(settings: Model, folder: Path) -> Corridor:
    """Open what `settings` name; clips that are turned away are listed in `folder`."""
    rejected = Journal(folder / "rejected.jsonl")
    data = read_data(settings, rejected)
    model = open_model(settings.model, settings.family, settings.device, settings.dtype)
    store = FeatureStore(data.folder / ".features", model, partial(_sound_key, data.folder))
    return Corridor(model, data, store, rejected, settings.strict)


def _sound_key(folder: Path, row: Utterance) -> str:
    """Changes with the file: two manifests may use one id for two sounds, and a clip may be recorded again."""
    path = folder / row.file_name
    stat = path.stat() if path.exists() else None
    made_of = (row.id, row.file_name, stat and stat.st_size, stat and stat.st_mtime_ns)
    return sha256(repr(made_of).encode()).hexdigest()[:24]


def read_data(settings: Model, rejected: Journal) -> Data:
    """A data folder, or one's own manifest (`messages` JSONL, CSV)."""
    found = corpora.read_data(settings.data, settings.columns, settings.strict)
    known = {row.id for row in rejected.rows(Rejected)}
    rejected.append(row for row in found.rejected if row.id not in known)
    return found.data
