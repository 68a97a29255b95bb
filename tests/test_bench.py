"""`hubtune bench`: every part is timed, ratios are made within rounds, and mistakes are told."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from paddle import nn

from hubtune import bench
from hubtune.bench import RATIOS, ROUNDS, Benchmark, Speed, count_gflop, run_benchmark
from hubtune.cli.bench import _print
from hubtune.hub.module import Module

PARTS = {"decode", "engine", "pipeline", "cached", "paddle", "product", "step", "bare_step"}


FACTS = {
    "module": "m",
    "device": "cpu",
    "cores": 2,
    "engine": "paddle",
    "paddle_threads": 2,
    "load": [0.1, 0.1],
    "input": [3, 32, 32],
    "pictures": 16,
    "drawn": True,
}


def measured(*, count: int = 2, **rounds: list[float]) -> Benchmark:
    speeds = {
        name: Speed("GFLOP/s" if name == "product" else "pictures/s", rounds.get(name, [1.0] * count))
        for name in PARTS
    }
    return Benchmark(speeds, gflop=2.0, start_seconds=1.0, facts=FACTS)


def test_ratios_are_made_round_by_round():
    found = measured(
        decode=[100.0, 10.0],
        engine=[50.0, 40.0],
        pipeline=[40.0, 5.0],
        cached=[400.0, 500.0],
        paddle=[5.0, 8.0],
        product=[200.0, 400.0],
        step=[9.0, 8.0],
        bare_step=[10.0, 8.0],
    )
    assert found.ratios() == {
        "pipeline": [0.8, 0.5],
        "engine": [10.0, 5.0],
        "cached": [10.0, 100.0],
        "step": [0.9, 1.0],
        "engine_arithmetic": [0.5, 0.2],
        "step_arithmetic": [pytest.approx(0.27), pytest.approx(0.12)],
    }
    assert found.as_dict()["ratios"]["pipeline"]["median"] == pytest.approx(0.65)


def test_what_is_slower_is_the_limit():
    assert measured(decode=[10.0], engine=[20.0]).limit == "decode"
    assert measured(decode=[30.0], engine=[20.0]).limit == "engine"


def test_json_has_every_part_and_ratio(run_here, draw_photos, tmp_path):
    images = draw_photos(tmp_path / "pics", {"a": 4, "b": 4})
    (images / "a" / "broken.jpg").write_bytes(b"no picture")
    result = run_here("bench", "--data", images, "--module", "digitnet", "--seconds", 1, "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert "waited" not in result.stderr  # what the loop says of itself
    assert document["schema_version"] == 1
    assert document["pictures"] == 8
    assert not document["drawn"]
    assert document["input"] == [3, 32, 32]
    assert set(document["speeds"]) == PARTS
    assert set(document["ratios"]) == set(RATIOS)
    for speed in document["speeds"].values():
        assert 1 <= len(speed["rounds"]) <= ROUNDS
        assert min(speed["rounds"]) > 0
    # Reading what is kept is no work beside running a network.
    assert document["speeds"]["cached"]["median"] > document["speeds"]["pipeline"]["median"]


@pytest.mark.slow
def test_the_table_says_what_the_limit_is(run_here, draw_photos, tmp_path):
    images = draw_photos(tmp_path / "pics", {"a": 8})
    result = run_here("bench", "--data", images, "--module", "digitnet", "--seconds", 1)
    assert result.returncode == 0, result.stderr
    assert "digitnet at 32×32, 8 pictures" in result.stdout
    assert "both together" in result.stdout
    assert "waited" not in result.stderr
    assert "is the limit" in result.stdout
    assert "A thousand pictures take" in result.stdout


def test_every_row_has_its_unit_and_the_range_of_the_rounds(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _print(measured(decode=[100.0, 300.0], product=[110.0, 130.0]))
    shown = capsys.readouterr().out
    [title] = [line.split() for line in shown.splitlines() if "beside" in line]
    assert title == ["speed", "in", "2", "rounds", "beside"]
    rows = {line.split("  ")[0].strip(): line.split() for line in shown.splitlines() if "/s" in line}
    assert rows["decoding, to input"][-3:] == ["200", "pictures/s", "100–300"]
    assert rows["matrix product (Paddle)"][-3:] == ["120", "GFLOP/s", "110–130"]
    assert {"engine, to features", "features from the cache"} <= set(rows)  # none is broken at 80 columns


def test_one_round_has_no_range(capsys):
    _print(measured(count=1))
    shown = capsys.readouterr().out
    assert "rounds" not in shown and "–" not in shown


def test_what_is_quicker_than_its_slower_part_is_called_noise(capsys):
    _print(measured(pipeline=[1.15, 1.15]))
    shown = capsys.readouterr().out
    assert "1.15 of the slower" in shown
    assert "more than 1 there is noise" in shown
    _print(measured())
    assert "noise" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "rounds", "whole"),
    [
        (1, 1, 8),  # each once to warm up, and once
        (15, 2, 15),
        (40, ROUNDS, 40),
    ],
)
def test_the_measurement_takes_about_as_long_as_was_asked_for(monkeypatch, seconds, rounds, whole):
    now = 0.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now, sleep=lambda seconds: None)
    monkeypatch.setattr(bench, "time", clock)
    parts = {
        "slow": bench._Part("pictures", 8, lambda times: pass_by(3.5 * times)),
        "quick": bench._Part("pictures", 16, lambda times: pass_by(0.05 * times)),
    }
    speeds = bench._take_turns(parts, seconds, lambda done, total: None)
    assert len(speeds["slow"].rounds) == rounds
    assert now == pytest.approx(whole, rel=0.15)
    assert speeds["quick"].median == pytest.approx(16 / 0.05)


def test_nothing_but_the_pace_is_kept(draw_photos, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HUBTUNE_HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    images = draw_photos(tmp_path / "pics", {"a": 3})
    steps = []
    found = run_benchmark(
        Module("digitnet", None),
        [*images.glob("*/*.png")],
        engine="paddle",
        seconds=0.5,
        advance=lambda done, total: steps.append((done, total)),
    )
    assert found.facts["engine"] == "paddle"
    rounds = len(found.speeds["decode"].rounds)
    assert steps == [(done, len(PARTS) * (1 + ROUNDS)) for done in range(1, len(PARTS) * (1 + rounds) + 1)]
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"pics"}
    assert {path.name for path in home.glob("*")} <= {"machine.json"}


def test_counts_the_arithmetic_of_convolutions_and_fully_connected_layers():
    network = nn.Sequential(
        nn.Conv2D(3, 8, 3, stride=2, padding=1),  # 8 × 8 values in each of 8 channels
        nn.Conv2D(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, 5),
    )
    products = 8 * 8 * 8 * (3 * 9) + 8 * 8 * 8 * 9 + 8 * 8 * 8 * 5
    assert count_gflop(network, np.zeros((3, 16, 16), np.float32)) == pytest.approx(2e-9 * products)


@pytest.mark.slow
def test_photos_are_drawn_where_none_are_named():
    found = run_benchmark(Module("digitnet", None), engine="paddle", seconds=0.1)
    assert found.facts["drawn"]
    assert found.facts["pictures"] > 1
    assert len(found.speeds["decode"].rounds) == 1  # no time for more


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--data", "nowhere"), 3, "There is no nowhere: give a folder of pictures"),
        (("--module", "digitnit"), 4, "Did you mean 'digitnet'?"),
        (("--seconds", "0"), 2, "0"),
        (("--device", "gpu:x"), 2, "There is no device 'gpu:x'"),
    ],
)
def test_mistakes_are_told(run_here, options, code, message):
    result = run_here("bench", *options)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
