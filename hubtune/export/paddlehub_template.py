"""An image classifier that was fine-tuned with hubtune, as a PaddleHub 2.x module.

The folder is complete: the network is a saved Paddle program, and pictures are read and preprocessed by the
same code as in hubtune. It needs PaddleHub 2.4, Pillow 11.3 or later and pydantic 2, but not hubtune.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from paddlehub.module.cv_module import ImageClassifierModule
from paddlehub.module.module import moduleinfo
from paddlehub.utils.log import logger
from PIL import Image

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views

ImageInput = str | Path | np.ndarray | None


@moduleinfo(
    name="NAME",
    type="CV/classification",
    author="",
    author_email="",
    summary="An image classifier that was fine-tuned with hubtune.",
    version="1.0.0",
    meta=ImageClassifierModule,
)
class HubtuneClassifier(nn.Layer, ImageClassifierModule):
    """Classifies pictures.

    Attributes:
        labels: class names in the order of the scores.
        similarity_threshold: pictures that are less similar to all training pictures are of another kind;
            ``None`` if the model has no features of training pictures.
    """

    directory: str  # set by PaddleHub

    def __init__(self) -> None:
        super().__init__()
        folder = Path(self.directory)
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.labels: list[str] = card["labels"]
        self.views = [Preprocessing.model_validate(view) for view in card["views"]]
        self.network = paddle.jit.load(str(folder / "network"))
        self.similarity_threshold: float | None = card.get("similarity_threshold")
        if self.similarity_threshold is not None:
            self._reference = np.load(folder / "reference.npy", allow_pickle=False).astype(np.float32)

    def forward(self, images: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Return logits ``[N, classes]`` and features ``[N, width]`` of pictures ``[N, C, h, w]``."""
        logits, features = self.network(images)
        return logits, features

    def transforms(self, image: ImageInput) -> np.ndarray:
        """Preprocess a picture for the network as hubtune does, in the first of the model's views.

        Args:
            image: a path, or an array as ``cv2.imread`` returns it: uint8 ``[h, w, 3]``, channels B G R, or
                ``[h, w, 4]`` with opacity.

        Returns:
            float32 array ``[channels, h, w]``.

        Raises:
            ImageError: the picture cannot be read; the message says why.
        """
        return _preprocess(image, self.views[:1])[0]

    def predict(
        self, images: Sequence[ImageInput], batch_size: int = 1, top_k: int = 1
    ) -> list[dict[str, float]]:
        """Score pictures.

        Args:
            images: paths, or arrays as for :meth:`transforms`.
            batch_size: pictures per run of the network; the scores do not depend on it.
            top_k: number of classes per picture, the likeliest first.

        Returns:
            One dictionary per picture, in order: class name → score, 0 to 1. It is empty for a picture that
            cannot be read; PaddleHub's log says why.
        """
        rows: list[dict[str, float]] = []
        for output in self._run(images, batch_size):
            if output is None:
                rows.append({})
                continue
            mean = output[0].mean(axis=0)
            powers = np.exp(mean - mean.max())
            scores = powers / powers.sum()
            best = (-scores).argsort(kind="stable")[:top_k]
            rows.append({self.labels[number]: float(scores[number]) for number in best})
        return rows

    def similarity(self, images: Sequence[ImageInput], batch_size: int = 1) -> list[float | None]:
        """Return the largest cosine between the features of each picture and those of a training picture.

        Arguments are those of :meth:`predict`. ``None`` stands for a picture that cannot be read.

        Raises:
            RuntimeError: the model has no features of training pictures.
        """
        if self.similarity_threshold is None:
            raise RuntimeError("the model has no features of training pictures")
        width = self._reference.shape[1]
        cosines: list[float | None] = []
        for output in self._run(images, batch_size):
            if output is None:
                cosines.append(None)
                continue
            views = output[1][:, :width]
            mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
            best = float((self._reference @ (mean / np.linalg.norm(mean)).astype(np.float32)).max())
            cosines.append(min(best, 1.0))
        return cosines

    def _run(
        self, images: Sequence[ImageInput], batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray] | None]:
        """Yield the logits ``[views, classes]`` and features ``[views, width]`` of each picture, float64."""
        if isinstance(images, str | Path):
            raise TypeError(f"predict takes a list of pictures, even for one: [{str(images)!r}]")
        self.eval()
        for start in range(0, len(images), batch_size):
            yield from self._run_batch(images[start : start + batch_size])

    def _run_batch(self, images: Sequence[ImageInput]) -> list[tuple[np.ndarray, np.ndarray] | None]:
        arrays: dict[tuple[int, int], np.ndarray] = {}
        for index, image in enumerate(images):
            try:
                for view, array in enumerate(_preprocess(image, self.views)):
                    arrays[index, view] = array
            except ImageError as error:
                logger.warning(f"not predicted: {error}")
        outputs: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        # Pictures that are not cropped may differ in shape.
        for shape in {array.shape for array in arrays.values()}:
            same_shape = [place for place, array in arrays.items() if array.shape == shape]
            with paddle.no_grad():
                tensors = self(paddle.to_tensor(np.stack([arrays[place] for place in same_shape])))
            rows = zip(*(tensor.numpy().astype(np.float64) for tensor in tensors), strict=True)
            outputs |= zip(same_shape, rows, strict=True)
        results: list[tuple[np.ndarray, np.ndarray] | None] = []
        for index in range(len(images)):
            own = [outputs[index, view] for view in range(len(self.views)) if (index, view) in outputs]
            logits, features = ([row[part] for row in own] for part in (0, 1))
            results.append((np.array(logits), np.array(features)) if own else None)
        return results


def _preprocess(image: ImageInput, views: Sequence[Preprocessing]) -> list[np.ndarray]:
    # cv2.imread returns None for what it cannot read.
    source = _from_array(image) if image is None or isinstance(image, np.ndarray) else image
    return [
        view.normalise(pixels) for view, pixels in zip(views, preprocess_views(source, views), strict=True)
    ]


def _from_array(image: np.ndarray | None) -> Image.Image:
    if image is None:
        raise ImageError("array", "is None, which cv2.imread returns for a file that it cannot read")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or image.size == 0:
        raise ImageError(
            "array", f"is {image.dtype} {list(image.shape)}, not uint8 [height, width, 3] as cv2.imread gives"
        )
    order = [2, 1, 0, 3][: image.shape[2]]
    return Image.fromarray(np.ascontiguousarray(image[:, :, order]))
