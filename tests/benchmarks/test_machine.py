"""benchmarks/machine.py: every part is timed, ratios are made within rounds, and mistakes are explained."""

import json

import pytest
from support.scripts import load_script

from hubtune.log import logger

machine = load_script("machine", "benchmarks")

PARTS = {"decode", "engine", "pipeline", "cached", "paddle", "product", "step", "bare_step"}


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


def test_ratios_are_made_round_by_round_and_the_table_names_the_limit(capsys):
    rounds = {"decode": [100.0, 10.0], "engine": [50.0, 40.0], "pipeline": [40.0, 5.0], "paddle": [5.0, 8.0]}
    speeds = {
        name: machine.Speed("GFLOP/s" if name == "product" else "pictures/s", rounds.get(name, [1.0, 1.0]))
        for name in PARTS
    }
    facts = {"module": "m", "device": "cpu", "cores": 2, "engine": "paddle", "paddle_threads": 2}
    facts |= {"load": [0.1, 0.1], "input": [3, 32, 32], "pictures": 16, "drawn": True}
    benchmark = machine.Benchmark(speeds, gflop=2.0, start_seconds=1.0, facts=facts)
    ratios = benchmark.ratios()
    assert (ratios["pipeline"], ratios["engine"]) == ([0.8, 0.5], [10.0, 5.0])
    assert benchmark.as_dict()["ratios"]["pipeline"]["median"] == pytest.approx(0.65)
    machine.print_benchmark(benchmark)
    shown = capsys.readouterr().out
    assert "m at 32×32, 16 drawn pictures" in shown and "The engine is the limit" in shown
