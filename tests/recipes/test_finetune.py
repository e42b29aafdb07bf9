"""What fine-tuning makes of its settings."""

from pathlib import Path

from undertone.recipes.finetune import schedule
from undertone.records import Utterance
from undertone.settings import Finetune, read_config
from undertone.training.batches import Mixture

PAPER = Path(__file__).parents[2] / "configs" / "finetune" / "qwen2_5_omni_7b.toml"


def clip(number: int, category: str) -> Utterance:
    voice = {"age": "child", "gender": "male", "emotion": "sad"}
    return Utterance(id=f"{category}{number}", text="hm", file_name="x.flac", seconds=1, attributes=voice, speaker="s", source="t",
                     split="train", category=category, reply="yes")  # fmt: skip


def test_epochs_count_the_clips_that_are_drawn() -> None:
    """The paper's ten epochs of 9000 clips in batches of 128: 703 steps, whatever else lies in the split."""
    paper = read_config(Finetune, PAPER)
    rows = [clip(i, category) for category in ("age", "gender", "emotion") for i in range(3000)]
    content = [clip(i, "content") for i in range(400)]
    for split in (rows, rows + content):
        assert schedule(paper, Mixture(split, paper.replay, paper.mixture, paper.seed).clips).steps == 703
    assert Mixture(rows + content, 0.1, {}, 0).clips == 9400
    assert Mixture(rows + content, 0.1, {"age": 0.0}, 0).clips == 6400
