"""The loop learns, cuts batches without changing them, survives SIGKILL, and gives on two processes what it gives on one."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from undertone.models.base import Batch, Prompt, SpeechLM
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.batches import Mixture, alike, cut, fewest
from undertone.training.loop import Encoder, Schedule

sys.path.insert(0, str(Path(__file__).parent))
import small

HERE = Path(__file__).parent / "small.py"


def train_losses(logged: list[dict[str, float]]) -> list[float]:
    return [row["train/loss"] for row in logged if "train/loss" in row]


def test_loss_falls_and_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    whole = train_losses(small.run(tmp_path / "whole", 12, 12, dropout=0.0))  # type: ignore[arg-type]
    parts = train_losses(small.run(tmp_path / "parts", 12, 12, accumulate=3, dropout=0.0))  # type: ignore[arg-type]
    assert whole == pytest.approx(parts, rel=1e-4)
    assert whole[-1] < whole[0] - 0.2


def dev_losses(logged: list[dict[str, float]]) -> list[float]:
    return [row["dev/sft"] for row in logged if "dev/sft" in row]


def program(
    folder: Path, steps: int, batch: int, die_after: int = 10**9, dropout: float = 0.1, processes: int = 1
) -> subprocess.CompletedProcess[str]:
    start = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    )
    words = [*start, str(HERE), str(folder), str(steps), str(batch), str(die_after), str(dropout)]
    folder.mkdir(exist_ok=True)
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "ACCELERATE_USE_CPU": "1"})


def test_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    assert program(tmp_path / "straight", 7, 6).returncode == 0
    assert program(tmp_path / "killed", 7, 6, die_after=4).returncode == -9
    assert not (tmp_path / "killed" / "adapter").exists()
    done = program(tmp_path / "killed", 7, 6)
    assert done.returncode == 0, done.stderr
    resumed = json.loads((tmp_path / "killed" / "log.json").read_text())
    assert resumed[0]["step"] == 4, "four steps were finished and must not be trained again"
    straight, again = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("straight", "killed"))
    assert all(straight[name].equal(again[name]) for name in straight)


def test_packed_rows_train_as_padded_ones(tmp_path: Path) -> None:
    """The fast path changes nothing: step by step the same losses, dev checks among them."""
    fast, plain = (small.run(tmp_path / name, 5, 12, accumulate=2, dropout=0.0, packed=name == "packed") for name in ("packed", "plain"))
    assert train_losses(fast) == pytest.approx(train_losses(plain), rel=1e-5)
    assert dev_losses(fast) == pytest.approx(dev_losses(plain), rel=1e-5)


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    assert program(tmp_path / "one", 5, 12, dropout=0.0).returncode == 0
    two = program(tmp_path / "two", 5, 12, dropout=0.0, processes=2)
    assert two.returncode == 0, two.stderr[-2000:]
    assert [(tmp_path / name / "processes").read_text() for name in ("one", "two")] == ["1", "2"], "they did not train together"
    one, both = (json.loads((tmp_path / name / "log.json").read_text()) for name in ("one", "two"))
    assert train_losses(both) == pytest.approx(train_losses(one), rel=1e-4)
    assert dev_losses(both) == pytest.approx(dev_losses(one), rel=1e-4)
    assert len(dev_losses(one)) == 3


def test_two_processes_cut_their_shares_into_as_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for one another part by part: with one part more in one of them both would stand still."""
    one = small.run(tmp_path / "one", 3, 12, dropout=0.0)
    encode, drawn = Encoder(Qwen2_5Omni.tiny(0), small.heard), Mixture(small.rows(), 0.25, {}, 0)
    steps = [drawn.batch(step, 12) for step in range(3)]
    alone = [[fewest([encode.lengths(rows[i::2])], 70, True) for i in (0, 1)] for rows in steps]
    assert any(first != second for first, second in alone), "each by itself would not"
    monkeypatch.setenv("MAX_TOKENS", "70")
    two = program(tmp_path / "two", 3, 12, dropout=0.0, processes=2)
    assert two.returncode == 0, two.stderr[-2000:]
    both = json.loads((tmp_path / "two" / "log.json").read_text())
    assert train_losses(both) == pytest.approx(train_losses(one), rel=1e-4)


def test_a_dev_check_takes_no_more_clips_at_once_than_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    whole = SpeechLM.encode

    def encode(self: SpeechLM, prompts: Sequence[Prompt], *more: Any) -> Batch:
        sizes.append(len(prompts))
        return whole(self, prompts, *more)

    monkeypatch.setattr(SpeechLM, "encode", encode)
    small.run(tmp_path, 2, 8, accumulate=3)
    assert max(sizes) == 3


def test_a_run_that_dies_in_its_dev_check_has_lost_no_step(tmp_path: Path) -> None:
    def hear(name: str) -> Tensor:
        if name.startswith("d"):
            raise MemoryError(name)
        return small.heard(name)

    straight = small.run(tmp_path / "straight", 5, 6)
    with pytest.raises(MemoryError):
        small.run(tmp_path / "died", 5, 6, hear=hear)
    again = small.run(tmp_path / "died", 5, 6)
    assert again == straight[2:], "the check comes first, then the third step"
    one, other = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("straight", "died"))
    assert all(one[name].equal(other[name]) for name in one)


