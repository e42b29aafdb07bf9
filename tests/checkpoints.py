"""Tiny checkpoints as they lie on the hub: each family's own class with random weights, its tokenizer and its front end, in a folder."""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from undertone.lookup import resolve
from undertone.models import FAMILIES, tiny
from undertone.models.kimi_audio.family import SPEECH_TOKENIZER, WHISPER, KimiAudio, tiny_ranks

STOCK = tuple(name for name in FAMILIES if name != "frozen_llm")


def save(model: Any, folder: Path) -> Path:
    """What Transformers writes of `model`; of Kimi-Audio, which lies on the hub otherwise, `publish`."""
    if isinstance(model, KimiAudio):
        return publish(model, folder)
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    if hasattr(model.extractor, "save_pretrained"):
        model.extractor.save_pretrained(folder)
    else:  # Granite's own class is not importable here; this is what of its file is read
        says = model.extractor._asdict()
        (folder / "preprocessor_config.json").write_text(json.dumps({"melspec_kwargs": {"sample_rate": says.pop("sampling_rate"), **says}}))
    return folder


def publish(model: KimiAudio, folder: Path) -> Path:
    """`model` under the published names, in the published layout, with all that lies beside its weights there: also code, which leaves the
    file `ran` when somebody runs it."""
    model.module.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    own = {
        "AutoConfig": "configuration_moonshot_kimia.KimiAudioConfig",
        "AutoModelForCausalLM": "modeling_moonshot_kimia.MoonshotKimiaForCausalLM",
    }
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": own}))
    for name in own.values():
        (folder / f"{name.partition('.')[0]}.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    (folder / "generation_config.json").unlink(missing_ok=True)
    main = load_file(folder / "model.safetensors")
    frequencies = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(8) for i in range(model.layers)}
    save_file(main | frequencies, folder / "model.safetensors", {"format": "pt"})
    lines = [b64encode(token) + b" " + str(rank).encode() for token, rank in tiny_ranks().items()]
    (folder / "tiktoken.model").write_bytes(b"\n".join(lines))
    parts = (
        (WHISPER, model.ears.whisper, "model.encoder.", {"model.decoder.layer_norm.weight": torch.ones(16)}),
        (SPEECH_TOKENIZER, model.ears.tokenizer, "", {"ema_count": torch.ones(32)}),
    )
    for name, module, prefix, beside in parts:
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(module.config.to_dict()))
        state = {prefix + key: value.contiguous() for key, value in module.state_dict().items()}
        save_file(state | beside, folder / name / "model.safetensors", {"format": "pt"})
    return folder


def saved(family: str, folder: Path, seed: int = 0) -> Path:
    """A tiny checkpoint of `family`."""
    return save(resolve(FAMILIES, family, "model family").tiny(seed), folder)


def named(family: str, folder: Path) -> list[str]:
    """The flags that open it."""
    return ["--model", str(folder), *(["--family", "generic"] if family == "generic" else [])]


def llama(folder: Path, vocabulary: int = 0, template: bool = True) -> str:
    """A language model of another family with the embedded tokenizer."""
    tokens = tiny.tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary or len(tokens), **sizes)).save_pretrained(folder)
    if not template:
        tokens.chat_template = None
    tokens.save_pretrained(folder)
    return str(folder)


def tiny_bert(folder: Path, words: Sequence[str]) -> Path:
    """A BERT of two layers with random weights that knows `words`; the first four are [PAD], [UNK], [CLS], [SEP]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    table = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder
