"""Bars are there for who watches, and for nobody else."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

PROGRAM = """
import time
from undertone.progress import bar
for _ in bar("listening")(range(40)):
    time.sleep(0.02)
list(bar("nothing", 0)([]))
"""


def on_a_terminal(program: str) -> str:
    """What a program writes to stderr where that is a terminal of a hundred columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 4096):
                said += part
        except OSError:  # how Linux says that the other end was closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return said.decode()


def test_a_terminal_shows_rate_and_time_left() -> None:
    said = on_a_terminal(PROGRAM)
    assert "listening: " in said
    states = re.findall(r"(\d+)/40 \[\d\d:\d\d<(\d\d:\d\d|\?), +(?:[\d.]+|\?)(?:it/s|s/it)\]", said)
    assert any(0 < int(done) < 40 and left != "?" for done, left in states), "time left before the end"
    assert states[-1][0] == "40"
    assert "nothing" not in said, "no bar where there is nothing to wait for"


def test_a_pipe_stays_silent() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == (b"", b"")
