"""Make the hub module ``digitnet``: smallnet, pretrained on scikit-learn's handwritten digits 0–6.

command: python tools/make_digitnet.py [FOLDER]

FOLDER is where the module goes; by default its place in the package. The same machine and the same versions
give the same file, byte for byte. Digits 7–9 are left out: `hubtune demo` learns them from ten pictures each.
"""

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# One thread, and the same products on Intel and AMD processors (on AMD also twice as fast): they decide the
# last digits of the weights, and Paddle reads them when it is imported.
if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", MKL_DEBUG_CPU_TYPE="5")

from safetensors.numpy import save

from hubtune import ImageClassifierTask, ListDataset, Module, RunConfig, ScratchStrategy, load_model
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.demo import write_digits
from hubtune.hub.file_names import MODULE_FILE
from hubtune.models.classifier import Classifier
from hubtune.storage.atomic import sha256_of, write_atomically

DIGITS = range(7)
WEIGHTS_FILE = "digitnet.safetensors"

# The decay is ten times the usual one: it costs nothing on 0–6, and the features suit new digits better.
TRAINING = {
    "num_epoch": 10,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "strategy": ScratchStrategy(regularization_coeff=1e-3),
    "device": "cpu",
}

MODULE_YAML = """\
# A hub module is a folder that holds this file and the weights beside it. This one comes with hubtune (its
# tools/make_digitnet.py made it), and is the example for your own: copy the folder, put your weights in,
# change what stands here, and give the folder's path where a module's name is asked for: in a recipe
# `module: path/to/folder`, in Python `hubtune.Module("path/to/folder")`.

name: digitnet

# The network, by its hub name. The weights' names and shapes must be those of its state_dict(); only the last
# layer may have another number of classes.
architecture: smallnet

# How pictures enter it, exactly as when it was trained; left out, as the architecture's record says.
preprocessing:
  size: 32                  # side of the square input, pixels
  resize: 32                # short side before the centre crop
  fit: crop                 # or whole, pad, stretch
  interpolation: bilinear   # or bicubic, lanczos
  mean: [0.5, 0.5, 0.5]     # of red, green and blue, values 0 to 1
  std: [0.5, 0.5, 0.5]

# The weights, as safetensors: a format that cannot run code. A file with another SHA-256 is refused; yours is
# shown by `sha256sum FILE`, on Windows by `certutil -hashfile FILE SHA256`.
weights:
  file: {weights_file}
  sha256: {sha256}

# What it was pretrained on, in the order of its outputs.
classes: ["0", "1", "2", "3", "4", "5", "6"]

# SPDX identifier: what others may do with the weights.
licence: Apache-2.0

description: >-
  Trained on {train} of scikit-learn's handwritten digits 0 to 6 (E. Alpaydin and C. Kaynak, UCI, 1998), with
  PaddlePaddle {paddle}; right on {right} of {count} others.
"""


def make_lists(folder: Path) -> ListDataset:
    """Write digits 0–6 and their lists into a folder: 80 % for training, 20 % to test on."""
    write_digits(folder / "digits", DIGITS)
    # Without a search for copies, whose rules may change: the same lists must come of it.
    scan = scan_classes(folder / "digits")
    split = make_split(scan, SplitRequest(test=SplitSize.parse("20%")), groups=())
    write_split(split, folder, {"seed": 0})
    return ListDataset(folder)


def make_module(module: Path, work: Path) -> None:
    """Train smallnet on digits 0–6, and write the module folder.

    Args:
        module: the module folder.
        work: where pictures, lists and the run go.
    """
    dataset = make_lists(work)
    config = RunConfig(**TRAINING, checkpoint_dir=work / "run")
    run = ImageClassifierTask(Module("smallnet", weights=None), dataset, config).finetune_and_eval()
    assert run.test is not None
    module.mkdir(parents=True, exist_ok=True)
    weights = module / WEIGHTS_FILE
    write_atomically(weights, save(tensors_of(load_model(run.best_model).classifier)))
    description = MODULE_YAML.format(
        weights_file=WEIGHTS_FILE,
        sha256=sha256_of(weights),
        train=f"{len(dataset.examples('train')):,}",
        paddle=version("paddlepaddle"),
        right=round(run.test.accuracy * run.test.count),
        count=run.test.count,
    )
    write_atomically(module / MODULE_FILE, description)


def tensors_of(classifier: Classifier) -> dict:
    """A classifier's tensors by the names that smallnet itself gives them."""
    state = {name: tensor.numpy() for name, tensor in classifier.state().items()}
    return {name.removeprefix("backbone.").replace("head.0.", "fc."): value for name, value in state.items()}


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / "hubtune" / "hub" / "modules" / "digitnet"
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else here
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # for runs/latest
        make_module(target, Path(scratch))
        os.chdir(target)  # Windows removes no folder that is in use
    print(f"{target}: {(target / WEIGHTS_FILE).stat().st_size:,} bytes")
