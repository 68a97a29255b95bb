"""Gather what the report of a run shows from its folder, and write the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import read_split_record
from hubtune.data.listing import ImageEntry, count_by_class, count_by_label, count_unlabelled
from hubtune.errors import HubtuneError, writing
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.evaluation.metrics import Metrics
from hubtune.log import logger
from hubtune.messages.catalogue import language
from hubtune.recipe.load import load_recipe
from hubtune.report.run_page import render_run_report
from hubtune.report.run_report import Findings, RunReport
from hubtune.runs.folder import RECIPE_FILE, RunFolder
from hubtune.runs.folder import REPORT_FILE as REPORT_FILE
from hubtune.runs.result import Run
from hubtune.storage.atomic import write_atomically
from hubtune.text import format_duration, shell_quoted

_NO_FINDINGS = Findings()


@dataclass(frozen=True)
class MeasuredList:
    """The list that a report shows figures of.

    Attributes:
        evaluation: the evaluation on it; ``None`` if there is no such list, or its images are gone.
        name: ``test``, ``validate`` or ``train``; for another list, its file.
        untouched: whether nothing was chosen on it.
        trained: number of its images that are in the training list; 0 for a list of the run.
    """

    evaluation: Evaluation | LabelEvaluation | None
    name: str = "test"
    untouched: bool = True
    trained: int = 0


@dataclass(frozen=True)
class RunLists:
    """The images of a run.

    Attributes:
        labels: class names; of multi-label data, names of the sets of labels.
        examples: the images of each list.
        remarks: what a person should know about the lists, one sentence each.
        groups: path → number of the image's group.
        label_sets: the labels of multi-label data, and their sets.
    """

    labels: Sequence[str]
    examples: Mapping[str, Sequence[ImageEntry]]
    remarks: Sequence[str] = ()
    groups: Mapping[Path, int] = field(default_factory=dict)
    label_sets: LabelSets | None = None


def write_report(
    folder: Path, lists: RunLists, measured: MeasuredList, find_more: Callable[[], Findings]
) -> None:
    """Write ``report.html`` of a run that has finished, in the language of this machine.

    The run is finished, so that a failure is logged, and nothing else. ``find_more`` returns what is shown
    beside the figures.
    """
    try:
        report = gather_report(folder, lists, measured, find_more())
        save_report(folder / REPORT_FILE, report, code=language(), images=True)
    except Exception as error:  # noqa: BLE001  # the run must not be lost by its page
        reason = str(error) if isinstance(error, HubtuneError) else f"{type(error).__name__}: {error}"
        logger.warning("%s is not written (%s): make it by hubtune report %s", REPORT_FILE, reason, folder)


def save_report(file: Path, report: RunReport, *, code: str, images: bool) -> None:
    """Write the page of a report in a language, with or without pictures.

    Raises:
        MachineError: the file cannot be written.
    """
    page = render_run_report(report, language=code, images=images)
    with writing(file):
        write_atomically(file, page)


def gather_report(
    folder: Path, lists: RunLists, measured: MeasuredList, findings: Findings = _NO_FINDINGS
) -> RunReport:
    """Return what the report of a run of any version shows.

    Raises:
        HubtuneError: the run's recipe, manifest or result is missing or damaged.
    """
    run = RunFolder(folder)
    manifest, result = run.read_manifest(), run.read_result() or {}
    recipe = load_recipe(folder / RECIPE_FILE)
    record = read_split_record(Path(recipe.data.base))
    groups, leaks = record.get("groups"), record.get("random_split_leaks")
    return RunReport(
        name=folder.resolve().name,
        folder=str(folder),
        evaluation=measured.evaluation,
        list_name=measured.name,
        untouched=measured.untouched,
        trained=measured.trained,
        earlier=_earlier_figures(run, result, measured.name),
        findings=findings,
        **_counts(lists),
        multi_label=lists.label_sets is not None,
        thresholds_from=_source_of_thresholds(lists, result),
        skipped=run.read_skipped(),
        groups=len(groups) if isinstance(groups, list) else None,
        random_leaks={
            name: value for name, value in _mapping(leaks).items() if isinstance(value, int | float)
        },
        remarks=lists.remarks,
        history=[entry for entry in run.history.read() if entry.get("list") == "validate"],
        used={
            "module": recipe.module.name,
            "strategy": recipe.strategy.name,
            **_describe_use(manifest, result),
        },
    )


def _counts(lists: RunLists) -> dict[str, Any]:
    sets, examples = lists.label_sets, lists.examples
    if sets is None:
        return {"counts": count_by_class(lists.labels, examples)}
    return {
        "counts": count_by_label(sets, examples),
        "sizes": {name: len(entries) for name, entries in examples.items()},
        "unlabelled": count_unlabelled(sets, examples),
    }


def _source_of_thresholds(lists: RunLists, result: Mapping[str, Any]) -> str:
    if lists.label_sets is None:
        return ""
    # A head that was solved has thresholds of its own; a trained network gets them on the validation list.
    if not result.get("best_step"):
        return "train"
    return "validate" if lists.examples.get("validate") else ""


def _earlier_figures(run: RunFolder, result: dict[str, Any], name: str) -> Metrics | None:
    if not isinstance(result.get(name), dict):
        return None
    finished = Run.from_result(run, result)
    return finished.test if name == "test" else finished.validate


def _describe_use(manifest: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, str]:
    """The run's software, machine and checksums as text; what is missing is left out."""
    command, machine, sums = manifest.get("command"), _mapping(manifest.get("machine")), manifest.get("lists")
    seconds, views = manifest.get("seconds"), result.get("views")
    entries = {
        "views": ", ".join(map(str, views)) if isinstance(views, list) else None,
        "started": manifest.get("started"),
        "duration": format_duration(seconds) if isinstance(seconds, int | float) else None,
        # The first word is the path of the program.
        "command": " ".join(map(shell_quoted, ["hubtune", *map(str, command[1:])]))
        if isinstance(command, list)
        else None,
        "versions": _join(manifest.get("versions")),
        "machine": _join({key: value for key, value in machine.items() if value is not None}),
        **_mapping(sums),
        "weights": manifest.get("module_sha256"),
        "code": manifest.get("code_sha256"),
    }
    return {key: str(value) for key, value in entries.items() if value}


def _join(facts: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in _mapping(facts).items())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
