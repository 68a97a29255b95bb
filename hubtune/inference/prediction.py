"""The prediction for one image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, SupportsIndex, overload

from markupsafe import Markup

from hubtune.data.images.thumbnails import local_thumbnails
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference
from hubtune.notebook.html import (
    document,
    image_tag,
    line,
    message,
    more,
    notice,
    score_bars,
    show_safely,
    side_by_side,
    text,
)

_MOST_SCORES = 3
_MOST_IMAGES = 24


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
        nearest: class name of this training image; ``None`` of a multi-label model.
        nearest_image: base name of its file.
        rejected: whether the image got no label because it is not of that kind.
        labels: of a multi-label model, name of each label that the image has → its score, the highest first;
            ``label`` and ``score`` are ``None`` then. ``None`` for a model of classes.
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
    labels: dict[str, float] | None = None

    def __getitem__(self, name: str) -> Any:
        """Return a field by its name."""
        return vars(self)[name]

    def _repr_html_(self) -> str | None:
        """Show the image and its highest scores in a notebook."""
        return show_safely(lambda: document(*_describe([self])))

    def as_dict(self, *, top: int = 1, scores: bool = False) -> dict[str, Any]:
        """Return the row of ``hubtune predict --json``.

        Args:
            top: number of classes to name in ``top``, which is left out for one.
            scores: whether the scores of all classes are included.
        """
        document: dict[str, Any] = {"path": self.path, "label": self.label, "score": self.score}
        if self.labels is not None:
            document["labels"] = _listed(self.labels)
        if top > 1:
            document["top"] = _listed(dict([*self.scores.items()][:top]))
        if scores:
            document["scores"] = self.scores
        if self.known is not None:
            names = ("known", "similarity", "nearest", "nearest_image", "rejected")
            document |= {name: self[name] for name in names}
        return {**document, "error": self.error}


class Predictions(list[Prediction]):
    """A list of predictions, which a notebook shows with their images.

    Example:
        >>> hubtune.Predictions(model.predict(["a.jpg", "b.jpg"]))
    """

    @overload
    def __getitem__(self, place: SupportsIndex) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> "Predictions": ...

    def __getitem__(self, place: SupportsIndex | slice) -> "Prediction | Predictions":
        """Return a prediction, or those of a slice as such a list."""
        if isinstance(place, slice):
            return Predictions(super().__getitem__(place))
        return super().__getitem__(place)

    def _repr_html_(self) -> str | None:
        """Show the first images and their highest scores in a notebook."""
        return show_safely(lambda: document(*_describe(self)))


def _describe(predictions: Sequence[Prediction]) -> list[Markup]:
    first = predictions[:_MOST_IMAGES]
    thumbnails = local_thumbnails([Path(prediction.path) for prediction in first])
    pairs = zip(first, thumbnails, strict=True)
    cards = [
        side_by_side([image_tag(image, each.path), _describe_answer(each)], gap="12px")
        for each, image in pairs
    ]
    hidden = len(predictions) - len(first)
    return [side_by_side(cards, least_width="20em"), *([more(hidden)] if hidden else [])]


def _describe_answer(prediction: Prediction) -> Markup:
    """Return an image's name, its highest scores, those that it has in bold, and what to know about them."""
    given = prediction.labels or {} if prediction.label is None else {prediction.label: prediction.score}
    # All labels that an image has, and else those that it nearly has.
    shown = [*prediction.scores.items()][: max(_MOST_SCORES, len(given))]
    parts = [line(text(Path(prediction.path).name or prediction.path))]
    if prediction.error is not None:
        parts.append(notice(message(prediction.error), warning=True))
    else:
        strong = [place for place, (label, _) in enumerate(shown) if label in given]
        parts.append(score_bars(shown, strong))
    if prediction.rejected:
        parts.append(notice(message("no label: unlike the training pictures"), warning=True))
    elif prediction.known is False:
        parts.append(notice(message("unlike the training pictures"), warning=True))
    elif prediction.labels == {} and prediction.error is None:
        parts.append(line(message("no label reaches its threshold")))
    return Markup("").join(parts)


def _listed(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in scores.items()]


def make_prediction(
    path: str,
    result: ImageScores,
    labels: Sequence[str],
    known: tuple[Reference, float] | None,
    *,
    reject: bool,
    thresholds: Sequence[float] = (),
) -> Prediction:
    """Return the prediction that follows from an image's scores.

    Args:
        path: the image, as it was passed in.
        result: its scores and features.
        labels: class names, in the order of the scores.
        known: features of training images, and the similarity from which an image is of their kind; ``None``
            if the model has none.
        reject: whether an image of another kind gets no label.
        thresholds: of a multi-label model, the probability from which an image has each label.
    """
    given: dict[str, float] | None = {} if thresholds else None
    if result.values is None:
        reason = result.error.reason if result.error else None
        return Prediction(path, None, None, {}, reason, labels=given)
    order = (-result.values).argsort(kind="stable")
    scores = {labels[number]: float(result.values[number]) for number in order}
    if given is not None:
        least = dict(zip(labels, thresholds, strict=True))
        given = {label: score for label, score in scores.items() if score >= least[label]}
        prediction = Prediction(path, None, None, scores, labels=given)
    else:
        best = labels[int(order[0])]
        prediction = Prediction(path, best, scores[best], scores)
    if known is None or result.features is None:
        return prediction
    reference, threshold = known
    neighbour = reference.nearest(result.features)
    prediction = replace(
        prediction,
        known=neighbour.similarity >= threshold,
        similarity=neighbour.similarity,
        nearest=None if thresholds else labels[neighbour.label],
        nearest_image=neighbour.name,
    )
    if reject and not prediction.known:
        return replace(prediction, label=None, score=None, rejected=True, labels=given and {})
    return prediction
