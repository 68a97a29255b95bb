"""benchmarks/machine.py: every part is timed, ratios are made within rounds, and mistakes are explained."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from paddle import nn
from support.scripts import load_script

from hubtune.log import logger

machine = load_script("machine", "benchmarks")

PARTS = {"decode", "engine", "pipeline", "cached", "paddle", "product", "step", "bare_step"}
PLACE = {"module": "m", "device": "cpu", "cores": 2, "engine": "paddle", "paddle_threads": 2}
FACTS = {**PLACE, "load": [0.1, 0.1], "input": [3, 32, 32], "pictures": 16, "drawn": True}


@pytest.fixture(autouse=True)
def _own_log(monkeypatch):
    """What the script logs to ends with the test."""
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", logger.propagate)


def measured(*, count=2, **rounds):
    speeds = {
        name: machine.Speed("GFLOP/s" if name == "product" else "pictures/s", rounds.get(name, [1.0] * count))
        for name in PARTS
    }
    return machine.Benchmark(speeds, gflop=2.0, start_seconds=1.0, facts=FACTS)


def test_ratios_are_made_round_by_round():
    benchmark = measured(
        decode=[100.0, 10.0],
        engine=[50.0, 40.0],
        pipeline=[40.0, 5.0],
        cached=[400.0, 500.0],
        paddle=[5.0, 8.0],
        product=[200.0, 400.0],
        step=[9.0, 8.0],
        bare_step=[10.0, 8.0],
    )
    assert benchmark.ratios() == {
        "pipeline": [0.8, 0.5],
        "engine": [10.0, 5.0],
        "cached": [10.0, 100.0],
        "step": [0.9, 1.0],
        "engine_arithmetic": [0.5, 0.2],
        "step_arithmetic": [pytest.approx(0.27), pytest.approx(0.12)],
    }
    assert benchmark.as_dict()["ratios"]["pipeline"]["median"] == pytest.approx(0.65)
    assert measured(decode=[10.0], engine=[20.0]).limit == "decode"
    assert measured(decode=[30.0], engine=[20.0]).limit == "engine"


def test_json_has_every_part_and_ratio_and_only_the_pace_is_kept(draw_photos, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    monkeypatch.setenv("HUBTUNE_HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    images = draw_photos(tmp_path / "pics", {"a": 4, "b": 4})
    (images / "a" / "broken.jpg").write_bytes(b"no picture")
    arguments = ["--data", str(images), "--module", "digitnet", "--seconds", "1", "--json"]
    assert machine.main(arguments) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert "waited" not in err  # the loop's own message
    facts = [document[name] for name in ("schema_version", "pictures", "drawn", "input")]
    assert facts == [1, 8, False, [3, 32, 32]]
    assert set(document["speeds"]) == PARTS
    assert set(document["ratios"]) == set(machine.RATIOS)
    for speed in document["speeds"].values():
        assert 1 <= len(speed["rounds"]) <= machine.ROUNDS
        assert min(speed["rounds"]) > 0
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"pics"}
    assert {path.name for path in home.glob("*")} <= {"machine.json"}


def test_the_table_names_units_ranges_the_limit_and_noise(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    machine.print_benchmark(measured(decode=[100.0, 300.0], product=[110.0, 130.0]))
    shown = capsys.readouterr().out
    [title] = [line.split() for line in shown.splitlines() if "beside" in line]
    assert title == ["speed", "in", "2", "rounds", "beside"]
    rows = {line.split("  ")[0].strip(): line.split() for line in shown.splitlines() if "/s" in line}
    assert rows["decoding, to input"][-3:] == ["200", "pictures/s", "100–300"]
    assert rows["matrix product (Paddle)"][-3:] == ["120", "GFLOP/s", "110–130"]
    assert {"engine, to features", "features from the cache"} <= set(rows)  # none is broken at 80 columns
    for text in ("m at 32×32, 16 drawn pictures", "The engine is the limit", "A thousand pictures take"):
        assert text in shown
    assert "noise" not in shown
    machine.print_benchmark(measured(count=1))
    shown = capsys.readouterr().out
    assert "rounds" not in shown and "–" not in shown
    machine.print_benchmark(measured(pipeline=[1.15, 1.15]))
    shown = capsys.readouterr().out
    assert "1.15 of the slower" in shown and "a ratio above 1 is noise" in shown


@pytest.mark.parametrize(
    ("seconds", "rounds", "whole"),
    [(1, 1, 8), (15, 2, 15), (40, machine.ROUNDS, 40)],  # the first: each once to warm up, and once
)
def test_the_measurement_takes_about_the_requested_time(monkeypatch, seconds, rounds, whole):
    now = 0.0

    def pass_by(seconds):
        nonlocal now
        now += seconds

    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now, sleep=lambda seconds: None)
    monkeypatch.setattr(machine, "time", clock)
    parts = {
        "slow": machine.Timed("pictures", 8, lambda times: pass_by(3.5 * times)),
        "quick": machine.Timed("pictures", 16, lambda times: pass_by(0.05 * times)),
    }
    steps = []
    speeds = machine.time_in_turns(parts, seconds, lambda done, total: steps.append((done, total)))
    assert len(speeds["slow"].rounds) == rounds
    assert now == pytest.approx(whole, rel=0.15)
    assert speeds["quick"].median == pytest.approx(16 / 0.05)
    total = len(parts) * (1 + machine.ROUNDS)
    assert steps == [(done, total) for done in range(1, len(parts) * (1 + rounds) + 1)]


def test_counts_the_arithmetic_of_convolutions_and_fully_connected_layers():
    network = nn.Sequential(
        nn.Conv2D(3, 8, 3, stride=2, padding=1),  # 8 × 8 values in each of 8 channels
        nn.Conv2D(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, 5),
    )
    products = 8 * 8 * 8 * (3 * 9) + 8 * 8 * 8 * 9 + 8 * 8 * 8 * 5
    count = machine.count_gflop(network, np.zeros((3, 16, 16), np.float32))
    assert count == pytest.approx(2e-9 * products)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--data", "nowhere"), 3, "There is no nowhere: give a folder of images"),
        (("--module", "digitnit"), 4, "Did you mean 'digitnet'?"),
        (("--device", "gpu:x"), 2, "There is no device 'gpu:x'"),
    ],
)
def test_mistakes_are_explained(capsys, options, code, message):
    assert machine.main(options) == code
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        machine.main(["--seconds", "0"])
    assert "0 is not between 1 and 3600 seconds" in capsys.readouterr().err
