"""LLaMA-Factory's side of `training.py`, in an environment of its own:

    python -m venv PEER
    PEER/bin/pip install torch==2.13.0 llamafactory==0.9.5 soundfile
    PEER/bin/pip uninstall -y torchvision torchaudio

What `llamafactory-cli train` runs for stage sft trains here: its dataset, collator, trainer and LoRA, from the adapter that all sides begin
with, and its plugin for sound, which asks the official feature extractor for 300 s. It lists no thinker by itself, so the class and a
template without a system prompt are registered. torchvision and torchaudio have no build for the CPU build of torch 2.13: it shows no
picture, and sound is read by soundfile, which stands in for `torchaudio.load`. Float32, without checkpointing; the seconds are those of
`Trainer.train`. Arguments: the folder of `lesson.py`, and a `Schedule`.
"""

import json
import math
import sys
import tempfile
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import soundfile
import torch
from served import serve
from shared import fitting, messages

NAME, AUDIO = "thinker", "<|AUDIO|>"


def read_sound(path: str) -> tuple[torch.Tensor, int]:
    """(channel, sample), and the rate, as `torchaudio.load` has it."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(wave.T), rate


def stand_in() -> None:
    """Put a torchaudio that only reads where there is none."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        made = ModuleType("torchaudio")
        made.__spec__ = ModuleSpec("torchaudio", None)
        made.load = read_sound  # type: ignore[attr-defined]
        sys.modules["torchaudio"] = made


class Ears:
    """Of the official processor, what sound goes through."""

    audio_bos_token, audio_eos_token = "<|audio_bos|>", "<|audio_eos|>"
    image_processor = None

    def __init__(self, folder: str, tokenizer: Any) -> None:
        from transformers import WhisperFeatureExtractor

        self.tokenizer, self.feature_extractor = tokenizer, WhisperFeatureExtractor.from_pretrained(folder)

    def save_pretrained(self, folder: str) -> None:
        """The trainer saves what it was given, after training."""


def register() -> None:
    """The thinker's class, its template, and how its tokenizer and processor are opened."""
    from llamafactory.data.formatter import StringFormatter
    from llamafactory.data.mm_plugin import get_mm_plugin
    from llamafactory.data.template import register_template
    from llamafactory.train.sft import workflow
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        Qwen2_5OmniThinkerConfig,
        Qwen2_5OmniThinkerForConditionalGeneration,
    )

    def load_tokenizer(model_args: Any) -> dict[str, Any]:
        tokenizer = AutoTokenizer.from_pretrained(model_args.model_name_or_path, padding_side="right")
        return {"tokenizer": tokenizer, "processor": Ears(model_args.model_name_or_path, tokenizer)}

    workflow.load_tokenizer = load_tokenizer
    AutoModelForCausalLM.register(Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration, exist_ok=True)
    register_template(
        name=NAME,
        format_user=StringFormatter(slots=["<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"]),
        format_assistant=StringFormatter(slots=["{{content}}<|im_end|>"]),
        stop_words=["<|im_end|>"],
        mm_plugin=get_mm_plugin(name="qwen2_audio", audio_token=AUDIO),
    )


def scale(step: int, steps: int, warmup: float) -> float:
    """As `undertone.training.loop.Schedule.scale`, which this environment does not have."""
    warm = max(1, round(steps * warmup))
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def timed(steps: int, warmup: float, noted: dict[str, Any]) -> type:
    """Its trainer, which notes the seconds of training and every step's loss; the schedule is all sides'."""
    from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer

    class Timed(CustomSeq2SeqTrainer):  # type: ignore[misc]
        def compute_loss(self, *given: Any, **named: Any) -> Any:
            found = super().compute_loss(*given, **named)
            noted["losses"].append((found[0] if isinstance(found, tuple) else found).detach())
            return found

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, partial(scale, steps=steps, warmup=warmup))
            return self.lr_scheduler

        def train(self, *given: Any, **named: Any) -> Any:
            began = perf_counter()
            found = super().train(*given, **named)
            noted["seconds"] = perf_counter() - began
            return found

    return Timed


def write_rows(folder: Path) -> Path:
    """The lesson's clips as LLaMA-Factory reads them; the folder they lie in."""
    rows = messages(folder)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    about = {"file_name": "rows.json", "formatting": "sharegpt", "columns": {"messages": "messages", "audios": "audios"}, "tags": tags}
    home = folder / "llama_factory"
    home.mkdir(exist_ok=True)
    (home / "rows.json").write_text(json.dumps(rows))
    (home / "dataset_info.json").write_text(json.dumps({"lesson": about}))
    return home


def round_of(folder: Path, schedule: list[float]) -> tuple[float, dict[str, Any]]:
    from llamafactory.hparams import get_train_args
    from llamafactory.train.sft import workflow

    steps, batch, _, rate, warmup, decay, clip, _ = schedule
    noted: dict[str, Any] = {"losses": []}
    workflow.CustomSeq2SeqTrainer = timed(int(steps), warmup, noted)
    chosen = get_train_args(
        dict(
            model_name_or_path=str(folder / "model"), adapter_name_or_path=str(fitting(folder)), stage="sft", do_train=True,
            finetuning_type="lora", template=NAME, dataset="lesson", dataset_dir=str(write_rows(folder)), overwrite_cache=True,
            cutoff_len=8192, output_dir=tempfile.mkdtemp(), per_device_train_batch_size=int(batch), gradient_accumulation_steps=1,
            max_steps=int(steps), learning_rate=rate, weight_decay=decay, max_grad_norm=clip, optim="adamw_torch", disable_shuffling=True,
            disable_gradient_checkpointing=True, save_strategy="no", logging_strategy="no", report_to="none", use_cpu=True,
            flash_attn="sdpa", dataloader_num_workers=0,
        )
    )  # fmt: skip
    workflow.run_sft(*chosen)
    known = {"llama_factory": version("llamafactory"), "peer_transformers": version("transformers"), "peer_peft": version("peft")}
    return noted["seconds"], {"losses": [float(loss) for loss in noted["losses"]], "versions": known}


if __name__ == "__main__":
    stand_in()
    register()
    serve(partial(round_of, Path(sys.argv[1]), [float(word) for word in sys.argv[2:]]))
