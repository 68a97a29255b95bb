"""Both ways between hubtune and PaddleHub 2.4.

The tests with PaddleHub itself run it in an environment of its own: the Python that the variable
``HUBTUNE_PADDLEHUB_PYTHON`` names, or one that they make (about 2 GB, once) in the user's cache folder.
"""

import ast
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import paddle
import pytest
from PIL import Image
from support.environments import paddlehub_python

import hubtune
from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.export.paddlehub import export_paddlehub
from hubtune.hub.module_code import load_backbone
from hubtune.hub.paddlehub_module import paddlehub_labels, paddlehub_weights
from hubtune.inference.model import Model
from hubtune.inference.model_folder import ModelCard, write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier

ROOT = Path(__file__).parent.parent
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
    """Pictures of every kind that programs read differently, and two that cannot be read."""
    folder = tmp_path_factory.mktemp("pictures")
    ramp = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3)
    noise = np.random.default_rng(0).normal(0, 40, ramp.shape)
    photo = Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8))
    photo.save(folder / "plain.png")
    photo.save(folder / "photo.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.convert("L").save(folder / "grey.png")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray((ramp[..., 0] * 257).astype(np.uint16)).save(folder / "deep.png")
    clear = photo.convert("RGBA")
    clear.putalpha(photo.convert("L"))
    clear.save(folder / "clear.png")
    (folder / "broken.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    return [*sorted(map(str, folder.iterdir())), str(folder / "nowhere.jpg")]


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


def test_a_paddlehub_module_without_paddlehub_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "paddlehub", None)
    (tmp_path / "module.py").write_text("from paddlehub.module.module import moduleinfo\n")
    with pytest.raises(MachineError, match=r'is not installed: pip install "hubtune\[paddlehub\]"'):
        load_backbone(tmp_path, trust_code=True)


def test_the_weights_and_labels_of_a_paddlehub_module(tmp_path):
    assert paddlehub_weights(tmp_path) is None
    assert paddlehub_labels(tmp_path) == ()
    (tmp_path / "label_list.txt").write_text("crane\n安崎\ncrane\n", encoding="utf-8")
    (tmp_path / "model.pdparams").write_bytes(b"")
    assert paddlehub_labels(tmp_path) == ("crane", "安崎", "crane (2)")
    assert paddlehub_weights(tmp_path) == tmp_path / "model.pdparams"
    (tmp_path / "other.pdparams").write_bytes(b"")
    with pytest.raises(ModelError, match=r"several weights files \(model.pdparams, other.pdparams\)"):
        paddlehub_weights(tmp_path)


@pytest.fixture
def run(tmp_path):
    """Runs PaddleHub's Python, away from the user's home."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "HUB_HOME": str(tmp_path / "hub"),
        "HUBTUNE_HOME": str(tmp_path / "cache"),
        "HUBTUNE_OFFLINE": "1",
        "PYTHONPATH": "",
        "PYTHONIOENCODING": "utf-8",
    }

    def call(*arguments, **more):
        return subprocess.run(
            [paddlehub_python(), "-W", "ignore", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            env={**environment, **more},
            timeout=300,
            check=False,
        )

    return call


def _answer(done):
    """The JSON on the last line that a program printed."""
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


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
    answer = _answer(run("-c", PREDICT, folder, "", *images))
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
    answer = _answer(run("-c", PREDICT, "", "fruit", *images))
    _assert_same(answer["rows"], _expected(model, images))
    photo = next(path for path in images if path.endswith("photo.jpg"))
    ran = run("-c", hub, "run", "fruit", "--input_path", photo, "--top_k", 1)
    best, score = next(iter(_expected(model, [photo])[0].items()))
    (row,) = ast.literal_eval(ran.stdout.splitlines()[-1])
    assert row == {best: pytest.approx(score, abs=1e-4)}


# In PaddleHub's manner: fixed parameter names, a linear layer before the head, a second output that is not
# the head's input, and weights that are fetched where they are missing.
TINY_MODULE = """
import os
import numpy as np
import paddle
from paddle import nn, ParamAttr
import paddlehub.vision.transforms as T
from paddlehub.module.cv_module import ImageClassifierModule
from paddlehub.module.module import moduleinfo

class Squeeze(nn.Layer):
    def __init__(self):
        super(Squeeze, self).__init__()
        self.gate = nn.Linear(8, 8)

    def forward(self, inputs):
        return inputs * self.gate(inputs.mean([2, 3])).unsqueeze([2, 3])

@moduleinfo(name="tiny", type="CV/classification", version="1.0.0", meta=ImageClassifierModule)
class Tiny(nn.Layer):
    def __init__(self, label_list=None, load_checkpoint=None):
        super(Tiny, self).__init__()
        self.labels = label_list or open(os.path.join(self.directory, "label_list.txt")).read().split()
        self.conv = nn.Conv2D(3, 8, 3, weight_attr=ParamAttr(name="conv_weights"))
        self.norm = nn.BatchNorm(8, act="relu", moving_mean_name="mean", moving_variance_name="variance")
        self.squeeze = Squeeze()
        self.hidden = nn.Linear(8, 6, weight_attr=ParamAttr(name="hidden_weights"))
        self.out = nn.Linear(6, len(self.labels), weight_attr=ParamAttr(name="fc_weights"))
        if load_checkpoint is not None:
            state = paddle.load(load_checkpoint)[0]
        else:
            checkpoint = os.path.join(self.directory, "tiny.pdparams")
            if not os.path.exists(checkpoint):
                open(os.path.join(self.directory, "fetched"), "w").close()
            state = paddle.load(checkpoint)
        self.set_dict(state)
        print("load checkpoint success")

    def transforms(self, images):
        steps = [T.Resize((40, 40)), T.CenterCrop(32), T.Normalize(mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])]
        return T.Compose(steps, to_rgb=True)(images)

    def forward(self, images):
        feature = self.squeeze(self.norm(self.conv(images))).mean([2, 3])
        return self.out(nn.functional.relu(self.hidden(feature))), feature
