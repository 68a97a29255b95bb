"""The runs in a folder, finished or not, with what their files still say."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hubtune.errors import HubtuneError
from hubtune.evaluation.metrics import Metrics
from hubtune.recipe.load import load_recipe
from hubtune.recipe.schema import Recipe
from hubtune.runs.folder import RECIPE_FILE, RESULT_FILE, RunFolder, is_run
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular

_DEPTH = 2
_DAMAGE = (HubtuneError, OSError, TypeError, ValueError, KeyError, AttributeError, OverflowError)


@dataclass(frozen=True)
class RunSummary:
    """What is known of a run; what its files do not say is ``None``.

    Attributes:
        path: the run folder.
        started: when it began, in ISO format.
        module: name of the module.
        strategy: name of the strategy.
        images: number of training images.
        validate: figures of the best model on the validation list.
        test: figures on the test list.
        seconds: working time of a finished run.
        finished: whether it has a result.
        problem: what is wrong with its files; ``None`` if nothing is.
    """

    path: Path
    started: str | None
    module: str | None
    strategy: str | None
    images: int | None
    validate: Metrics | None
    test: Metrics | None
    seconds: float | None
    finished: bool
    problem: str | None

    @property
    def accuracy(self) -> float | None:
        """Accuracy on the test list, or without one on the validation list; of multi-label runs, the mAP."""
        measured = self.test or self.validate
        return measured.selection_figure if measured else None

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        figures = {"validate": self.validate, "test": self.test}
        metrics = {name: None if each is None else each.as_dict() for name, each in figures.items()}
        return {**vars(self), "path": str(self.path), **metrics}


def list_runs(folder: Path, *, sort: str = "started") -> list[RunSummary]:
    """Return the runs in a folder and in its folders, two levels deep; the folder may be a run itself.

    They are sorted by ``started`` (the newest first), ``accuracy`` (the highest first), or another attribute,
    ascending. Runs without a value come last.
    """
    runs = [run for path in sorted(_run_folders(folder, _DEPTH)) if (run := summarise_run(path))]
    known = [run for run in runs if getattr(run, sort) is not None]
    known.sort(key=lambda run: getattr(run, sort), reverse=sort in ("started", "accuracy"))
    return known + [run for run in runs if getattr(run, sort) is None]


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    entries: list[Path] = []
    with suppress(OSError):  # a folder that may not be read
        if is_run(folder):
            yield folder
        elif depth:
            entries = [entry for entry in folder.iterdir() if entry.is_dir()]
    for entry in entries:
        yield from _run_folders(entry, depth - 1)


def summarise_run(path: Path) -> RunSummary | None:
    """Return what the files of a run say; ``None`` if its recipe and manifest are not those of a run."""
    folder, problems = RunFolder(path), []
    recipe: Recipe | None = None
    manifest: dict[str, Any] = {}
    result: dict[str, Any] = {}
    try:
        recipe = load_recipe(path / RECIPE_FILE)
    except HubtuneError:
        problems.append(f"{RECIPE_FILE} cannot be read")
    try:
        manifest = folder.read_manifest()
    except HubtuneError:
        problems.append("manifest.json cannot be read")
    if len(problems) == 2:
        return None
    validate = test = seconds = None
    try:
        result = folder.read_result() or {}
        validate, test = _metrics(result.get("validate")), _metrics(result.get("test"))
        seconds = _seconds(path, manifest) if result else None
    except _DAMAGE:
        problems.append(f"{RESULT_FILE} cannot be read")
    return RunSummary(
        path,
        started=_text(manifest.get("started")),
        module=None if recipe is None else recipe.module.name,
        strategy=None if recipe is None else recipe.strategy.name,
        images=_count_images(recipe, result),
        validate=validate,
        test=test,
        seconds=seconds,
        finished=bool(result),
        problem="; ".join(problems) or None,
    )


def _metrics(figures: Any) -> Metrics | None:
    """Return the metrics of a list, without keys of newer versions; raises if one is damaged."""
    if figures is None:
        return None
    low, high = figures["interval"]
    accuracy, loss = float(figures["accuracy"]), float(figures["loss"])
    if not (math.isfinite(accuracy) and math.isfinite(loss)):
        raise ValueError("not finite")
    interval = float(low), float(high)
    mean_ap = figures.get("mean_ap")
    return Metrics(
        accuracy,
        loss,
        int(figures["count"]),
        interval,
        int(figures.get("unreadable", 0)),
        mean_ap=None if mean_ap is None else float(mean_ap),
    )


def _seconds(path: Path, manifest: dict[str, Any]) -> float | None:
    """Return the working time; in runs of older versions, the time from the first start to the result."""
    if "seconds" in manifest:
        return float(manifest["seconds"])
    with suppress(TypeError, ValueError):
        started = datetime.fromisoformat(manifest.get("started"))  # type: ignore[arg-type]
        return max(0.0, (path / RESULT_FILE).stat().st_mtime - started.timestamp())
    return None


def _count_images(recipe: Recipe | None, result: dict[str, Any]) -> int | None:
    """Return the number of training images; in unfinished and older runs, that of lines in the list."""
    with suppress(*_DAMAGE):
        if "images" in result:
            return int(result["images"]["train"])
        if recipe is not None and recipe.data.train is not None:
            lines = read_regular(Path(recipe.data.base) / recipe.data.train, MOST_LIST_BYTES).splitlines()
            return sum(bool(line.strip()) for line in lines)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