def test_the_weights_kept_are_those_that_were_best_on_dev(tmp_path: Path) -> None:
    """At a rate that tears the weights apart, dev gets worse: the run ends with its first check's."""
    logged = small.run(tmp_path / "long", 8, 6, rate=0.3, dropout=0.0)
    losses = dev_losses(logged)
    assert losses[0] == min(losses) < losses[-1]
    with safe_open(tmp_path / "long" / "last.safetensors", "pt") as file:
        progress = json.loads(file.metadata()["progress"])
    assert (progress["step"], progress["best_step"], progress["best"]) == (8, 2, losses[0])
    kept = load_file(tmp_path / "long" / "adapter" / "adapter_model.safetensors")
    best, last = (load_file(tmp_path / "long" / f"{name}.safetensors") for name in ("best", "last"))
    for name, value in kept.items():
        full = f"weight:adapted.{name}".replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default.")
        assert value.equal(best[full])
        assert not value.equal(last[full])


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine_to_nothing() -> None:
    schedule = Schedule(110, 8, 1, 1e-3, 10 / 110, 0.0, 1.0, 2)
    assert [schedule.scale(step) for step in (0, 9, 10)] == pytest.approx([0.1, 1.0, 1.0])
    assert schedule.scale(60) == pytest.approx(0.5)
    assert schedule.scale(110) == pytest.approx(0.0)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    """Adam divides by the gradient's size, but where that is near its epsilon the step is smaller."""
    free, clipped = (small.run(tmp_path / str(clip), 2, 6, dropout=0.0, clip=clip) for clip in (1e6, 1e-6))
    assert free[0]["train/gradient_norm"] == clipped[0]["train/gradient_norm"] > 1e-3
    one, other = (load_file(tmp_path / str(clip) / "last.safetensors") for clip in (1e6, 1e-6))
    moments = [sum(float(value.norm()) for name, value in state.items() if name.startswith("exp_avg:")) for state in (one, other)]
    assert moments[1] < 1e-4 * moments[0]
    names = [name for name in one if name.startswith("weight:")]
    assert any(not one[name].equal(other[name]) for name in names)


def test_parts_of_a_padded_batch_hold_clips_of_like_length_and_add_up(tmp_path: Path) -> None:
    encode = Encoder(Qwen2_5Omni.tiny(0), small.heard, packed=False)
    rows = small.rows()
    known = {row.id: length for row, length in zip(rows, encode.lengths(rows), strict=True)}
    assert known["u3"] == int(encode([rows[3]])[0].attention_mask.sum()), "counted as it is encoded"
    parts = cut(rows, list(known.values()), 5, packed=False)
    assert all(min(known[row.id] for row in one) >= max(known[row.id] for row in other) for one, other in pairwise(parts))
    assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in rows)
    sums = [sum(known[row.id] for row in part) for part in cut(rows, list(known.values()), 5, packed=True)]
    assert len(sums) == 5
    assert sum(sums) == sum(known.values())
    assert max(sums) - min(sums) <= max(known.values()), "packed parts hold like many tokens"
    whole = train_losses(small.run(tmp_path / "whole", 3, 12, dropout=0.0, packed=False))  # type: ignore[arg-type]
    in_parts = train_losses(small.run(tmp_path / "cut", 3, 12, accumulate=5, dropout=0.0, packed=False))  # type: ignore[arg-type]
    assert in_parts == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_no_forward_pass_takes_more_tokens_than_it_may(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is cut where the tokens are, padding included, in steps and in dev checks; and nothing else changes."""
    whole = small.run(tmp_path / "whole", 3, 12, dropout=0.0, packed=packed)
    taken: list[int] = []
    hidden = SpeechLM.hidden

    def counted(self: SpeechLM, batch: Batch, *more: Any) -> Tensor:
        taken.append(int(batch.attention_mask.sum()) if packed else batch.input_ids.numel())
        return hidden(self, batch, *more)

    monkeypatch.setattr(SpeechLM, "hidden", counted)
    small.run(tmp_path / "uncut", 1, 12, dropout=0.0, packed=packed)
    most = max(taken) // 3
    taken.clear()
    in_parts = small.run(tmp_path / "cut", 3, 12, dropout=0.0, packed=packed, max_tokens=most)
    assert most / 2 < max(taken) <= most
    assert train_losses(in_parts) == pytest.approx(train_losses(whole), rel=1e-4)
    assert dev_losses(in_parts) == pytest.approx(dev_losses(whole), rel=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_a_clip_longer_than_a_pass_may_be_stands_alone(packed: bool) -> None:
    lengths = [9, 3, 4, 3, 3]
    assert fewest([lengths], 1, packed) == len(lengths)
    assert fewest([lengths], 10**6, packed) == 1
    assert [len(part) for part in cut(lengths, lengths, fewest([lengths], 8, packed), packed)].count(1) >= 1
    assert fewest([lengths, [1, 1, 1, 1, 1]], 9, packed) == fewest([lengths], 9, packed) > fewest([[1, 1, 1, 1, 1]], 9, packed) == 1


def test_clips_of_like_length_stand_together() -> None:
    lengths = [50, 400, 49, 60, 390, 63, 1]
    groups = alike(lengths)
    assert sorted(i for group in groups for i in group) == list(range(7))
    assert [sorted(lengths[i] for i in group) for group in groups] == [[1], [49, 50, 60], [63], [390, 400]]
    assert alike([]) == []
