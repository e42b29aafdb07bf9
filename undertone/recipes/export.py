"""`undertone export`: a trained adapter goes out, merged into a plain checkpoint that any tool opens, or under the names that vLLM expects.

Of a whole Qwen2.5-Omni only the thinker's adapted weights change; talker, codec and every other file stay as they are, byte for byte.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.lookup import resolve
from undertone.models import FAMILIES, family_of, files, open_hollow, open_model, place
from undertone.models.base import SpeechLM
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.records import Score, parse_json, read_rows
from undertone.reporting.card import UNKNOWN, Facts, card
from undertone.run import commit
from undertone.training.lora import BESIDE, MadeWith, beside, load_adapter, made_with
from undertone.training.merging import check_plain, merge, served, updates, write_served

LICENCE = ("license", "license_name", "license_link")


def export(chosen: settings.Export) -> Path:
    """Write the folder, whole or not at all; returns it. One that was exported from the same things before is left as it is."""
    made = made_with(chosen.adapter) or MadeWith("", "", "", "")
    name = chosen.model or made.model
    if not name:
        raise ValueError(f"{chosen.adapter}: no {BESIDE} says what it was trained on; name the checkpoint with --model")
    base = files.local(place(name))
    page = card(facts(chosen, made, name, base))
    told = identity(chosen, made, name, page)
    if chosen.out.exists():
        if told == {key: beside(chosen.out).get(key) for key in told}:
            return chosen.out
        raise ValueError(f"{chosen.out}: there is something else already; choose another --out, or delete the folder")

    stored = files.places(base)
    model = known(base, chosen.family, name)
    names = model.stored_names(list(stored))
    adapted = load_adapter(model, chosen.adapter)
    check_plain(adapted, chosen.adapter)
    changed = updates(adapted, names, chosen.adapter)
    with files.whole(chosen.out) as folder:
        if chosen.form == "adapter":
            write_served(folder, chosen.adapter, served(adapted, names))
            said = f"{len(changed)} modules, named as in {named(name)}"
        else:
            left = files.copy(base, folder)
            rounded = merge(folder, changed, bar("merging"))
            said = f"{len(changed)} of {len(stored)} tensors changed; rounding took {100 * rounded:.2g} % of the update"
            said += f"; left out, the same weights once more: {', '.join(left)}" if left else ""
        (folder / "README.md").write_text(page, encoding="utf-8")
        (folder / BESIDE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"{chosen.out}: {said}")
    return chosen.out


def known(base: Path, family: str, name: str) -> SpeechLM:
    """The model without its weights, for its names and shapes alone: what is added to is read from the files. With them where its family
    cannot do without. ValueError for a model of the frozen road, whose checkpoint is what was trained."""
    kind = resolve(FAMILIES, family or family_of(base), "model family")
    if kind.family == FrozenLLM.family:
        raise ValueError(
            f"model {name}: undertone align made it, and its folder is all there is to give away; there is no adapter to merge"
        )
    return open_hollow(base, family) if hasattr(kind, "hollow") else open_model(str(base), family, "cpu", "bfloat16")


def identity(chosen: settings.Export, made: MadeWith, name: str, page: str) -> dict[str, str]:
    """What an export is made from, as it stands beside the weights: recipes ask the model under `system`, as it was trained."""
    weights = (chosen.adapter / "adapter_model.safetensors").read_bytes()
    hashes = {"adapter": sha256(weights).hexdigest(), "card": sha256(page.encode()).hexdigest()}
    return {"system": made.system, "base": named(name), "layers": made.layers, "form": chosen.form} | hashes


def facts(chosen: settings.Export, made: MadeWith, name: str, base: Path) -> Facts:
    """What the card tells, from the adapter's run folder, those of `runs`, and the base's own card."""
    run = chosen.adapter.parent
    how = run / "settings.json"
    table: Mapping[str, Any] = parse_json(how.read_text(encoding="utf-8"), str(how)) if how.exists() else {}
    rows = [row for folder in (run, *chosen.runs) for row in scores(folder, needed=folder != run)]
    on_hub = not Path(name).exists() and "/" in name
    title, adapter = chosen.title or chosen.out.name, chosen.form == "adapter"
    rights, text = licence(chosen.license, base), use(title, adapter, name if on_hub else named(name))
    return Facts(title, named(name), on_hub, adapter, rights, made.system, made.layers, table, rows, text, commit())


def scores(folder: Path, needed: bool) -> Sequence[Score]:
    """The scores of a run folder; where they are `needed`, FileNotFoundError names the file that is not there."""
    path = folder / "scores.jsonl"
    return list(read_rows(path, Score)) if needed or path.exists() else []


def licence(asked: str, base: Path) -> dict[str, str]:
    """The licence fields of the card's header: as asked for, else those of the base's README.md, else unknown."""
    from huggingface_hub.repocard import metadata_load

    if asked:
        return {"license": asked}
    page = base / "README.md"
    known = (metadata_load(page) or {}) if page.exists() else {}
    return {key: str(known[key]) for key in LICENCE if known.get(key)} or {"license": "other", "license_name": UNKNOWN}


def named(model: str) -> str:
    """A hub name as it is; of a folder its name alone, for where it lies here is nobody's business."""
    return Path(model).name if Path(model).exists() else model


def use(title: str, adapter: bool, base: str) -> str:
    """How to serve it, in Markdown."""
    command = f"vllm serve PATH --served-model-name {title}"
    if adapter:
        command = f"vllm serve {base} --enable-lora --max-lora-rank 64 --lora-modules {title}=PATH"
    ask = f"undertone evaluate --model endpoint:{title} --served.base_url http://localhost:8000/v1 --data …"
    return f"PATH is this folder:\n\n    {command}\n    {ask}"
