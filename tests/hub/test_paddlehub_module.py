"""PaddleHub 2.x's modules as hubtune reads them; the slow tests compare with PaddleHub itself."""

import sys

import pytest
from support.paddlehub import draw_odd_images, last_json, named, run_paddlehub

from hubtune.errors import MachineError, ModelError
from hubtune.hub.module_code import load_backbone
from hubtune.hub.paddlehub_module import paddlehub_labels, paddlehub_weights


def test_a_missing_paddlehub_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "paddlehub", None)
    (tmp_path / "module.py").write_text("from paddlehub.module.module import moduleinfo\n")
    with pytest.raises(MachineError, match=r"is not installed: .*pip install paddlehub==2.4.0 "):
        load_backbone(tmp_path, trust_code=True)


def test_weights_and_labels_are_found_in_the_folder(tmp_path):
    assert (paddlehub_weights(tmp_path), paddlehub_labels(tmp_path)) == (None, ())
    (tmp_path / "label_list.txt").write_text("crane\n安崎\ncrane\n", encoding="utf-8")
    (tmp_path / "model.pdparams").write_bytes(b"")
    assert paddlehub_labels(tmp_path) == ("crane", "安崎", "crane (2)")
    assert paddlehub_weights(tmp_path) == tmp_path / "model.pdparams"
    (tmp_path / "other.pdparams").write_bytes(b"")
    with pytest.raises(ModelError, match=r"several weights files \(model.pdparams, other.pdparams\)"):
        paddlehub_weights(tmp_path)


# In PaddleHub's manner: fixed parameter names, a second output, weights that are fetched where missing.
TINY_MODULE = """
import os
import paddle
from paddle import nn, ParamAttr
import paddlehub.vision.transforms as T
from paddlehub.module.cv_module import ImageClassifierModule
from paddlehub.module.module import moduleinfo

@moduleinfo(name="tiny", type="CV/classification", version="1.0.0", meta=ImageClassifierModule)
class Tiny(nn.Layer):
    def __init__(self, label_list=None, load_checkpoint=None):
        super(Tiny, self).__init__()
        self.labels = label_list or open(os.path.join(self.directory, "label_list.txt")).read().split()
        self.conv = nn.Conv2D(3, 8, 3, weight_attr=ParamAttr(name="conv_weights"))
        self.norm = nn.BatchNorm(8, act="relu", moving_mean_name="mean", moving_variance_name="variance")
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
        feature = self.norm(self.conv(images)).mean([2, 3])
        return self.out(nn.functional.relu(self.hidden(feature))), feature
"""

COMPARE = """
import json, sys
from pathlib import Path
import hubtune, numpy as np, paddle
from hubtune.data.images.decode import decode
from hubtune.hub.module_code import load_backbone
from hubtune.models.classifier import Classifier

folder, picture = Path(sys.argv[1]), sys.argv[2]
random = np.random.default_rng(0)
print("hubtune starts")
record, _ = load_backbone(folder, trust_code=True)
network = record.build(num_classes=4)
for tensor in network.state_dict().values():
    tensor.set_value(random.uniform(-1, 1, tensor.shape).astype("float32"))
network.norm._variance.set_value(np.full(8, 0.5, np.float32))
paddle.save(network.state_dict(), str(folder / "tiny.pdparams"))
module = hubtune.Module(folder, trust_code=True)
classifier = Classifier(module.backbone, 3)
classifier.load_backbone(module.network)
classifier.eval()
files = sorted(path.name for path in folder.iterdir())
print("hubtune ends")

import cv2, paddlehub
real = paddlehub.Module(directory=str(folder))
real.eval()
seen = []
real.out.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
images = paddle.to_tensor(random.standard_normal((2, 3, 32, 32)).astype("float32"))
with paddle.no_grad():
    logits, _ = real(images)
    pairs = {
        "logits": (module.network(images), logits),
        "features": (module.features(images), seen[0]),
        "features of a classifier": (classifier.features(images), seen[0]),
    }
pixels = module.preprocessing(decode(picture)) - real.transforms(cv2.imread(picture))
print(json.dumps({
    "files": files,
    "differences": {name: float((ours - theirs).abs().max()) for name, (ours, theirs) in pairs.items()},
    "largest": float(logits.abs().max()),
    "pixels": float(np.abs(pixels * 255 * np.array([0.2, 0.3, 0.4]).reshape(3, 1, 1)).max()),
    "record": [record.name, record.width, record.input_size, record.resize, record.mean, record.std],
    "parameters": record.parameters,
}))
"""


def write_module(folder, code=TINY_MODULE):
    folder.mkdir()
    (folder / "module.py").write_text(code)
    (folder / "label_list.txt").write_text("a\nb\nc\nd\n")
    return folder


@pytest.mark.slow
def test_a_paddlehub_module_gives_what_paddlehub_gives(tmp_path):
    (tmp_path / "images").mkdir()
    plain = named(draw_odd_images(tmp_path / "images"), "plain.png")
    folder = write_module(tmp_path / "tiny")
    done = run_paddlehub(tmp_path, "-c", COMPARE, folder, plain, with_hubtune=True)
    answer = last_json(done)
    assert "hubtune starts\nhubtune ends\n" in done.stdout
    assert answer["files"] == ["label_list.txt", "module.py", "tiny.pdparams"]  # nothing fetched or compiled
    assert all(difference <= 1e-5 * answer["largest"] for difference in answer["differences"].values())
    assert answer["pixels"] < 1.01  # of 255
    assert answer["record"] == ["tiny", 6, 32, 40, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]]
    assert answer["parameters"] == (3 * 8 * 9 + 8) + 2 * 8 + (8 * 6 + 6) + 7 * 1000


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
def test_paddlehub_modules_that_cannot_be_used_are_refused_in_a_sentence(tmp_path):
    codes = {
        "old": TINY_MODULE.replace("import os", "import paddle.fluid as fluid"),
        # This one can be used: a fine-tuned model keeps the other file, too.
        "siblings": TINY_MODULE.replace("import os", "import os; from .other import x"),
        "not_a_classifier": "from paddlehub.module.module import moduleinfo\n",
        "bgr": TINY_MODULE.replace("to_rgb=True", "to_rgb=False"),
    }
    folders = [write_module(tmp_path / name, code) for name, code in codes.items()]
    (tmp_path / "siblings" / "other.py").write_text("x = 1\n")
    done = run_paddlehub(tmp_path, "-c", REFUSED, *folders, with_hubtune=True)
    old, other, bgr = last_json(done)
    fails = "ModelError: DIR/module.py failed in line 2 ("
    assert old.startswith(fails + "ModuleNotFoundError: No module named 'paddle.fluid'): it must run with")
    assert "Where hubtune has the architecture itself" in old
    assert other.startswith("ModelError: DIR/module.py is not an image classifier that can be fine-tuned (it")
    assert bgr.startswith("ModelError: The transforms in DIR/module.py are not a resize to a square, a ")
