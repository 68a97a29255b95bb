"""Models exported as PaddleHub modules: what the folder holds, and what is refused."""

import ast
import json
import shutil

import paddle
import pytest
from support.paddlehub import (
    LABELS,
    assert_same_scores,
    draw_odd_images,
    exportable_model,
    last_json,
    named,
    run_paddlehub,
    scores_of,
)

from hubtune.errors import ModelError, UsageError
from hubtune.export.paddlehub import export_paddlehub
from hubtune.inference.model_folder import write_model


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_odd_images(tmp_path_factory.mktemp("images"))


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _imports(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(f"import {line.split()[1]}" for line in lines if line.startswith(("import ", "from ")))


def test_the_folder_is_complete_and_holds_no_pickle(tmp_path):
    export_paddlehub(exportable_model(), tmp_path / "fruit", "fruit")
    files = [
        *("errors.py", "image.py", "model.json", "module.py", "network.json", "network.pdiparams"),
        "preprocessing.py",
    ]
    assert _names(tmp_path / "fruit") == files
    assert not [path for path in (tmp_path / "fruit").glob("*.py") if "import hubtune" in _imports(path)]
    assert '    name="fruit",\n' in (tmp_path / "fruit/module.py").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "fruit/model.json").read_text())["labels"] == LABELS
    json.loads((tmp_path / "fruit/network.json").read_text())
    assert (tmp_path / "fruit/network.pdiparams").read_bytes()[:1] != b"\x80"  # how a pickle begins
    assert _names(tmp_path) == ["fruit"]


@pytest.mark.parametrize(
    "name, proposal",
    [("my-model", "my_model"), ("5 idols", "model_5_idols"), ("安崎", "model"), ("class", "model_class")],
)
def test_a_name_that_paddlehub_cannot_use_is_refused(name, proposal, tmp_path):
    with pytest.raises(UsageError, match=f"cannot use the name {name!r}.* such as '{proposal}'"):
        export_paddlehub(exportable_model(), tmp_path / "fruit", name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "folder, name, message",
    [
        ("fruit", "numpy", "'numpy' is the name of a Python package"),
        ("numpy", "fruit", "'numpy' is the name of a Python package"),
        ("fruit.v2", "fruit", "use a name without dots"),
        ("full", "full", "full is not empty: name a new folder"),
        ("file", "file", "file is a file: name a new folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(folder, name, message, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/keep").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=message):
        export_paddlehub(exportable_model(), tmp_path / folder, name)
    assert _names(tmp_path) == ["file", "full"]
    assert (tmp_path / "full/keep").read_text() == "mine"


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "fruit").mkdir()
    export_paddlehub(exportable_model(), tmp_path / "fruit", "fruit")
    assert (tmp_path / "fruit/module.py").is_file()

    def fails(*arguments, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(paddle.jit, "save", fails)
    with pytest.raises(ModelError, match=r"The network smallnet cannot be saved .* \(RuntimeError: no such"):
        export_paddlehub(exportable_model(), tmp_path / "other", "other")
    assert _names(tmp_path) == ["fruit"]


PREDICT = """
import json, sys
import cv2, paddlehub
folder, installed, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
assert "hubtune" not in sys.modules
module = paddlehub.Module(name=installed) if installed else paddlehub.Module(directory=folder)
logits, features = module(__import__("paddle").zeros([2, 3, 32, 32]))
arrays = [cv2.imread(path) for path in paths if path.endswith("plain.png")]
print(json.dumps({
    "rows": module.predict(paths, batch_size=3, top_k=3),
    "arrays": module.predict(arrays, top_k=3),
    "shapes": [logits.shape, features.shape],
    "name": module.name,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_paddlehub_loads_an_exported_model_and_gives_the_same_scores(fit, images, tmp_path):
    model = exportable_model(fit=fit)
    folder = tmp_path / "somewhere"
    export_paddlehub(model, folder, "fruit")
    answer = last_json(run_paddlehub(tmp_path, "-c", PREDICT, folder, "", *images))
    assert_same_scores(answer["rows"], scores_of(model, images))
    assert_same_scores(answer["arrays"], scores_of(model, [named(images, "plain.png")]))
    assert answer["shapes"] == [[2, 3], [2, 96]]
    assert answer["name"] == "fruit"


@pytest.mark.slow
def test_the_command_writes_a_module_that_hub_installs_and_runs(images, tmp_path, run_hubtune):
    model = exportable_model()
    write_model(tmp_path / "model", model.classifier, model.card)
    folder = tmp_path / "fruit"
    done = run_hubtune("export", tmp_path / "model", "--format", "paddlehub", "-o", folder)
    assert done.returncode == 0, done.stderr
    hub = "from paddlehub.commands.utils import execute; execute()"
    installed = run_paddlehub(tmp_path, "-c", hub, "install", folder)
    assert "Successfully installed fruit-1.0.0" in installed.stdout + installed.stderr
    shutil.rmtree(folder)
    answer = last_json(run_paddlehub(tmp_path, "-c", PREDICT, "", "fruit", *images))
    assert_same_scores(answer["rows"], scores_of(model, images))
    photo = named(images, "photo.jpg")
    ran = run_paddlehub(tmp_path, "-c", hub, "run", "fruit", "--input_path", photo, "--top_k", 1)
    best, score = next(iter(scores_of(model, [photo])[0].items()))
    (row,) = ast.literal_eval(ran.stdout.splitlines()[-1])
    assert row == {best: pytest.approx(score, abs=1e-4)}
