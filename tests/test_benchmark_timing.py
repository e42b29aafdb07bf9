"""The harness of the speed benchmarks: sides in processes of their own, here and in another environment."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "speed"))
import scaling
from timing import Foreign, Timed, in_turn, rounds, rows

SERVES = """
import sys, time
sys.path.insert(0, {home!r})
from served import serve
def work():
    print("chatter")
    held = bytearray(50 << 20)
    return 0.04, {{"said": sys.argv[1], "held": len(held)}}
serve(work)
"""
PEERS = Path(__file__).parents[1] / "benchmarks" / "speed" / "peers"


def quick() -> Callable[[], str]:
    return lambda: time.sleep(0.01) or "done"


def foreign(folder: Path, text: str) -> Foreign:
    script = folder / "peer.py"
    script.write_text(text)
    return Foreign(Path(sys.executable), script, ("hello",))


def test_a_side_of_another_environment_is_timed_beside_ours(tmp_path: Path) -> None:
    found = in_turn(quick, foreign(tmp_path, SERVES.format(home=str(PEERS))), pairs=2, threads=1)
    assert found.ours.result == "done"
    assert found.peer.result == {"said": "hello", "held": 50 << 20}
    assert found.peer.seconds == [0.04, 0.04], "it says its own seconds"
    assert 50 << 20 < found.peer.peak < 1 << 30
    ratio, memory = rows("test", "peer", "all", found, {"note": 1})
    assert ratio.value == pytest.approx(0.04 / sorted(found.ours.seconds)[0], rel=1)
    assert (ratio.suite, memory.metric, memory.details["note"]) == ("speed/test", "memory_share", 1)


def test_what_a_side_died_of_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^peer: ModuleNotFoundError: No module named 'nobody_has_this'$"):
        rounds([foreign(tmp_path, "import nobody_has_this")], 1, threads=1)


def test_the_slope_of_what_is_linear_is_one() -> None:
    sizes = [1000, 4000, 16_000]
    found = [Timed([size / 500, size / 500], 1, None) for size in sizes]
    assert scaling.slope(sizes, found) == pytest.approx((1, 1, 1))