"""

COMPARE = """
import contextlib, io, json, sys
from pathlib import Path
import numpy as np
import paddle
import hubtune
from hubtune.data.images.decode import decode
from hubtune.hub.module_code import load_backbone
from hubtune.hub.paddlehub_module import paddlehub_preprocessing, paddlehub_weights
from hubtune.storage.safe_load import read_weights
from hubtune.hub.weights import load_into
from hubtune.models.backbone import features, head_keys
from hubtune.models.classifier import Classifier

folder, picture = Path(sys.argv[1]), sys.argv[2]
random = np.random.default_rng(0)
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    record, _ = load_backbone(folder, trust_code=True)
    network = record.build(num_classes=4)
    for tensor in network.state_dict().values():
        tensor.set_value(random.uniform(-1, 1, tensor.shape).astype("float32"))
    network.norm._variance.set_value(np.full(8, 0.5, np.float32))
    paddle.save(network.state_dict(), str(folder / "tiny.pdparams"))
    files = sorted(path.name for path in folder.iterdir())
    network = record.build(num_classes=4)
    stages = record.stages(network)
    load_into(network, read_weights(paddlehub_weights(folder)), head=head_keys(network, stages), source="tiny")
    network.eval()
    module = hubtune.Module(folder, trust_code=True)
    classifier = Classifier(module.backbone, 3)
    classifier.load_trunk(module.network)
    classifier.eval()

import cv2, paddlehub
real = paddlehub.Module(directory=str(folder))
real.eval()
seen = []
real.out.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
images = paddle.to_tensor(random.standard_normal((2, 3, 32, 32)).astype("float32"))
with paddle.no_grad():
    logits, _ = real(images)
    pairs = {
        "logits": (network(images), logits),
        "stages in turn": (stages[-1].forward(features(stages, images)), logits),
        "features": (module.features(images), seen[0]),
        "features of a classifier": (classifier.features(images), seen[0]),
    }
