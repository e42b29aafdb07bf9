"""Operations are counted, not seconds: what must be done once is done once, and a step costs what its parameters must cost."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import RATE, tone
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from undertone import settings
from undertone.audio import write_flac
from undertone.evaluation.replies import ask
from undertone.models.base import IGNORED, Batch, Prompt, SpeechLM
from undertone.models.passes import language_layers
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.recipes.evaluate import evaluate
from undertone.recipes.finetune import finetune
from undertone.records import Score, Utterance, read_rows
from undertone.speech.folder import write_folder
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder
from undertone.training.lora import adapt
from undertone.training.objectives import PeFt

Make = Callable[..., Utterance]


@contextmanager
def seen(module: nn.Module) -> Iterator[list[tuple[int, int]]]:
    """(rows, tokens) of every call of a decoder layer."""
    shapes: list[tuple[int, int]] = []

    def note(_: nn.Module, inputs: Sequence[Tensor], more: dict[str, Tensor]) -> None:
        hidden = inputs[0] if inputs else more["hidden_states"]
        shapes.append((hidden.shape[0], hidden.shape[1]))

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    yield shapes
    handle.remove()


def first_layer(model: SpeechLM) -> nn.Module:
    return model.blocks()[language_layers(model)[0]]


@pytest.fixture
def data(tmp_path: Path, utterance: Make) -> Path:
    """Twelve clips, four of each split."""
    rows = []
    for i in range(12):
        said, other = ("child", "adult") if i % 2 else ("adult", "child")
        right = {"category": "age", "contrast": other, "reply": f"for the {said}", "contrast_reply": f"for the {other}"}
        split = ("train", "dev", "test")[i // 4]
        rows.append(utterance(i, split=split, attributes={"age": said}, text=f"words {i // 2}", speaker=split, pair=f"p{i // 2}", **right))
        write_flac(tmp_path / "data" / rows[-1].file_name, tone(120 + 10 * i, 0.3), RATE)
    write_folder(tmp_path / "data", rows)
    return tmp_path / "data"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each clip went through the tower."""
    times: Counter[bytes] = Counter()
    listen = Qwen2_5Omni.listen

    def counted(self: Qwen2_5Omni, batch: Batch) -> Tensor:
        assert batch.frames is not None
        assert batch.frame_lengths is not None
        times.update(clip.numpy().tobytes() for clip in batch.frames.split(batch.frame_lengths.tolist()))
        return listen(self, batch)

    monkeypatch.setattr(Qwen2_5Omni, "listen", counted)
    return times


TUNE = {"steps": 3, "batch_size": 4, "layers": "0", "check_every": 1, "dtype": "float32"}


def test_the_tower_hears_a_clip_once_in_fine_tuning_and_evaluation(tmp_path: Path, data: Path, heard: Counter[bytes]) -> None:
    adapter = finetune(settings.Finetune(out=tmp_path / "tune", data=data, **TUNE))
    for name, tuned in (("vanilla", None), ("tuned", adapter)):
        evaluate(settings.Evaluate(out=tmp_path / name, data=data, adapter=tuned, max_new_tokens=2, bootstrap=10, dtype="float32"))
    assert sorted(heard.values()) == [1] * 12


