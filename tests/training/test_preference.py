"""DPO on minimal pairs: the formula, the parts of a batch, what the model was, and that it teaches."""

import math
from pathlib import Path

import pytest
import small
import torch
from torch.nn import functional as F

from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.run import Journal
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train, validate
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import Sizes
from undertone.training.preference import PairEncoder, PreferencePeFt, margins

BETA = 0.3


def clips(count: int = 12, split: str = "u") -> list[Utterance]:
    """The small rows; those with a category get the contrast's reply."""
    return [
        row.model_copy(update={"contrast_reply": "leave the socket alone"}) if row.category != "content" else row
        for row in small.rows(count, split)
    ]


class Room:
    """A small model with an adapter, its clips and what it preferred before."""

    def __init__(self, folder: Path, packed: bool = True, share: float = 1.0, weight: float = 0.5) -> None:
        self.model = Qwen2_5Omni.tiny(0)
        self.model.module.requires_grad_(False)
        self.before = margins(self.model, clips() + clips(6, "d"), self.prompt, 4, Journal(folder / "reference.jsonl"))
        layers = choose_layers("0-1", self.model)
        self.adapted = adapt(self.model, layers, ["q_proj", "v_proj"], rank=2, alpha=4, dropout=0.0, seed=0)
        torch.manual_seed(1)
        self.objective = PreferencePeFt(self.model, self.adapted, layers[-1], weight, 192, share=share, beta=BETA)
        self.encode = PairEncoder(Encoder(self.model, small.heard, packed=packed), self.before)

    def prompt(self, row: Utterance) -> Prompt:
        return Prompt(audio=small.heard(row.id))

    def moved(self) -> "Room":
        """The same with an adapter that does something."""
        for name, value in self.adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(len(name)))
        return self

    def likelihood(self, row: Utterance, reply: str) -> float:
        """log p(reply | clip), by the reply's tokens one clip at a time."""
        return -float(self.model.token_losses(self.model.encode([self.prompt(row)], [reply])).sum())


def test_the_model_as_it_was_gains_nothing(tmp_path: Path) -> None:
    room, rows = Room(tmp_path, share=0.7), clips()
    found = room.objective(*room.encode(rows), room.encode.sizes(rows))
    assert found.preference.item() == pytest.approx(math.log(2), abs=1e-4)
    wanted = found.sft + 0.5 * (found.category + found.attribute) + 0.7 * found.preference
    assert found.loss.item() == pytest.approx(wanted.item(), abs=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_equals_the_formula_written_out_clip_by_clip(tmp_path: Path, packed: bool) -> None:
    room, rows = Room(tmp_path, packed).moved(), clips()
    wanted, gains = [], []
    with torch.no_grad():
        for row in rows:
            if row.contrast_reply:
                after = room.likelihood(row, row.reply or "") - room.likelihood(row, row.contrast_reply)
                with room.adapted.disable_adapter():
                    before = room.likelihood(row, row.reply or "") - room.likelihood(row, row.contrast_reply)
                assert room.before[row.id] == pytest.approx(before, abs=1e-4)
                gains.append(after - before)
                wanted.append(-float(F.logsigmoid(torch.tensor(BETA * (after - before)))))
        found = room.objective(*room.encode(rows), room.encode.sizes(rows))
    assert len(wanted) == 10
    assert min(map(abs, gains)) > 1e-3
    assert float(found.preference) == pytest.approx(sum(wanted) / len(wanted), abs=1e-5)
    assert float(found.preferred) == pytest.approx(sum(gain > 0 for gain in gains) / len(gains))


def test_parts_add_up_to_the_batch(tmp_path: Path) -> None:
    """Gradients, too, and a part without a pair has its place."""
    room, rows = Room(tmp_path).moved(), clips()
    paired, single = [row for row in rows if row.contrast_reply], [row for row in rows if not row.contrast_reply]
    sizes = room.encode.sizes(rows)
    assert sizes.pairs == len(paired) == 10
    sums: list[torch.Tensor] = []
    slopes = []
    for parts in ([rows], [paired[:3], paired[3:], single]):
        room.objective.zero_grad()
        losses = [room.objective(*room.encode(part), sizes).loss for part in parts]
        sum(losses, start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        sums.append(sum(losses, start=torch.zeros(())).detach())
        slopes.append([value.grad.clone() for value in room.objective.parameters() if value.requires_grad and value.grad is not None])
    torch.testing.assert_close(sums[0], sums[1], atol=1e-5, rtol=1e-5)
    for whole, added in zip(*slopes, strict=True):
        torch.testing.assert_close(whole, added, atol=1e-5, rtol=1e-4)


def test_training_moves_the_right_reply_away_from_the_contrasts(tmp_path: Path) -> None:
    """After the same steps more clips prefer the right reply, and by more, than after SFT alone."""
    reached = {}
    for share in (0.0, 4.0):
        room = Room(tmp_path / str(share), share=share, weight=0.0)
        schedule = Schedule(12, 6, 2, 3e-3, 0.1, 0.0, 1.0, 6)
        dev = clips(6, "d")
        train(room.objective, Mixture(clips(), 0.25, {}, 0), dev, room.encode, schedule, tmp_path / str(share), lambda *_: None)
        reached[share] = validate(room.objective, dev, room.encode, 3)
    assert next(iter(reached[4.0])) == "sft_and_preference"
    assert reached[4.0]["preference"] < 0.9 * reached[0.0]["preference"]


def test_what_the_model_was_is_computed_once_a_clip(tmp_path: Path) -> None:
    model, rows = Qwen2_5Omni.tiny(0), clips()
    journal, asked = Journal(tmp_path / "reference.jsonl"), []

    def prompt(row: Utterance) -> Prompt:
        asked.append(row.id)
        return Prompt(audio=small.heard(row.id))

    whole = margins(model, rows, prompt, 4, journal)
    assert sorted(asked) == sorted(whole) == sorted(row.id for row in rows if row.contrast_reply)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # killed while it wrote
    asked.clear()
    again = margins(model, rows, prompt, 4, Journal(journal.path))
    assert len(asked) == len(lines) - 7
    assert again == pytest.approx(whole, abs=1e-4)


def test_sizes_without_pairs_divide_by_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    single = [row for row in clips() if not row.contrast_reply]
    found = room.objective(*room.encode(single), room.encode.sizes(single))
    assert room.encode.sizes(single) == Sizes(found_tokens(room, single), 0, 0)
    assert float(found.preference) == 0
    assert torch.isfinite(found.loss)


def found_tokens(room: Room, rows: list[Utterance]) -> int:
    return sum(len(room.model.reply_ids(row.reply or "")) + 1 for row in rows)
