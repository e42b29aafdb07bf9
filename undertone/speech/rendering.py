"""Planned renderings → clips on disk, all cores busy."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from undertone.audio import BadSound, write_flac
from undertone.records import CONTENT, Rejected, Split, Utterance
from undertone.speech.filters import pair_reason, reason_to_reject
from undertone.speech.pairs import Planned, file_name, identity, utterance
from undertone.speech.synthesisers.base import Synthesiser, Unspeakable
from undertone.workers import processes

Job = Sequence[Planned]
"""The renderings of one pair, or a single one: they are kept or turned away together."""


UNSPOKEN = "not spoken: "
"""How the reason begins where there is no sound to judge; what is wrong may be mended, so a synthesis that goes on tries these again."""


class Rendered(NamedTuple):
    """What came of a job: rows of clips that now lie in the folder, or rows that say why not."""

    kept: list[Utterance]
    rejected: list[Rejected]


def jobs(planned: Sequence[Planned]) -> list[Job]:
    """The plan cut into pairs and singles, in order."""
    grouped: dict[str, list[Planned]] = {}
    for i, one in enumerate(planned):
        grouped.setdefault(one.pair or f"single-{i}", []).append(one)
    return list(grouped.values())


def unfinished(work: Sequence[Job], speaker: Synthesiser, kept: Iterable[Utterance], rejected: Iterable[Rejected]) -> list[Job]:
    """The jobs of which something was neither `kept` nor turned away for how it sounds; of the others `speaker` takes note."""
    done = {row.id for row in kept} | {row.id for row in rejected if not row.reason.startswith(UNSPOKEN)}
    missing = []
    for job in work:
        if done.issuperset(ids(job, speaker)):
            for one in job:
                speaker.count_spoken(one.query.text, one.attributes)
        else:
            missing.append(job)
    return missing


def render(work: Sequence[Job], make: Callable[[], Synthesiser], folder: Path, workers: int) -> Iterator[Rendered]:
    """Speak every job; `make` builds the synthesiser in each worker process (0: one a core), or the one that threads share (0: as
    many as it allows, else 8)."""
    speaker = make()
    if speaker.workers == "threads":
        most = speaker.concurrency
        yield from _threaded(work, speaker, folder, min(workers or most, most) if most else workers or 8)
        return
    count = workers or os.cpu_count() or 1
    with processes(count, _start, make, folder) as pool:
        yield from pool.map(_render, work, chunksize=max(1, min(32, len(work) // (4 * count))))


def _threaded(work: Sequence[Job], speaker: Synthesiser, folder: Path, count: int) -> Iterator[Rendered]:
    """After an error no job is begun; those under way finish and are given out, for they may have been paid for."""
    failure: BaseException | None = None
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(render_job, job, speaker, folder) for job in work]
        try:
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                failure = failure or future.exception()
                if failure:
                    for other in futures:
                        other.cancel()
                if future.exception() is None:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    if failure:
        raise failure


_worker: "list[tuple[Synthesiser, Path]]" = []


def _start(make: Callable[[], Synthesiser], folder: Path) -> None:
    _worker[:] = [(make(), folder)]


def _render(job: Job) -> Rendered:
    return render_job(job, *_worker[0])


def render_job(job: Job, synthesiser: Synthesiser, folder: Path) -> Rendered:
    """Speak, check and write the renderings of one job."""
    rate = synthesiser.sample_rate
    try:
        waves = [synthesiser.speak(one.query.text, one.attributes, one.speaker, one.speaker) for one in job]
    except (Unspeakable, BadSound) as error:
        return _turned_away(job, synthesiser, f"{UNSPOKEN}{error}")
    who = [synthesiser.speaker_name(one.attributes, one.speaker) for one in job]
    rows = [
        utterance(one, synthesiser.name, synthesiser.version, len(wave) / rate, name)
        for one, wave, name in zip(job, waves, who, strict=True)
    ]
    reasons = [reason_to_reject(wave, rate) for wave in waves]
    category = job[0].query.category
    if len(job) == 2 and category != CONTENT and not any(reasons):
        values = (job[0].attributes[category], job[1].attributes[category])
        reasons = [pair_reason((waves[0], waves[1]), rate, category, values)] * 2
    if any(reasons):
        why = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
        return _turned_away(job, synthesiser, why)
    for row, wave in zip(rows, waves, strict=True):
        write_flac(folder / row.file_name, wave, rate)
    return Rendered(rows, [])


class Tally(NamedTuple):
    """Of the clips asked for of a category in a split (child-safety questions by themselves), how many there are, and why the first that
    is not there was turned away."""

    split: Split
    category: str
    kept: int
    asked: int
    reason: str


def tally(work: Sequence[Job], synthesiser: Synthesiser, spoken: Collection[str], reasons: Mapping[str, str]) -> list[Tally]:
    """What came of `work`, given the ids `spoken` and the `reasons` of others, by id."""
    cells: dict[tuple[Split, str], list[str]] = {}
    for job in work:
        for one, name in zip(job, ids(job, synthesiser), strict=True):
            category = one.query.category if one.suite != "child-safety" else one.suite
            cells.setdefault((one.split, category), []).append(name)
    return [
        Tally(*cell, sum(name in spoken for name in names), len(names), next((reasons[name] for name in names if name in reasons), ""))
        for cell, names in cells.items()
    ]


def _turned_away(job: Job, synthesiser: Synthesiser, reason: str) -> Rendered:
    names = zip(job, ids(job, synthesiser), strict=True)
    return Rendered([], [Rejected(id=name, file_name=file_name(one, name), reason=reason) for one, name in names])


def ids(job: Job, synthesiser: Synthesiser) -> list[str]:
    """The ids that the job's rows have, before anything is spoken."""
    return [identity(one, synthesiser.name, synthesiser.version) for one in job]
