"""The prediction for one image."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """Prediction for one image. Its fields can also be read like a dict's: ``row["label"]``.

    Attributes:
        path: the image, as it was passed in; for one in memory its place, such as ``images[0]``.
        label: name of the class with the highest score; ``None`` if the image cannot be read or is rejected.
        score: that score, 0 to 1; ``None`` if there is no label.
        scores: class name → score, the highest first.
        error: why the image cannot be read; ``None`` if it can.
        known: whether the image is of the kind that the model was trained on; ``None`` if the model has no
            features of training images.
        similarity: cosine to the most similar training image, on which that depends.
        nearest: class name of this training image.
        nearest_image: base name of its file.
        rejected: whether the image got no label because it is not of that kind.
    """

    path: str
    label: str | None
    score: float | None
    scores: dict[str, float]
    error: str | None = None
    known: bool | None = None
    similarity: float | None = None
    nearest: str | None = None
    nearest_image: str | None = None
    rejected: bool = False

    def __getitem__(self, name: str) -> Any:
        """Return a field by its name."""
        return vars(self)[name]
