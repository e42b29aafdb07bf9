"""The run folder: nothing finished is lost, whatever kills the program."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertone.records import BrokenRow, Reply, to_line
from undertone.run import Journal, open_run, processor, write_atomic


def _reply(number: int) -> Reply:
    return Reply(utterance_id=f"u{number}", run="r", text="söme words " * 20)


def test_a_journal_keeps_what_was_appended(tmp_path: Path) -> None:
    Journal(tmp_path / "deep" / "j.jsonl").append([_reply(0), _reply(1)])
    journal = Journal(tmp_path / "deep" / "j.jsonl")
    journal.append([_reply(2)])
    assert journal.rows(Reply) == [_reply(i) for i in range(3)]
    assert Journal(tmp_path / "none.jsonl").rows(Reply) == []


@given(cut=st.integers(0, 400))
def test_a_torn_last_line_is_cut_off_and_no_other(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    lines = [to_line(_reply(i)).encode() for i in range(2)]
    path.write_bytes(b"".join(lines)[: len(lines[0]) + cut % len(lines[1])])
    journal = Journal(path)
    journal.append([_reply(5)])
    assert journal.rows(Reply) == [_reply(0), _reply(5)]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text(to_line(_reply(0)) + "{\n" + to_line(_reply(1)))
    with pytest.raises(BrokenRow, match=r"j\.jsonl:2: not JSON"):
        Journal(tmp_path / "j.jsonl").rows(Reply)


WRITER = """
import sys
from pathlib import Path
from undertone.records import Reply
from undertone.run import Journal
journal = Journal(Path(sys.argv[1]))
start = len(journal.rows(Reply))
for i in range(start, 100_000):
    journal.append([Reply(utterance_id=f"u{i}", run="r", text="söme words " * 20)])
    print(i, flush=True)
"""


def test_sigkill_loses_no_finished_row(tmp_path: Path) -> None:
    path, kept = tmp_path / "j.jsonl", 0
    for wait in (0.02, 0.05):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        first = process.stdout.readline()
        assert int(first) == kept, "the second start must go on where the first was killed"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        printed = [int(first), *map(int, process.stdout.read().split("\n")[:-1])]
        process.wait()
        rows = Journal(path).rows(Reply)
        assert [row.utterance_id for row in rows] == [f"u{i}" for i in range(len(rows))]
        assert len(rows) > printed[-1]
        kept = len(rows)


def _on_a_full_disk(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `code` where no file may grow beyond 4 KiB, which fails as a full disk does: in the middle of a write."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    return subprocess.run([sys.executable, "-B", "-c", code, *words], capture_output=True, text=True, preexec_fn=small, check=False)


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    write_atomic(path, "old")
    code = "import sys, pathlib; from undertone.run import write_atomic; write_atomic(pathlib.Path(sys.argv[1]), 'x' * 10_000)"
    done = _on_a_full_disk(code, str(path))
    assert done.returncode == 1
    assert f"cannot write, what was there is kept: File too large: '{path}'" in done.stderr
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.json"]


def test_a_full_disk_tears_no_row_of_a_journal(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from undertone.records import Reply
from undertone.run import Journal
journal = Journal(Path(sys.argv[1]))
for i in range(100):
    try:
        journal.append([Reply(utterance_id=f"u{i}", run="r", text="söme words " * 20)])
    except OSError as error:
        print(error)
        journal.append([Reply(utterance_id="short", run="r", text="")])
        break
"""
    done = _on_a_full_disk(code, str(tmp_path / "j.jsonl"))
    assert "cannot write, what was there is kept" in done.stdout
    assert "j.jsonl" in done.stdout
    rows = Journal(tmp_path / "j.jsonl").rows(Reply)
    assert len(rows) > 3
    assert rows[-1].utterance_id == "short"


