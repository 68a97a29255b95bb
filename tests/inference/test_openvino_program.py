"""OpenVINO runs each image by one thread, in the precision that is asked for."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.openvino_program import compile_program, limit_threads, openvino_core
from hubtune.inference.program import Subnetwork, save_program


@pytest.fixture
def program(tmp_path):
    paddle.seed(0)
    network = nn.Sequential(nn.Conv2D(3, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2D(1), nn.Flatten())
    save_program(Subnetwork(network, network, Preprocessing()), tmp_path / "network", None, None, old=True)
    return tmp_path / "network.pdmodel"


def test_threads_are_limited_for_programs_that_are_compiled_later(program):
    core, key = openvino_core(), "INFERENCE_NUM_THREADS"
    before = core.get_property("CPU", key)
    limit_threads(1)
    try:
        assert compile_program(program, "f32").count == 1
    finally:
        core.set_property("CPU", {key: before})


def test_a_program_has_one_thread_for_each_image_that_runs(program, monkeypatch):
    compiled, core = [], openvino_core()

    class Watched:
        """Claims twice as many threads as images at first, as on a machine of many cores."""

        def read_model(self, file):
            return core.read_model(file)

        def compile_model(self, model, device, options):
            compiled.append(options)
            model = core.compile_model(model, device, options)
            if len(compiled) > 1:
                return model
            return Claimed(model)

    class Claimed:
        def __init__(self, model):
            self.model = model

        def get_property(self, name):
            return {"INFERENCE_NUM_THREADS": 2, "NUM_STREAMS": 1}[name]

    monkeypatch.setattr("hubtune.inference.openvino_program.openvino_core", Watched)
    ring = compile_program(program, "f32")
    assert compiled[1] == {**compiled[0], "NUM_STREAMS": "2", "INFERENCE_NUM_THREADS": "2"}
    assert compiled[0]["INFERENCE_PRECISION_HINT"] == "f32"
    [row] = ring.begin([np.zeros((16, 16, 3), np.uint8)])()
    assert row.shape == (64,)
