"""The result of a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.evaluation.metrics import Metrics
from hubtune.runs.folder import RunFolder


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
            return figures and Metrics(**{**figures, "interval": tuple(figures["interval"])})

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
