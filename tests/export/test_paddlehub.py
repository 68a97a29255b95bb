"""Models exported as PaddleHub modules: what the folder holds, and what is refused."""

import ast
import json
import re
import shutil
from pathlib import Path

import numpy as np
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
from hubtune.export.exporter import export_paddlehub
from hubtune.inference.model_folder import write_model
from hubtune.inference.reference import Reference


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_odd_images(tmp_path_factory.mktemp("images"))


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_is_complete_and_holds_no_pickle(tmp_path):
    folder = tmp_path / "fruit"
    folder.mkdir()  # an empty folder is filled
    export_paddlehub(exportable_model(), folder, "fruit")
    code = "bit_depth errors formats image memory module preprocessing text".split()
    data = ["README.md", "labels.txt", "model.json", "network.json", "network.pdiparams"]
    assert _names(folder) == sorted([*(f"{name}.py" for name in [*code, "predict"]), *data])
    assert "It was not compared" in (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("*.py"):
        assert not re.search(r"^(import|from) hubtune", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert '    name="fruit",\n' in (folder / "module.py").read_text(encoding="utf-8")
    assert json.loads((folder / "model.json").read_text())["labels"] == LABELS
    assert (folder / "network.pdiparams").read_bytes()[:1] != b"\x80"  # how a pickle begins
    assert _names(tmp_path) == ["fruit"]


@pytest.mark.parametrize(
    "folder, name, message",
    [
        ("fruit", "my-model", "PaddleHub cannot use the name 'my-model'.* such as 'my_model'"),
        ("fruit", "5 idols", "such as 'model_5_idols'"),
        ("fruit", "安崎", "such as 'model'"),
        ("fruit", "class", "such as 'model_class'"),
        ("fruit", "numpy", "'numpy' is the name of a Python package"),
        ("numpy", "fruit", "'numpy' is the name of a Python package"),
        ("fruit.v2", "fruit", "use a name without dots"),
        ("full", "full", "full is not empty: name a new folder"),
        ("file", "file", "file is a file: name a new folder"),
    ],
)
def test_a_name_or_a_folder_that_cannot_be_used_is_refused(folder, name, message, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/keep").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=message):
        export_paddlehub(exportable_model(), tmp_path / folder, name)
    assert _names(tmp_path) == ["file", "full"]
    assert (tmp_path / "full/keep").read_text() == "mine"


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(paddle.jit, "save", fails)
    with pytest.raises(ModelError, match=r"The network smallnet cannot be saved .* \(RuntimeError: no such"):
        export_paddlehub(exportable_model(), tmp_path / "other", "other")
    assert _names(tmp_path) == []


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
    "similarity": module.similarity(paths, batch_size=2) if module.similarity_threshold else None,
    "arrays": module.predict(arrays, top_k=3),
    "shapes": [logits.shape, features.shape],
    "name": module.name,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_paddlehub_loads_an_exported_model_and_gives_the_same_scores(fit, images, tmp_path):
    model = exportable_model(fit=fit)
    features = np.array([result.features for result in model.score([Path(named(images, "plain.png"))])])
    model.reference = Reference(features.astype(np.float16), np.array([0]), ["plain.png"])
    model.card = model.card.model_copy(update={"similarity_threshold": 0.5})
    folder = tmp_path / "somewhere"
    export_paddlehub(model, folder, "fruit")
    answer = last_json(run_paddlehub(tmp_path, "-c", PREDICT, folder, "", *images))
    assert_same_scores(answer["rows"], scores_of(model, images))
    assert_same_scores(answer["arrays"], scores_of(model, [named(images, "plain.png")]))
    assert (answer["shapes"], answer["name"]) == ([[2, 3], [2, 96]], "fruit")
    expected = [row.similarity for row in model.predict(images)]
    assert [value is None for value in answer["similarity"]] == [value is None for value in expected]
    pairs = zip(answer["similarity"], expected, strict=True)
    assert all(one == pytest.approx(other, abs=1e-4) for one, other in pairs if other is not None)
    assert answer["similarity"][images.index(named(images, "plain.png"))] == pytest.approx(1.0, abs=1e-3)


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
