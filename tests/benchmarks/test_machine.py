"""benchmarks/machine.py: every part is timed, and mistakes are explained."""

import json

import pytest
from support.scripts import load_script

from hubtune.log import logger

machine = load_script("machine", "benchmarks")

PARTS = {"decode", "engine", "pipeline", "cached", "paddle", "product", "step", "bare_step"}


@pytest.mark.slow
def test_a_run_times_every_part_and_mistakes_are_explained(draw_photos, tmp_path, monkeypatch, capsys):
    # What the script logs to ends with the test.
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "home"))
    images = draw_photos(tmp_path / "pics", {"a": 4, "b": 4})
    (images / "a" / "broken.jpg").write_bytes(b"no picture")
    assert machine.main(["--data", str(images), "--module", "digitnet", "--seconds", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    facts = [document[name] for name in ("schema_version", "pictures", "drawn", "input")]
    assert facts == [1, 8, False, [3, 32, 32]]
    assert (set(document["speeds"]), set(document["ratios"])) == (PARTS, set(machine.RATIOS))
    for speed in document["speeds"].values():
        assert 1 <= len(speed["rounds"]) <= machine.ROUNDS and min(speed["rounds"]) > 0
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"pics"}
    for options, code, message in (
        (("--data", "nowhere"), 3, "There is no nowhere: give a folder of images"),
        (("--module", "digitnit"), 4, "Did you mean 'digitnet'?"),
        (("--device", "gpu:x"), 2, "There is no device 'gpu:x'"),
    ):
        assert machine.main(options) == code
        assert message in capsys.readouterr().err
