"""What all sides of a training benchmark train: a checkpoint, spoken clips in the order in which they are drawn, a fresh adapter and heads,
written into one scratch folder, so that every side begins at the same weights and sees the same batches."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.models.tiny import WEIGHTS
from undertone.records import Utterance, read_rows
from undertone.run import write_rows

TARGETS = ("q_proj", "v_proj")


class Size(NamedTuple):
    """A model and what is trained on it: `queries` are said one after another in a clip; `layers` are adapted."""

    layers: str
    rank: int
    alpha: int
    learning_rate: float
    batch: int
    steps: int
    queries: int


SIZES = {
    "embedded": Size("0-5", 8, 32, 5e-3, batch=32, steps=10, queries=1),
    "60M": Size("0-14", 16, 32, 8e-5, batch=8, steps=6, queries=3),
}
"""The embedded model as the demo trains it, and all 28 layers and 152,064 words of Qwen2.5-Omni-7B at a width of 160 with random weights,
adapted as the paper does (METHOD A.3)."""


class Lesson(NamedTuple):
    """The folder, read: `clips` in the order in which they are drawn, their sound in `clips/`, the checkpoint in `model/`."""

    folder: Path
    size: Size
    clips: list[Utterance]

    def wave(self, row: Utterance) -> Any:
        """Float32 samples at 16 kHz."""
        import soundfile

        return soundfile.read(self.folder / "clips" / row.file_name, dtype="float32")[0]

    def batch(self, step: int, size: int) -> list[Utterance]:
        """The clips of a step."""
        return self.clips[step * size : (step + 1) * size]


def read_lesson(folder: Path) -> Lesson:
    """What `write_lesson` wrote."""
    size = Size(**json.loads((folder / "size.json").read_text()))
    return Lesson(folder, size, list(read_rows(folder / "clips.jsonl", Utterance)))


def write_lesson(name: str, folder: Path, steps: int = 0, batch: int = 0) -> Lesson:
    """Make the folder for the size called `name`, of fewer or more steps or clips a batch where they are given."""
    size = SIZES[name]
    size = size._replace(steps=steps or size.steps, batch=batch or size.batch)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "clips").mkdir(parents=True)
    (folder / "size.json").write_text(json.dumps(size._asdict()))
    _write_checkpoint(name, folder / "model")
    write_rows(folder / "clips.jsonl", list(spoken(size, folder / "clips")))
    _write_adapter(size, folder)
    return read_lesson(folder)


def _write_checkpoint(name: str, folder: Path) -> None:
    """In float32, which some sides load as it lies there, and with the front end's settings of the real checkpoint: by them its processor
    pads to 300 s."""
    import torch
    from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

    from undertone.models import tiny

    if name == "embedded":
        tokenizer, bins = AutoTokenizer.from_pretrained(WEIGHTS / "undertone-tiny"), 80
        model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(WEIGHTS / "undertone-tiny", dtype=torch.float32)
    else:
        torch.manual_seed(0)
        tokenizer, bins = tiny.tokenizer(), 128
        model = Qwen2_5OmniThinkerForConditionalGeneration(_sixty_million(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=bins, chunk_length=300).save_pretrained(folder)


def _sixty_million(tokenizer: Any) -> Any:
    """Vocabulary and depth of Qwen2.5-Omni-7B, its proportions of width to feed-forward width and of tower to language model."""
    from undertone.models import tiny

    made = tiny.config(tokenizer)
    made.audio_config.update(dict(num_mel_bins=128, encoder_layers=4, d_model=160, encoder_ffn_dim=640, output_dim=160))
    made.text_config.update(
        dict(vocab_size=152_064, hidden_size=160, intermediate_size=848, num_hidden_layers=28, num_attention_heads=5, num_key_value_heads=1,
             layer_types=["full_attention"] * 28, max_window_layers=28)
    )  # fmt: skip
    made.vision_config.update(dict(out_hidden_size=160))
    return made


def spoken(size: Size, folder: Path) -> Iterator[Utterance]:
    """Clips of the grammar's queries, written into `folder`, with the replies that suit their voices."""
    import soundfile

    from undertone.speech.synthesisers.espeak import Espeak
    from undertone.speech.writers import grammar

    voice, usual = Espeak(), {one.name: one.names[0] for one in ATTRIBUTES.values()}
    for i in range(size.steps * size.batch):
        *before, query = random.Random(i).sample(grammar.all_queries(), size.queries)
        values = list(query.replies)
        said = usual | ({query.category: values[i % len(values)]} if values else {})
        text = " ".join(one.text for one in (*before, query))
        wave = voice.speak(text, said, speaker=i % 16, seed=i)
        soundfile.write(folder / f"{i}.wav", wave, 16_000, subtype="FLOAT")
        yield Utterance(
            id=str(i), text=text, file_name=f"{i}.wav", seconds=len(wave) / 16_000, attributes=said, speaker=str(i % 16), source="espeak",
            split="train", category=query.category, reply=query.replies[said[query.category]] if values else query.content_reply,
        )  # fmt: skip


def _write_adapter(size: Size, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from undertone.models import open_model
    from undertone.training.heads import Adch
    from undertone.training.lora import adapt, choose_layers

    model = open_model(str(folder / "model"), device="cpu", dtype="float32")
    adapted = adapt(model, choose_layers(size.layers, model), TARGETS, size.rank, size.alpha, dropout=0.0, seed=0)
    adapted.save_pretrained(folder / "adapter")
    torch.manual_seed(1)
    heads = Adch(model.text_model.config.hidden_size)
    save_file({name: value.contiguous() for name, value in heads.state_dict().items()}, folder / "heads.safetensors")
