"""What every recipe that asks a model opens first: the model, the data, and the clips as the frozen tower hears them."""

from collections.abc import Sequence
from typing import NamedTuple

from undertone.models import open_model
from undertone.models.base import SpeechLM
from undertone.progress import bar
from undertone.records import Utterance
from undertone.settings import Model
from undertone.speech.folder import Data, load_wave, read_folder
from undertone.training.features import FeatureStore


class Corridor(NamedTuple):
    """Model, data, and the store of audio embeddings."""

    model: SpeechLM
    data: Data
    heard: FeatureStore

    def listen(self, rows: Sequence[Utterance], batch: int) -> None:
        """See to it that the embeddings of `rows` are in the store."""
        self.heard.fill(rows, lambda row: load_wave(self.data, row, self.model.sample_rate), min(batch, 32), progress=bar("listening"))


def open_corridor(settings: Model) -> Corridor:
    """Open what `settings` name."""
    data = read_folder(settings.data)
    model = open_model(settings.model, settings.family, settings.device, settings.dtype)
    return Corridor(model, data, FeatureStore(data.folder / ".features", model))
