"""Where a model looked in images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hubtune.data.images.decode import Content, decode
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.errors import ModelError, UsageError
from hubtune.inference.attribution import HeadWeights, attribute, unpack_maps
from hubtune.inference.image_inputs import ImageInput, read_inputs
from hubtune.inference.model import Model

# Images whose maps are in memory at once.
_BATCH = 8


@dataclass(frozen=True)
class CellMap:
    """The shares of cells of an image, as one view sees it.

    Attributes:
        shares: contribution of each cell to the logit, float64 ``[h, w]``; by Grad-CAM, where the network
            looked.
        mean_shares: the contributions of the mean of the last map alone; equal to ``shares`` without others.
        area: the part of the image that the cells cover, in shares of its sides: left, top, right, bottom.
    """

    shares: np.ndarray
    mean_shares: np.ndarray
    area: tuple[float, float, float, float]


@dataclass(frozen=True)
class ImageExplanation:
    """Where a model looked for a class in an image. It says where, and never why.

    Attributes:
        path: the image, as it was passed in.
        label: name of the class.
        score: its score, 0 to 1.
        is_exact: whether the shares add up to the logit; otherwise they are those of Grad-CAM.
        maps: one for each view; empty if the image cannot be read.
        error: why the image cannot be read; ``None`` if it can.
    """

    path: str
    label: str | None
    score: float | None
    is_exact: bool
    maps: tuple[CellMap, ...]
    error: str | None = None

    def heat(self, width: int, height: int, *, mean_only: bool = False) -> np.ndarray:
        """Return the positive contributions, smoothed, for an image of this size in pixels.

        Args:
            width: of the upright image.
            height: of the upright image.
            mean_only: whether those of covariances are left out.

        Returns:
            Float32 ``[height, width]``; the largest is 1, unless all are 0.
        """
        total = np.zeros((height, width), np.float32)
        for cells in self.maps:
            total += _draw(cells.mean_shares if mean_only else cells.shares, cells.area, width, height)
        total = np.maximum(total, 0)
        return total / max(float(total.max()), 1e-12)


def explain_images(
    model: Model, images: Iterable[ImageInput], *, label: str | None = None, workers: int = 2
) -> Iterator[ImageExplanation]:
    """Show where a model looked.

    For a linear head on maps, contributions are exact; see :mod:`hubtune.inference.attribution`. For other
    networks, :func:`~hubtune.inference.grad_cam.grad_cam` is used.

    Args:
        model: a fine-tuned model.
        images: as for :meth:`~hubtune.inference.model.Model.predict`.
        label: name of the class; default: that with the highest score, of each image.
        workers: threads that decode.

    Raises:
        UsageError: the model has no such class, or ``images`` is a single image.
        ModelError: the model was not fine-tuned, or its network has no maps, or is in int8.

    Example:
        >>> [row] = explain_images(load_model("runs/idol5"), ["a.jpg"])
        >>> row.heat(640, 480).shape
        (480, 640)
    """
    if label is not None and label not in model.labels:
        raise UsageError(f"The model has no class {label!r}: it has {', '.join(model.labels[:10])}")
    if model.card.strategy == "pretrained":
        raise ModelError(f"{model.card.module} was not fine-tuned: explain a run or a model folder")
    _check_maps(model)
    named = read_inputs(images)
    for start in range(0, len(named), _BATCH):
        some = named[start : start + _BATCH]
        contents = [image.content for image in some]
        results = model.score([Path(image.name) for image in some], contents=contents, workers=workers)
        for image, result in zip(some, results, strict=True):
            if result.values is None:
                reason = result.error.reason if result.error else None
                yield ImageExplanation(image.name, None, None, True, (), reason)
                continue
            number = int(result.values.argmax()) if label is None else model.labels.index(label)
            inputs = map_inputs(model.card.views, image.name, image.content)
            maps, is_exact = map_shares(model, inputs, number)
            name, score = model.labels[number], float(result.values[number])
            yield ImageExplanation(image.name, name, score, is_exact, maps)


class MapInputs(NamedTuple):
    """An image as each view sees it: its pixels uint8 ``[h, w, channels]``, and the area that it shows."""

    arrays: list[np.ndarray]
    areas: list[tuple[float, float, float, float]]


def map_inputs(views: Sequence[Preprocessing], path: str, content: Content | None = None) -> MapInputs:
    """Prepare an image, a file or its ``content``, for :func:`map_shares`; raises ImageError."""
    arrays = preprocess_views(path, views, content)
    with decode(path, content) as image:
        return MapInputs(arrays, [visible_area(view, *image.size) for view in views])


def map_shares(model: Model, inputs: MapInputs, number: int) -> tuple[tuple[CellMap, ...], bool]:
    """Return the shares of an image's cells in a class's logit, in each view, and whether they are exact.

    Args:
        model: a fine-tuned model.
        inputs: the image.
        number: of the class.

    Raises:
        ModelError: the network has no maps, or is in int8.
    """
    _check_maps(model)
    views, (arrays, areas) = model.card.views, inputs
    head = model.head
    shares = None if head is None else _exact_shares(model, head, arrays, number)
    is_exact = shares is not None
    if shares is None:
        shares = [
            _grad_cam_shares(model, view, array, number) for view, array in zip(views, arrays, strict=True)
        ]
    maps = []
    for view, (total, mean), area in zip(views, shares, areas, strict=True):
        maps.append(
            CellMap(total[:, ::-1], mean[:, ::-1], area) if view.mirror else CellMap(total, mean, area)
        )
    return tuple(maps), is_exact


def _check_maps(model: Model) -> None:
    if model.program is not None:
        raise ModelError(
            "Where a model in int8 looked cannot be shown, as its program has no maps: fine-tune again with "
            "-o train.engine=auto"
        )


def _exact_shares(
    model: Model, head: HeadWeights, arrays: Sequence[np.ndarray], number: int
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    rows = model.maps_engine.begin(arrays)()
    maps = [unpack_maps(row, head) for row in rows]
    return [attribute(each, head, number) for each in maps if each is not None] or None


def _grad_cam_shares(
    model: Model, view: Preprocessing, array: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    from hubtune.inference.grad_cam import grad_cam  # here, as it imports Paddle

    found = grad_cam(model.classifier, view.normalise(array), number)
    if found is None:
        raise ModelError(
            f"{model.card.architecture} has no map of positions: where it looked cannot be shown"
        )
    return found, found


def visible_area(view: Preprocessing, width: int, height: int) -> tuple[float, float, float, float]:
    """Return the part of an image that a view shows, in shares of its sides; borders are beyond 0 and 1."""
    wide, high = view.target_sides(width, height)
    if view.fit not in ("crop", "stretch_crop", "pad"):
        return 0.0, 0.0, 1.0, 1.0
    left, top = (wide - view.size) // 2, (high - view.size) // 2
    if view.fit == "pad":
        left, top = -((view.size - wide) // 2), -((view.size - high) // 2)
    return left / wide, top / high, (left + view.size) / wide, (top + view.size) / high


def _draw(shares: np.ndarray, area: tuple[float, float, float, float], width: int, height: int) -> np.ndarray:
    """Interpolate cells of an area of an image; float32 ``[height, width]``, 0 outside the area."""
    rows = _weights(height, shares.shape[0], area[1], area[3])
    columns = _weights(width, shares.shape[1], area[0], area[2])
    return (rows @ shares @ columns.T).astype(np.float32)


def _weights(count: int, cells: int, start: float, end: float) -> np.ndarray:
    """Return the weights ``[count, cells]`` of linear interpolation between the centres of cells."""
    places = ((np.arange(count) + 0.5) / count - start) / (end - start)
    inside = (places >= 0) & (places <= 1)
    centres = np.clip(places * cells - 0.5, 0, cells - 1)
    first = np.minimum(np.floor(centres).astype(int), cells - 1)
    second = np.minimum(first + 1, cells - 1)
    weights = np.zeros((count, cells))
    weights[np.arange(count), first] += 1 - (centres - first)
    weights[np.arange(count), second] += centres - first
    return weights * inside[:, None]
