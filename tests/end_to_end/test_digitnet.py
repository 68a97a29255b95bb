"""The module that comes with hubtune: what it holds, and that it never saw a 7, 8 or 9."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import paddle
import pytest
from support.scripts import load_script

import hubtune
from hubtune.data.images.decode import decode
from hubtune.demo import write_digits
from hubtune.hub.registry import resolve_module
from hubtune.storage.atomic import sha256_of

script = load_script("make_digitnet")
SHIPPED = Path(str(files("hubtune.hub") / "modules" / "digitnet"))

# Runs the script on data in which every 7, 8 and 9 is a blank sheet: nothing can be learned from them.
BLANKED = """
import runpy, sys
import sklearn.datasets
data = sklearn.datasets.load_digits()
data.images[data.target > 6] = 0
sklearn.datasets.load_digits = lambda: data
script, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def _accuracy(module, examples):
    images = np.stack([module.preprocessing(decode(example.path)) for example in examples])
    with paddle.no_grad():
        answers = module.network(paddle.to_tensor(images)).numpy().argmax(axis=1)
    return float((answers == [example.label for example in examples]).mean())


def test_it_loads_by_its_name_and_by_its_path_and_is_small():
    by_name, by_path = hubtune.Module("digitnet"), hubtune.Module(SHIPPED)
    assert by_name.weights_sha256 == by_path.weights_sha256 == sha256_of(SHIPPED / "digitnet.safetensors")
    assert resolve_module("digitnet").num_classes == 7
    assert {path.name for path in SHIPPED.iterdir()} == {"digitnet.safetensors", "module.yaml"}
    assert (SHIPPED / "digitnet.safetensors").stat().st_size < 600_000


def test_it_is_right_on_digits_that_neither_it_nor_the_demo_was_trained_on(tmp_path):
    dataset = script.make_lists(tmp_path / "pretraining")
    training, test = dataset.examples("train"), dataset.examples("test")
    assert not {example.path for example in training} & {example.path for example in test}
    assert _accuracy(hubtune.Module("digitnet"), test) > 0.97
    write_digits(tmp_path / "demo", [7, 8, 9])
    assert dataset.label_list == ["0", "1", "2", "3", "4", "5", "6"]
    used = {sha256_of(e.path) for name in ("train", "validate", "test") for e in dataset.examples(name)}
    assert not used & {sha256_of(path) for path in (tmp_path / "demo").rglob("*.png")}


@pytest.mark.slow
def test_training_it_without_any_7_8_or_9_gives_the_same_network(tmp_path):
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-c", BLANKED, script.__file__, made], check=True, capture_output=True)
    if sha256_of(made / "digitnet.safetensors") == sha256_of(SHIPPED / "digitnet.safetensors"):
        assert (made / "module.yaml").read_bytes() == (SHIPPED / "module.yaml").read_bytes()
        return
    # Another processor or version of Paddle rounds otherwise: the same network, but not the same bytes.
    examples = script.make_lists(tmp_path / "digits").examples("test")
    again = hubtune.Module(made)
    assert set(again.network.state_dict()) == set(hubtune.Module("digitnet").network.state_dict())
    assert _accuracy(again, examples) == pytest.approx(
        _accuracy(hubtune.Module("digitnet"), examples), abs=0.03
    )
