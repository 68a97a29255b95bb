"""Exports: what a folder holds, that it gives hubtune's answers elsewhere, and what is refused."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from support.exports import import_script, run_script
from support.images import noise_image
from support.int8 import int8_run
from support.paddlehub import draw_odd_images, exportable_model

import hubtune
from hubtune.errors import CheckFailedError, MachineError, ModelError, UsageError
from hubtune.export import exporter, parity
from hubtune.export.exporter import check_export, export_model
from hubtune.inference.model_folder import write_model

NETWORKS = {
    "onnx": ["model.onnx", "model_with_resize.onnx"],
    "openvino": ["model.bin", "model.xml"],
    "paddle": ["inference.json", "inference.pdiparams", "inference.yml"],
}
COMMON = ["README.md", "arrange.py", "labels.txt", "parity.json", "predict.py", "preprocessing.json"]


@pytest.mark.slow
@pytest.mark.parametrize("form", NETWORKS)
def test_a_folder_has_the_network_its_scripts_and_the_proof(form, exported, run):
    export = exported(form)
    assert sorted(path.name for path in export.folder.iterdir()) == sorted([*NETWORKS[form], *COMMON])
    assert (export.folder / "labels.txt").read_text(encoding="utf-8") == "a\nb\nc\n"
    written = json.loads((export.folder / "parity.json").read_text())
    for name in ("pixels", "files"):
        assert written[name]["labels"] == 0
        assert written[name]["scores"] < 1e-5
        assert written[name]["similarity"] < 1e-5
        assert written[name]["images"] == 12 + 14  # those of the validation list, and drawn ones
    assert (written["other_pixels"], written["unread"]) == ([], {})
    settings = json.loads((export.folder / "preprocessing.json").read_text())
    assert settings["format"] == form
    assert settings["outputs"] == ["scores", "similarity", "nearest"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_its_script_gives_the_answers_of_prediction_without_hubtune(form, exported, run, tmp_path):
    images = draw_odd_images(tmp_path)
    rows = run_script(exported(form).folder, *images)
    expected = [*hubtune.load_model(run.path).predict(images)]
    assert [row["path"] for row in rows] == images
    for row, prediction in zip(rows, expected, strict=True):
        assert row["label"] == prediction.label
        assert (row.get("error") is None) == (prediction.error is None)
        if prediction.error is None:
            assert row["scores"] == pytest.approx(prediction.scores, abs=1e-5)
            assert row["similarity"] == pytest.approx(prediction.similarity, abs=1e-5)
            assert (row["known"], row["nearest"]) == (prediction.known, prediction.nearest)
            assert [*row["scores"]] == [*prediction.scores]  # the likeliest first


@pytest.mark.slow
@pytest.mark.parametrize("form", NETWORKS)
def test_its_script_prints_answers_only_whatever_the_encoding_and_the_runtime(form, exported, tmp_path):
    folder = tmp_path / "移動 moved"
    shutil.copytree(exported(form).folder, folder)
    script = (folder / "predict.py").read_text(encoding="utf-8")
    noisy = script.replace("    outputs =", "    os.write(1, b'a note of the runtime')\n    outputs =")
    assert noisy != script
    (folder / "predict.py").write_text(noisy, encoding="utf-8")
    image = tmp_path / os.fsdecode('写真 "1" \udcff.png'.encode("utf-8", "surrogateescape"))
    noise_image(60, 48).save(image, format="png")
    rows = run_script(folder, image, tmp_path / "none.png", PYTHONIOENCODING="ascii")
    assert [row["path"] for row in rows] == [str(image), str(tmp_path / "none.png")]
    assert rows[0]["scores"]
    assert "No such file" in rows[1]["error"]


@pytest.mark.slow
def test_a_format_with_one_view_gets_a_new_head_and_says_what_it_costs(exported, run):
    export = exported("paddle")
    assert set(export.accuracies) == {"validate", "test"}
    assert export.accuracies["test"][0] == pytest.approx(run.test.accuracy)
    readme = (export.folder / "README.md").read_text(encoding="utf-8")
    assert "stretch 40" in readme
    assert f"{100 * export.accuracies['test'][1]:.1f} % |" in readme
    assert export.parity.resized.images == 12  # drawn images are not like those of the run
    assert export.parity.resized.scores <= 0.02


def _replace(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def _change_weight(folder):
    file = folder / "model.bin"
    weights = np.fromfile(file, np.float32)
    weights[: len(weights) // 2] *= 1.01
    weights.tofile(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        _change_weight,
        lambda folder: _replace(
            folder / "predict.py", "NETWORK([pixels])", "NETWORK([pixels[..., ::-1].copy()])"
        ),
        lambda folder: _replace(folder / "arrange.py", "BILINEAR", "BICUBIC"),
        lambda folder: _replace(folder / "arrange.py", "40 / max(width, height)", "48 / max(width, height)"),
        lambda folder: _replace(folder / "labels.txt", "a\nb", "b\na"),
    ],
    ids=["weights", "channels", "resampling", "size", "labels"],
)
def test_a_wrong_export_is_caught_by_its_answers(damage, exported, run, tmp_path):
    folder = shutil.copytree(exported("openvino").folder, tmp_path / "copy")
    model = hubtune.load_model(run.path)
    images = [entry.path for entry in hubtune.ListDataset(run.path.parent).examples("validate")]
    parity.compare_export(folder, model, images).check()
    damage(folder)
    with pytest.raises(CheckFailedError, match=r"does not give hubtune's answers: .* of 12 pictures"):
        parity.compare_export(folder, model, images).check()


def test_an_export_that_fails_its_proof_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(CheckFailedError):
        export_model(hubtune.load_model(run.path), tmp_path / "made", "openvino")
    assert not [*tmp_path.iterdir()]


def test_a_network_that_resizes_otherwise_is_left_out(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(exporter, "RESIZED_TOLERANCE", 1e-9)
    export = export_model(hubtune.load_model(run.path), tmp_path / "made", "onnx")
    assert not (export.folder / "model_with_resize.onnx").exists()
    assert export.parity.resized is None
    assert "There is no file that resizes" in (export.folder / "README.md").read_text(encoding="utf-8")
    assert "model_with_resize.onnx is not written: where the network resizes" in caplog.text


def test_a_model_without_a_run_is_compared_on_drawn_images(tmp_path):
    model = exportable_model(fit="crop")
    write_model(tmp_path / "model", model.classifier, model.card)
    export = export_model(hubtune.load_model(tmp_path / "model"), tmp_path / "made", "onnx")
    assert export.images == 0
    assert export.parity.files.images == 14
    assert export.parity.files.similarity is None
    [row] = run_script(export.folder, *draw_odd_images(tmp_path)[:1])
    assert "known" not in row


def test_class_names_that_are_not_unicode_are_exported(tmp_path):
    """As those of folders that another system has named."""
    model = exportable_model(fit="crop")
    labels = [os.fsdecode(b"not utf-8 \xff"), *model.card.labels[1:]]
    write_model(tmp_path / "model", model.classifier, model.card.model_copy(update={"labels": labels}))
    export = export_model(hubtune.load_model(tmp_path / "model"), tmp_path / "made", "openvino")
    assert export.parity.files.images == 14
    rows = run_script(export.folder, *draw_odd_images(tmp_path))
    read = [row for row in rows if row["label"] is not None]
    assert read and all({*row["scores"]} == {*labels} for row in read)


def test_what_cannot_be_exported_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"There is no format 'torch': choose one of onnx, openvino, paddle"):
        check_export(tmp_path / "x", "torch")
    with pytest.raises(UsageError, match="is not empty: name a new folder"):
        check_export(tmp_path / "full", "onnx")
    with pytest.raises(UsageError, match="is a file"):
        check_export(tmp_path / "full/note.txt", "onnx")
    with pytest.raises(UsageError, match="--name fruit goes with --format paddlehub"):
        check_export(tmp_path / "x", "onnx", "fruit")
    monkeypatch.setattr(exporter, "is_installed", lambda name: False)
    with pytest.raises(
        MachineError, match=r"ONNX needs onnx and onnxruntime: .*pip install onnx onnxruntime"
    ):
        check_export(tmp_path / "x", "onnx")


def test_a_pretrained_module_is_not_exported(tmp_path):
    model = hubtune.pretrained_model(hubtune.Module("digitnet"))
    with pytest.raises(ModelError, match="digitnet was not fine-tuned"):
        export_model(model, tmp_path / "made", "onnx")


@pytest.mark.slow
@pytest.mark.parametrize(("form", "int8"), [("onnx", False), ("paddlehub", False), ("openvino", True)])
def test_a_model_that_predicts_in_int8_is_not_exported(form, int8, tmp_path):
    model = hubtune.load_model(int8_run(tmp_path).path)
    with pytest.raises(ModelError, match=r"fine-tune with .*engine=auto, then use hubtune export --int8 on"):
        export_model(model, tmp_path / "made", form, int8=int8)
    assert not (tmp_path / "made").exists()


def test_scripts_do_not_import_hubtune(exported):
    for name in ("predict", "arrange"):
        assert "hubtune" not in (exported("onnx").folder / f"{name}.py").read_text(encoding="utf-8")
    before = set(sys.modules)
    arrange = import_script(exported("onnx").folder, "arrange")["arrange"]
    assert arrange.__doc__
    assert not {name for name in set(sys.modules) - before if name.startswith("hubtune")}
