"""What every recipe that asks a model opens first: the model, the data, and the clips as the frozen tower hears them."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch

from undertone.models import choose_device, choose_dtype, device_name, open_model, weights_hash
from undertone.models.base import SpeechLM
from undertone.progress import bar
from undertone.recipes.complaints import no_room, turned_away, warn
from undertone.recipes.sounds import Sounds, usable
from undertone.records import Rejected, Utterance
from undertone.run import Journal, Run, open_run
from undertone.settings import SERVED, Align, Analyze, Evaluate, Finetune, Model, Recognize
from undertone.speech import corpora
from undertone.speech.corpora.published import inventory
from undertone.speech.folder import Data
from undertone.training.features import FeatureStore
from undertone.training.ranks import ranks
from undertone.workers import cores


class Corridor(NamedTuple):
    """Model, data, and the store of audio embeddings; clips that cannot be heard are noted in `rejected` (`strict`: an error).

    `ours`: undertone wrote the data, so nobody has opened the clips of this run yet. `sounds` opens them. `notes`: utterance id → what a
    cascade writes beside its sound. `workers`: threads that make frames ahead of the tower."""

    model: SpeechLM
    data: Data
    heard: FeatureStore
    rejected: Journal
    strict: bool
    ours: bool
    sounds: Sounds
    notes: Mapping[str, str] = MappingProxyType({})
    workers: int = 0

    def listen(self, rows: Sequence[Utterance], batch: int) -> list[Utterance]:
        """The `rows` that can be heard, once their embeddings are in the store. What was converted or turned away is said at the end,
        so a recipe calls this once. Of several processes the main one listens."""
        together = ranks(self.model.device)
        with together.main_process_first():  # the others know what it turned away
            wave = usable(self.sounds, self.rejected, self.strict)
            if together.is_main_process:
                self.heard.fill(rows, wave, min(batch, 32), progress=bar("listening"), workers=self.workers)
            else:
                self.heard.look_up(rows, wave)
        if self.heard.unkept:
            no_room(self.heard.unkept, len(rows), self.heard.folder.parent)
        else:
            self.model.forget_front()
        found = [row for row in rows if row.id in self.heard]
        warn(len(rows) - len(found), self.sounds, self.rejected, self.ours)
        return found


def begin(chosen: Align | Analyze | Finetune | Evaluate | Recognize, name: str) -> Run:
    """The run folder of a recipe that asks a model: bound to its settings, and to what model, data, adapter and earlier replies hold."""
    adapter, against = getattr(chosen, "adapter", None) or Path(), getattr(chosen, "against", None) or Path()
    read = {
        "data": corpora.manifests(chosen.data),
        "adapter": [adapter / "adapter_model.safetensors"],
        "against": [against / "replies.jsonl"],
    }
    found = {name: [path.read_bytes() for path in paths if path.is_file()] for name, paths in read.items()}
    inputs = {name: sha256(b"".join(contents)).hexdigest() for name, contents in found.items() if contents}
    if corpora.is_published(chosen.corpus):
        inputs["data"] = sha256(inventory(chosen.data)).hexdigest()
    inputs |= {"model": weights} if chosen.model and (weights := weights_hash(chosen.model)) else {}
    if chosen.model.startswith(SERVED):
        return open_run(chosen.out, name, chosen.model_dump(mode="json"), chosen.seed, "endpoint", inputs, chosen.usual())
    inputs["dtype"] = choose_dtype(chosen.dtype, choose_device(chosen.device))  # what empty means depends on the machine
    return open_run(chosen.out, name, chosen.model_dump(mode="json"), chosen.seed, device_name(chosen.device), inputs, chosen.usual())


def open_corridor(settings: Model, folder: Path, through: str = "clean") -> Corridor:
    """Open what `settings` name; clips that are turned away are listed in `folder`. `through`: the condition they are heard under."""
    with ranks(torch.device(choose_device(settings.device))).main_process_first():
        rejected = Journal(folder / "rejected.jsonl")
        data = read_data(settings, rejected)
    model = open_model(settings.model, settings.family, settings.device, settings.dtype, settings.bits, settings.remote_code)
    sounds = Sounds(data, model, through, settings.per_speaker)
    most = settings.features_gb * 1e9
    store = FeatureStore(kept_in(settings, data, folder, "features"), model, sounds.key, most)
    ours, workers = corpora.is_ours(settings.data, settings.corpus), threads(settings.workers, model.device)
    return Corridor(model, data, store, rejected, settings.strict, ours, sounds, workers=workers)


def threads(asked: int | None, device: torch.device) -> int:
    """How many threads make frames ahead of the tower."""
    if asked is not None:
        return asked
    return 0 if device.type == "cpu" else min(8, cores())


def kept_in(settings: Model, data: Data, folder: Path, kind: Literal["features", "teacher"]) -> Path:
    """Where what several runs share is kept: where the setting says, else beside the clips or, of a published corpus, which is nobody's to
    write into, beside the run `folder`."""
    chosen: Path | None = getattr(settings, kind)
    return chosen or (folder.parent if corpora.is_published(settings.corpus) else data.folder) / f".{kind}"


def read_data(settings: Model, rejected: Journal) -> Data:
    """The data that `settings` name; what its reader turned away is noted in `rejected`."""
    words = (settings.columns, settings.values)
    found = corpora.read_data(settings.data, *words, settings.strict, settings.disjoint, settings.corpus, settings.fold)
    known = {row.id for row in rejected.rows(Rejected)}
    rejected.append(row for row in found.rejected if row.id not in known)
    turned_away(len(found.rejected), rejected)
    return found.data
