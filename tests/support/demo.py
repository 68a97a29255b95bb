"""Results of the demo without its trainings."""

from pathlib import Path

from hubtune.demo import DemoResult
from hubtune.evaluation.metrics import Metrics, wilson_interval


def _metrics(*accuracies):
    return [Metrics(a, 0.5, 450, wilson_interval(round(450 * a), 450)) for a in accuracies]


def demo_result(finetuned, scratch):
    return DemoResult(
        seeds=(0, 1, 2),
        finetuned=_metrics(*finetuned),
        scratch=_metrics(*scratch),
        scratch_long=_metrics(0.91, 0.92, 0.93),
        epochs=5,
        long_epochs=20,
        model=Path("d/runs/finetuned-0/best_model"),
        image=Path("d/predictions.png"),
    )
