"""Hours of speech a minute: espeak-ng in process against starting the program espeak-ng for every utterance, and ours over more processes.

    python benchmarks/speed/synthesis.py --clips 200

"samples": what espeak gives, nothing else. "clips": what `undertone synthesize` makes of them, on both sides the same: vocal tract, voice
quality, checks, FLAC. Both sides take one core at a time and are asked with the same voice, rate and pitch; the program has no switch for
the range of pitch. Where there is no program espeak-ng on the PATH, it is said and no row is written for it.
"""

import random
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from timing import Compared, flags, in_turn, keep, rows

from undertone.speech.pairs import Cast, Planned, plan_pairs
from undertone.speech.rendering import jobs, render, render_job
from undertone.speech.synthesisers.base import Synthesiser, Waveform
from undertone.speech.synthesisers.espeak import Call, Espeak, call, finished, synthesised, voice
from undertone.speech.writers import grammar

PROGRAM = "espeak-ng"


class Program(Espeak):
    """The same voices, their samples from the program."""

    def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int = 0) -> Waveform:
        how = voice(attributes, speaker)
        return finished(*started(call(text, how)), how, seed)


def started(asked: Call) -> tuple[Waveform, int]:
    """Samples and their rate, by the program; it says no length in the header of what it pipes out, so a file it is."""
    with TemporaryDirectory() as folder:
        how = ["-v", asked.name, "-s", str(round(asked.rate)), "-p", str(round(asked.pitch)), "-a", "70", "-w", f"{folder}/said.wav"]
        subprocess.run([PROGRAM, *how, asked.text], check=True)
        return soundfile.read(Path(folder, "said.wav"), dtype="float32")


def plan(clips: int) -> list[Planned]:
    """As many renderings of pairs about emotion by 40 simulated speakers."""
    queries = [query for query in grammar.all_queries() if query.category == "emotion" and not query.safety]
    return list(plan_pairs(queries, "emotion", clips, "train", Cast(range(1000, 1040), Espeak.renders, random.Random(0))))


def samples(by: Callable[[Call], tuple[Waveform, int]], clips: int) -> Callable[[], float]:
    """Seconds that espeak speaks."""
    asked = [call(one.query.text, voice(one.attributes, one.speaker)) for one in plan(clips)]
    return lambda: sum(len(wave) / rate for wave, rate in map(by, asked))


def in_process(asked: Call) -> tuple[Waveform, int]:
    """Samples and their rate, by the library."""
    return synthesised(*asked)


def one_by_one(kind: type[Synthesiser], clips: int) -> Callable[[], float]:
    """Seconds of speech that end up as clips, in one process."""
    speaker, work = kind(), jobs(plan(clips))

    def run() -> float:
        with TemporaryDirectory() as folder:
            return sum(row.seconds for job in work for row in render_job(job, speaker, Path(folder)).kept)

    return run


def pooled(workers: int, clips: int) -> Callable[[], float]:
    """The same by the pool of `undertone synthesize`, its start included."""
    work = jobs(plan(clips))

    def run() -> float:
        with TemporaryDirectory() as folder:
            return sum(row.seconds for made in render(work, Espeak, Path(folder), workers) for row in made.kept)

    return run


def pace(found: Compared, clips: int) -> dict[str, float]:
    """Hours of speech a minute on either side, and how many renderings were asked for."""
    hours = {name: side.result / 60 / float(np.median(side.seconds)) for name, side in found._asdict().items()}
    return {f"{name}_hours_per_minute": value for name, value in hours.items()} | {"clips": clips}


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--clips", type=int, default=200, help="renderings in a round (%(default)s)")
    given = parser.parse_args()
    sides = {
        "samples": (partial(samples, in_process), partial(samples, started)),
        "clips": (partial(one_by_one, Espeak), partial(one_by_one, Program)),
    }
    if shutil.which(PROGRAM) is None:
        print(f"no program {PROGRAM} on the PATH: nothing to compare with (Debian: apt install espeak-ng)")
        sides = {}
    for group, (ours, peer) in sides.items():
        found = in_turn(partial(ours, given.clips), partial(peer, given.clips), given.pairs, threads=1)
        keep(rows("synthesis", "espeak-ng program", group, found, pace(found, given.clips)), given.results)
    found = in_turn(partial(pooled, 2, given.clips), partial(pooled, 1, given.clips), given.pairs, threads=1)
    keep(rows("synthesis", "one process", "two processes", found, pace(found, given.clips)), given.results)
