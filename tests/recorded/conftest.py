"""Working folders with the recorded files, and commands' answers."""

import json

import pytest
from support.drawn_images import draw_odd
from support.recorded import bring


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with the recorded pictures, recipes, runs and models."""
    monkeypatch.chdir(tmp_path)
    return bring(tmp_path)


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A working folder with pictures of all kinds."""
    monkeypatch.chdir(tmp_path)
    draw_odd(tmp_path / "odd")
    return tmp_path


@pytest.fixture
def answer(run_here):
    """What a command prints as JSON."""

    def call(*arguments):
        done = run_here(*arguments, "--json")
        assert done.returncode in (0, 8), done.stderr
        return json.loads(done.stdout)

    return call
