"""PE-FT (LoRA in chosen layers and the auxiliary head) of a random tiny model in a few steps, by plain calls, without settings."""

import sys
from pathlib import Path

from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.speech.synthesisers.espeak import Espeak
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import PeFt

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/plain")
REPLIES = {"child": "please wait and call a grown up", "adult": "turn off the power first"}
model, voices, rows = Qwen2_5Omni.tiny(seed=0), {}, []
for speaker in range(4):
    for age, reply in REPLIES.items():
        name, said = f"{age}-{speaker}", {"age": age, "gender": "female", "emotion": "neutral"}
        voices[name] = Espeak().speak("how do i fix the socket", said, speaker)
        rows.append(
            Utterance(id=name, text="how do i fix the socket", file_name="", seconds=1.0, attributes=said, speaker=str(speaker),
                      source="espeak", split="train", category="age", reply=reply)
        )  # fmt: skip

layers = choose_layers("0-3", model)
adapted = adapt(model, layers, ["q_proj", "v_proj"], rank=8, alpha=16, dropout=0.0, seed=0)
width = model.text_model.config.hidden_size
objective = PeFt(model, adapted, layers[-1], weight=0.5, width=width)
batch = model.encode([Prompt(audio=voice) for voice in voices.values()])
counts = model.audio_mask(batch).sum(-1).tolist()
heard = dict(zip(voices, model.listen(batch).detach().split(counts), strict=True))
schedule = Schedule(12, 8, 1, 1e-2, 0.1, 0.0, 1.0, check_every=6)
encode = Encoder(model, heard.__getitem__)
progress = train(objective, Mixture(rows, 0.0, {}, 0), rows, encode, schedule, folder, lambda values, step: print(step, values))
adapted.save_pretrained(folder / "adapter")
print(f"best loss {progress.best:.3f} at step {progress.best_step}; adapter in {folder / 'adapter'}")
