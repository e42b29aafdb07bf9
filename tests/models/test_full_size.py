"""Every settings file for a published checkpoint resolves, and `--estimate` takes it at full size on the meta device.

The hub is not asked: `PUBLISHED` holds the values of each checkpoint's config.json that differ from the class's defaults. Those of
Qwen2-Audio and Audio Flamingo 3 were compared with published copies of the file, those of Voxtral-Mini, Phi-4-multimodal, GLM-ASR and
Qwen2.5-Omni-7B are the defaults of classes that name the checkpoint; the others are written down from their model cards and papers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from undertone.cli import COMMANDS, main
from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.kimi_audio.config import PUBLISHED as KIMI
from undertone.recipes.estimate import estimate
from undertone.settings import Finetune, Lora, read_config

CONFIGS = Path(__file__).parents[2] / "configs" / "finetune"

GRANITE_EARS = {
    "encoder_config": {"num_layers": 16, "output_dim": 256},
    "projector_config": {
        "model_type": "blip_2_qformer", "hidden_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 16,
        "intermediate_size": 4096, "encoder_hidden_size": 1024, "cross_attention_frequency": 1,
    },
}  # fmt: skip
"""What both sizes of Granite Speech hear with."""

PUBLISHED: dict[str, tuple[dict[str, Any], float | None]] = {
    "Qwen/Qwen2.5-Omni-7B": (
        {
            "model_type": "qwen2_5_omni",
            "thinker_config": {"model_type": "qwen2_5_omni_thinker", "vision_config": {"hidden_size": 1280}},
        },
        8.93e9,
    ),
    "Qwen/Qwen2.5-Omni-3B": (
        {
            "model_type": "qwen2_5_omni",
            "thinker_config": {
                "model_type": "qwen2_5_omni_thinker",
                "audio_config": {"output_dim": 2048},
                "vision_config": {"hidden_size": 1280, "out_hidden_size": 2048},
                "text_config": {
                    "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
                    "num_key_value_heads": 2, "vocab_size": 151936,
                },
            },
        },
        4.7e9,
    ),
    "Qwen/Qwen3-Omni-30B-A3B-Instruct": (
        {
            "model_type": "qwen3_omni_moe",
            "thinker_config": {
                "model_type": "qwen3_omni_moe_thinker",
                "audio_config": {"output_dim": 2048},
                "vision_config": {"out_hidden_size": 2048},
                "text_config": {
                    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 152064,
                },
            },
        },
        31.7e9,
    ),
    "Qwen/Qwen2-Audio-7B-Instruct": (
        {"model_type": "qwen2_audio", "text_config": {"model_type": "qwen2", "intermediate_size": 11008, "vocab_size": 156032}}, 8.4e9
    ),
    "mistralai/Voxtral-Mini-3B-2507": ({"model_type": "voxtral", "audio_token_id": 24}, 4.7e9),
    "mistralai/Voxtral-Small-24B-2507": (
        {
            "model_type": "voxtral",
            "audio_token_id": 24,
            "text_config": {"model_type": "llama", "hidden_size": 5120, "intermediate_size": 32768, "num_hidden_layers": 40},
        },
        24.3e9,
    ),
    "nvidia/audio-flamingo-3-hf": (
        {
            "model_type": "audioflamingo3",
            "text_config": {
                "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
                "num_key_value_heads": 4, "vocab_size": 151672,
            },
        },
        8.3e9,
    ),
    "ibm-granite/granite-speech-3.3-8b": (
        {
            "model_type": "granite_speech",
            **GRANITE_EARS,
            "text_config": {
                "model_type": "granite", "hidden_size": 4096, "intermediate_size": 12800, "num_hidden_layers": 40,
                "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 49160, "logits_scaling": 16.0,
            },
        },
        8.6e9,
    ),
    "ibm-granite/granite-speech-3.3-2b": (
        {
            "model_type": "granite_speech",
            **GRANITE_EARS,
            "text_config": {
                "model_type": "granite", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 40,
                "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 49160, "logits_scaling": 8.0,
            },
        },
        None,
    ),
    "microsoft/Phi-4-multimodal-instruct": ({"model_type": "phi4_multimodal", "tie_word_embeddings": True}, 4.7e9),
    "moonshotai/Kimi-Audio-7B-Instruct": ({"model_type": "kimi_audio", **KIMI}, 7.76e9),
    "zai-org/GLM-ASR-Nano-2512": ({"model_type": "glmasr", "architectures": ["GlmAsrForConditionalGeneration"]}, None),
}  # fmt: skip
"""config.json, as far as it differs from the defaults, and the parameters that what is loaded is known to have, where it is known."""


def files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(CONFIGS.glob("*.toml")) if read_config(Finetune, path).model != "undertone-tiny"}


@pytest.mark.parametrize("name", list(files()))
def test_a_settings_file_is_estimated_at_full_size(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--config", str(files()[name]), "--dry-run"]) == 0
    chosen = read_config(COMMANDS["finetune"][0], files()[name])
    described, parameters = PUBLISHED[chosen.model]
    (tmp_path / "config.json").write_text(json.dumps(described))
    found = estimate(chosen.model_copy(update={"model": str(tmp_path)}))
    capsys.readouterr()
    assert parameters is None or found.parameters == pytest.approx(parameters, rel=0.03)
    assert 1e-4 < found.trained / found.parameters < 2e-3
    # METHOD A.3 and FIELD: LoRA on a frozen base takes about 4 multiplications and additions per parameter and token of the text model.
    active = found.flops / found.tokens / 4
    assert 2e9 < active < 4e9 if "a3b" in name else 0.4 < active / (found.weights / 2) < 1.4
    assert found.activations < 40e9


def test_every_family_with_a_checkpoint_has_a_settings_file() -> None:
    known = {name for family in FAMILIES for name in resolve(FAMILIES, family, "model family").checkpoints}
    written = {read_config(Finetune, path).model for path in CONFIGS.glob("*.toml")}
    assert known <= written
    assert set(PUBLISHED) <= written


@pytest.mark.parametrize("name", list(files()))
def test_a_settings_file_has_the_papers_values(name: str) -> None:
    """METHOD A.3 and A.4; its layers 0-14 of 28 scaled to the model's depth, the head at the last of them."""
    chosen = read_config(Finetune, files()[name])
    family = next(kind for kind in (resolve(FAMILIES, one, "model family") for one in FAMILIES) if chosen.model in kind.checkpoints)
    assert chosen.lora == Lora(rank=16, alpha=32, dropout=0.05, targets=list(family.targets))
    assert (chosen.epochs, chosen.batch_size, chosen.learning_rate, chosen.replay) == (10.0, 128, 8e-5, 0.0)
    first, last = map(int, chosen.layers.split("-"))
    assert first == 0
    assert (chosen.adch.weight, chosen.adch.layer) == (0.5, last)
