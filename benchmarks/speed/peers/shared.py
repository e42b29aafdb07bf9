"""The lesson in a peer's environment: its clips as messages, and its adapter where another Transformers has the decoder's layers."""

import json
from pathlib import Path
from typing import Any


def fitting(folder: Path) -> Path:
    """A folder with the adapter of the lesson in `folder` under the names that the thinker has here."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, Qwen2_5OmniThinkerForConditionalGeneration

    with torch.device("meta"):
        thinker = Qwen2_5OmniThinkerForConditionalGeneration(AutoConfig.from_pretrained(folder / "model"))
    here = "model.language_model." if hasattr(thinker.model, "language_model") else "model."
    adapter, made = folder / "adapter", folder / f"adapter.{here}"
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["target_modules"] = [name.replace("model.language_model.", here) for name in config["target_modules"]]
    weights = load_file(adapter / "adapter_model.safetensors")
    made.mkdir(exist_ok=True)
    (made / "adapter_config.json").write_text(json.dumps(config))
    save_file({name.replace("model.language_model.", here): value for name, value in weights.items()}, made / "adapter_model.safetensors")
    return made


def messages(folder: Path) -> list[dict[str, Any]]:
    """The lesson's clips as ms-swift and LLaMA-Factory read them: `messages` and `audios`."""
    clips = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]
    return [
        {
            "messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": clip["reply"]}],
            "audios": [str(folder / "clips" / clip["file_name"])],
        }
        for clip in clips
    ]
