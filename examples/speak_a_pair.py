"""The same words by a child and by an adult, one simulated speaker, as two FLAC files: python examples/speak_a_pair.py [FOLDER]"""

import sys
from pathlib import Path

from undertone.audio import write_flac
from undertone.speech.acoustics import measure
from undertone.speech.filters import pair_reason
from undertone.speech.synthesisers.espeak import Espeak

TEXT = "how do i fix the socket"
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
synthesiser = Espeak()
waves = []
for age in ("child", "adult"):
    wave = synthesiser.speak(TEXT, {"age": age, "gender": "female", "emotion": "neutral"}, speaker=7)
    write_flac(folder / f"{age}.flac", wave, synthesiser.sample_rate)
    found = measure(wave, synthesiser.sample_rate)
    print(f"{folder / age}.flac: {len(wave) / synthesiser.sample_rate:.2f} s, median F0 {found.f0:.0f} Hz")
    waves.append(wave)
reason = pair_reason((waves[0], waves[1]), synthesiser.sample_rate, "age", ("child", "adult"))
print("minimal pair:", reason or "yes, pitch and formants moved the right way")
