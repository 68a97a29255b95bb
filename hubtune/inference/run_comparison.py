"""Runs compared on one list: each model answers it, and the answers are compared in pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.data.dataset import LIST_NAMES
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import DataError, ModelError, UsageError
from hubtune.evaluation.comparison import Comparison, compare_pairs
from hubtune.evaluation.evaluation import Evaluation, none_if_nan
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.inference.label_matching import match_labels
from hubtune.inference.load_model import load_model, model_folder_of
from hubtune.runs.folder import RunFolder, is_run
from hubtune.runs.lists import describe_trained, find_list


@dataclass(frozen=True)
class RunComparison:
    """Runs that were measured on one list.

    Attributes:
        names: the run or model folders, as they were named.
        list_file: the list, or another source of images.
        list_name: ``test``, ``validate`` or ``train`` of the runs; ``None`` for another list.
        evaluations: of each run, in the order of ``names``.
        pairs: the numbers of two runs, and their comparison, for each pair.
        remarks: a sentence for each run that was trained on images of the list.
    """

    names: list[str]
    list_file: str
    list_name: str | None
    evaluations: list[Evaluation | LabelEvaluation]
    pairs: list[tuple[int, int, Comparison]]
    remarks: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "list": self.list_file,
            "runs": [
                {"run": name, **{key: none_if_nan(value) for key, value in evaluation.as_dict().items()}}
                for name, evaluation in zip(self.names, self.evaluations, strict=True)
            ],
            "pairs": [
                {
                    "first": self.names[one],
                    "second": self.names[two],
                    **found.as_dict(),
                    "sentence": found.describe(self.names[one], self.names[two]),
                }
                for one, two, found in self.pairs
            ],
            "remarks": self.remarks,
        }


def compare_runs(
    runs: Sequence[str | Path],
    *,
    on: str | None = None,
    settings: SourceSettings = AS_FOUND,
    batch_size: int = 32,
    engine: str = "auto",
    trust_code: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RunComparison:
    """Measure the models of runs on one list, and compare each pair.

    Args:
        runs: two or more folders of runs or models, which have the same classes in any order.
        on: ``validate``, ``test`` or ``train`` of the runs, a list file, or another source of images; by
            default the runs' test list, else their validation list.
        settings: how a source or a list is to be read.
        batch_size: images that a network gets at once; the figures do not depend on it.
        engine: as :func:`~hubtune.inference.load_model.load_model`.
        trust_code: likewise.
        progress: receives the number of images done, over all models, and their total.

    Raises:
        UsageError: there are fewer than two runs, or no such list.
        DataError: the runs have different lists, or no readable image.
        ModelError: there is no model, or the classes differ.
    """
    folders = [Path(run) for run in runs]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise UsageError("Name two or more different runs to compare")
    list_name = None
    if on is None or on in LIST_NAMES:
        on = list_name = _common_list(folders, on)
    models = [load_model(folder, trust_code=trust_code, engine=engine) for folder in folders]
    numbers = [
        _match(folder, models[0].labels, model.labels) for folder, model in zip(folders, models, strict=True)
    ]
    multi_label = models[0].card.multi_label
    dataset, name = find_list(folders[0], on, models[0].labels, settings, multi_label=multi_label)
    dataset.check_files()
    count = len(dataset.examples(name))
    evaluations: list[Evaluation | LabelEvaluation] = []
    for number, model in enumerate(models):

        def advance(done: int, _: int, before: int = number * count) -> None:
            if progress is not None:
                progress(before + done, count * len(models))

        evaluations.append(
            model.evaluate(dataset, name, batch_size=batch_size, remap_by_name=True, progress=advance)
        )
    listed = str(dataset.list_files[name])
    if not any(evaluation.count for evaluation in evaluations):
        raise DataError(f"{listed} has no readable picture")
    answers = [
        evaluation.answers.renumbered(own) for evaluation, own in zip(evaluations, numbers, strict=True)
    ]
    trained = [] if list_name else [describe_trained(folder, dataset) for folder in folders]
    remarks = [remark for remark in trained if remark]
    return RunComparison(
        list(map(str, runs)), listed, list_name, evaluations, compare_pairs(answers), remarks
    )


def _common_list(folders: Sequence[Path], name: str | None) -> str:
    """Return the name of the list that the runs share: the given one, test or validation."""
    for folder in folders:
        model_folder_of(folder)  # refuses what is neither a run nor a model
        if not is_run(folder):
            raise UsageError(
                f"{folder} is a model without lists: name a list that all are measured on, --on LIST"
            )
    lists = [RunFolder(folder).read_manifest().get("lists", {}) for folder in folders]
    name = name or ("test" if any("test" in own for own in lists) else "validate")
    for folder, own in zip(folders, lists, strict=True):
        if name not in own:
            raise DataError(f"{folder} has no {name} list: name a list that all are measured on, --on LIST")
        if own[name] != lists[0][name]:
            raise DataError(
                f"{folders[0]} and {folder} have different {name} lists, whose accuracies do not compare: "
                "name a list that all are measured on, --on LIST"
            )
    return name


def _match(folder: Path, first: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the number in the first model of each class of another model."""
    if set(first) != set(labels):
        differing = ", ".join(sorted(set(first) ^ set(labels))[:5])
        raise ModelError(
            f"{folder} has other classes than the first run (in one of them only: {differing}): compare runs "
            "with the same classes"
        )
    return match_labels(first, labels, remap_by_name=True)
