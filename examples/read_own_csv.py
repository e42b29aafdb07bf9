"""One's own CSV as utterances: columns and cell values of other names, and a clip that cannot be used."""

import sys
from pathlib import Path

import numpy as np

from undertone.audio import write_flac
from undertone.speech.corpora import read_corpus

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
time = np.arange(8000) / 16_000
for name, hertz in (("anna", 330), ("bert", 120)):
    write_flac(folder / f"{name}.flac", (0.1 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), 16_000)
manifest = folder / "own.csv"
manifest.write_text(
    "wav,words,age_group,who,split\n"
    "anna.flac,how do i fix the socket,C,anna,train\n"
    "bert.flac,how do i fix the socket,A,bert,test\n"
    "lost.flac,how do i fix the socket,A,bert,test\n"
)
found = read_corpus(
    "csv",
    manifest,
    columns={"audio": "wav", "text": "words", "age": "age_group", "speaker": "who"},
    values={"age": {"C": "child", "A": "adult"}},
    disjoint=("speaker",),
)
for row in found.data.utterances:
    print(f"{row.file_name}: {row.speaker}, {row.attributes['age']}, {row.seconds:.1f} s, {row.split}: {row.text}")
for row in found.rejected:
    print(f"rejected {row.file_name}: {row.reason}")
