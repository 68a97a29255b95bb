"""The result of a finished run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hubtune.evaluation.metrics import Metrics, describe_figures
from hubtune.notebook.html import document, facts, framed_page, line, message, notice, show_safely
from hubtune.runs.folder import REPORT_FILE, RunFolder
from hubtune.text import plural

# A notebook stores its outputs: a report, which has at most 3 MB, but no other page, may be a part of one.
_MOST_BYTES = 4 * 2**20
# To the pictures' own files: dead in a notebook, which browsers do not let open files, and private.
_FILE_LINK = re.compile(r' href="file:[^"]*"')
_CHOSEN = "slightly optimistic, because the best model was chosen on it"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: the run folder.
        best_model: the model folder.
        best_step: the training step that the best model was reached at; 0 for a head that was solved.
        validate: figures of the best model on the validation list, which it was chosen on; ``None`` without
            one.
        test: figures of the best model on the test list, which nothing was chosen on; ``None`` without one.
        views: descriptions of the ways in which the model looks at each image.
        cross_validated: accuracy on the training list by cross-validation, under strategies that solve a
            head; views and regularisation were chosen with it. ``None`` under others.
        skipped: number of unreadable images in each list; ``skipped.csv`` names them.
        changed: number of files that changed after the run had begun; ``changed.csv`` names them.
    """

    path: Path
    best_model: Path
    best_step: int
    validate: Metrics | None
    test: Metrics | None
    views: list[str]
    cross_validated: float | None
    skipped: dict[str, int]
    changed: int

    @classmethod
    def from_result(cls, folder: RunFolder, result: dict[str, Any]) -> "Run":
        """Read the content of ``result.json``; older versions wrote only its first entries."""

        def metrics(name: str) -> Metrics | None:
            figures = result[name]
            return figures and Metrics.from_dict(figures)

        return cls(
            folder.path,
            folder.best_model,
            result["best_step"],
            metrics("validate"),
            metrics("test"),
            result.get("views", []),
            result.get("cross_validated"),
            result.get("skipped", {}),
            result.get("changed", 0),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "run": str(self.path),
            "best_model": str(self.best_model),
            "best_step": self.best_step,
            "validate": self.validate.as_dict() if self.validate else None,
            "test": self.test.as_dict() if self.test else None,
            "views": self.views,
            "cross_validated": self.cross_validated,
            "skipped": self.skipped,
            "changed": self.changed,
            "chance_level": self.chance_level,
        }

    @property
    def chance_level(self) -> str | None:
        """A sentence if the test accuracy, or without one the validation's, is not better than guessing."""
        measured = self.test or self.validate
        return measured.chance_level if measured else None

    def _repr_html_(self) -> str | None:
        """Show the figures, the best model, warnings, and the report in a notebook."""
        return show_safely(lambda: document(*self._describe(), self._describe_report()))

    def _describe(self) -> list[Markup]:
        lists = {"test": self.test, "validate": self.validate}
        figures = {name: metrics for name, metrics in lists.items() if metrics}
        # A step above 0 was chosen among others on the validation list.
        parts = describe_figures(figures, {"validate": _CHOSEN} if self.best_step else {})
        problems = []
        if not figures:
            problems.append(
                "Accuracy not measured, as no validation or test list has a picture that can be read"
            )
        if skipped := sum(self.skipped.values()):
            file = self.path / "skipped.csv"
            problems.append(f"{plural(skipped, 'picture')} left out: {file} gives the reasons")
        if self.changed:
            file = self.path / "changed.csv"
            problems.append(f"{plural(self.changed, 'file')} changed after the run began: {file} names them")
        place = facts(
            {
                "run": str(self.path),
                "best model": str(self.best_model),
                "step": f"{self.best_step:,}" if self.best_step else "",
                "views": ", ".join(self.views),
            }
        )
        warnings = [notice(message(problem), warning=True) for problem in problems]
        return [*(parts if figures else []), *warnings, place]

    def _describe_report(self) -> Markup:
        file = self.path / REPORT_FILE
        try:
            if file.stat().st_size <= _MOST_BYTES:
                page = file.read_text(encoding="utf-8")
                return framed_page(_FILE_LINK.sub("", page), "report")
        except (OSError, ValueError):  # missing, or no longer text
            command = f"!hubtune report {shlex.quote(str(self.path))}"
            return line(message(f"There is no report: {command} makes it"))
        return line(message(f"The report is in {file}"))
