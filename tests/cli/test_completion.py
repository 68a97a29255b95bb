"""Commands and options are completed in a shell."""

import os
import subprocess
import sys

import pytest
from support.scripts import ROOT


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_that_of_the_shell(run_here, shell, monkeypatch):
    done = run_here("completion", shell)
    assert "_HUBTUNE_COMPLETE" in done.stdout and f"{shell}_complete" in done.stdout
    assert "For good: write this into" in done.stderr
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert run_here("completion").stdout == done.stdout


def test_an_unknown_shell_is_asked_for(run_here, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/nushell")
    done = run_here("completion")
    assert done.returncode == 2 and "hubtune completion bash|zsh|fish" in done.stderr


def test_what_the_script_asks_for_is_answered_at_once():
    def answers(*words):
        variables = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_HUBTUNE_COMPLETE": "bash_complete",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-m", "hubtune"], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert answers("hubtune", "fine") == ["plain,finetune"]
    assert "plain,--csv" in answers("hubtune", "predict", "--c")
