"""A note that is chosen (`models.chosen`), before it is taught: its probes are fitted, and its tokens begin at the written notes."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from undertone import settings
from undertone.analysis.probes import fit
from undertone.attributes import ATTRIBUTES, note
from undertone.models.chosen import Chosen
from undertone.models.frozen_llm import FrozenLLM
from undertone.records import Utterance
from undertone.training.frames import Frames

STRENGTH = 0.003
"""scikit-learn's C of the probes: a profile has more numbers than a corpus has clips."""


def choose(chosen: settings.Align, model: FrozenLLM, frames: Frames, rows: Sequence[Utterance]) -> list[Utterance]:
    """Give `model` a note that is chosen as the training clips `rows` say; returns what is trained on, each clip with every value.

    ValueError where no attribute has two values among them.
    """
    said = {name: {row.attributes.get(name) for row in rows} for name in ATTRIBUTES}
    values = {name: [one for one in ATTRIBUTES[name].names if one in found] for name, found in said.items() if len(found - {None}) > 1}
    if not values:
        raise ValueError(f"note: no attribute has two values among the training clips of {chosen.data}; there is nothing to choose")
    if not (chosen.note_tokens or model.front.projector.note_tokens):
        raise ValueError("note: a chosen note has tokens; set note_tokens above 0, a multiple of the attributes")
    model.front.with_note(chosen.note_tokens or model.front.projector.note_tokens, values)
    made = model.front.projector.note
    assert isinstance(made, Chosen)
    # What is augmented is heard once more, changed as the dice fall: half of what a probe is fitted to, or more, is as recorded.
    torch.manual_seed(chosen.seed)
    takes = [frames.plain, frames.changed] if chosen.augment or chosen.spec_augment else [frames.plain]
    profiles = torch.cat([profile(model, take, rows, chosen.batch) for take in takes])
    shown = [*rows] * len(takes)
    table = model.module.get_input_embeddings().weight.detach().float()  # type: ignore[operator]
    for name, of in values.items():
        told, block = [i for i, row in enumerate(shown) if name in row.attributes], made.block(name)
        found = fit(profiles[told], [of.index(shown[i].attributes[name]) for i in told], STRENGTH / len(takes))
        made.slopes[block], made.constants[block] = found.folded()
        for place, value in enumerate(of, start=block.start):
            ids = model.reply_ids(note({name: value}))[: made.bank.shape[1]]
            made.bank.data[place, : len(ids)] = table[ids]
    return in_every_voice(rows, values)


def profile(model: FrozenLLM, take: Callable[[Utterance], Tensor], rows: Sequence[Utterance], batch: int) -> Tensor:
    """(clip, width) what the encoder makes of each clip, heard by `take`."""
    parts = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    return torch.cat([model.inside([take(row) for row in part])[2].cpu() for part in parts])


def in_every_voice(rows: Sequence[Utterance], values: Mapping[str, Sequence[str]]) -> list[Utterance]:
    """Each clip as often as an attribute has values at most, once with each of them: what is said to the language model beside it does not
    come from its sound while that is taught, so any clip's words serve for every value, and none of them gives it away."""
    most = max(map(len, values.values()))
    return [
        row.model_copy(update={"attributes": {name: of[(number + turn) % len(of)] for name, of in values.items()}})
        for number, row in enumerate(rows)
        for turn in range(most)
    ]
