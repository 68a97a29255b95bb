"""Fine-tuning in int8: one network for all figures, the same each time, and judged beside float32."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.exports import trained_run
from support.int8 import int8_run
from support.split_folder import draw_split, write_lists
from support.tiny_task import smallnet, train_frozen, weight_bytes

import hubtune
from hubtune.errors import MachineError, ModelError
from hubtune.inference import engine_interface
from hubtune.inference.engine_interface import INT8_ENGINE
from hubtune.inference.int8_program import PROGRAM_FILES
from hubtune.inference.openvino_quantizer import OpenVINOQuantizer
from hubtune.train import int8_engine
from hubtune.train.int8_engine import LEAST_SPEED, MOST_CALIBRATION_IMAGES, Int8Comparison

pytestmark = pytest.mark.slow

FINE = Int8Comparison(count=24, float32=0.5, int8=0.51, is_worse=False, speed=2.0)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return int8_run(tmp_path_factory.mktemp("int8"))


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_data_give_the_same_model_cold_and_warm(first, tmp_path, monkeypatch):
    home = first.path.parent / "home"
    monkeypatch.setenv("HUBTUNE_HOME", str(home))
    data, module = first.path.parent, hubtune.Module("digitnet")

    def repeat(name):
        return train_frozen(module, data, tmp_path / name, settings={"views": 2}, engine=INT8_ENGINE)

    with monkeypatch.context() as patch:
        patch.setattr(OpenVINOQuantizer, "quantize", None)  # the program is in the cache, and all features
        patch.setattr("hubtune.inference.openvino_program.compile_program", None)
        warm = repeat("warm")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    cold = repeat("cold")
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    for again in (warm, cold, repeat("uncached")):
        assert _contents(again.best_model) == _contents(first.best_model)
        assert (again.test, again.validate) == (first.test, first.validate)


def test_another_process_writes_the_same_bytes(first, tmp_path):
    program = (
        "import sys, hubtune; from support.tiny_task import train_frozen\n"
        "train_frozen(hubtune.Module('digitnet'), sys.argv[1], sys.argv[2], settings={'views': 2}, "
        "engine='openvino-int8')"
    )
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {tests!r})\n{program}"]
    subprocess.run([*command, first.path.parent, tmp_path / "run"], check=True, capture_output=True)
    assert _contents(tmp_path / "run" / "best_model") == _contents(first.best_model)


def test_only_the_head_and_what_depends_on_it_differ_from_float32(first, tmp_path):
    plain = trained_run(tmp_path)
    one, other = (hubtune.load_model(run.path) for run in (first, plain))
    for name, values in one.classifier.state().items():
        same = np.array_equal(values.numpy(), other.classifier.state()[name].numpy())
        assert same != name.startswith("head."), name
    assert not np.array_equal(one.reference.features, other.reference.features)
    assert not {*PROGRAM_FILES} & {*_contents(plain.best_model)}
    assert "engine" not in json.loads((plain.best_model / "model.json").read_text())
    assert "predicts by a network in int8" in (first.best_model / "README.md").read_text()


def test_a_logistic_head_is_solved_on_int8_too(tmp_path):
    run = int8_run(tmp_path, settings={"head": "logistic", "views": "auto"})
    model = hubtune.load_model(run.path)
    assert model.evaluate(hubtune.ListDataset(tmp_path), "test").loss == pytest.approx(
        run.test.loss, abs=1e-9
    )


def test_features_that_the_head_leaves_out_are_cut(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubtune.train.head_solver._is_better", lambda *_: True)  # less is more
        run = int8_run(tmp_path, settings={"views": "auto"})
    model = hubtune.load_model(run.path)
    assert model.card.taps == []
    assert model.evaluate(hubtune.ListDataset(tmp_path), "test").loss == pytest.approx(
        run.test.loss, abs=1e-9
    )


def test_a_run_is_compared_with_float32_and_the_figures_are_logged(tmp_path, told):
    run = int8_run(tmp_path)
    [line] = [record.getMessage() for record in told.records if " times as fast" in record.getMessage()]
    assert "on 24 pictures that were left out of a fit" in line
    # The comparison changes nothing.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubtune.train.frozen_head.compare_int8", lambda *_: None)
        other = int8_run(tmp_path / "other")
    assert weight_bytes(other) == weight_bytes(run)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, None),
        ({"is_worse": True}, "fits clearly worse"),
        ({"speed": 1.29}, "is hardly faster"),
        ({"is_worse": True, "speed": 0.9}, "fits clearly worse and is hardly faster"),
    ],
)
def test_a_warning_has_the_figures(changes, reasons, told):
    assert LEAST_SPEED == 1.3
    replace(FINE, **changes).log()
    [record] = told.records
    assert record.levelno == (logging.INFO if reasons is None else logging.WARNING)
    message = record.getMessage()
    assert "a loss of 0.5100 in place of 0.5000 on 24 pictures" in message
    if reasons is not None:
        assert f"int8 {reasons}: " in message
        assert message.endswith("; -o train.engine=auto takes float32")


def test_a_network_that_int8_ruins_is_warned_of(tmp_path, told):
    quantize = OpenVINOQuantizer.quantize

    def ruin(self, source, target, images):
        quantize(self, source, target, images)
        weights = target.with_suffix(".bin")
        weights.write_bytes(bytes(weights.stat().st_size))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenVINOQuantizer, "quantize", ruin)
        int8_run(tmp_path)
    warnings = [record.getMessage() for record in told.records if record.levelno == logging.WARNING]
    assert any(message.startswith("int8 fits clearly worse") for message in warnings)


def test_a_network_that_cannot_be_quantised_says_what_to_do(tmp_path):
    def fail(*_):
        raise RuntimeError("no such operator")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenVINOQuantizer, "quantize", fail)
        message = r"smallnet cannot be quantised \(.*no such operator\): use -o train.engine=auto"
        with pytest.raises(ModelError, match=message):
            int8_run(tmp_path)


def test_the_images_that_choose_the_steps_are_training_images(first, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(int8_engine, "choose_images", lambda entries, most: seen.append(most) or entries[:5])
    choose = int8_engine.quantize_network

    def count(classifier, images, *others, **options):
        seen.append(len(images))
        return choose(classifier, images, *others, **options)

    monkeypatch.setattr(int8_engine, "quantize_network", count)
    run = int8_run(tmp_path)
    assert seen[:1] == [MOST_CALIBRATION_IMAGES] == [300]
    assert seen[-1] == 5
    assert _contents(run.best_model)[PROGRAM_FILES[1]] != _contents(first.best_model)[PROGRAM_FILES[1]]


def test_missing_packages_and_gpus_are_refused_before_any_work(tmp_path, monkeypatch):
    data = draw_split(tmp_path / "data", dict.fromkeys("ab", 6), validate=1, test=1)
    for missing in ("nncf", "openvino"):
        with monkeypatch.context() as patch:
            patch.setattr(engine_interface, "is_installed", lambda name, missing=missing: name != missing)
            message = f"The engine openvino-int8 needs {missing}: .*pip install openvino nncf, or"
            with pytest.raises(MachineError, match=message):
                train_frozen(smallnet(), data, tmp_path / "run", engine=INT8_ENGINE)
    monkeypatch.setattr(engine_interface, "on_gpu", lambda: True)
    with pytest.raises(MachineError, match="computes on a CPU: add --device cpu"):
        train_frozen(smallnet(), data, tmp_path / "run", engine=INT8_ENGINE)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_photos_are_classified_in_int8_as_well(material, tmp_path):
    for folder in (material / "trashnet").iterdir():
        for photo in sorted(folder.glob("*.jpg"))[:25]:
            (tmp_path / "pics" / folder.name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "pics" / folder.name / photo.name).write_bytes(photo.read_bytes())
    weights = material / "weights/mobilenetv2_1.0_imagenet.safetensors"
    module = hubtune.Module("paddle.vision:mobilenet_v2", weights)
    data = write_lists(tmp_path / "pics", validate=6, test=6)
    plain = train_frozen(module, data, tmp_path / "float32")
    run = train_frozen(module, data, tmp_path / "int8", engine=INT8_ENGINE)
    assert abs(run.test.accuracy - plain.test.accuracy) < 0.15
    metrics = hubtune.load_model(run.path).evaluate(hubtune.ListDataset(data), "test")
    assert (metrics.accuracy, metrics.loss) == (run.test.accuracy, pytest.approx(run.test.loss, abs=1e-9))
