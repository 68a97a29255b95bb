"""The learning curve of ``hubtune finetune --learning-curve``."""

from typing import TYPE_CHECKING

import hubtune
from hubtune.cli.console import echo, percent, print_table
from hubtune.errors import UsageError
from hubtune.messages.catalogue import language

if TYPE_CHECKING:
    from hubtune.report.run_report import MeasuredCurve


def check_curve(recipe: "hubtune.Recipe") -> None:
    """Refuse a recipe whose strategy trains by gradients, by a ``UsageError``."""
    from hubtune.train.strategies import TRAINERS

    if TRAINERS[recipe.strategy.name].by_gradients:
        raise UsageError(
            f"--learning-curve fits heads to fewer pictures, and strategy {recipe.strategy.name} would train "
            "once for each: use -o strategy=frozen"
        )


def check_curve_data(dataset: "hubtune.BaseCVDataset") -> None:
    """Refuse multi-label lists, by a ``UsageError``."""
    if dataset.label_sets is not None:
        raise UsageError(
            "--learning-curve measures the accuracy by pictures of each class, and these lists are "
            "multi-label: fine-tune without it, and compare runs on fewer pictures by hubtune compare"
        )


def measure_curve(run: "hubtune.Run", task: "hubtune.ImageClassifierTask") -> "MeasuredCurve | None":
    """Measure the curve of a run's model; ``None`` if the classes are too small."""
    from hubtune.data.splits.files import read_groups
    from hubtune.report.findings import measure_model_curve
    from hubtune.train.data_checks import hash_images

    model = hubtune.load_model(run.path, trust_code=task.module.code is not None)
    entries = hash_images(task.dataset.examples("train"), lambda: None)
    return measure_model_curve(model, entries, read_groups(task.dataset.lists_folder))


def print_curve(curve: "MeasuredCurve | None") -> None:
    """Print the curve as a table, and what more pictures would bring."""
    from hubtune.report.phrases import Phrases
    from hubtune.report.run_summary import describe_curve

    echo("")
    if curve is None:
        echo("Learning curve: not measured, as the classes are too small")
        return
    lines = [["training pictures a class", "accuracy", "95 % interval"]]
    for point in curve.points:
        interval = f"{100 * point.low:.1f}–{percent(point.high)}"
        lines.append([f"{point.images:.0f}", percent(point.accuracy), interval])
    print_table(lines, sides=">>>")
    echo(describe_curve(curve, Phrases(language())))
