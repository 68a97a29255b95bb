"""An image classifier that was fine-tuned with hubtune, as a PaddleHub 2.x module.

The folder is complete: the network is a saved Paddle program, and pictures are read and preprocessed by the
same code as in hubtune. It needs PaddleHub 2.4, Pillow 11.3 or later and pydantic 2, but not hubtune.
"""

import json
from collections.abc import Sequence
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
    """Classifies pictures; ``labels`` are the class names in the order of the scores."""

    directory: str  # set by PaddleHub

    def __init__(self) -> None:
        super().__init__()
        folder = Path(self.directory)
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.labels: list[str] = card["labels"]
        self.views = [Preprocessing.model_validate(view) for view in card["views"]]
        self.network = paddle.jit.load(str(folder / "network"))

    def forward(self, images: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Return logits ``[N, classes]`` and features ``[N, width]`` of pictures ``[N, C, h, w]``."""
        logits, features = self.network(images)
        return logits, features

    def transforms(self, image: ImageInput) -> np.ndarray:
        """Preprocess a picture for the network as hubtune does, in the first of the model's views.

        The image is a path, or an array as ``cv2.imread`` returns it: uint8 ``[h, w, 3]``, channels B G R, or
        ``[h, w, 4]`` with opacity. The result is a float32 array ``[channels, h, w]``.

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
        if isinstance(images, str | Path):
            raise TypeError(f"predict takes a list of pictures, even for one: [{str(images)!r}]")
        self.eval()
        rows = []
        for start in range(0, len(images), batch_size):
            rows += self._predict_batch(images[start : start + batch_size], top_k)
        return rows

    def _predict_batch(self, images: Sequence[ImageInput], top_k: int) -> list[dict[str, float]]:
        arrays: dict[tuple[int, int], np.ndarray] = {}
        for index, image in enumerate(images):
            try:
                for view, array in enumerate(_preprocess(image, self.views)):
                    arrays[index, view] = array
            except ImageError as error:
                logger.warning(f"not predicted: {error}")
        sums: dict[int, np.ndarray] = {}
        # Pictures that are not cropped may differ in shape.
        for shape in {array.shape for array in arrays.values()}:
            same_shape = [place for place, array in arrays.items() if array.shape == shape]
            with paddle.no_grad():
                logits, _ = self(paddle.to_tensor(np.stack([arrays[place] for place in same_shape])))
            for (index, _), values in zip(same_shape, logits.numpy().astype(np.float64), strict=True):
                sums[index] = sums.get(index, 0) + values
        rows: list[dict[str, float]] = [{} for _ in images]
        for index, total in sums.items():
            mean = total / len(self.views)
            powers = np.exp(mean - mean.max())
            scores = powers / powers.sum()
            best = (-scores).argsort(kind="stable")[:top_k]
            rows[index] = {self.labels[number]: float(scores[number]) for number in best}
        return rows


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
