"""Replies of a model that is here or behind an endpoint; and what an evaluation of the latter opens in place of a `Corridor`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.audio import Wave
from undertone.endpoint import Endpoint, Unanswerable
from undertone.evaluation.metrics import Asked
from undertone.evaluation.replies import Ask, ask
from undertone.models.endpoint import Served
from undertone.progress import bar
from undertone.recipes.complaints import warn
from undertone.recipes.opening import Corridor, read_data
from undertone.recipes.sounds import Sounds, usable
from undertone.records import Judgement, Reply, Utterance
from undertone.run import Journal, Run
from undertone.speech import corpora
from undertone.speech.folder import Data
from undertone.training.lora import load_adapter

BOUGHT = "bought.jsonl"
"""Every reply that was paid for, in the run folder; `replies.jsonl` has those that are scored."""


class Waves:
    """The sound of clips by utterance id, opened when it is asked for, of those that can be heard."""

    def __init__(self, sounds: Sounds) -> None:
        self._sounds, self._rows = sounds, dict[str, Utterance]()

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Wave:
        return self._sounds.wave(self._rows[name])

    def add(self, row: Utterance) -> None:
        """Note that `row` can be heard."""
        self._rows[row.id] = row


class Line(NamedTuple):
    """The model, the data, and its clips; those that cannot be heard are noted in `rejected` (`strict`: an error). `ours`: undertone wrote
    the data, so nobody has opened the clips of this run yet."""

    model: Served
    data: Data
    heard: Waves
    rejected: Journal
    strict: bool
    ours: bool
    sounds: Sounds

    def listen(self, rows: Sequence[Utterance], batch: int) -> list[Utterance]:
        """The `rows` that can be heard; each is opened once, so that nothing is sent before all are known. `batch` makes no difference."""
        wave = usable(self.sounds, self.rejected, self.strict)
        for row in bar("opening the clips", len(rows))(rows):
            if wave(row) is not None:
                self.heard.add(row)
        found = [row for row in rows if row.id in self.heard]
        warn(len(rows) - len(found), self.sounds, self.rejected, self.ours)
        return found


def open_line(chosen: settings.Evaluate, folder: Path) -> Line:
    """What `chosen` name; clips that are turned away, and what was bought, are listed in `folder`."""
    rejected = Journal(folder / "rejected.jsonl")
    data = read_data(chosen, rejected)
    served = Endpoint(chosen.model.removeprefix(settings.SERVED), **chosen.served.model_dump())
    model = Served(served, folder / BOUGHT)
    sounds = Sounds(data, model)
    return Line(model, data, Waves(sounds), rejected, chosen.strict, corpora.is_ours(chosen.data, chosen.corpus), sounds)


def replied(
    chosen: settings.Evaluate, run: Run, corridor: Corridor | Line, rows: Sequence[Utterance], prompt: Ask, journal: Journal
) -> dict[str, str]:
    """Ask for the replies to `rows`, which go into `journal`; of those to which an endpoint gives none, the ids with the reasons."""
    if isinstance(corridor, Line):
        return send(corridor.model, rows, prompt, run.name, chosen.max_new_tokens, journal)
    if chosen.adapter is not None and chosen.strength > 0:
        load_adapter(corridor.model, chosen.adapter, chosen.strength)
    suits, plain = "preference" in chosen.metrics, chosen.engine == "plain"
    how = (prompt, run.name, chosen.batch, chosen.max_new_tokens, suits, bar(run.name), plain)
    for replies in ask(corridor.model, rows, *how):
        journal.append(replies)
    return {}


def send(model: Served, rows: Sequence[Utterance], prompt: Ask, run: str, max_new_tokens: int, journal: Journal) -> dict[str, str]:
    """Ask for a reply to each row and note it in `journal` as it comes in; its `seconds` are those since the one before. Returns the ids of
    rows without one, each with the reason."""
    silent: dict[str, str] = {}
    before = time.monotonic()
    for row, found in bar(run, len(rows))(model.replies(rows, prompt, max_new_tokens)):
        now = time.monotonic()
        if isinstance(found, Unanswerable):
            silent[row.id] = str(found)
        else:
            journal.append([Reply(utterance_id=row.id, run=run, text=found, seconds=now - before)])
        before = now
    return silent


def unanswered(row: Utterance, reason: str, run: str, judge: str) -> Asked:
    """A row that has no reply, and so no verdict; the same command asks again."""
    nothing = Judgement(utterance_id=row.id, run=run, judge=judge, value=None, reason=reason)
    return Asked(row, Reply(utterance_id=row.id, run=run, text=""), nothing, unanswered=reason)
