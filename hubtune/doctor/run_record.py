"""What a run recorded: its recipe, result, evaluations, and the steps of its log."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hubtune.data.list_files import SPLIT_FILE
from hubtune.errors import HubtuneError, LockedError
from hubtune.evaluation.metrics import Metrics
from hubtune.recipe.load import load_recipe
from hubtune.recipe.schema import Recipe
from hubtune.runs.folder import NAN_REPORT, RECIPE_FILE, RunFolder, check_unlocked
from hubtune.runs.history import History
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_json, read_regular

_STEP = re.compile(r"\[ +TRAIN\] - step (\d+) / (\d+): loss=(\S+) acc=(\S+)")
_WAITED = re.compile(r"waited for pictures (\d+) % of the time")
_FIGURES = frozenset(Metrics.__dataclass_fields__)


@dataclass(frozen=True)
class LoggedSteps:
    """Mean loss and accuracy on training images since the log line before, up to ``step``."""

    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class MeasuredStep:
    """The figures on the validation list after a step."""

    step: int
    metrics: Metrics


@dataclass(frozen=True)
class RunRecord:
    """What a run recorded.

    Attributes:
        path: the run folder.
        recipe: the recipe, complete.
        manifest: the machine and the inputs; empty if it is damaged.
        result: the content of ``result.json``; ``None`` if the run is not finished.
        evaluations: the evaluations on the validation list.
        logged: the steps in the log; empty under strategies without steps.
        planned: number of steps that were planned, 0 without any.
        waited: share of the time in which the network waited for images; ``None`` if the log lacks it.
        diverged: the report about a loss or weight that is not finite, if there is one.
        owner: a sentence if a process is using the run.
        source: the pictures that its lists were made of; empty if that is not recorded.
    """

    path: Path
    recipe: Recipe
    manifest: dict[str, Any]
    result: dict[str, Any] | None
    evaluations: Sequence[MeasuredStep]
    logged: Sequence[LoggedSteps]
    planned: int
    waited: float | None
    diverged: dict[str, Any] | None
    owner: str
    source: str

    @cached_property
    def best_step(self) -> int:
        """The step of the best model, or of the best evaluation so far."""
        if self.result is not None:
            return int(self.result["best_step"])
        return max(self.evaluations, key=lambda entry: entry.metrics.selection_figure).step

    @cached_property
    def measured(self) -> tuple[str, Metrics] | None:
        """The list that says most about the model, and its figures on it; ``None`` if none were measured."""
        for name in ("test", "validate"):
            figures = (self.result or {}).get(name)
            if figures and (metrics := _metrics(figures)) is not None and metrics.count:
                return name, metrics
        own = [entry for entry in self.evaluations if entry.metrics.count]
        return (
            ("validate", max(own, key=lambda entry: entry.metrics.selection_figure).metrics) if own else None
        )


def read_run_record(path: Path) -> RunRecord:
    """Read what a run recorded; a part that is damaged counts as missing.

    Raises:
        HubtuneError: the recipe cannot be read.
    """
    recipe, folder, text = load_recipe(path / RECIPE_FILE), RunFolder(path), ""
    with suppress(OSError):
        text = read_regular(path / "train.log", MOST_LIST_BYTES).decode(errors="replace")
    # A resumed run repeats steps.
    logged = {int(m[1]): LoggedSteps(int(m[1]), float(m[3]), float(m[4])) for m in _STEP.finditer(text)}
    planned = [int(found[2]) for found in _STEP.finditer(text)]
    waited = [int(found[1]) / 100 for found in _WAITED.finditer(text)]
    manifest: dict[str, Any] = {}
    with suppress(HubtuneError, OSError, ValueError):
        manifest = folder.read_manifest()
    result: dict[str, Any] | None = None
    with suppress(HubtuneError, OSError, ValueError):
        result = folder.read_result()
    diverged: dict[str, Any] | None = None
    with suppress(HubtuneError, OSError, ValueError):
        diverged = read_json(path / NAN_REPORT) if (path / NAN_REPORT).is_file() else None
    owner = ""
    try:
        check_unlocked(path)
    except LockedError as error:
        owner = str(error)
    except HubtuneError:
        pass
    measured = (
        MeasuredStep(int(record.get("step", 0)), metrics)
        for record in History(path / "metrics.jsonl").read()
        if record.get("list") == "validate" and (metrics := _metrics(record)) is not None
    )
    return RunRecord(
        path=path,
        recipe=recipe,
        manifest=manifest,
        result=result,
        evaluations=[*measured],
        logged=[logged[step] for step in sorted(logged)],
        planned=planned[-1] if planned else 0,
        waited=waited[-1] if waited else None,
        diverged=diverged,
        owner=owner,
        source=_split_source(recipe),
    )


def _split_source(recipe: Recipe) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        options = read_json(Path(recipe.data.base, recipe.data.train or "").parent / SPLIT_FILE)["options"]
        return str(options["pictures"] or "")
    return ""


def _metrics(record: dict[str, Any]) -> Metrics | None:
    try:
        own = {name: value for name, value in record.items() if name in _FIGURES}
        return Metrics(**{**own, "interval": tuple(own["interval"])})
    except (KeyError, TypeError):
        return None
