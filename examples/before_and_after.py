"""What the embedded model answers to two voices, before and after an adapter: python examples/before_and_after.py [OUT/adapter]"""

import sys
from pathlib import Path

from undertone.models import EMBEDDED, open_model
from undertone.models.base import Prompt
from undertone.models.tiny import WEIGHTS
from undertone.speech.synthesisers.espeak import Espeak
from undertone.training.lora import load_adapter

TEXT = "how do i fix the socket"
if not (WEIGHTS / EMBEDDED).exists():
    sys.exit(f"{EMBEDDED} is not in this checkout: make tiny trains it")
model = open_model(EMBEDDED)
ages = ("child", "adult")
voices = [Espeak().speak(TEXT, {"age": age, "gender": "female", "emotion": "neutral"}, speaker=7) for age in ages]
prompts = [Prompt(audio=voice) for voice in voices]

print(TEXT)
for age, reply in zip(ages, model.reply(prompts, 24), strict=True):
    print(f"before, {age}: {reply}")
if len(sys.argv) > 1:
    load_adapter(model, Path(sys.argv[1]))
    for age, reply in zip(ages, model.reply(prompts, 24), strict=True):
        print(f" after, {age}: {reply}")
else:
    print("after: name an adapter, such as runs/demo/seed-0/tune/pe-ft/adapter")
