"""From the bytes of an image to its prediction: decoded in a pool, computed by the engine's thread."""

import asyncio
import base64
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from hubtune.data.images.decode import ImageError, ImageTooLargeError, decode
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.errors import ModelError
from hubtune.hardware.cpu import cores
from hubtune.inference.explanation import ImageExplanation, MapInputs, map_shares, visible_area
from hubtune.inference.predict import ImageScores, scores_of_rows
from hubtune.inference.prediction import Prediction
from hubtune.log import logger
from hubtune.report.heat_map import draw_heat
from hubtune.serve.engine_queue import EngineQueue, Rows
from hubtune.serve.limits import RequestError, ServeLimits, busy_error
from hubtune.serve.metrics import ServeMetrics
from hubtune.serve.models import ServedModel
from hubtune.serve.return_times import ReturnTimes

# Longest side of a heat map in pixels: the maps themselves are coarse.
_HEAT_SIDE = 640


class Wanted(NamedTuple):
    """What a request wants beside the scores: no label for strangers, and a heat map."""

    reject: bool = False
    explain: bool = False


@dataclass(frozen=True)
class HeatMap:
    """An image with a tint where the model looked.

    Attributes:
        label: the class that it looked for: that with the highest score, also if the image is rejected.
        is_exact: whether the shares add up to the score, before softmax; otherwise they are of Grad-CAM.
        content: a WebP file.
    """

    label: str
    is_exact: bool
    content: bytes

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, the image as an address ``data:``."""
        address = f"data:image/webp;base64,{base64.b64encode(self.content).decode()}"
        return {"label": self.label, "exact": self.is_exact, "image": address}


@dataclass(frozen=True)
class ServedPrediction:
    """The prediction for an image of a request.

    Attributes:
        row: the prediction.
        error: why the image cannot be read; ``None`` if it can.
        heat_map: ``None`` if it was not wanted.
    """

    row: Prediction
    error: ImageError | None = None
    heat_map: HeatMap | None = None

    def as_dict(self, path: str | None) -> dict[str, Any]:
        """Return the row of ``hubtune predict --json --scores``, with ``heat_map`` if there is one."""
        document = {**self.row.as_dict(scores=True), "path": path}
        return document if self.heat_map is None else {**document, "heat_map": self.heat_map.as_dict()}

    def check_readable(self) -> None:
        """Raise a RequestError if the image cannot be read."""
        if isinstance(self.error, ImageTooLargeError):
            raise RequestError(413, "image_too_large", f"The image is {self.error.reason}")
        if self.error is not None:
            raise RequestError(422, "unreadable_image", f"The image cannot be read: {self.error.reason}")


class _Prepared(NamedTuple):
    """An image for the engine; with a small copy and what each view shows of it, for a heat map."""

    arrays: list[np.ndarray]
    copy: Image.Image | None = None
    areas: tuple[tuple[float, float, float, float], ...] = ()


class PredictionService:
    """Predicts the images of many requests at once, and takes no more than it can hold."""

    def __init__(self, limits: ServeLimits, metrics: ServeMetrics, *, threads: int | None = None) -> None:
        """Start the threads; by default as many decode as there are cores."""
        self._limits, self._metrics = limits, metrics
        self._engine = EngineQueue(metrics.batches.observe)
        self._decoders = ThreadPoolExecutor(threads or cores(), "hubtune-decode")
        self._starter = ThreadPoolExecutor(1, "hubtune-maps")
        self._return_times = ReturnTimes()
        self.waiting = 0
        """Images that wait for their answer."""

    @property
    def is_ready(self) -> bool:
        return self._engine.is_alive

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        self._decoders.shutdown()
        self._starter.shutdown()
        self._engine.stop()

    def check_free(self, count: int = 1) -> None:
        """Raise a RequestError of status 503 unless this number of images can be taken."""
        if self.waiting + count > self._limits.waiting_images:
            raise busy_error(seconds=self._return_times.seconds_to_wait())

    async def predict(
        self, served: ServedModel, images: Sequence[bytes], wanted: Wanted
    ) -> list[ServedPrediction]:
        """Predict images, contents of files; one that cannot be read has a row with the reason.

        Raises:
            RequestError: there are too many images now, the model cannot do what is wanted, or its engine
                has failed.
        """
        self.check_free(len(images))
        self.waiting += len(images)
        try:
            if wanted.reject:
                check_ability(served.model.check_can_reject, "no_reference")
            if wanted.explain:
                await self._start_maps(served)
            jobs = [self._predict_one(served, content, wanted) for content in images]
            # All of them, also if one fails: they count as waiting until the last one is done.
            found = await asyncio.gather(*jobs, return_exceptions=True)
            if failures := [each for each in found if isinstance(each, BaseException)]:
                raise failures[0]
            return [each for each in found if isinstance(each, ServedPrediction)]
        finally:
            self.waiting -= len(images)

    async def in_pool(self, function: Callable[[], Any]) -> Any:
        """Run a function that takes a while in a decoder's thread."""
        return await asyncio.wrap_future(self._decoders.submit(function))

    async def _start_maps(self, served: ServedModel) -> None:
        # In a thread of its own: the first time it takes seconds, in which other requests are answered.
        started = self._starter.submit(check_ability, served.start_maps, "no_heat_map")
        await asyncio.wrap_future(started)

    async def _predict_one(self, served: ServedModel, content: bytes, wanted: Wanted) -> ServedPrediction:
        outcome = "failed"
        try:
            future: Future[tuple[_Prepared, Prediction]] = Future()
            self._decoders.submit(self._prepare, served, content, wanted, future)
            prepared, row = await asyncio.wrap_future(future)
            heat_map = await self._explain(served, prepared, row) if wanted.explain else None
            outcome = "predicted"
            return ServedPrediction(row, None, heat_map)
        except ImageError as error:
            outcome = "unreadable"
            row = served.model.prediction_of("image", ImageScores(Path("image"), None, error))
            return ServedPrediction(row, error)
        except RequestError:
            raise
        except Exception as error:  # of an engine, or memory that has run out: a later request may do
            logger.exception("an image could not be predicted (%s)", type(error).__name__)
            raise RequestError(
                503,
                "engine_failed",
                "The image could not be predicted: try again later",
                {"Retry-After": "5"},
            ) from error
        finally:
            self._return_times.add_answer()
            self._metrics.images.labels(served.name, outcome).inc()

    def _prepare(
        self,
        served: ServedModel,
        content: bytes,
        wanted: Wanted,
        future: "Future[tuple[_Prepared, Prediction]]",
    ) -> None:
        """Decode an image, and hand it to the engine's thread; in a decoder's thread."""
        if not future.set_running_or_notify_cancel():
            return
        model = served.model
        try:
            prepared = _prepare(model.card.views, model.card.preprocessing.bits, content, wanted.explain)
        except Exception as error:  # noqa: BLE001  # raised again where the prediction is asked for
            future.set_exception(error)
            return

        def finish(rows: Rows) -> tuple[_Prepared, Prediction]:
            scores = scores_of_rows(Path("image"), rows, model.answers)
            return prepared, model.prediction_of("image", scores, reject=wanted.reject)

        self._engine.run(model, prepared.arrays, finish, future)

    async def _explain(self, served: ServedModel, prepared: _Prepared, row: Prediction) -> HeatMap:
        model, label = served.model, next(iter(row.scores))
        inputs = MapInputs(prepared.arrays, list(prepared.areas))
        number = model.labels.index(label)
        shares = self._engine.call(lambda: map_shares(model, inputs, number))
        maps, is_exact = await asyncio.wrap_future(shares)
        explanation = ImageExplanation("image", label, row.scores[label], is_exact, maps)
        copy = prepared.copy
        assert copy is not None  # as the request wants a heat map
        content = await self.in_pool(lambda: _draw(copy, explanation))
        return HeatMap(label, is_exact, content)


def check_ability(function: Callable[[], None], code: str) -> None:
    """Call a function that raises a ModelError if the model cannot do what a request wants."""
    try:
        function()
    except ModelError as error:
        raise RequestError(400, code, str(error)) from error


def _prepare(views: Sequence[Any], bits: int, content: bytes, with_copy: bool) -> _Prepared:
    arrays = preprocess_views("image", views, content)
    if not with_copy:
        return _Prepared(arrays)
    copy = decode("image", content, bits=bits)
    areas = tuple(visible_area(view, *copy.size) for view in views)
    copy.thumbnail((_HEAT_SIDE, _HEAT_SIDE))
    return _Prepared(arrays, copy, areas)


def _draw(image: Image.Image, explanation: ImageExplanation) -> bytes:
    content = io.BytesIO()
    draw_heat(image, explanation.heat(*image.size)).save(content, "WEBP", quality=80)
    return content.getvalue()
