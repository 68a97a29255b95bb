"""The figures of an evaluation as lines, tables and CSV."""

from itertools import zip_longest
from pathlib import Path

from hubtune.cli.console import echo, echo_titled, figures, percent, print_table, shown
from hubtune.errors import writing
from hubtune.evaluation.evaluation import ClassMetrics, Evaluation
from hubtune.inference.unknown_images import UnknownFigures
from hubtune.storage.atomic import write_csv
from hubtune.text import plural

_MOST_CLASSES, _WORST = 20, 10
_MOST_COLUMNS = 12  # of a confusion matrix; more do not fit into a line
_MOST_PAIRS = 5
_LABEL_CELLS = 32


def print_evaluation(listed: str, evaluation: Evaluation) -> None:
    """Print the figures: overall, per class, and what is confused."""
    echo(f"{shown(listed)}: {figures(evaluation)}, loss {evaluation.loss:.4f}")
    if evaluation.chance_level:
        echo(f"Careful:     {evaluation.chance_level}")
    if len(evaluation.labels) < 2:
        return
    tops = (f"; top-{k} {percent(share)}" for k, share in evaluation.top_k.items() if _is_new(k, evaluation))
    balanced, f1 = percent(evaluation.balanced_accuracy), percent(evaluation.macro_f1)
    echo(f"Per class:   balanced accuracy {balanced}; macro F1 {f1}{''.join(tops)}")
    for title, line in zip(("Confidence:", ""), describe_confidence(evaluation), strict=False):
        echo_titled(title, line, 12)
    echo("")
    _print_classes(evaluation)
    if attractor := evaluation.attractor:
        echo("")
        echo(
            f"{shown(attractor.label)} attracts the others: {attractor.count:,} of the {attractor.errors:,} "
            "wrong answers for their pictures name it"
        )
    if len(evaluation.labels) <= _MOST_COLUMNS:
        _print_confusion(evaluation)
    elif pairs := [pair for pair in evaluation.most_confused[:_MOST_PAIRS] if pair.count > 1]:
        echo("")
        echo("Most confused:")
        for pair in pairs:
            echo(f"  {_short(pair.label)} taken for {_short(pair.predicted)}: {pair.count:,} pictures")


def _is_new(k: int, evaluation: Evaluation) -> bool:
    """Whether a top-k share says something that the first line does not."""
    return 1 < k < len(evaluation.labels) and k != 5


def describe_confidence(evaluation: Evaluation) -> list[str]:
    """Return two lines: confidence and accuracy; calibration error and that of a perfect model."""
    calibration, (low, high) = evaluation.calibration, evaluation.interval
    if calibration.ece is None or calibration.ece_expected is None or calibration.ece_high is None:
        return ["none: the scores are not numbers"]
    mean = evaluation.mean_confidence
    place = "within the interval of the accuracy"
    if mean > high:
        place = "above the interval of the accuracy: too confident"
    elif mean < low:
        place = "below the interval of the accuracy: too cautious"
    found, expected = percent(calibration.ece), percent(calibration.ece_expected)
    images = plural(evaluation.count, "picture")
    chance = f"a perfect model shows about {expected} on {images}"
    if calibration.ece > calibration.ece_high:
        most = percent(calibration.ece_high)
        chance = f"a perfect model shows about {expected} on {images}, and more than {most} in one case of 20"
    return [f"{percent(mean)} on average, {place}", f"calibration error {found}; {chance}"]


def _print_classes(evaluation: Evaluation) -> None:
    classes = evaluation.per_class
    if len(classes) > _MOST_CLASSES:
        measured = [entry for entry in classes if entry.recall is not None]
        classes = sorted(measured, key=lambda entry: (entry.recall, -entry.count))[:_WORST]
    heading = ("class", "pictures", "precision", "recall", "95 % interval", "F1", "most often taken for")
    print_table([heading, *map(_row, classes)], sides="<>>>>><")
    if rest := len(evaluation.labels) - len(classes):
        echo(f"These have the lowest recall; {rest:,} more classes: --csv FILE or --json")


def _row(entry: ClassMetrics) -> tuple[str, ...]:
    interval = "–"
    if entry.interval is not None:
        interval = f"{100 * entry.interval[0]:.0f}–{100 * entry.interval[1]:.0f} %"
    taken_for = f"{_short(entry.taken_for)} ({entry.taken_count:,})" if entry.taken_for is not None else ""
    shares = (_share(entry.precision), _share(entry.recall), interval, _share(entry.f1))
    return (_short(entry.label), f"{entry.count:,}", *shares, taken_for)


def _share(figure: float | None) -> str:
    return "–" if figure is None else percent(figure)


def _short(label: str) -> str:
    """Shorten a class name to a width that leaves room for figures."""
    from rich.cells import cell_len, set_cell_size

    text = shown(label)
    return text if cell_len(text) <= _LABEL_CELLS else f"{set_cell_size(text, _LABEL_CELLS - 1).rstrip()}…"


def _print_confusion(evaluation: Evaluation) -> None:
    echo("")
    echo("Confusion: a row for each true class, a column for each answer, in the same order")
    numbers = range(1, len(evaluation.labels) + 1)
    rows = [
        (str(number), _short(label), *(f"{count:,}" if count else "·" for count in counts))
        for number, label, counts in zip(
            numbers, evaluation.labels, evaluation.confusion.tolist(), strict=True
        )
    ]
    print_table([("", "class", *map(str, numbers)), *rows], sides="><")


def write_classes(file: Path, evaluation: Evaluation) -> None:
    """Write a CSV file with a row for each class; figures that do not exist are empty.

    Raises:
        MachineError: it cannot be written.
    """
    header = ("label", "count", "predicted", "correct", "precision", "recall", "low", "high", "f1")
    rows = (
        (
            *(entry.label, entry.count, entry.predicted, entry.correct, entry.precision, entry.recall),
            *(entry.interval or (None, None)),
            *(entry.f1, entry.taken_for, entry.taken_count),
        )
        for entry in evaluation.per_class
    )
    with writing(file):
        write_csv(file, (*header, "taken_for", "taken_count"), rows)


def print_unknown(figures_of: UnknownFigures) -> None:
    """Print how well unknown images are told from known ones."""
    echo("")
    if figures_of.auroc is None or figures_of.interval is None:
        echo(f"Unknown:     not measured; {plural(figures_of.unreadable, 'picture')} could not be read")
        return
    rejected, known = percent(figures_of.rejected or 0), percent(figures_of.known_rejected or 0)
    low, high = figures_of.interval
    strangers = plural(figures_of.count, "unknown picture")
    lines = [
        f"--reject leaves {rejected} of {strangers} and {known} of the known ones without a label",
        f"AUROC {figures_of.auroc:.3f} by similarity (95 % interval {low:.3f}–{high:.3f}), "
        f"{figures_of.auroc_of_score or 0:.3f} by the highest score",
    ]
    if figures_of.class_left_out is not None:
        lines.append(
            f"a new class of the same kind is harder: AUROC {figures_of.class_left_out:.3f}, mean of the "
            "classes, each without its training pictures"
        )
    if figures_of.unreadable:
        lines.append(f"{plural(figures_of.unreadable, 'picture')} could not be read")
    for title, line in zip_longest(["Unknown:"], lines, fillvalue=""):
        echo_titled(title, line, 12)
