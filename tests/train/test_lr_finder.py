"""`learning_rate: auto` tries rates once, keeps the best one, and leaves the network as it was."""

import json

import pytest
from support.callbacks import AtStart, press_ctrl_c
from support.tiny_task import weight_bytes

from hubtune.errors import StoppedError
from hubtune.train import lr_finder

FREEZING = {"name": "rules", "list": [{"match": "stem", "frozen": True}, {"match": "*"}]}
DEFAULTS = {"learning_rate": "auto", "batch_norm": "keep"}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(lr_finder, "STEPS", 3)
    monkeypatch.setattr("hubtune.train.gradient.STEPS", 3)


@pytest.mark.slow
def test_the_rate_is_found_once_and_leaves_no_trace(run):
    auto = run("auto", strategy=FREEZING)
    found = json.loads((auto.path / "learning_rate.json").read_text())
    assert 3 <= len(found["rates"]) == len(found["losses"]) <= 9
    assert (auto.path / "learning_rate.png").read_bytes().startswith(b"\x89PNG")
    assert found["rates"][0] == 1e-5 and found["rates"] == sorted(found["rates"])
    assert found["chosen"] == found["rates"][found["losses"].index(min(found["losses"]))]
    assert found["chosen"] > 1e-5
    assert weight_bytes(run("fixed", learning_rate=found["chosen"], strategy=FREEZING)) == weight_bytes(auto)


@pytest.mark.slow
def test_ctrl_c_while_rates_are_tried_stops_a_run_that_can_be_resumed(run):
    with pytest.raises(StoppedError) as stopped:
        run(callback=AtStart("learning rate", press_ctrl_c))
    assert stopped.value.exit_code == 130
    assert weight_bytes(run(resume=True)) == weight_bytes(run("other"))
