"""A program that "speaks": usage: speak.py TEXT OUT [WORD…]. It writes its arguments beside OUT and does what TEXT says."""

import json
import sys
import time
from pathlib import Path

text, out = sys.argv[1], Path(sys.argv[2])
Path(sys.argv[0]).with_name("arguments.json").write_text(json.dumps(sys.argv[1:]))
if text == "sleep":
    time.sleep(30)
if text == "fail":
    print("no such voice: slt", file=sys.stderr)
    sys.exit(3)
if text == "garbage":
    out.write_text("this is no sound")
elif text != "nothing":
    import wave

    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\x00\x20" * (0 if text == "silence" else 4000))