@pytest.mark.parametrize(("room", "times"), [(100.0, 1), (0.0, 0)])
def test_the_front_is_forgotten_once_all_clips_were_heard(
    room: float, times: int, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(Qwen2_5Omni, "forget_front", lambda self: forgotten.append(True))
    finetune(settings.Finetune(out=tmp_path / "tune", data=data, features_gb=room, **TUNE))
    assert len(forgotten) == times


def test_without_room_for_features_the_tower_works_more_and_the_training_is_the_same(
    tmp_path: Path, data: Path, heard: Counter[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    losses = []
    for name, room in (("kept", 100.0), ("anew", 0.0)):
        heard.clear()
        finetune(settings.Finetune(out=tmp_path / name, data=data, features=tmp_path / f"features {name}", features_gb=room, **TUNE))
        scores = {row.metric: row.value for row in read_rows(tmp_path / name / "scores.jsonl", Score)}
        losses.append(scores["dev_loss"])
    assert max(heard.values()) > 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert "12 of 12 clips go through the tower whenever they are asked for" in caplog.text
    assert not list((tmp_path / "features anew").rglob("*.safetensors"))


def test_a_prompt_is_read_once_for_its_reply_and_its_preference(utterance: Make) -> None:
    model = Qwen2_5Omni.tiny(0)
    rows = [utterance(i, seconds=i + 1.0, reply="yes", contrast_reply="to fix the socket") for i in range(4)]
    with seen(first_layer(model)) as calls:
        list(ask(model, rows, lambda row: Prompt(text="hm " * int(row.seconds)), "r", 4, 3, preference=True))
    prompt = model.encode([Prompt(text="hm " * 4)]).input_ids.shape[1]
    right, wrong = (len(model.reply_ids(text)) + 1 for text in ("yes", "to fix the socket"))
    assert calls == [(4, prompt), (4, right), (4, wrong), (4, 1), (4, 1)]


def test_replies_that_have_ended_are_not_written_on() -> None:
    """Every step has fewer than twice the rows that it needs."""
    model = Qwen2_5Omni.tiny(0)
    prompts = [Prompt(text="hm " * i, system=f"you are number {i}") for i in range(1, 9)]
    never = model.greedy_ids(model.prefill(model.encode(prompts)), 40)
    ends = {row[1] for row in never[:-1]} - set(never[-1])
    model.module.generation_config.eos_token_id = sorted(ends)
    with seen(first_layer(model)) as calls:
        made = model.greedy_ids(model.prefill(model.encode(prompts)), 40)
    lengths = sorted(map(len, made))
    assert lengths[0] <= 2 < lengths[-1] == 40, "they end together"
    assert sum(rows for rows, _ in calls[1:]) < 2 * sum(n - 1 for n in lengths)


class Step:
    """A training step of PE-FT on noise: LoRA in every layer, so that gradients go all the way down."""

    def __init__(self, utterance: Make) -> None:
        self.model = Qwen2_5Omni.tiny(0)
        self.model.module.requires_grad_(False)
        layers = language_layers(self.model)
        linears = [part for layer in layers for part in self.model.blocks()[layer].modules() if isinstance(part, nn.Linear)]
        self.parameters = sum(part.weight.numel() for part in linears)
        adapted = adapt(self.model, layers, ["q_proj", "v_proj"], rank=1, alpha=2, dropout=0.0, seed=0)
        self.objective = PeFt(self.model, adapted, layers[-1], 0.5, 192)
        self.objective.learner.train()
        dice = np.random.default_rng(0)
        clips = {f"u{i}": torch.from_numpy(dice.standard_normal((20 + 3 * i, 192)).astype(np.float32)) for i in range(32)}
        rows = [utterance(i, category="age", contrast="adult", attributes={"age": "child"}, reply="to fix the socket") for i in range(32)]
        encode = Encoder(self.model, clips.__getitem__)
        self.rows = Mixture(rows, 0.0, {}, 0).batch(0, 32)
        self.batch, self.truth = encode(self.rows)
        self.sizes = encode.sizes(self.rows)

    def __call__(self) -> None:
        self.objective(self.batch, self.truth, self.sizes).loss.backward()


def test_logits_are_computed_where_there_are_labels_and_nowhere_else(utterance: Make) -> None:
    step, positions = Step(utterance), []
    step.model.lm_head.register_forward_hook(lambda _, __, logits: positions.append(logits.shape[:-1].numel()))
    step()
    assert sum(positions) == int((step.batch.labels != IGNORED).sum()) == step.sizes.tokens


def test_a_training_step_costs_four_operations_a_parameter_and_token(utterance: Make) -> None:
    """2·P forward and 2·P back through a frozen base, the head at labelled positions only; attention, adapters and what fills the row up to
    a round length are within the tenth that is allowed beyond. Recomputing would make it 6·P; padding and the weights' own gradients are
    seen as well."""
    step = Step(utterance)
    with FlopCounterMode(display=False) as counted:
        step()
    tokens, head = int(step.batch.attention_mask.sum()), step.model.lm_head.weight.numel()  # type: ignore[union-attr,operator]
    floor = 4 * (step.parameters * tokens + head * step.sizes.tokens)
    assert 0.9 * floor < counted.get_total_flops() < 1.1 * floor
