"""``hubtune export``."""

import json
import re

import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.extras import install_command
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model_folder import write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


@pytest.fixture
def model(here):
    names = {"architecture": "smallnet", "module": "smallnet", "module_sha256": None, "strategy": "scratch"}
    view = Preprocessing(size=32, resize=32)
    card = ModelCard(**names, labels=["a", "b"], preprocessing=view, step=1, metrics={})
    write_model(here / "model", Classifier(find("smallnet").backbone, 2), card)


def test_export_writes_a_module_named_as_its_folder_or_as_told(model, here, run_here, assert_refused):
    assert_refused(
        ("export model --format paddlehub -o my-fruit", 2, "cannot use the name 'my-fruit'"),
        ("export model --format paddlehub -o model", 2, "is not empty: name a new folder"),
        ("export model --format torch -o fruit", 2, "'torch' is not one of 'onnx', 'openvino'"),
        ("export model", 2, "Name a --format, onnx, openvino, paddle, paddlehub, or --check an export"),
        ("export model --format onnx --check model", 2, "Name a --format"),
        ("export model --check model -o fruit", 2, "--check writes and measures nothing: omit --output"),
        ("export model --check model --name pears", 2, "--check writes and measures nothing"),
        ("export model --check model --int8", 2, "--check writes and measures nothing"),
        ("export model --check model --bench", 2, "--check writes and measures nothing"),
        ("export model --check model", 4, "model cannot be checked: name a folder that hubtune export wrote"),
        ("export nowhere --format paddlehub -o fruit", 4, "There is no run or model nowhere"),
    )
    assert [path.name for path in here.iterdir()] == ["model"]
    done = run_here("export", "model", "--format", "paddlehub", "-o", "fruit")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"PaddleHub written to fruit \(.* kB\)\n", done.stdout)
    install = install_command("paddlehub")
    assert f"Not compared with hubtune: PaddleHub is not installed ({install})\n" in done.stderr
    assert done.stderr.endswith("Use it: python fruit/predict.py PHOTO; README.md there has more\n")
    assert 'name="fruit"' in (here / "fruit/module.py").read_text()
    run_here("export", "model", "--format", "paddlehub", "-o", "other-folder", "--name", "pears")
    assert 'name="pears"' in (here / "other-folder/module.py").read_text()


@pytest.mark.slow
def test_an_export_is_written_beside_and_checked_again(model, here, run_here, assert_refused):
    done = run_here("export", "model", "--format", "openvino", "--json")
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert (written["folder"], written["format"]) == ("exported/model-openvino", "openvino")
    assert written["parity"]["files"]["labels"] == 0
    assert {"model.xml", "model.bin", "predict.py", "parity.json"} <= set(written["files"])
    checked = run_here("export", "model", "--check", "exported/model-openvino")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith(
        "exported/model-openvino gives the answers of model: the same label for all"
    )
    (here / "exported/model-openvino/predict.py").write_text("")
    assert_refused(
        ("export model --check exported/model-openvino", 8, "is not as it was written: predict.py changed"),
        ("export model --format openvino", 2, "exported/model-openvino is not empty"),
    )


def test_the_default_folder_of_a_module_can_be_imported(model, run_here):
    done = run_here("export", "model", "--format", "paddlehub")
    assert "written to exported/model_paddlehub" in done.stdout, done.stderr
