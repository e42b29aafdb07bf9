"""`undertone ask clip.wav`: the reply before and after, what anyone tries first."""

from pathlib import Path

from undertone import settings
from undertone.audio import Conversions, read_sound
from undertone.models import open_model
from undertone.models.base import Prompt
from undertone.recipes.adapters import as_trained
from undertone.training.lora import load_adapter


def ask(chosen: settings.Ask) -> dict[str, str]:
    """Prints and returns the replies: `before`, and `after` where an adapter is given."""
    if not chosen.clip:
        raise ValueError("clip: name a sound file, as in undertone ask clip.wav")
    chosen = as_trained(chosen)
    model = open_model(chosen.model, chosen.family, chosen.device, chosen.dtype, remote_code=chosen.remote_code)
    counts = Conversions()
    prompt = Prompt(audio=counts.add(read_sound(Path(chosen.clip), model.sample_rate)), system=chosen.system)
    counts.warn(Path(chosen.clip), model.sample_rate)
    replies = {"before": model.reply([prompt], chosen.max_new_tokens)[0]}
    if chosen.adapter is not None:
        load_adapter(model, chosen.adapter)
        replies["after"] = model.reply([prompt], chosen.max_new_tokens)[0]
    for when, text in replies.items():
        print(f"{when:>6}: {text}")
    return replies
