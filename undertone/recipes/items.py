"""A suite's items in a run folder: what is asked, bound to the run, and read again with the replies and verdicts."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from undertone.evaluation.suites.base import Answered, Item
from undertone.records import Judgement, Reply, Utterance, read_rows
from undertone.run import write_atomic


def bind(path: Path, items: Sequence[Item]) -> None:
    """Write what is asked; ValueError where this run began with other items. More are no others: what was not spoken at first may be
    now."""
    facts = [item.utterance.model_dump(mode="json") | {"suite": item.suite, "facts": dict(item.facts)} for item in items]
    lines = [json.dumps(one, ensure_ascii=False, sort_keys=True) for one in facts]
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not _asked(before) <= _asked(lines):
        raise ValueError(f"{path}: the suite holds other items than when this run began; choose another --out")
    write_atomic(path, "".join(f"{line}\n" for line in lines))


def _asked(lines: Iterable[str]) -> set[str]:
    """The items without their suites, which runs of an earlier version did not write."""
    return {json.dumps(json.loads(line) | {"suite": ""}, sort_keys=True) for line in lines}


def answered_in(folder: Path) -> list[Answered]:
    """The items of a finished run with their replies and verdicts."""
    replies = {reply.utterance_id: reply for reply in read_rows(folder / "replies.jsonl", Reply)}
    verdicts = {verdict.utterance_id: verdict for verdict in read_rows(folder / "judgements.jsonl", Judgement)}
    found = []
    for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        own, facts = row.pop("suite"), row.pop("facts")
        item = Item(Utterance.model_validate(row), own, facts)
        if reply := replies.get(item.utterance.id):
            found.append(Answered(item, reply, verdicts.get(item.utterance.id)))
    return found


def canned(run: str, item: Item) -> Reply:
    """A reply that the suite itself gives."""
    return Reply(utterance_id=item.utterance.id, run=run, text=item.facts["said"])