pixels = paddlehub_preprocessing(record)(decode(picture)) - real.transforms(cv2.imread(picture))
print(json.dumps({
    "printed": printed.getvalue(),
    "files": files,
    "differences": {name: float((ours - theirs).abs().max()) for name, (ours, theirs) in pairs.items()},
    "largest": float(logits.abs().max()),
    "pixels": float(np.abs(pixels * 255 * np.array([0.2, 0.3, 0.4]).reshape(3, 1, 1)).max()),
    "record": [record.name, record.width, record.input_size, record.resize, record.mean, record.std],
    "parameters": record.parameters,
    "stages": {stage.name: sum(tensor.size for tensor in stage.parameters()) for stage in stages},
}))
"""


@pytest.mark.slow
def test_a_paddlehub_module_gives_what_paddlehub_gives(images, tmp_path, run):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "module.py").write_text(TINY_MODULE)
    (folder / "label_list.txt").write_text("a\nb\nc\nd\n")
    plain = next(path for path in images if path.endswith("plain.png"))
    answer = _answer(run("-c", COMPARE, folder, plain, PYTHONPATH=str(ROOT)))
    assert answer["printed"] == ""
    assert answer["files"] == ["label_list.txt", "module.py", "tiny.pdparams"]  # nothing fetched or compiled
    assert all(difference <= 1e-5 * answer["largest"] for difference in answer["differences"].values())
    assert answer["pixels"] < 1.01  # of 255
    assert answer["record"] == ["tiny", 6, 32, 40, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]]
    trunk = (3 * 8 * 9 + 8) + 2 * 8 + (8 * 8 + 8) + (8 * 6 + 6)
    assert answer["parameters"] == trunk + 7 * 1000
    assert answer["stages"] == {"stem": trunk + 2 * 8, "head": 7 * 4}


REFUSED = """
import json, sys
from pathlib import Path
from hubtune.errors import HubtuneError
from hubtune.hub.module_code import load_backbone

messages = []
for folder in map(Path, sys.argv[1:]):
    try:
        load_backbone(folder, trust_code=True)
    except HubtuneError as error:
        messages.append(type(error).__name__ + ": " + str(error).replace(str(folder), "DIR"))
print(json.dumps(messages))
"""


@pytest.mark.slow
def test_paddlehub_modules_that_cannot_be_used_are_refused_in_a_sentence(tmp_path, run):
    codes = {
        "old": TINY_MODULE.replace("import os", "import paddle.fluid as fluid"),
        # A fine-tuned model keeps module.py alone, so that this would fail at the very end.
        "siblings": TINY_MODULE.replace("import os", "import os; from .other import x"),
        "ends": TINY_MODULE.replace("import os", "import os, sys; sys.exit(-1)"),
        "not_a_classifier": "from paddlehub.module.module import moduleinfo\n",
        "convolution": TINY_MODULE.replace("nn.Linear(6, len(self.labels)", "nn.Conv1D(6, 1, 1"),
        "bgr": TINY_MODULE.replace("to_rgb=True", "to_rgb=False"),
    }
    for name, code in codes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(code)
        (tmp_path / name / "other.py").write_text("x = 1\n")
    old, siblings, ends, other, convolution, bgr = _answer(
        run("-c", REFUSED, *(tmp_path / name for name in codes), PYTHONPATH=str(ROOT))
    )
    fails = "ModelError: DIR/module.py failed in line 2 "
    assert old.startswith(
        fails + "(ModuleNotFoundError: No module named 'paddle.fluid'): it must be one file"
    )
    assert "Where hubtune has the architecture itself" in old
    assert ends.startswith(fails + "(SystemExit: -1)")
    assert siblings.startswith("ModelError: DIR/module.py failed in line 2 (")
    assert other.startswith("ModelError: DIR/module.py is no image classifier that can be fine-tuned (it has")
    assert convolution.startswith("ModelError: The network in DIR/module.py does not end in a linear layer")
    assert bgr.startswith("ModelError: The transforms in DIR/module.py are not a resize to a square, a ")
