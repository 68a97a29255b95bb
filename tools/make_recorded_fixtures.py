"""Write tests/fixtures/recorded: runs, models, recipes, lists and caches as this version writes them.

    python tools/make_recorded_fixtures.py

The tests in tests/recorded hold later versions against these files, so they are not to be written anew
because such a test fails: only where a format is changed on purpose, and then beside the old ones. Nothing in
them depends on the machine but last digits.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.drawn_images import draw_classes, draw_odd, noise, write_lists  # noqa: E402

FIXTURES = ROOT / "tests" / "fixtures" / "recorded"

MODULE = '''"""A network so small that its files can be kept among the tests."""

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, stages_of


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Halve height and width."""
    return nn.Sequential(
        nn.Conv2D(inputs, outputs, 3, stride=2, padding=1, bias_attr=False),
        nn.BatchNorm2D(outputs),
        nn.ReLU(),
    )


def build(num_classes: int) -> nn.Sequential:
    """Return the network."""
    return nn.Sequential(
        ("stem", block(3, 4)),
        ("stage1", block(4, 6)),
        ("stage2", block(6, 8)),
        ("pool", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(8, num_classes)),
    )


def stages(network: nn.Sequential) -> list[Stage]:
    """Cut the network into parts."""
    stem, stage1, stage2, pool, flatten, fc = network
    return stages_of([stem], [stage1], [stage2, pool, flatten], head=[fc])


