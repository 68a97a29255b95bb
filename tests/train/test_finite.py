"""A loss or a weight that is not a finite number ends the run; what was saved before stays."""

import json

import numpy as np
import paddle
import pytest
from support.tiny_task import smallnet, train

import hubtune


def test_an_infinite_loss_ends_the_run_with_a_report(data, tmp_path):
    module = smallnet()
    for tensor in module.network.state_dict().values():
        if len(tensor.shape) == 4:
            tensor.set_value(np.full(tensor.shape, 3e38, np.float32))
    module.weights = "huge"
    message = r"The loss is not a finite number at step 1 \(learning rate 0.003\)"
    with pytest.raises(hubtune.NumericError, match=message) as caught:
        train(module, data, tmp_path / "run")
    assert caught.value.exit_code == 6
    report = json.loads((tmp_path / "run" / "nan_report.json").read_text())
    assert report["step"] == 1
    assert len(report["batch"]) == 8
    assert all(path.endswith(".png") for path in report["batch"])


def test_an_infinite_gradient_leaves_what_was_saved(run, tmp_path, monkeypatch):
    step, calls = paddle.optimizer.Adam.step, []

    def spoiled(self):
        calls.append(1)
        if len(calls) == 5:
            gradient = self._param_groups[0]["params"][0].grad
            gradient.set_value(np.full(gradient.shape, np.inf, np.float32))
        step(self)

    monkeypatch.setattr(paddle.optimizer.Adam, "step", spoiled)
    with pytest.raises(hubtune.NumericError, match="is not a finite number"):
        run()
    state = hubtune.load_model(tmp_path / "run").classifier.state()
    assert all(np.isfinite(tensor.numpy()).all() for tensor in state.values())
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-3"]


def test_an_infinite_moment_stops_the_run_at_its_step(run, tmp_path):
    decay = {"name": "default_finetune", "regularization_coeff": 1e30}
    with pytest.raises(hubtune.NumericError, match=r"The optimizer's moment of .* at step 1 "):
        run(strategy=decay, learning_rate=1e-30)
    report = json.loads((tmp_path / "run" / "nan_report.json").read_text())
    assert (report["step"], report["loss_scale"]) == (1, 1.0)
    assert not (tmp_path / "run" / "checkpoints").exists()
