"""Imports are tried in other processes: crashes, output and endless imports become results."""

import os
import sys

import pytest

from hubtune.doctor.import_probe import import_all

CRASH = "import os, signal; os.kill(os.getpid(), signal.{})"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Write modules, name → source, that are found before all others."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)

    return write


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_crash_is_named_and_the_next_modules_are_tried(packages):
    packages(
        first_one="print('to stdout')",
        crashing=CRASH.format("SIGILL"),
        yaml=f"import crashing_too\n{CRASH.format('SIGBUS')}",
        crashing_too="",
        leaving="raise SystemExit(3)",
        silent="import os; os.write(2, b'FatalError: avx\\n'); os._exit(9)",
        last="import gone",
    )
    names = ["first_one", "crashing", "yaml", "leaving", "silent", "json", "last"]
    results = import_all(names, seconds=30)
    assert [*results] == names
    assert results["first_one"].problem == results["json"].problem == ""
    assert (results["crashing"].crash, results["crashing"].fault) == ("SIGILL", "")
    assert (results["yaml"].crash, results["yaml"].fault) == ("SIGBUS", "yaml")
    assert results["leaving"].problem == "3"
    assert results["silent"].problem == "its import ends the process (exit code 9): FatalError: avx"
    assert (results["last"].missing, results["last"].problem) == ("gone", "No module named 'gone'")


def test_an_endless_import_ends_with_the_time(packages):
    packages(endless="import time; time.sleep(600)")
    results = import_all(["json", "endless", "re"], seconds=1.5)
    assert [*results] == ["json", "endless"]
    assert results["endless"].problem == "its import takes longer than 2 seconds"


def test_the_package_that_is_to_blame_is_named(packages):
    packages(matplotlib="import PIL", PIL="raise ImportError('damaged')")
    result = import_all(["matplotlib"], seconds=30)["matplotlib"]
    assert (result.problem, result.fault) == ("damaged", "PIL")


def test_pillow_says_which_formats_it_reads():
    facts = import_all(["PIL.Image"], seconds=60)["PIL.Image"].facts
    assert facts["jpg"] is True and {"webp", "avif", "heic"} <= set(facts)
