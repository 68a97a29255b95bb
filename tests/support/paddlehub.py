"""Models to export to PaddleHub, images that programs read differently, PaddleHub and a stand-in for it."""

import importlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import hubtune
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from support.environments import paddlehub_python
from support.waiting import HANG_SECONDS

LABELS = ["安崎", 'a "quoted" \\name', "pear, ripe"]
PROJECT = Path(__file__).parents[2]


def exportable_model(**preprocessing):
    """Return a model on digitnet's backbone whose scores differ widely between images."""
    classifier = Classifier(find("smallnet").backbone, len(LABELS), hidden_units=[8])
    classifier.load_backbone(hubtune.Module("digitnet").network)
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


def draw_odd_images(folder):
    """Draw images of every kind that programs read differently, and name two that cannot be read."""
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


def named(images, name):
    return next(path for path in images if Path(path).name == name)


def scores_of(model, paths):
    return [row.scores for row in model.predict(paths)]


def assert_same_scores(rows, expected):
    assert [list(row) for row in rows] == [list(scores) for scores in expected]
    for row, scores in zip(rows, expected, strict=True):
        assert list(row.values()) == pytest.approx(list(scores.values()), abs=1e-4)


def pretend_paddlehub(monkeypatch):
    """Stand in for PaddleHub with the few names that an exported module uses; returns what loads a module."""
    names = {
        **dict.fromkeys(("paddlehub", "paddlehub.module", "paddlehub.utils"), ()),
        "paddlehub.module.cv_module": {"ImageClassifierModule": type("ImageClassifierModule", (), {})},
        "paddlehub.module.module": {"moduleinfo": lambda **info: lambda kind: kind},
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


def run_paddlehub(home, *arguments, with_hubtune=False):
    environment = {
        "HOME": str(home / "home"),
        "HUB_HOME": str(home / "hub"),
        "HUBTUNE_HOME": str(home / "cache"),
        "HUBTUNE_OFFLINE": "1",
        "PYTHONPATH": str(PROJECT) if with_hubtune else "",
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.run(
        [paddlehub_python(), "-W", "ignore", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=HANG_SECONDS,
        check=False,
    )


def last_json(done):
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