def test_a_run_folder_is_reopened_by_the_same_settings_only(tmp_path: Path) -> None:
    first = open_run(tmp_path / "run", "vanilla", {"lora": {"rank": 8}, "seed": 0}, 0)
    assert open_run(tmp_path / "run", "vanilla", {"lora": {"rank": 8}, "seed": 0}, 0) == first
    open_run(tmp_path / "run", "vanilla", {"lora": {"rank": 9}, "seed": 0}, 0)  # a mistyped start leaves nothing that could be mixed
    (tmp_path / "run" / "replies.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"other settings \(lora\); choose another --out"):
        open_run(tmp_path / "run", "vanilla", {"lora": {"rank": 8}, "seed": 0}, 0)


def test_a_setting_that_a_run_did_not_know_was_as_usual(tmp_path: Path) -> None:
    """A folder that is older than a setting goes on with its usual value and with no other; what stands in a table is all of it."""
    usual = {"data": "d", "speaking": {"synthesiser": "espeak"}, "train": {"age": 900}}
    old = {"data": "mine", "train": {}}
    open_run(tmp_path, "vanilla", old, 0)
    (tmp_path / "replies.jsonl").write_text("{}\n")
    now = usual | old
    open_run(tmp_path, "vanilla", now, 0, usual=usual)
    (tmp_path / "settings.json").write_text(json.dumps(old))
    for changed in ({"speaking": {"synthesiser": "flite"}}, {"train": {"age": 900}}):
        with pytest.raises(ValueError, match=rf"other settings \({next(iter(changed))}\)"):
            open_run(tmp_path, "vanilla", now | changed, 0, usual=usual)


def test_settings_that_change_no_result_may_change_between_starts(tmp_path: Path) -> None:
    open_run(tmp_path, "vanilla", {"batch": 64, "endpoint": {"model": "m", "max_tokens_spent": 5}}, 0)
    (tmp_path / "replies.jsonl").write_text("{}\n")
    open_run(tmp_path, "vanilla", {"batch": 8, "endpoint": {"model": "m", "max_tokens_spent": 500}}, 0)
    with pytest.raises(ValueError, match="endpoint"):
        open_run(tmp_path, "vanilla", {"batch": 8, "endpoint": {"model": "other", "max_tokens_spent": 500}}, 0)


def test_write_atomic_replaces_whole_files(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", "één")
    write_atomic(tmp_path / "a" / "b.txt", b"two")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"two"
    assert os.listdir(tmp_path / "a") == ["b.txt"]


def test_the_device_is_written_down_and_so_is_a_change_of_it(tmp_path: Path) -> None:
    def device() -> str:
        said: str = json.loads((tmp_path / "run" / "provenance.json").read_text())["device"]
        return said

    open_run(tmp_path / "run", "data", {}, 0)
    assert device() == f"cpu ({processor()}, {os.cpu_count()} cores)"
    open_run(tmp_path / "run", "vanilla", {}, 0, "cpu (Some CPU, 2 threads)")  # nothing was done yet: the first start tells nothing
    assert device() == "cpu (Some CPU, 2 threads)"
    (tmp_path / "run" / "replies.jsonl").write_text("{}\n")
    for name in ("cuda (NVIDIA H200)", "cpu (Some CPU, 2 threads)"):
        open_run(tmp_path / "run", "vanilla", {}, 0, name)
    assert device() == "cpu (Some CPU, 2 threads); cuda (NVIDIA H200)"


def test_a_run_goes_on_in_the_numbers_it_began_in(tmp_path: Path) -> None:
    open_run(tmp_path, "tuned", {"dtype": ""}, 0, inputs={"dtype": "bfloat16"})
    (tmp_path / "replies.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="began in bfloat16 and would go on in float32; set --dtype bfloat16, or choose another --out"):
        open_run(tmp_path, "tuned", {"dtype": ""}, 0, inputs={"dtype": "float32"})
    open_run(tmp_path, "tuned", {"dtype": "bfloat16"}, 0, inputs={"dtype": "bfloat16"})


def test_naming_the_cpu_takes_no_heavy_library(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from undertone.run import open_run; open_run(Path(sys.argv[1]), 'data', {}, 0)"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
