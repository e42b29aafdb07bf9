"""ms-swift's side of `training.py`, in an environment of its own:

    python -m venv PEER
    PEER/bin/pip install torch==2.13.0 ms-swift==4.6.0 soundfile

What `swift sft` runs trains here: its dataset, collator, trainer and LoRA, from the adapter that all sides begin with. It lists no thinker
by itself, so that is registered as its guide on custom models says, with a template whose sound goes through the official feature
extractor, padded to 300 s as the official processor pads; pictures and video, for which its own needs torchvision, are left out. Float32,
without checkpointing; the seconds are those of `Trainer.train`. Arguments: the folder of `lesson.py`, and a `Schedule`.
"""

import json
import math
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import soundfile
import torch
from served import serve
from shared import fitting, messages
from swift.arguments import SftArguments
from swift.model import Model, ModelGroup, ModelLoader, ModelMeta, register_model
from swift.pipelines.train.sft import SwiftSft
from swift.template import Template, TemplateMeta, register_template
from swift.template.templates.qwen import Qwen2_5OmniTemplate
from swift.template.utils import findall
from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

NAME, AUDIO = "thinker", "<|AUDIO|>"


class Ears:
    """Of the official processor, what sound goes through."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.feature_extractor = WhisperFeatureExtractor.from_pretrained(folder)


class Loader(ModelLoader):
    def get_processor(self, model_dir: str, config: Any) -> Ears:
        return Ears(model_dir)

    def get_model(self, model_dir: str, *more: Any, **others: Any) -> Any:
        self.auto_model_cls = Qwen2_5OmniThinkerForConditionalGeneration
        return super().get_model(model_dir, *more, **others)


class Heard(Qwen2_5OmniTemplate):
    """Qwen2.5-Omni's template, for sound and the thinker alone, which computes its own input embeddings."""

    def init_processor(self, processor: Any) -> None:
        if processor is not None:
            Template.init_processor(self, processor)
            self.use_audio_in_video = False

    def replace_tag(self, media_type: str, index: int, inputs: Any) -> list[str]:
        inputs.audios[index] = soundfile.read(inputs.audios[index], dtype="float32")[0]
        return [f"<|audio_bos|>{AUDIO}<|audio_eos|>"]

    def _encode(self, inputs: Any) -> dict[str, Any]:
        encoded = Template._encode(self, inputs)
        how = {"padding": "max_length", "truncation": False, "return_attention_mask": True, "return_tensors": "pt"}
        mel = self.processor.feature_extractor(inputs.audios, sampling_rate=16_000, **how)
        counts = self._get_feat_extract_output_lengths(mel.attention_mask.sum(-1))
        token = self._tokenize(AUDIO)
        parts = encoded["input_ids"], encoded["labels"], encoded.get("loss_scale")
        ids, labels, scale = self._extend_tokens(*parts, findall(parts[0], token), lambda i: token * counts[i])
        return encoded | {"input_ids": ids, "labels": labels, "loss_scale": scale, "input_features": mel.input_features,
                          "feature_attention_mask": mel.attention_mask}  # fmt: skip

    def _post_encode(self, model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs

    def _get_get_rope_index(self) -> Any:
        return self._get_model().get_rope_index


class Timed(SwiftSft):
    """Notes the seconds of training and every step's loss; the schedule is all sides'."""

    seconds: float
    losses: list[float]
    scale: Any

    def train(self, trainer: Any) -> Any:
        noted, usual = [], trainer.compute_loss

        def compute_loss(*given: Any, **named: Any) -> Any:
            found = usual(*given, **named)
            noted.append((found[0] if isinstance(found, tuple) else found).detach())
            return found

        trainer.compute_loss = compute_loss
        trainer.create_optimizer()
        trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, self.scale)
        began = perf_counter()
        trainer.train()
        self.seconds, self.losses = perf_counter() - began, [float(loss) for loss in noted]
        return {}


def scale(step: int, steps: int, warmup: float) -> float:
    """As `undertone.training.loop.Schedule.scale`, which this environment does not have."""
    warm = max(1, round(steps * warmup))
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def write_rows(folder: Path) -> Path:
    """The lesson's clips as ms-swift reads them."""
    rows = messages(folder)
    path = folder / "swift.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def round_of(folder: Path, schedule: list[float]) -> tuple[float, dict[str, Any]]:
    steps, batch, _, rate, warmup, decay, clip, _ = schedule
    arguments = SftArguments(
        model=str(folder / "model"), model_type=NAME, template=NAME, dataset=[str(write_rows(folder))], adapters=[str(fitting(folder))],
        output_dir=tempfile.mkdtemp(), torch_dtype="float32", per_device_train_batch_size=int(batch), gradient_accumulation_steps=1,
        max_steps=int(steps), learning_rate=rate, weight_decay=decay, adam_beta2=0.999, max_grad_norm=clip, optim="adamw_torch",
        train_dataloader_shuffle=False, dataset_shuffle=False, split_dataset_ratio=0.0, gradient_checkpointing=False,
        dataloader_num_workers=0, dataset_num_proc=1, lazy_tokenize=True, save_strategy="no", eval_strategy="no", report_to=["none"],
        use_cpu=True, use_hf=True, check_model=False,
    )  # fmt: skip
    pipeline = Timed(arguments)
    pipeline.scale = partial(scale, steps=int(steps), warmup=warmup)
    pipeline.main()
    known = {"ms_swift": version("ms-swift"), "peer_transformers": version("transformers"), "peer_peft": version("peft")}
    return pipeline.seconds, {"losses": pipeline.losses, "versions": known}


if __name__ == "__main__":
    chat = {"prefix": [], "prompt": ["<|im_start|>user\n{{QUERY}}<|im_end|>\n<|im_start|>assistant\n"], "chat_sep": ["<|im_end|>\n"]}
    register_template(TemplateMeta(NAME, **chat, suffix=["<|im_end|>"], template_cls=Heard))
    register_model(
        ModelMeta(NAME, [ModelGroup([Model()], NAME)], Loader, template=NAME, is_multimodal=True,
                  architectures=["Qwen2_5OmniThinkerForConditionalGeneration"])
    )  # fmt: skip
    serve(partial(round_of, Path(sys.argv[1]), [float(word) for word in sys.argv[2:]]))
