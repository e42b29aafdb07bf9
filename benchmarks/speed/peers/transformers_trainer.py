"""PE-FT as a careful user of Transformers and PEFT would write it: `Trainer`, LoRA by PEFT, a collator around the feature extractor.

Clips are read and turned into frames when they are drawn, the frozen tower runs in every step, and the thinker computes its own loss.
The auxiliary head, which no library ships, is undertone's, attached to the adapted model and fed by a hook.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lesson import TARGETS, Lesson, read_lesson
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from undertone.records import Utterance
from undertone.training.heads import Adch, Targets, mean_over, targets
from undertone.training.loop import Schedule

AUDIO, IGNORED = "<|AUDIO|>", -100


class Collator:
    """Rows → padded tensors, the audio token repeated as often as the tower gives embeddings."""

    def __init__(self, lesson: Lesson, trimmed: bool) -> None:
        from transformers import AutoTokenizer, WhisperFeatureExtractor

        self.lesson, self.trimmed = lesson, trimmed
        self.tokenizer = AutoTokenizer.from_pretrained(lesson.folder / "model")
        self.extractor = WhisperFeatureExtractor.from_pretrained(lesson.folder / "model")

    def __call__(self, rows: Sequence[Utterance]) -> dict[str, Any]:
        waves = [self.lesson.wave(row) for row in rows]
        # Three frames of silence behind the longest clip: its last frames are then what they are when it is padded to 300 s.
        longest = 160 * (3 + -(-max(map(len, waves)) // 160)) if self.trimmed else None
        mel = self.extractor(
            waves, sampling_rate=16_000, padding="max_length", max_length=longest, truncation=False, return_attention_mask=True,
            return_tensors="pt",
        )  # fmt: skip
        frames = mel.attention_mask.sum(-1)
        counts = ((frames - 1) // 2 + 1 - 2) // 2 + 1
        pairs = [self._ids(row, count) for row, count in zip(rows, counts.tolist(), strict=True)]
        ids = nn.utils.rnn.pad_sequence([torch.tensor(asked + said) for asked, said in pairs], True, self.tokenizer.pad_token_id)
        labels = nn.utils.rnn.pad_sequence([torch.tensor([IGNORED] * len(asked) + said) for asked, said in pairs], True, IGNORED)
        lengths = torch.tensor([len(asked) + len(said) for asked, said in pairs])
        truth = targets(rows)
        return {
            "input_ids": ids,
            "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
            "labels": labels,
            "input_features": mel.input_features,
            "feature_attention_mask": mel.attention_mask,
            "category": truth.category,
            "value": truth.value,
        }

    def _ids(self, row: Utterance, count: int) -> tuple[list[int], list[int]]:
        chat = [{"role": "user", "content": [{"type": "audio", "audio": row.file_name}]}]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False).replace(AUDIO, AUDIO * count)
        return [self.tokenizer.encode(part, add_special_tokens=False) for part in (text, f"{row.reply}{self.tokenizer.eos_token}")]  # type: ignore[return-value]


class PeFtTrainer(Trainer):
    """Adds λ · ADCH to the thinker's own loss, and notes every step's."""

    weight: float
    tapped: list[Tensor]
    losses: list[float]

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        truth = Targets(inputs.pop("category"), inputs.pop("value"))
        loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        if self.weight:
            audio = inputs["input_ids"] == model.config.audio_token_index
            sums = model.adch(mean_over(self.tapped.pop(), audio), truth)
            loss = loss + self.weight * (sums.category + sums.attribute) / max(1, int((truth.category >= 0).sum()))
        self.losses.append(loss.detach())
        return loss


def transformers_trainer(folder: Path, schedule: Schedule, weight: float, trimmed: bool) -> Any:
    """The side of `training.py`: a run from the same fresh adapter."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    lesson = read_lesson(folder)
    thinker = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(folder / "model", dtype=torch.float32)
    first, last = map(int, lesson.size.layers.split("-"))
    wanted = [f"model.language_model.layers.{i}.self_attn.{name}" for i in range(first, last + 1) for name in TARGETS]
    model = get_peft_model(thinker, LoraConfig(r=lesson.size.rank, lora_alpha=lesson.size.alpha, target_modules=wanted))
    tapped: list[Tensor] = []
    if weight:
        model.adch = Adch(thinker.config.text_config.hidden_size)
        block = thinker.model.language_model.layers[last]
        block.register_forward_hook(lambda _, __, out: tapped.append(out[0] if isinstance(out, tuple) else out))
    fresh, heads = load_file(folder / "adapter" / "adapter_model.safetensors"), load_file(folder / "heads.safetensors")

    def run() -> dict[str, Any]:
        set_peft_model_state_dict(model, fresh)
        if weight:
            model.adch.load_state_dict(heads)
        trainable = [value for value in model.parameters() if value.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
        arguments = TrainingArguments(
            tempfile.mkdtemp(), per_device_train_batch_size=schedule.batch_size, max_steps=schedule.steps, max_grad_norm=schedule.clip,
            train_sampling_strategy="sequential", remove_unused_columns=False, use_cpu=True, save_strategy="no", logging_strategy="no",
            report_to=[], disable_tqdm=True,
        )  # fmt: skip
        trainer = PeFtTrainer(
            model, arguments, Collator(lesson, trimmed), lesson.clips,
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.scale)),
        )  # fmt: skip
        trainer.weight, trainer.tapped, trainer.losses = weight, tapped, []
        tapped.clear()
        trainer.train()
        return {"losses": [float(loss) for loss in trainer.losses]}

    return run
