"""PaddleHub's reader of images: their preprocessing, and batches for a script's own loop."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import ValidationError

# Through the package, which sets MKL's path before it imports Paddle.
import hubtune
from hubtune import Preprocessing, UsageError
from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.decode import ImageError
from hubtune.errors import DataError
from hubtune.hub.registry import takes_size
from hubtune.log import logger, show_on_stderr
from hubtune.paddlehub.absent import PaddleHubObject
from hubtune.paddlehub.image_lists import LIST_OF_PHASE, listed
from hubtune.rng import rng_for

# Field of Preprocessing → argument of the reader, and its allowed values.
_READER_ARGUMENTS = {
    "size": ("image_width", "a whole number of pixels from 1 to 4096"),
    "mean": ("images_mean", "three numbers, of values 0–1"),
    "std": ("images_std", "three numbers above 0, of values 0–1"),
}


class ImageClassificationReader(PaddleHubObject):
    """Preprocessing: images are stretched to a square by Lanczos resampling, then normalised.

    Attributes:
        preprocessing: the differences from the module's own.
        label_map: class name → number; empty without a data set.
        image_width, image_height, dataset, channel_order, images_mean, images_std: as given.
        data_augmentation, random_seed: as given.
    """

    absent: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("vocab", "tokenizer", "max_seq_len", "in_tokens", "sp_model"),
        "it belongs to readers of text, and hubtune supports only image classification",
    )

    def __init__(
        self,
        image_width: int,
        image_height: int,
        dataset: Any = None,
        channel_order: str = "RGB",
        images_mean: Any = None,
        images_std: Any = None,
        data_augmentation: bool = False,
        random_seed: int | None = None,
    ) -> None:
        """Check the settings, and read the class names.

        Args:
            image_width: of the network's input, pixels; ``image_height`` is the same number.
            dataset: the images, of this package or of hubtune; a task needs them.
            channel_order: ``RGB``, the order that hubtune's weights were trained with.
            images_mean, images_std: three numbers each, R G B, values 0–1, in any sequence or array; default:
                the module's.
            data_augmentation: whether training images are augmented as by ``augment: standard``.
            random_seed: the run's seed; default: the configuration's.

        Raises:
            UsageError: if images cannot be preprocessed in this way.
            DataError: if the class names cannot be read.
        """
        if image_width != image_height:
            raise UsageError(
                f"image_width {image_width!r} and image_height {image_height!r} differ, and hubtune's "
                "networks take square images: give both the same number"
            )
        if channel_order != "RGB":
            raise UsageError(
                f"channel_order is {channel_order!r}, and hubtune's weights were trained with RGB: remove it"
            )
        arguments = {"size": image_width, "mean": images_mean, "std": images_std}
        self.dataset, self.data_augmentation, self.random_seed = dataset, data_augmentation, random_seed
        self.image_width, self.image_height = image_width, image_height
        self.images_mean, self.images_std, self.channel_order = images_mean, images_std, channel_order
        self.preprocessing = {
            **{name: _as_python(value) for name, value in arguments.items() if value is not None},
            "fit": "stretch",
            "interpolation": "lanczos",
            "antialias": True,
        }
        try:
            Preprocessing.model_validate(self.preprocessing)
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            name, allowed = _READER_ARGUMENTS[key]
            raise UsageError(f"{name} must be {allowed}, not {arguments[key]!r}") from error
        names = [] if dataset is None else listed(dataset).label_list
        self.label_map = {name: number for number, name in enumerate(names)}
        show_on_stderr()
        logger.info("Dataset label map = %s", self.label_map)

    def get_train_examples(self) -> list[tuple[str, str]]:
        return self._examples("train")

    def get_dev_examples(self) -> list[tuple[str, str]]:
        return self._examples("dev")

    def get_test_examples(self) -> list[tuple[str, str]]:
        return self._examples("test")

    @property
    def num_examples(self) -> dict[str, int]:
        """Number of images of each phase."""
        return {phase: len(self._examples(phase)) for phase in ("train", "dev", "test")}

    def _examples(self, phase: str) -> list[tuple[str, str]]:
        entries = listed(self.dataset).examples(LIST_OF_PHASE[phase])
        return [(str(entry.path), str(entry.label)) for entry in entries]

    def data_generator(
        self,
        batch_size: int = 1,
        phase: str = "train",
        shuffle: bool = False,
        data: Sequence[str] | None = None,
        return_list: bool = True,
    ) -> Callable[[], Iterator[Any]]:
        """Return a function whose iterator gives batches of preprocessed images.

        Args:
            batch_size: images in a batch; the last one may have fewer.
            phase: ``train``, ``dev`` (or ``val``), ``test``; or ``predict``, for the images of ``data``.
            shuffle: whether their order is drawn; training images are always shuffled, as in PaddleHub.
            data: image files, for ``predict``.
            return_list: wrap each batch in a list.

        Returns:
            A batch is ``[images, labels]``, of float32 arrays ``[3, size, size]`` and lists with a number
            each; of ``predict``, it is one array ``[1, images, 3, size, size]``.

        Raises:
            UsageError: if there is no such phase.
        """
        if phase == "predict":
            rows = [(str(path), "") for path in data or ()]
        elif phase in LIST_OF_PHASE:
            rows = self._examples(phase)
        else:
            raise UsageError(f"There is no phase {phase!r}: it may be train, dev, test or predict")
        seed = self.random_seed or 0
        if shuffle or phase == "train":
            rows = [rows[place] for place in rng_for(seed, "order", phase).permutation(len(rows))]
        augment = "standard" if self.data_augmentation and phase == "train" else "none"

        def read() -> Iterator[Any]:
            for start in range(0, len(rows), batch_size):
                part = rows[start : start + batch_size]
                images = [self._read(path, augment, start + place) for place, (path, _) in enumerate(part)]
                batch: Any = np.stack(images)[None]
                if phase != "predict":
                    batch = [images, [[int(label)] for _, label in part]]
                yield [batch] if return_list else batch

        return read

    def _read(self, path: str, augment: str, index: int) -> np.ndarray:
        own = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # PaddleHub's, where no module is known
        view = Preprocessing.model_validate({**own, **self.preprocessing})
        settings = hubtune.RunConfig(augment=augment).augment
        try:
            image = read_image(path, view, settings)
        except ImageError as error:
            raise DataError(f"{path}: {error.reason}") from error
        random = rng_for(self.random_seed or 0, "augment", 0, index)
        return view.normalise(augment_image(image, view, settings, random))


def with_preprocessing(module: hubtune.Module, reader: ImageClassificationReader) -> hubtune.Module:
    own, backbone = module.preprocessing, module.backbone
    size, multiple = reader.preprocessing.get("size", own.size), backbone.size_multiple
    if size != own.size and not takes_size(backbone, size):
        others = "no other" if multiple is None else f"other multiples of {multiple}"
        raise UsageError(
            f"image_width is {size}, and {module.name} takes {backbone.input_size} and {others}: give "
            "image_width=module.get_expected_image_width()"
        )
    changed = copy.copy(module)
    changed.preprocessing = Preprocessing.model_validate({**own.model_dump(), **reader.preprocessing})
    return changed


def _as_python(value: Any) -> Any:
    """Return an array or sequence as a tuple of Python's numbers; anything else unchanged."""
    return tuple(np.ravel(value).tolist()) if np.ndim(value) else value
