"""Proves that an export gives hubtune's answers: its own scripts are run in a fresh process and compared."""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.errors import CheckFailedError, MachineError
from hubtune.export import parity_process
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model
from hubtune.inference.prediction import Prediction
from hubtune.text import plural

TOLERANCE = 1e-4
"""Largest difference of a score or a similarity."""

RESIZED_TOLERANCE = 0.02
"""Largest difference of a score where the format's own code resizes images."""

# Images in a batch.
_MOST = 4
_SECONDS = 1_800


@dataclass(frozen=True)
class Difference:
    """How far answers are from hubtune's.

    Attributes:
        images: number of images.
        labels: of these, those that get another label, or are of another kind (``known``).
        scores: largest difference of a score.
        similarity: largest difference of a similarity; ``None`` if there are none.
        worst: name of the image with the largest difference, of those with another label if there are any.
    """

    images: int
    labels: int
    scores: float
    similarity: float | None
    worst: str | None

    def within(self, limit: float) -> bool:
        """Whether no score and no similarity differs by more."""
        return self.scores <= limit and (self.similarity or 0.0) <= limit  # NaN is not


@dataclass(frozen=True)
class Parity:
    """The comparison of an export with hubtune.

    Attributes:
        pixels: given the same arranged pixels, in batches; ``None`` for a format whose program cannot be
            given them.
        files: from image files, by the export's own scripts.
        resized: from images that the format's own code resizes; ``None`` if it does not.
        other_pixels: names of images that the scripts arrange otherwise.
        unread: name → reason, of images that hubtune reads, and the scripts do not.
        versions: of the programs that ran the export.
    """

    pixels: Difference | None
    files: Difference
    resized: Difference | None
    other_pixels: list[str]
    unread: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of ``parity.json``."""
        limits = {"tolerance": TOLERANCE} | ({"resized_tolerance": RESIZED_TOLERANCE} if self.resized else {})
        return {"schema_version": 1, **limits, **asdict(self)}

    def check(self, *, judge_resized: bool = True) -> None:
        """Raise ``CheckFailedError`` if the export's answers are not hubtune's.

        ``judge_resized`` is false for images that are drawn: they differ more than photos do.
        """
        resized = self.resized if judge_resized else None
        for what, difference, limit in (
            ("given the same pixels", self.pixels, TOLERANCE),
            ("from image files", self.files, TOLERANCE),
            ("as the format's own code resizes them", resized, RESIZED_TOLERANCE),
        ):
            # Two scores that are nearly equal may change places where resizing differs.
            if difference is None or (
                difference.within(limit) and (not difference.labels or limit == RESIZED_TOLERANCE)
            ):
                continue
            raise CheckFailedError(
                f"The export does not give hubtune's answers: {what}, {difference.labels:,} of "
                f"{plural(difference.images, 'picture')} get another label, and scores differ by up to "
                f"{difference.scores:.2g}, where {limit:g} is allowed (most for {difference.worst})"
            )


def compare_export(
    folder: Path,
    model: Model,
    images: Sequence[Path],
    resized: Mapping[Path, np.ndarray] = MappingProxyType({}),
    resizing_file: str | None = None,
) -> Parity:
    """Run an export in a fresh process, and compare its answers with those of the model.

    Args:
        folder: of the export.
        model: that was exported, with the views of the export.
        images: files.
        resized: some of them → their pixels as the format's own code arranges them, if it does; with a
            ``resizing_file``, those of the whole image.
        resizing_file: name of an ONNX file that resizes images by itself.

    Raises:
        MachineError: the process cannot be run, or fails.
    """
    predictions = list(model.predict([str(path) for path in images]))
    read = {path: row for path, row in zip(images, predictions, strict=True) if row.error is None}
    view = model.card.preprocessing.model_copy(update={"mirror": False})
    expected = {path: _arranged(path, view) for path in read}
    batches = _batches(expected)
    # A network that resizes takes one image.
    others = _batches(
        {path: resized[path] for path in resized if path in read}, 1 if resizing_file else _MOST
    )
    with tempfile.TemporaryDirectory(prefix="hubtune-") as temporary:
        job = Path(temporary)
        for name, parts in (("pixels", batches), ("resized", others)):
            for number, (_, pixels) in enumerate(parts):
                np.save(job / f"{name}-{number}.npy", pixels)
        task = {"files": [str(path) for path in images], "resizing_file": resizing_file}
        (job / "job.json").write_text(json.dumps(task), encoding="utf-8")
        _run(folder, job)
        answers = json.loads((job / "answers.json").read_text(encoding="utf-8"))
        outputs = [_read_outputs(job, "pixels", number) for number in range(len(batches))]
        other_outputs = [_read_outputs(job, "resized", number) for number in range(len(others))]
    rows = dict(zip(images, answers["rows"], strict=True))
    of_files = {
        path: _Answer.of_row(row, model.labels) for path, row in rows.items() if row.get("error") is None
    }
    return Parity(
        pixels=_of_batches(batches, outputs, read, model.card),
        files=_measure(of_files, read, model.card),
        resized=_of_batches(others, other_outputs, read, model.card),
        other_pixels=[
            path.name
            for path, pixels in expected.items()
            if path in of_files
            and rows[path].get("pixels", "")
            and rows[path]["pixels"] != hashlib.sha256(pixels.tobytes()).hexdigest()
        ],
        unread={path.name: rows[path]["error"] for path in read if rows[path].get("error") is not None},
        versions=answers["versions"],
    )


@dataclass(frozen=True)
class _Answer:
    """Scores ``[classes]`` and similarity of one image; ``known`` only from an image file."""

    scores: np.ndarray
    similarity: float | None
    known: bool | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any], labels: Sequence[str]) -> "_Answer":
        scores = np.array([row["scores"][label] for label in labels])
        return cls(scores, row.get("similarity"), row.get("known"))


def _arranged(path: Path, view: Preprocessing) -> np.ndarray:
    return preprocess_views(path, [view])[0]


def _batches(arranged: Mapping[Path, np.ndarray], most: int = _MOST) -> list[tuple[list[Path], np.ndarray]]:
    """Return batches of images of one shape, and their pixels ``[N, height, width, channels]``."""
    by_shape: dict[tuple[int, ...], list[Path]] = defaultdict(list)
    for path, pixels in arranged.items():
        by_shape[pixels.shape].append(path)
    parts = [
        paths[start : start + most] for paths in by_shape.values() for start in range(0, len(paths), most)
    ]
    return [(paths, np.stack([arranged[path] for path in paths])) for paths in parts]


def _run(folder: Path, job: Path) -> None:
    # Not by -m, which would need hubtune. -P keeps the script's own folder out of the way of imports: it has
    # files that are called as packages are.
    command = [sys.executable, "-P", parity_process.__file__, str(folder), str(job)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"The export could not be run to compare it with hubtune ({error})") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1][:300] if lines else f"exit code {done.returncode}"
        raise MachineError(f"The export could not be run to compare it with hubtune: {reason}")


def _read_outputs(job: Path, name: str, number: int) -> dict[str, np.ndarray]:
    prefix = f"outputs-{name}-{number}-"
    return {file.stem.removeprefix(prefix): np.load(file) for file in job.glob(f"{prefix}*.npy")}


def _of_batches(
    batches: Sequence[tuple[list[Path], np.ndarray]],
    outputs: Sequence[Mapping[str, np.ndarray]],
    read: Mapping[Path, Prediction],
    card: ModelCard,
) -> Difference | None:
    if not batches or not any(outputs):
        return None
    answers = {}
    for (paths, _), values in zip(batches, outputs, strict=True):
        for index, path in enumerate(paths):
            similarity = float(values["similarity"][index]) if "similarity" in values else None
            answers[path] = _Answer(values["scores"][index].astype(np.float64), similarity)
    return _measure(answers, read, card)


def _gives_other_labels(answer: _Answer, prediction: Prediction, card: ModelCard) -> bool:
    if prediction.labels is None:
        return card.labels[int(answer.scores.argmax())] != prediction.label
    given = answer.scores >= np.array(card.thresholds)
    return {label for label, has in zip(card.labels, given, strict=True) if has} != prediction.labels.keys()


def _measure(
    answers: Mapping[Path, _Answer],
    read: Mapping[Path, Prediction],
    card: ModelCard,
) -> Difference:
    """Compare answers with predictions; only images that have both count."""
    both = [path for path in answers if path in read]
    changed: dict[Path, bool] = {}
    scores, similarities = {}, [0.0]
    for path in both:
        answer, prediction = answers[path], read[path]
        expected = np.array([prediction.scores[label] for label in card.labels])
        scores[path] = float(np.abs(answer.scores - expected).max())
        changed[path] = _gives_other_labels(answer, prediction, card) or (
            answer.known is not None and answer.known != prediction.known
        )
        if answer.similarity is not None and prediction.similarity is not None:
            similarities.append(abs(answer.similarity - prediction.similarity))
    worst = max(both, key=lambda path: (changed[path], scores[path]), default=None)
    has_similarity = len(similarities) > 1
    return Difference(
        images=len(both),
        labels=sum(changed.values()),
        scores=float(np.max([0.0, *scores.values()])),  # NaN if one is
        similarity=max(similarities) if has_similarity else None,
        worst=None if worst is None else worst.name,
    )
