"""Features in int8: their throughput, and the accuracy of the head of `frozen` that is solved on them.

    python benchmarks/int8_features.py PICTURES --weights mobilenet_v2.safetensors
    python benchmarks/int8_features.py PICTURES --module paddle.vision:resnet50 --seeds 0

PICTURES has a folder of images for each class; without --weights they are random. NNCF quantises the backbone
after training, except for the products that covariances consist of, on up to 150 pictures that are in no test
list. Both programs are run by hubtune's own ring of requests, in turn. Needs the package nncf.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from frozen_figures import MODULE, run
from strategies import standard_error

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

from hubtune.data.dataset import ListDataset
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.splits.files import read_groups
from hubtune.data.splits.kfold import split_keys
from hubtune.hub.module import Module
from hubtune.inference.extract import run_images
from hubtune.inference.feature_table import Table
from hubtune.inference.openvino_program import RequestRing, compile_program, openvino_core
from hubtune.inference.predict import mean_rows
from hubtune.inference.program import Subnetwork, save_program
from hubtune.inference.ridge_head import fit_ridge
from hubtune.models.classifier import Classifier
from hubtune.train.data_checks import hash_images
from hubtune.train.views import mirrored, whole_view

_CALIBRATION, _TIMED = 150, 64


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("--module", default=MODULE)
    parser.add_argument("--weights", help="of the module; default: random ones")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=10, help="splits by --val 10 --test 20; 0: none")
    given = parser.parse_args()
    module = Module(given.module, given.weights)
    classifier, record = Classifier(module.backbone, 2), module.backbone
    classifier.load_backbone(module.network)
    classifier.take_second_order(classifier.find_taps(record.taps, record.input_size))
    view = whole_view(module.preprocessing, record.size_multiple) or module.preprocessing
    paths = sorted(path.resolve() for path in given.pictures.glob("*/*") if path.is_file())
    with tempfile.TemporaryDirectory(prefix="hubtune-int8-") as work:
        lists = [_split(given.pictures.resolve(), Path(work), seed) for seed in range(given.seeds)]
        tested = {entry.path.resolve() for each in lists for entry in each.examples("test")}
        usable = [path for path in paths if path not in tested]
        calibration = usable[:: max(1, len(usable) // _CALIBRATION)][:_CALIBRATION]
        programs = _programs(Subnetwork(classifier, classifier.features, view), view, calibration, Path(work))
        found: dict[str, Any] = {"calibration pictures": len(calibration)}
        timed = paths[:: len(paths) // _TIMED][:_TIMED]
        found |= _throughput(programs, [preprocess_views(path, [view])[0] for path in timed], given.rounds)
        if lists:
            found |= _accuracy(programs, [view, mirrored(view)], paths, lists, classifier.blocks)
    click.echo(json.dumps(found, indent=1))


def _split(pictures: Path, work: Path, seed: int) -> ListDataset:
    lists = work / f"split-{seed}"
    options = ("--val", "10", "--test", "20", "--seed", str(seed), "--out", lists, "--json")
    run([sys.executable, "-m", "hubtune", "split", pictures, *options], work)
    return ListDataset(lists)


def _programs(part: Subnetwork, view: Preprocessing, some: list[Path], work: Path) -> dict[str, RequestRing]:
    """Compile the network in float32 and in int8."""
    save_program(part, work / "network", None, None, old=True)
    core = openvino_core()  # before the import of NNCF, which would report it to its maker otherwise
    import nncf
    import openvino

    # Written and read again: NNCF fails on some models as Paddle's reader makes them.
    openvino.save_model(core.read_model(work / "network.pdmodel"), work / "f32.xml", compress_to_fp16=False)
    arrays = [array[None] for path in some for array in preprocess_views(path, [view])]
    model, products = core.read_model(work / "f32.xml"), nncf.IgnoredScope(types=["MatMul"], validate=False)
    model = nncf.quantize(model, nncf.Dataset(arrays), subset_size=len(arrays), ignored_scope=products)
    openvino.save_model(model, work / "int8.xml", compress_to_fp16=False)
    return {name: compile_program(work / f"{name}.xml", "f32") for name in ("f32", "int8")}


def _throughput(programs: dict[str, RequestRing], arrays: list[np.ndarray], rounds: int) -> dict[str, Any]:
    """Run the same pictures by both programs in turn; ratios within rounds."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            start, used = time.perf_counter(), time.process_time()
            program.begin(arrays)()
            if number:  # the first round warms up
                spent[name].append((time.perf_counter() - start, time.process_time() - used))
    found: dict[str, Any] = {}
    for place, what in enumerate(("seconds", "processor seconds")):
        times = {name: [each[place] / len(arrays) for each in pairs] for name, pairs in spent.items()}
        ratios = [slow / fast for slow, fast in zip(times["f32"], times["int8"], strict=True)]
        found[f"{what} a picture, median"] = {name: statistics.median(each) for name, each in times.items()}
        found[f"{what}, f32 / int8"] = [statistics.median(ratios), min(ratios), max(ratios)]
    return found


def _accuracy(
    programs: dict[str, Any],
    views: list[Preprocessing],
    paths: list[Path],
    lists: list[ListDataset],
    blocks: list[int],
) -> dict[str, Any]:
    """Solve the head on the features of each program, on every split."""
    rows: dict[str, dict[Path, np.ndarray]] = {}
    for name, program in programs.items():
        outputs = run_images(program, views, paths, batch_size=32, workers=2)
        rows[name] = {each.path: mean_rows(each.rows).astype(np.float32) for each in outputs if each.rows}
    tests: dict[str, list[float]] = {name: [] for name in programs}
    for dataset in lists:
        train, test = (hash_images(dataset.examples(name), lambda: None) for name in ("train", "test"))
        keys, labels = split_keys(train, read_groups(dataset.base_path)), [entry.label for entry in train]
        for name, of in rows.items():
            values = np.array([of[entry.path.resolve()] for entry in train])
            table = Table(values, np.array(labels), np.ones(len(train)), keys, blocks)
            head = fit_ridge(table, len(dataset.label_list))
            scores = np.array([of[entry.path.resolve()] for entry in test]) @ head.weight + head.bias
            tests[name].append(float((scores.argmax(1) == [entry.label for entry in test]).mean()))
    paired = [100 * (one - other) for one, other in zip(tests["int8"], tests["f32"], strict=True)]
    figures = {name: [statistics.fmean(each), standard_error(each)] for name, each in tests.items()}
    difference = [statistics.fmean(paired), standard_error(paired)]
    return {"test accuracy": figures, "int8 − f32, points": difference}


if __name__ == "__main__":
    main()
