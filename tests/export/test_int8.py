"""Exports in int8: what is written, that it gives the answers that were judged, and what is refused."""

import json
import re
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
from support.exports import run_script, trained_run
from support.split_folder import draw_faint_split, write_lists
from support.tiny_task import train_frozen

import hubtune
from hubtune.errors import CheckFailedError, MachineError, ModelError, UsageError
from hubtune.export import benchmark, comparison, exporter, int8_accuracy
from hubtune.export.benchmark import LEAST_RATIO
from hubtune.export.exporter import check_export, export_model
from hubtune.export.int8 import quantized_model
from hubtune.export.recheck import prove_export
from hubtune.inference.openvino_quantizer import OpenVINOQuantizer
from hubtune.runs.lists import find_list

pytestmark = pytest.mark.slow

FORMS = ["openvino", "onnx"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(autouse=True)
def _any_speed(monkeypatch):
    """Small networks are not faster in int8, and no test depends on the machine's speed."""
    monkeypatch.setattr(benchmark, "LEAST_RATIO", 0.0)


def _entries(run, name):
    dataset, name = find_list(run, name, ["a", "b", "c"])
    return dataset.examples(name)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_in_int8_gives_the_answers_that_were_judged(form, run, tmp_path):
    model = hubtune.load_model(run.path)
    card, before = model.card, {name: values.numpy() for name, values in model.classifier.state().items()}
    export = export_model(model, tmp_path / "int8", form, int8=True, bench=True)
    # The model that is exported stays as it is.
    assert model.card is card
    for name, values in model.classifier.state().items():
        np.testing.assert_array_equal(values.numpy(), before[name])
    found = export.int8.accuracy
    assert (found.count, found.calibration_images, found.head_solved) == (12, 24, True)
    written = json.loads((export.folder / "parity.json").read_text())
    assert written["int8"]["accuracy"] == found.as_dict()
    assert written["pixels"]["scores"] < 1e-4
    # The script's answers for the validation images are those that were judged.
    entries = _entries(run.path, "validate")
    rows = run_script(export.folder, *[str(entry.path) for entry in entries])
    right = [row["label"] == model.labels[entry.label] for row, entry in zip(rows, entries, strict=True)]
    assert np.mean(right) == pytest.approx(found.int8)
    # The figures of the README are those of int8.
    text = (export.folder / "README.md").read_text()
    assert (
        "The steps of its values were chosen on 24 training pictures, and the head was solved again" in text
    )
    assert f"| int8 | {100 * found.int8:.1f} % |" in text
    title = {"openvino": "OpenVINO", "onnx": "ONNX"}[form]
    own, float32, int8 = export.bench
    assert re.fullmatch(r"hubtune \(\w+\)", own.program)
    assert [(row.program, row.precision) for row in (float32, int8)] == [(title, "float32"), (title, "int8")]
    assert own.list == "validate"
    assert own.accuracy.accuracy == float32.accuracy.accuracy == pytest.approx(found.float32)
    assert int8.accuracy.accuracy == pytest.approx(found.int8)
    assert 0 < int8.bytes < 0.6 * float32.bytes
    assert export.int8.speed.int8_bytes == int8.bytes
    assert len(written["bench"]) == 3
    with pytest.raises(ModelError, match="its answers in int8 are not the model's"):
        prove_export(export.folder, model)


@pytest.fixture(scope="module")
def quantized(run):
    with quantized_model(hubtune.load_model(run.path), run.path, "openvino") as model:
        yield model


def test_head_reference_and_threshold_are_those_of_features_in_int8(run, quantized):
    model = hubtune.load_model(run.path)
    weights = [each.classifier.head[0].weight.numpy() for each in (model, quantized)]
    assert not np.array_equal(*weights)
    assert quantized.reference.names == model.reference.names
    assert not np.array_equal(quantized.reference.features, model.reference.features)
    assert quantized.card.similarity_threshold != model.card.similarity_threshold
    assert quantized.card.metrics["validate"]["accuracy"] == quantized.accuracy.int8
    assert set(quantized.card.metrics) == {"validate", "test"}
    # The threshold lets the validation images through, of which it was made.
    known = [row.known for row in quantized.predict([str(e.path) for e in _entries(run.path, "validate")])]
    assert np.mean(known) >= 0.9


def test_an_export_that_is_not_faster_is_refused_with_its_ratio(run, quantized, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "LEAST_RATIO", 1_000.0)
    monkeypatch.setattr(comparison, "quantized_model", lambda *_: nullcontext(quantized))
    message = r"it is \d+\.\d\d times as fast as float32 .* nothing was written"
    with pytest.raises(CheckFailedError, match=message):
        export_model(hubtune.load_model(run.path), tmp_path / "int8", "openvino", int8=True)
    assert not [*tmp_path.iterdir()]
    assert LEAST_RATIO == 1.3


def test_a_backbone_that_int8_ruins_is_refused_with_figures(run, tmp_path, monkeypatch):
    quantize = OpenVINOQuantizer.quantize

    def ruin(self, source, target, images):
        quantize(self, source, target, images)
        weights = target.with_suffix(".bin")
        weights.write_bytes(bytes(weights.stat().st_size))

    monkeypatch.setattr(OpenVINOQuantizer, "quantize", ruin)
    message = r"int8 loses too much: on the 12 validation pictures .* a loss of \d+\.\d ± \d+\.\d points .*"
    with pytest.raises(CheckFailedError, match=message):
        export_model(hubtune.load_model(run.path), tmp_path / "int8", "openvino", int8=True)
    assert not [*tmp_path.iterdir()]


def test_a_quantiser_that_fails_is_a_sentence(run, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such operator\nmore")

    monkeypatch.setattr(OpenVINOQuantizer, "quantize", fail)
    with pytest.raises(
        ModelError, match=r"smallnet cannot be quantised \(.*no such operator.*\): export without"
    ):
        export_model(hubtune.load_model(run.path), tmp_path / "int8", "openvino", int8=True)


def test_models_without_their_images_are_refused(run, tmp_path):
    folder = shutil.copytree(run.best_model, tmp_path / "model")
    with pytest.raises(ModelError, match="which only a run knows: export the run, not its model folder"):
        export_model(hubtune.load_model(folder), tmp_path / "int8", "openvino", int8=True)
    done = trained_run(tmp_path / "trained")
    for name, message in (
        ("validate", "its validation pictures are not there, and int8 is judged on them"),
        ("train", "its training pictures are not there, and the steps of int8 are chosen on them"),
    ):
        for entry in _entries(done.path, name):
            entry.path.unlink()
        with pytest.raises(ModelError, match=message):
            export_model(hubtune.load_model(done.path), tmp_path / "int8", "openvino", int8=True)
    assert not (tmp_path / "int8").exists()


def test_a_run_without_a_validation_list_is_refused(tmp_path):
    data = draw_faint_split(tmp_path, difference=25, validate=0)
    done = train_frozen(hubtune.Module("digitnet"), data, tmp_path / "run")
    with pytest.raises(ModelError, match="its validation pictures are not there, and int8 is judged on them"):
        export_model(hubtune.load_model(done.path), tmp_path / "int8", "openvino", int8=True)


def test_formats_without_int8_and_missing_packages_are_named(tmp_path, monkeypatch):
    for form in ("paddle", "paddlehub"):
        with pytest.raises(
            UsageError, match=r"has no int8: use --format onnx or openvino, or export without"
        ):
            check_export(tmp_path / "int8", form, int8=True)
    with pytest.raises(UsageError, match="--bench runs an export by itself, and PaddleHub cannot"):
        check_export(tmp_path / "bench", "paddlehub", "bench", bench=True)
    monkeypatch.setattr(exporter, "is_installed", lambda package: package != "nncf")
    with pytest.raises(
        MachineError, match=r"Export to OpenVINO in int8 needs nncf: .*pip install openvino nncf"
    ):
        check_export(tmp_path / "int8", "openvino", int8=True)
    check_export(tmp_path / "int8", "openvino")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_network_of_real_size_with_random_weights_is_smaller(form, tmp_path):
    data = draw_faint_split(tmp_path / "drawn", difference=60)
    module = hubtune.Module("paddle.vision:mobilenet_v2", None)
    done = train_frozen(module, data, tmp_path / "run")
    export = export_model(hubtune.load_model(done.path), tmp_path / "int8", form, int8=True)
    assert export.parity.pixels.labels == 0
    assert export.int8.speed.int8_bytes < 0.6 * export.int8.speed.float32_bytes


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_photos_are_classified_in_int8_as_well(form, material, tmp_path):
    for folder in (material / "trashnet").iterdir():
        for photo in sorted(folder.glob("*.jpg"))[:25]:
            (tmp_path / "data/pics" / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, tmp_path / "data/pics" / folder.name)
    weights = material / "weights/mobilenetv2_1.0_imagenet.safetensors"
    module = hubtune.Module("paddle.vision:mobilenet_v2", weights)
    data = write_lists(tmp_path / "data/pics", validate=6, test=4)
    done = train_frozen(module, data, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_accuracy, "MOST_LOST", 1.0)  # 36 photos say little
        export = export_model(hubtune.load_model(done.path), tmp_path / "int8", form, int8=True)
    assert export.int8.accuracy.agreement > 0.75
    assert export.int8.accuracy.loss < 0.15
