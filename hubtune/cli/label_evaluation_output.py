"""The figures of a multi-label evaluation as lines, a table and CSV."""

from pathlib import Path

from hubtune.cli.console import echo, echo_titled, figures, percent, print_table, share_or_dash, shown
from hubtune.errors import writing
from hubtune.evaluation.label_evaluation import LabelEvaluation, LabelMetrics
from hubtune.storage.atomic import write_csv
from hubtune.text import plural

_MOST_LABELS, _WORST = 20, 10
_NAME_CELLS = 32


def print_label_evaluation(listed: str, evaluation: LabelEvaluation) -> None:
    """Print the figures: overall, per label, and whether probabilities are as high as they should be."""
    echo(f"{shown(listed)}: {figures(evaluation)}, loss {evaluation.loss:.4f}")
    if evaluation.chance_level:
        echo(f"Careful:     {evaluation.chance_level}")
    if not evaluation.count:
        return
    macro, micro = share_or_dash(evaluation.macro_f1), share_or_dash(evaluation.micro_f1)
    right = percent(evaluation.label_accuracy)
    echo(f"Labels:      macro F1 {macro}; micro F1 {micro}; {right} of the decisions right")
    for title, line in zip(("Probability:", ""), describe_probability(evaluation), strict=False):
        echo_titled(title, line, 12)
    echo("")
    _print_labels(evaluation)


def describe_probability(evaluation: LabelEvaluation) -> list[str]:
    """Return two lines: probabilities and shares of labels; calibration error and that of a perfect model."""
    calibration = evaluation.calibration
    if calibration.ece is None or calibration.ece_expected is None or calibration.ece_high is None:
        return ["none: the scores are not numbers"]
    decisions = plural(evaluation.count * len(evaluation.labels), "decision")
    found, expected = percent(calibration.ece), percent(calibration.ece_expected)
    chance = f"a perfect model shows about {expected} on {decisions}"
    if calibration.ece > calibration.ece_high:
        high = percent(calibration.ece_high)
        chance = (
            f"a perfect model shows about {expected} on {decisions}, and more than {high} in one case of 20"
        )
    mean, share = percent(evaluation.mean_probability), percent(evaluation.label_share)
    return [
        f"{mean} on average; the label is true in {share} of the decisions",
        f"calibration error {found}; {chance}",
    ]


def _print_labels(evaluation: LabelEvaluation) -> None:
    labels = evaluation.per_label
    if len(labels) > _MOST_LABELS:
        measured = [entry for entry in labels if entry.f1 is not None]
        labels = sorted(measured, key=lambda entry: (entry.f1, entry.average_precision))[:_WORST]
    heading = ("label", "pictures", "predicted", "precision", "recall", "95 % interval", "F1", "AP")
    print_table([(*heading, "threshold"), *map(_row, labels)])
    if rest := len(evaluation.labels) - len(labels):
        echo(f"These have the lowest F1; {rest:,} more labels: --csv FILE or --json")


def _row(entry: LabelMetrics) -> tuple[str, ...]:
    from rich.cells import cell_len, set_cell_size

    name, interval = shown(entry.label), "–"
    if cell_len(name) > _NAME_CELLS:  # leaves room for figures
        name = f"{set_cell_size(name, _NAME_CELLS - 1).rstrip()}…"
    if entry.interval is not None:
        interval = f"{100 * entry.interval[0]:.0f}–{100 * entry.interval[1]:.0f} %"
    return (
        *(name, f"{entry.count:,}", f"{entry.predicted:,}"),
        *(share_or_dash(entry.precision), share_or_dash(entry.recall), interval),
        *(share_or_dash(entry.f1), share_or_dash(entry.average_precision), f"{entry.threshold:.2f}"),
    )


def write_label_evaluation_csv(file: Path, evaluation: LabelEvaluation) -> None:
    """Write a CSV file with a row for each label; figures that do not exist are empty.

    Raises:
        MachineError: it cannot be written.
    """
    header = ("label", "count", "predicted", "correct", "precision", "recall", "low", "high", "f1")
    rows = (
        (
            *(entry.label, entry.count, entry.predicted, entry.correct, entry.precision, entry.recall),
            *(entry.interval or (None, None)),
            *(entry.f1, entry.average_precision, entry.roc_auc, entry.threshold),
        )
        for entry in evaluation.per_label
    )
    with writing(file):
        write_csv(file, (*header, "average_precision", "roc_auc", "threshold"), rows)
