"""A model exported to PaddleHub is complete without hubtune, and scores the same there."""

import ast
import importlib
import json
import logging
import shutil
import sys
from types import ModuleType

import numpy as np
import paddle
import pytest
from support.paddlehub import draw_varied_images, json_answer, paddlehub_runner

import hubtune
from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError, UsageError
from hubtune.export.paddlehub import export_paddlehub
from hubtune.inference.model import Model
from hubtune.inference.model_folder import ModelCard, write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier

LABELS = ["安崎", 'a "quoted" \\name', "pear, ripe"]


def _model(**preprocessing):
    """A model whose scores differ widely between pictures, on digitnet's trunk."""
    module = hubtune.Module("digitnet")
    classifier = Classifier(find("smallnet").backbone, len(LABELS), hidden_units=[8])
    classifier.load_trunk(module.network)
    random = np.random.default_rng(0)
    for parameter in classifier.head.parameters():
        parameter.set_value(random.normal(0, 0.5, parameter.shape).astype(np.float32))
    classifier.eval()
    card = ModelCard(
        architecture="smallnet",
        hidden_units=[8],
        labels=LABELS,
        preprocessing=Preprocessing.model_validate({"size": 32, "resize": 36, **preprocessing}),
        module="digitnet",
        module_sha256=None,
        strategy="default",
        step=1,
        metrics={},
    )
    return Model(classifier, card)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_varied_images(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def run(tmp_path):
    return paddlehub_runner(tmp_path)


@pytest.fixture
def stand_in(monkeypatch):
    """The few names of PaddleHub that an exported module uses, without PaddleHub."""
    names = {
        "paddlehub": {},
        "paddlehub.module": {},
        "paddlehub.module.cv_module": {"ImageClassifierModule": type("ImageClassifierModule", (), {})},
        "paddlehub.module.module": {"moduleinfo": lambda **info: lambda kind: kind},
        "paddlehub.utils": {},
        "paddlehub.utils.log": {"logger": logging.getLogger("paddlehub")},
    }
    for name, content in names.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    def load(folder):
        monkeypatch.syspath_prepend(folder.parent)
        kind = importlib.import_module(f"{folder.name}.module").HubtuneClassifier
        kind.directory = str(folder)
        return kind()

    return load


def _expected(model, paths):
    return [row.scores for row in model.predict(paths)]


def _assert_same(rows, expected):
    assert [list(row) for row in rows] == [list(scores) for scores in expected]  # the classes in their order
    for row, scores in zip(rows, expected, strict=True):
        assert list(row.values()) == pytest.approx(list(scores.values()), abs=1e-4)


def test_the_folder_is_complete_and_holds_no_pickle(tmp_path):
    export_paddlehub(_model(), tmp_path / "fruit", "fruit")
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


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _imports(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(f"import {line.split()[1]}" for line in lines if line.startswith(("import ", "from ")))


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_exported_module_scores_as_hubtune_does(fit, batch_size, images, tmp_path, stand_in):
    model = _model(fit=fit, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    name = f"fruit_{fit}_{batch_size}"
    export_paddlehub(model, tmp_path / name, name)
    loaded = stand_in(tmp_path / name)
    _assert_same(loaded.predict(images, batch_size=batch_size, top_k=3), _expected(model, images))


@pytest.mark.parametrize("channels", [1, 4])
def test_an_exported_module_has_the_models_channels(channels, images, tmp_path, stand_in):
    model = _model(channels=channels)
    model.classifier.take_channels(channels, model.card.preprocessing.grey_in_colours)
    name = f"channels_{channels}"
    export_paddlehub(model, tmp_path / name, name)
    loaded = stand_in(tmp_path / name)
    expected = _expected(model, images)
    _assert_same(loaded.predict(images, batch_size=3, top_k=3), expected)
    clear = next(path for path in images if "clear" in path)
    array = np.asarray(decode(clear, channels=4))[..., [2, 1, 0, 3]]  # as cv2.IMREAD_UNCHANGED gives it
    _assert_same(loaded.predict([array], top_k=3), [expected[images.index(clear)]])


def test_an_exported_module_takes_the_arrays_of_opencv(images, tmp_path, stand_in, caplog):
    model = _model()
    export_paddlehub(model, tmp_path / "arrays", "arrays")
    loaded = stand_in(tmp_path / "arrays")
    plain, clear = (next(path for path in images if name in path) for name in ("plain", "clear"))
    bgr = [np.asarray(decode(path))[..., ::-1] for path in (plain, clear)]
    grey, deep = np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint16)
    rows = loaded.predict([bgr[0], None, grey, bgr[1], deep], batch_size=2, top_k=3)
    first, second = _expected(model, [plain, clear])
    _assert_same(rows, [first, {}, {}, second, {}])
    assert "array: is uint16 [9, 9, 3], not uint8 [height, width, 3] as cv2.imread gives" in caplog.text
    assert len(loaded.predict([plain], top_k=2)[0]) == 2
    with pytest.raises(TypeError, match=r"takes a list of pictures, even for one: \['a.jpg'\]"):
        loaded.predict("a.jpg")


def test_an_exported_module_prepares_awkward_files_as_hubtune_does(material, tmp_path, stand_in):
    model = _model(fit="pad", size=48)
    export_paddlehub(model, tmp_path / "awkward", "awkward")
    loaded = stand_in(tmp_path / "awkward")
    files = sorted(
        str(path) for path in (material / "awkward").iterdir() if path.suffix not in (".tsv", ".md")
    )
    _assert_same(loaded.predict(files, batch_size=8, top_k=3), _expected(model, files))


@pytest.mark.parametrize(
    "name, proposal",
    [("my-model", "my_model"), ("5 idols", "model_5_idols"), ("安崎", "model"), ("class", "model_class")],
)
def test_a_name_that_paddlehub_cannot_use_is_refused(name, proposal, tmp_path):
    with pytest.raises(UsageError, match=f"cannot use the name {name!r}.* such as '{proposal}'"):
        export_paddlehub(_model(), tmp_path / "fruit", name)
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
        export_paddlehub(_model(), tmp_path / folder, name)
    assert _names(tmp_path) == ["file", "full"]
    assert (tmp_path / "full/keep").read_text() == "mine"


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "fruit").mkdir()
    export_paddlehub(_model(), tmp_path / "fruit", "fruit")
    assert (tmp_path / "fruit/module.py").is_file()

    def fails(*arguments, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(paddle.jit, "save", fails)
    with pytest.raises(ModelError, match=r"The network smallnet cannot be saved .* \(RuntimeError: no such"):
        export_paddlehub(_model(), tmp_path / "other", "other")
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
def test_paddlehub_loads_an_exported_model_and_says_the_same(fit, images, tmp_path, run):
    model = _model(fit=fit)
    folder = tmp_path / "somewhere"
    export_paddlehub(model, folder, "fruit")
    answer = json_answer(run("-c", PREDICT, folder, "", *images))
    _assert_same(answer["rows"], _expected(model, images))
    plain = _expected(model, [path for path in images if path.endswith("plain.png")])
    _assert_same(answer["arrays"], plain)
    assert answer["shapes"] == [[2, 3], [2, 96]]
    assert answer["name"] == "fruit"


@pytest.mark.slow
def test_the_command_writes_a_module_that_hub_installs_and_runs(images, tmp_path, run, run_hubtune):
    model = _model()
    write_model(tmp_path / "model", model.classifier, model.card)
    folder = tmp_path / "fruit"
    done = run_hubtune("export", tmp_path / "model", "--format", "paddlehub", "-o", folder)
    assert done.returncode == 0, done.stderr
    hub = "from paddlehub.commands.utils import execute; execute()"
    installed = run("-c", hub, "install", folder)
    assert "Successfully installed fruit-1.0.0" in installed.stdout + installed.stderr
    shutil.rmtree(folder)
    answer = json_answer(run("-c", PREDICT, "", "fruit", *images))
    _assert_same(answer["rows"], _expected(model, images))
    photo = next(path for path in images if path.endswith("photo.jpg"))
    ran = run("-c", hub, "run", "fruit", "--input_path", photo, "--top_k", 1)
    best, score = next(iter(_expected(model, [photo])[0].items()))
    (row,) = ast.literal_eval(ran.stdout.splitlines()[-1])
    assert row == {best: pytest.approx(score, abs=1e-4)}
