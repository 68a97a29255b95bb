"""PaddleHub's ``Module``: a pretrained network, whose variables a task gets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import paddle

import hubtune
from hubtune.errors import DataError, UsageError
from hubtune.log import logger, show_on_stderr
from hubtune.models.backbone import head_keys
from hubtune.paddlehub.absent import VERSION_2, PaddleHubObject
from hubtune.paddlehub.dynamic_mode import in_dynamic_mode

IMAGE = "image"
FEATURE_MAP = "feature_map"
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Variable(PaddleHubObject):
    """An input or output of a module's network."""

    absent: ClassVar[Mapping[str, str]] = {
        "block": "hubtune has no programs of Paddle 1; hubtune embed computes features of pictures",
    }

    name: str  # image, feature_map or classification
    module: hubtune.Module
    trainable: bool  # whether the network before it is trained

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a batch, whose size is -1."""
        if self.name == IMAGE:
            return (-1, 3, self.module.preprocessing.size, self.module.preprocessing.size)
        return (-1, self.module.backbone.width if self.name == FEATURE_MAP else len(self.module.labels))


class _Variables(dict[Any, Variable]):
    """Variables by name; PaddleHub's scripts also ask for their numbers."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        super().__init__({variable.name: variable for variable in variables})

    def __missing__(self, number: Any) -> Variable:
        if isinstance(number, int) and number < len(self):
            return [*self.values()][number]
        raise UsageError(f"There is no variable {number!r}: there are {', '.join(self)}")


