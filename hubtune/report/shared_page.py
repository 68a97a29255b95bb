"""What the pages of runs have in common: pictures, files that cannot be read, and what was used."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from hubtune.report.gallery import Figure, Gallery
from hubtune.report.phrases import Phrases, shell_word
from hubtune.report.run_charts import training_title
from hubtune.report.run_report import MOST_CLASSES, RunReport

MOST_SUSPECTS = 60
"""Most labels that may be wrong whose images are on a page."""

_MOST_ODD = 24
_PLACEHOLDER = "RUN"  # for the run folder, on a page without paths


class SharedPage:
    """The content of the page of a run, as the template asks for it.

    Attributes:
        gallery: the pictures; ``None`` for a page without.
        folder: the run's name in commands.
        audit_command: examines all labels.
    """

    most_classes = MOST_CLASSES
    most_skipped = 200

    def __init__(self, report: RunReport, phrases: Phrases, *, images: bool) -> None:
        self.report, self.phrases = report, phrases
        self.gallery = Gallery(self._paths(), report.findings.heat_maps) if images else None
        self.folder = _PLACEHOLDER if self.gallery is None else report.folder
        # Both may name files.
        self.remarks = [] if self.gallery is None else report.remarks
        self.skipped = [] if self.gallery is None else report.skipped
        self.audit_command = f"hubtune audit {shell_word(self.folder)}"

    def _paths(self) -> Iterator[str]:
        """The pictures of the page, the most important first."""
        yield from map(str, self._suspect_paths)
        paths = self._answered_paths
        for place in [*self._odd_places, *self._places_by_interest]:
            yield paths[place]

    @property
    def _suspect_paths(self) -> list[Path]:
        """The images of the labels that may be wrong."""
        raise NotImplementedError

    @property
    def _places_by_interest(self) -> list[int]:
        """The places of the answers whose images are to be shown, the most important first."""
        raise NotImplementedError

    @property
    def _answered_paths(self) -> list[str]:
        return [] if self.report.evaluation is None else self.report.evaluation.answers.paths

    @cached_property
    def _odd_places(self) -> list[int]:
        """The places of the images that are least like the training images, the least similar first."""
        evaluation = self.report.measured or self.report.measured_labels
        if evaluation is None or evaluation.answers.similarity is None:
            return []
        similarity, threshold = evaluation.answers.similarity, self.report.findings.similarity_threshold
        order = np.argsort(similarity, kind="stable")[:_MOST_ODD]
        return [int(place) for place in order if threshold is not None and similarity[place] < threshold]

    @property
    def odd(self) -> list[tuple[Figure, str, str]]:
        """Pictures unlike the training pictures, their similarity, and the name of the nearest of those."""
        evaluation = self.report.evaluation
        if not self._odd_places or self.gallery is None or evaluation is None:
            return []
        answers = evaluation.answers
        assert answers.similarity is not None
        names = answers.nearest or [None] * len(answers.paths)
        return [
            (
                self.gallery.figure(answers.paths[place]),
                f"{answers.similarity[place]:.2f}",
                names[place] or "",
            )
            for place in self._odd_places
        ]

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """Name and reason of the images of the list that cannot be read."""
        evaluation = self.report.evaluation
        if evaluation is None or self.gallery is None:
            return []
        answers = evaluation.answers
        return [
            (self.gallery.figure(path).name, error)
            for path, error in zip(answers.paths, answers.errors, strict=True)
            if error is not None
        ]

    def training_title(self, name: str) -> str:
        """Return the title of the curve of a figure over training."""
        return training_title(name, self.phrases, multi_label=self.report.multi_label)

    @property
    def used(self) -> list[tuple[str, str]]:
        """What was used, with titles; without pictures, no command and no path."""
        gettext = self.phrases.gettext
        titles = {
            "module": gettext("module"),
            "strategy": gettext("strategy"),
            "views": gettext("views"),
            "started": gettext("started"),
            "duration": gettext("time"),
            "command": gettext("command"),
            "versions": gettext("versions"),
            "machine": gettext("machine"),
            "train": gettext("training list, SHA-256"),
            "validate": gettext("validation list, SHA-256"),
            "test": gettext("test list, SHA-256"),
            "weights": gettext("weights, SHA-256"),
            "code": gettext("code of the module, SHA-256"),
        }
        hidden = ("command", "module") if self.gallery is None else ()
        used = self.report.used
        return [(title, used[key]) for key, title in titles.items() if used.get(key) and key not in hidden]