BACKBONE = Backbone(
    name="tiny",
    build=build,
    stages=stages,
    width=8,
    parameters=sum(p.size for p in build(num_classes=1000).parameters() if not p.stop_gradient),
    input_size=24,
    resize=24,
)
'''

MODULE_YAML = """name: tiny
architecture: module.py
licence: Apache-2.0
description: A network so small that its files can be kept among the tests.
weights: {{file: tiny.safetensors, sha256: {sha256}}}
classes: [one, two]
preprocessing:
  {{size: 24, resize: 26, fit: crop, interpolation: bilinear, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}}
"""

TINY = "module: {name: tiny, trust_code: true}\n"
RECIPES = {
    "frozen": """data: {base: data}
module: digitnet
strategy: {name: frozen, views: 2, folds: 3}
run: runs/frozen
""",
    "rules": """data:
  base: data
  fit: pad
"""
    + TINY
    + """strategy:
  - {match: stem, frozen: true}
  - {match: head, lr_mult: 5, weight_decay: 0.001}
  - {match: 'stage1*', frozen_epochs: 1, l2sp: 0.01}
  - {match: '*', dimensions: 1}
  - {match: '*', decoupled_decay: 0.05}
train:
  epochs: 4
  batch_size: 4
  learning_rate: 2.0e-2
  hidden_units: [6]
  schedule: {name: cosine, warmup: 3, end: 1.0e-4}
run: runs/rules
""",
    "last_stage": """data: {base: data}
"""
    + TINY
    + """strategy: {name: last_stage, views: 1}
train: {epochs: 4, batch_size: 5, learning_rate: 5.0e-2}
run: runs/last_stage
""",
    "interrupted": """data: {base: data, workers: 1}
"""
    + TINY
    + """strategy: {name: default_finetune, regularization_coeff: 1.0e-4}
train:
  epochs: 6
  batch_size: 4
  learning_rate: 2.0e-2
  augment: {flip: 0.5, brightness: 0.2, crop: [0.7, 1]}
  dropout: 0.1
  ema: 0.8
  eval_interval: 4
  log_interval: 1
  save_ckpt_interval: 3
run: runs/interrupted
""",
    "grey": """data: {base: data, channels: 1, fit: stretch, size: 20}
"""
    + TINY
    + """strategy: adam_weight_decay
train:
  epochs: 3
  batch_size: 6
  learning_rate: 3.0e-2
  optimizer: {name: adamw, beta2: 0.99}
  loss: {name: focal, gamma: 1.5}
  clip: {global_norm: 1.0}
  batch_norm: update
  average_best: 2
run: runs/grey
""",
    "everything": """# A recipe with most keys, which is not run.
data: {base: datasets/photos, train: a.txt, validate: b.txt, labels: names.txt, fit: whole, size: 160}
module: {name: resnet50_imagenet, weights: none}
strategy:
  name: combined
  scheduler: {warmup: 0.1, linear_decay: {start_point: 0.5}, discriminative: {blocks: 3}, gradual_unfreeze: 2}
  regularization: {L2SP: 0.01}
  clip: {GlobalNorm: 1}
train:
  epochs: 7
  batch_size: auto
  micro_batch: 8
  learning_rate: auto
  optimizer: momentum
  schedule: {name: piecewise, boundaries: [2, 5], factors: [1, 0.1, 0.01]}
  balance: sampler
  early_stopping: 4
  augment: {crop: [0.35, 1], mixup: 0.2, cutmix: 0.5, randaugment: 2, magnitude: 7}
  amp: off
  seed: 11
""",
    "short": """data: {base: pics, max_bad: 5%}
module: mobilenet_v2_imagenet
strategy: ulmfit
train: {augment: strong, schedule: one_cycle}
""",
}

STOPPED = """
import logging, os, runpy, signal, sys
sys.argv = ["hubtune", "finetune", "recipes/interrupted.yaml"]

class Stop(logging.Handler):
    seen = 0
    def emit(self, record):
        Stop.seen += "step" in record.getMessage()
        if Stop.seen == 8:
            os.kill(os.getpid(), signal.SIGTERM)

logging.getLogger("hubtune").addHandler(Stop())
runpy.run_module("hubtune", run_name="__main__", alter_sys=True)
"""


def main() -> None:
    """Make everything in a temporary folder, and keep what is small."""
    shutil.rmtree(FIXTURES, ignore_errors=True)
    FIXTURES.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        expected = _made(work)
        _keep(work)
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in expected.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (FIXTURES / "expected.json").write_text(text.replace(str(work), ""), encoding="utf-8")
    size = sum(file.stat().st_size for file in FIXTURES.rglob("*") if file.is_file())
    print(f"{size:,} bytes in {FIXTURES.relative_to(ROOT)}")


def _made(work: Path) -> dict[str, object]:
    draw_classes(work / "data" / "pics")
    write_lists(work / "data", "pics")
    draw_odd(work / "odd")
    _module(work / "tiny")
    (work / "recipes").mkdir()
    for name, text in RECIPES.items():
        (work / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")
    expected: dict[str, object] = {}
    for name in ("frozen", "rules", "last_stage", "grey"):
        result = _json(work, "finetune", f"recipes/{name}.yaml", "--json")
        scores = _scores(work, name)
        test = _json(work, "evaluate", f"runs/{name}", "--on", "test", "--json", trust=True)
        expected[name] = {"finetune": result, "predict": scores, "evaluate": test}
    stopped = _run(work, sys.executable, "-c", STOPPED)
    assert stopped.returncode == 143, stopped.stderr
    shutil.copytree(work / "runs" / "interrupted", work / "kept" / "interrupted")
    result = _json(work, "finetune", "runs/interrupted", "--resume", "--json", trust=True)
    metrics = (work / "runs" / "interrupted" / "metrics.jsonl").read_text().splitlines()
    expected["interrupted"] = {
        "finetune": result,
        "predict": _scores(work, "interrupted"),
        "metrics": [json.loads(line) for line in metrics],
    }
    expected["split"] = _json(work, "split", "odd", "--val", "3", "--test", "2", "--out", "split", "--json")
    grouped = ("--group-by", r"(series\d+)", "--seed", "2", "--val", "20%", "--test", "20%")
    expected["split_groups"] = _json(work, "split", "odd", *grouped, "--out", "split_groups", "--json")
    expected["split_folds"] = _json(work, "split", "odd", "--folds", "3", "--out", "split_folds", "--json")
    expected["check"] = _json(work, "split", "--from", "split", "--json")
    expected["scan"] = _json(work, "scan", "odd", "--json")
    expected["explain"] = _json(work, "recipe", "explain", "recipes/rules.yaml", "--json", trust=True)
    code = (
        "import hubtune, pathlib, sys\n"
        "print(hubtune.load_recipe(pathlib.Path(sys.argv[1])).model_dump_json(by_alias=True))"
    )
    expected["recipes"] = {
        name: json.loads(_run(work, sys.executable, "-c", code, f"recipes/{name}.yaml").stdout)
        for name in RECIPES
    }
    return expected


def _module(folder: Path) -> None:
    """Weights that are neither trained nor random: any values will do, as long as they are the same."""
    folder.mkdir()
    (folder / "module.py").write_text(MODULE, encoding="utf-8")
    shapes = {"fc.weight": (8, 2), "fc.bias": (2,)}
    for name, inputs, outputs in (("stem", 3, 4), ("stage1", 4, 6), ("stage2", 6, 8)):
        shapes[f"{name}.0.weight"] = (outputs, inputs, 3, 3)
        shapes |= {f"{name}.1.{part}": (outputs,) for part in ("weight", "bias", "_mean", "_variance")}
    tensors = {}
    for name, shape in shapes.items():
        values = (noise(name, *shape) - 127.5).astype(np.float32) / 128
        positive = name.endswith((".1.weight", "_variance"))
        tensors[name] = np.abs(values) / 2 + np.float32(0.75) if positive else values / np.float32(2)
    save_file(tensors, folder / "tiny.safetensors")
    sha256 = hashlib.sha256((folder / "tiny.safetensors").read_bytes()).hexdigest()
    (folder / "module.yaml").write_text(MODULE_YAML.format(sha256=sha256), encoding="utf-8")


def _run(work: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HUBTUNE_HOME": str(work / "home"),
        "HUBTUNE_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


def _json(work: Path, *arguments: str, trust: bool = False) -> object:
    trusted = ["--trust-code"] if trust else []
    done = _run(work, sys.executable, "-m", "hubtune", *arguments, *trusted)
    assert done.returncode in (0, 8), f"{arguments}: {done.stdout} {done.stderr}"
    return json.loads(done.stdout)


def _scores(work: Path, run: str) -> object:
    return _json(work, "predict", "data/pics", "--model", f"runs/{run}", "--json", "--scores", trust=True)


def _keep(work: Path) -> None:
    """Copy what the tests need, without what tells about a machine."""
    for name in ("recipes", "tiny", "split", "split_groups"):
        shutil.copytree(work / name, FIXTURES / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("frozen", "rules", "last_stage"):
        _keep_run(work / "runs" / name, FIXTURES / "runs" / name)
    _keep_run(work / "kept" / "interrupted", FIXTURES / "runs" / "interrupted")
    steps = FIXTURES / "runs" / "interrupted" / "checkpoints"
    for folder in sorted(steps.iterdir(), key=lambda path: int(path.name[5:]))[:-1]:
        shutil.rmtree(folder)
    shutil.copytree(work / "runs" / "grey" / "best_model", FIXTURES / "model", ignore=_ignored)
    shutil.copytree(work / "home", FIXTURES / "home", ignore=shutil.ignore_patterns("machine.json", "*.lock"))
    with contextlib.closing(sqlite3.connect(FIXTURES / "home" / "scan.sqlite")) as database:
        database.execute("DELETE FROM looks WHERE place > 3")
        database.commit()
        database.execute("VACUUM")
    for copy in (FIXTURES / "model" / "module.py", *(FIXTURES / "runs").glob("*/best_model/module.py")):
        copy.unlink()  # the same as that of tiny/
    # Of the large network, the head alone: the rest are the weights that come with hubtune.
    model = FIXTURES / "runs" / "frozen" / "best_model" / "model.safetensors"
    [trunk] = (ROOT / "hubtune").rglob("digitnet.safetensors")
    shipped = {f"backbone.{name}": tensor for name, tensor in load_file(trunk).items()}
    trained = load_file(model)
    own = {name: tensor for name, tensor in trained.items() if name not in shipped}
    assert all(np.array_equal(tensor, shipped[name]) for name, tensor in trained.items() if name not in own)
    save_file(own, model.with_name("head.safetensors"))
    model.unlink()


_ignored = shutil.ignore_patterns(".lock", "train.log", "__pycache__", "*.lock")


def _keep_run(run: Path, target: Path) -> None:
    shutil.copytree(run, target, ignore=_ignored)
    file = target / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    manifest["command"] = ["hubtune", *manifest["command"][1:]]
    manifest["started"] = "2026-01-01T00:00:00+00:00"
    manifest["machine"] |= {"platform": "Linux", "processor": "x86_64"}
    file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