class Module(PaddleHubObject):
    """A pretrained network and the properties of its input.

    Attributes:
        module: hubtune's module.
        name: as in PaddleHub.
    """

    absent: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("program", "signatures", "default_signature", "desc", "get_name_prefix", "assets"),
            "hubtune has no programs of Paddle 1: the network is module.module.network",
        ),
        "processor": "module.classification(data={'image': […]}) prepares pictures itself",
        **dict.fromkeys(
            ("version", "author", "author_email", "summary", "type"),
            "hubtune hub show NAME describes a module",
        ),
        "directory": "hubtune cache ls shows where the weights are",
        **dict.fromkeys(
            ("predict", "train", "eval", "load_dict", "set_state_dict"),
            f"{VERSION_2}; module.classification(paths=[…]) gives the pretrained classes",
        ),
    }

    @in_dynamic_mode
    def __init__(
        self,
        name: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        module_dir: str | os.PathLike[str] | Sequence[Any] | None = None,
        version: str | None = None,
        *,
        weights: str | os.PathLike[str] | None = "official",
        trust_code: bool = False,
        **others: Any,
    ) -> None:
        """Build the network and load its weights, as :class:`hubtune.Module`.

        Args:
            name: hub name; or a path, as ``directory``.
            directory, module_dir: a module's folder; of ``[folder, version]``, the folder.
            version: has no effect: hubtune has one version of each module.
            weights, trust_code: as of :class:`hubtune.Module`.
            others: none; ``label_list`` and others of PaddleHub 2.x are refused.

        Raises:
            UsageError: if there is neither a name nor a folder, or an argument is unknown.
            ModelError: if the module is unknown, or its weights cannot be used.
        """
        if others:
            raise UsageError(f"hub.Module has no argument {min(others)!r}: {VERSION_2}")
        folder = module_dir[0] if isinstance(module_dir, list | tuple) and module_dir else module_dir
        place: Any = name or directory or folder
        if not place:
            raise UsageError("Give the module's name: hub.Module(name=…)")
        show_on_stderr()
        if version is not None:
            logger.info("version=%r has no effect: hubtune has one version of each module", version)
        self.module = hubtune.Module(place, weights, trust_code=trust_code)
        self.name = self.module.name

    def get_expected_image_width(self) -> int:
        """Return the width of the network's input, pixels."""
        return self.module.preprocessing.size

    def get_expected_image_height(self) -> int:
        """Return the height of the network's input, pixels."""
        return self.module.preprocessing.size

    def get_pretrained_images_mean(self) -> list[float]:
        """Return the mean of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.mean)

    def get_pretrained_images_std(self) -> list[float]:
        """Return the standard deviation of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.std)

    @in_dynamic_mode
    def context(
        self,
        sign_name: str | bool | None = None,
        for_test: bool | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        max_seq_len: int | None = None,
        learning_rate: float | None = None,
        *,
        pretrained: bool = True,
        phase: str | None = None,
    ) -> tuple[dict[Any, Variable], dict[Any, Variable], paddle.static.Program]:
        """Return inputs (``image``) and outputs (``feature_map``, ``classification``), by name or number.

        The third value is an empty program: hubtune's networks are not programs.

        Args:
            sign_name: ``feature_map`` or ``classification``; has no effect. The first two arguments of later
                modules were ``trainable`` and ``pretrained``: if this one is a bool, they are taken for that.
            trainable: whether the network is trained; otherwise only a task's new head is.
            pretrained: whether it starts from the pretrained weights.
            for_test, phase, max_seq_len, learning_rate: have no effect.
            regularizer: must be ``None``: a strategy regularises.

        Raises:
            UsageError: if there is no such signature, or a regularizer is given.
        """
        if isinstance(sign_name, bool):
            trainable, sign_name = sign_name, None
            pretrained = pretrained if for_test is None else for_test
        if sign_name not in (None, FEATURE_MAP, CLASSIFICATION):
            raise UsageError(
                f"There is no signature {sign_name!r}: it may be {FEATURE_MAP} or {CLASSIFICATION}"
            )
        if regularizer is not None:
            raise UsageError(
                "context() takes no regularizer: give hub.DefaultFinetuneStrategy(regularization_coeff=…)"
            )
        module = self.module if pretrained else hubtune.Module(self.name, None)
        image, *outputs = (Variable(name, module, trainable) for name in (IMAGE, FEATURE_MAP, CLASSIFICATION))
        # The head of other weights may have been left out.
        head = set() if module.labels else set(head_keys(module.network, module.stages))
        loaded = [] if module.weights_file is None else set(module.network.state_dict()) - head
        logger.info("%d pretrained paramaters loaded by PaddleHub", len(loaded))
        return _Variables([image]), _Variables(outputs), paddle.static.Program()

    @in_dynamic_mode
    def classification(
        self,
        images: Sequence[np.ndarray] | None = None,
        paths: Sequence[str] | None = None,
        batch_size: int = 1,
        use_gpu: bool = False,
        top_k: int = 1,
        data: Mapping[str, Sequence[str]] | None = None,
    ) -> list[Any]:
        """Classify pictures by the pretrained classes; ``hubtune classify`` does the same.

        Args:
            images: arrays ``[height, width, 3]`` in the order B, G, R, as OpenCV reads them.
            paths: image files.
            batch_size: images at once.
            use_gpu: has no effect: the engine is hubtune's choice.
            top_k: number of classes for each image.
            data: ``{"image": paths}``; the dictionary of each image is then in a list of its own, as in
                PaddleHub before 1.6.

        Returns:
            For each image, class → probability, likeliest first.

        Raises:
            UsageError: if there is no image, or ``top_k`` is not positive.
            DataError: if one cannot be read.
            ModelError: if the module has no pretrained classes.
        """
        files = [*(paths or ()), *((data or {}).get(IMAGE) or ())]
        arrays = [np.ascontiguousarray(image[..., ::-1]) for image in images or ()]
        if not files and not arrays:
            raise UsageError("Give the pictures: paths=[…], or images=[…] as OpenCV reads them")
        if top_k < 1:
            raise UsageError(f"top_k must be 1 or more, not {top_k}")
        rows = hubtune.pretrained_model(self.module).predict([*files, *arrays], batch_size=batch_size)
        answers = []
        for row in rows:
            if row.error is not None:
                raise DataError(f"{row.path}: {row.error}")
            likeliest = sorted(row.scores.items(), key=lambda pair: -pair[1])[:top_k]
            # PaddleHub gave the first of ImageNet's synonyms.
            answers.append({name.split(",")[0]: float(score) for name, score in likeliest})
        return [[answer] for answer in answers] if data is not None else answers

    classify = classification  # PaddleHub 2.x's name
