"""Checked folders survive kills, and notice damage."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from hubtune.errors import MachineError, ModelError
from hubtune.storage.checked_folder import find_checked, integrity_error, open_checked, recover, write_checked

# Replaces the same checked folder for ever; every version says of itself which it is, twice.
_PROGRAM = """
import sys
from pathlib import Path
from hubtune.storage.checked_folder import write_checked
number = int(sys.argv[2])
while True:
    number += 1
    write_checked(Path(sys.argv[1]), {"one": str(number).encode() * 20_000, "two": str(number).encode()})
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_at_any_moment_leaves_a_whole_folder(tmp_path):
    folder = tmp_path / "model"
    write_checked(folder, {"one": b"0" * 20_000, "two": b"0"})
    written, draw = 0, random.Random(0)
    for _ in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(folder), str(written)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()  # it is at work
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        done = [int(line) for line in process.communicate()[0].split()]
        found = find_checked(folder)
        assert integrity_error(found) is None
        number = int((found / "two").read_bytes())
        assert (found / "one").read_bytes() == str(number).encode() * 20_000
        assert number >= max([written, *done])
        written = number
    recover(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("one", b"12345", "one is damaged: its SHA-256 differs"),
        ("one", b"1", "one has another size than when it was written"),
        ("one", None, "one is missing"),
        ("manifest.json", None, "manifest.json is missing"),
        ("manifest.json", b"[1]", "manifest.json is damaged"),
        ("manifest.json", b'{"../x": {}}', "manifest.json names a file elsewhere"),
        ("manifest.json", b"{}", "manifest.json does not list one"),
    ],
)
def test_damage_is_named(tmp_path, file, content, reason):
    folder = tmp_path / "model"
    write_checked(folder, {"one": b"54321"})
    assert open_checked(folder, "one") == folder
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_checked(folder, "one")
    assert str(caught.value) == f"{folder} cannot be used: {reason}"


def test_a_full_disk_leaves_the_older_folder(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write_checked(folder, {"one": b"abc"})
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert json.loads((folder / "manifest.json").read_text()) == {"one": {"size": 3, "sha256": sha256}}

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MachineError, match="No space left on device"):
        write_checked(folder, {"one": b"new"})
    assert integrity_error(folder) is None
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "one").read_bytes() == b"abc"
