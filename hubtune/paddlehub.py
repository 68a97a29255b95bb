"""PaddleHub 1.x's words for fine-tuning an image classifier: an old script runs with other imports.

Everything here turns into hubtune's own classes; nothing is trained, read or scored in another way. What is
the same, what was mended and what is refused: ``docs/paddlehub-1x.md``.

Example:
    >>> import hubtune.paddlehub as hub
    >>> from hubtune.paddlehub import BaseCVDataset
    >>> module = hub.Module(name="xception71_imagenet")
"""

import copy
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from pydantic import ValidationError

# By way of the package itself, which prepares the processor before it imports Paddle.
import hubtune
from hubtune import (
    AdamWeightDecayStrategy,
    BaseCVDataset,
    CombinedStrategy,
    DefaultFinetuneStrategy,
    DefaultStrategy,
    L2SPFinetuneStrategy,
    Metrics,
    Prediction,
    Preprocessing,
    RulesStrategy,
    Run,
    ULMFiTStrategy,
    UsageError,
)
from hubtune.inference.model import match_labels
from hubtune.log import logger, show_on_stderr
from hubtune.recipe.schedule import AutoSchedule
from hubtune.recipe.strategies import Rule
from hubtune.runs.folder import RESULT_FILE, is_run, latest_in_series
from hubtune.train.evaluator import log_evaluation
from hubtune.train.strategies import TRAINERS

__all__ = [
    "AdamWeightDecayStrategy",
    "BaseCVDataset",
    "CombinedStrategy",
    "DefaultFinetuneStrategy",
    "DefaultStrategy",
    "ImageClassificationReader",
    "ImageClassifierTask",
    "L2SPFinetuneStrategy",
    "Module",
    "RunConfig",
    "RunState",
    "ULMFiTStrategy",
    "Variable",
    "dataset",
    "finetune",
    "reader",
]

_FEATURE_MAP = "feature_map"
_IMAGE = "image"
_STRATEGIES = (
    AdamWeightDecayStrategy,
    CombinedStrategy,
    DefaultFinetuneStrategy,
    DefaultStrategy,
    L2SPFinetuneStrategy,
    ULMFiTStrategy,
)
_WITHOUT_EFFECT = ("use_data_parallel", "use_pyreader", "enable_memory_optim")
_PHASES = {"train": "train", "dev": "validate", "val": "validate", "test": "test"}
# What Preprocessing calls it → what the reader does, and what it may be.
_READER_WORDS = {
    "size": ("image_width", "a whole number of pixels from 1 to 4096"),
    "mean": ("images_mean", "three numbers, of values 0–1"),
    "std": ("images_std", "three numbers above 0, of values 0–1"),
}


@dataclass(frozen=True)
class Variable:
    """An input or output of a module's network.

    Attributes:
        name: ``image``, ``feature_map`` or ``classification``.
        module: the module.
        trainable: whether the network before it is to be trained.
    """

    name: str
    module: hubtune.Module
    trainable: bool


class Module:
    """A pretrained network, and what its pictures are to be like.

    Attributes:
        module: the same as hubtune has it.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        weights: str | os.PathLike[str] | None = "official",
        trust_code: bool = False,
    ) -> None:
        """Build the network and load its weights.

        Args:
            name: a hub name or a path, as for :class:`hubtune.Module`.
            weights: as there; PaddleHub has only the official ones.
            trust_code: as there.

        Raises:
            ModelError, MachineError: as there.
        """
        self.module = hubtune.Module(name, weights, trust_code=trust_code)

    def get_expected_image_width(self) -> int:
        """Width of the pictures it was pretrained on, pixels."""
        return self.module.preprocessing.size

    def get_expected_image_height(self) -> int:
        """Height of the pictures it was pretrained on, pixels."""
        return self.module.preprocessing.size

    def get_pretrained_images_mean(self) -> list[float]:
        """Mean of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.mean)

    def get_pretrained_images_std(self) -> list[float]:
        """Standard deviation of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.std)

    def context(self, trainable: bool = True) -> tuple[dict[str, Variable], dict[str, Variable], None]:
        """Name inputs and outputs for a task.

        Args:
            trainable: whether the network is to be trained; otherwise only a task's new head is.

        Returns:
            Inputs (``image``), outputs (``feature_map`` and ``classification``), and ``None``: there is no
            program.
        """
        inputs, outputs = (
            {name: Variable(name, self.module, trainable) for name in names}
            for names in ((_IMAGE,), (_FEATURE_MAP, "classification"))
        )
        return inputs, outputs, None


class ImageClassificationReader:
    """How pictures become the network's input: stretched to a square by Lanczos resampling, then normalised.

    Attributes:
        dataset: the pictures.
        preprocessing: what differs from the module's own preprocessing.
        data_augmentation: whether training pictures are changed at random.
        random_seed: decides order and augmentation; ``None`` leaves that to the configuration.
    """

    def __init__(
        self,
        image_width: int,
        image_height: int,
        dataset: BaseCVDataset,
        channel_order: str = "RGB",
        images_mean: Any = None,
        images_std: Any = None,
        data_augmentation: bool = False,
        random_seed: int | None = None,
    ) -> None:
        """Take the settings; nothing is read yet.

        Args:
            image_width: of the network's input, pixels.
            image_height: the same number.
            dataset: the pictures.
            channel_order: ``RGB``, the order that hubtune's weights were trained with.
            images_mean: three numbers, R G B, of values 0–1, in any sequence or array; default: the module's.
            images_std: likewise.
            data_augmentation: whether training pictures are changed as ``augment: standard`` says. PaddleHub
                changed those of evaluation and prediction, too.
            random_seed: the run's seed.

        Raises:
            UsageError: if pictures cannot be prepared so.
        """
        if image_width != image_height:
            raise UsageError(
                f"image_width {image_width!r} and image_height {image_height!r} differ, and hubtune's "
                "networks take square pictures: give both the same number"
            )
        if channel_order != "RGB":
            raise UsageError(
                f"channel_order is {channel_order!r}, and hubtune's weights were trained with RGB: leave it "
                "away"
            )
        given = {"size": image_width, "mean": images_mean, "std": images_std}
        self.dataset = dataset
        self.preprocessing = {
            **{name: _plain(value) for name, value in given.items() if value is not None},
            "fit": "stretch",
            "interpolation": "lanczos",
            "antialias": True,
        }
        self.data_augmentation = data_augmentation
        self.random_seed = random_seed
        try:
            Preprocessing.model_validate(self.preprocessing)
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            name, wanted = _READER_WORDS[key]
            raise UsageError(f"{name} is to be {wanted}, not {given[key]!r}") from error


def RunConfig(**given: Any) -> hubtune.RunConfig:
    """Return hubtune's configuration.

    Args:
        given: ``num_epoch``, ``batch_size``, ``checkpoint_dir``, ``eval_interval``, ``log_interval``,
            ``save_ckpt_interval``, ``use_cuda``, ``strategy`` (as in PaddleHub, the default is
            ``DefaultStrategy()``), and all else that :class:`hubtune.RunConfig` takes. ``use_data_parallel``,
            ``use_pyreader`` and ``enable_memory_optim`` have no effect.

    Raises:
        UsageError: if a setting is unknown or wrong.
    """
    if given.get("use_data_parallel"):
        show_on_stderr()
        logger.info("use_data_parallel has no effect: one device trains")
    known = {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT}
    return hubtune.RunConfig(**{**known, "strategy": given.get("strategy") or DefaultStrategy()})


@dataclass(frozen=True)
class RunState:
    """What is known of one batch of a prediction.

    Attributes:
        run_results: one array: probabilities ``[pictures, classes]``, float32, in the order of the data set's
            classes; a row of ``nan`` for a picture that cannot be read.
        run_step: batches in it, always 1.
        run_examples: pictures in it.
        run_time_used: its share of the seconds that the whole prediction took.
        run_speed: batches a second.
    """

    run_results: list[np.ndarray]
    run_step: int
    run_examples: int
    run_time_used: float
    run_speed: float


class ImageClassifierTask:
    """Fine-tunes a module on a data set, keeps the best model, and predicts with it.

    Attributes:
        task: the same as hubtune has it.
    """

    def __init__(
        self,
        feature: Variable,
        num_classes: int,
        feed_list: Sequence[str],
        data_reader: ImageClassificationReader,
        config: hubtune.RunConfig | None = None,
        hidden_units: Sequence[int] | None = None,
        metrics_choices: str | Sequence[str] = "default",
    ) -> None:
        """Join the pieces; nothing is read but the class names, and nothing is trained yet.

        Args:
            feature: ``output_dict["feature_map"]`` of the module's ``context``.
            num_classes: number of classes of the data set.
            feed_list: ``[input_dict["image"].name]``.
            data_reader: the pictures, and how they become the network's input.
            config: how to train; default ``RunConfig()``. What it says of ``fit``, ``augment`` and ``seed``
                goes before the reader.
            hidden_units: widths of fully connected layers with ReLU before the classifier.
            metrics_choices: accuracy, ``["acc"]``, which chooses the best model.

        Raises:
            UsageError: if they cannot go together.
            DataError: if the class names cannot be read.
        """
        config = config or RunConfig()
        for given, kind, name in (
            (feature, Variable, "feature"),
            (data_reader, ImageClassificationReader, "data_reader"),
            (config, hubtune.RunConfig, "config"),
        ):
            if not isinstance(given, kind):
                raise UsageError(f"{name} is to be a {kind.__name__}, not a {type(given).__name__}")
        if feature.name != _FEATURE_MAP:
            raise UsageError(
                f"feature is to be output_dict[{_FEATURE_MAP!r}], on which the new head is put, not "
                f"{feature.name!r}"
            )
        if list(feed_list) != [_IMAGE]:
            raise UsageError(f"feed_list is to be [input_dict[{_IMAGE!r}].name], not {feed_list!r}")
        if metrics_choices not in ("default", "acc", ["acc"]):
            raise UsageError(
                f"metrics_choices is {metrics_choices!r}, and hubtune chooses the best model by accuracy: "
                "take ['acc'], and compute other figures from predict()"
            )
        show_on_stderr()
        self.task = hubtune.ImageClassifierTask(
            module=_seeing(feature.module, data_reader),
            dataset=data_reader.dataset,
            config=_joined(config, data_reader, feature),
            hidden_units=hidden_units,
        )
        count = self.task.dataset.num_labels
        if num_classes != count:
            raise UsageError(
                f"num_classes is {num_classes!r}, and the data set has {count} classes: give "
                "num_classes=dataset.num_labels"
            )

    def finetune_and_eval(self, *, resume: bool = False) -> Run:
        """Train, evaluating as it goes; then measure the best model on the test list, once.

        Args:
            resume: go on with the newest run in ``checkpoint_dir``, at the picture where it stopped.
                Otherwise a new run begins, in ``<checkpoint_dir>-2`` where there is one already.

        Returns:
            The finished run, with its figures.

        Raises:
            HubtuneError: as :meth:`hubtune.ImageClassifierTask.finetune_and_eval`.
        """
        place = self.task.config.checkpoint_dir
        earlier = latest_in_series(Path(place)) if place and not resume else None
        if earlier and is_run(earlier) and not (earlier / RESULT_FILE).exists():
            logger.info("%s has not finished: finetune_and_eval(resume=True) goes on with it", earlier)
        return self.task.finetune_and_eval(resume=resume)

    def eval(self, phase: str = "dev", load_best_model: bool = True) -> Metrics:
        """Measure the best model on a list of the data set.

        Args:
            phase: ``dev`` (or ``val``), ``test`` or ``train``.
            load_best_model: has no effect, as no other model is kept for use.

        Raises:
            UsageError: if there is no such phase.
            DataError: if there is no such list.
            ModelError: if there is no trained model, or its classes are not the data's.
        """
        if phase not in _PHASES:
            raise UsageError(f"There is no phase {phase!r}: it may be dev, test or train")
        metrics = self.task.evaluate(_PHASES[phase])
        log_evaluation("dev" if phase == "val" else phase, metrics)
        return metrics

    def predict(
        self,
        data: Sequence[str | Path] | None = None,
        load_best_model: bool = True,
        return_result: bool = False,
    ) -> list[RunState] | list[str | None]:
        """Score pictures with the best model, every one in its place, and those that cannot be read named.

        Args:
            data: picture files. A relative path that leads nowhere from the current folder starts from the
                data set's base folder. ``None``: the data set's prediction list.
            load_best_model: has no effect, as no other model is kept for use.
            return_result: give the class names of the pictures, ``None`` for one that cannot be read.

        Returns:
            A state for each batch of ``batch_size`` pictures, or names.

        Raises:
            UsageError: if ``data`` is a single path, or neither it nor a prediction list is given.
            ModelError: if there is no trained model, or its classes are not the data's.
        """
        started = time.perf_counter()
        rows = self.task.predict(self._images(data))
        seconds = time.perf_counter() - started
        for row in rows:
            if row.error is not None:
                logger.warning("%s: %s: no answer (nan, of which argmax makes 0)", row.path, row.error)
        if return_result:
            return [row.label for row in rows]
        values = _values(rows, self.task.dataset.label_list)
        size = self.task.config.images_per_step
        return [
            RunState(
                run_results=[some],
                run_step=1,
                run_examples=len(some),
                run_time_used=seconds * len(some) / len(values),
                run_speed=len(values) / (seconds * len(some)),
            )
            for some in (values[start : start + size] for start in range(0, len(values), size))
        ]

    def _images(self, data: Sequence[str | Path] | None) -> list[str | Path]:
        dataset = self.task.dataset
        if data is None:
            if dataset.list_files["predict"] is None:
                raise UsageError("Give predict() the pictures, data=[…], or the data set a predict_list_file")
            return [*dataset.get_predict_examples()]
        if isinstance(data, str | os.PathLike):
            raise UsageError(f"Give a list of pictures, even for one: data=[{os.fspath(data)!r}]")
        return [_located(path, dataset.base_path) for path in data]


def _seeing(module: hubtune.Module, reader: ImageClassificationReader) -> hubtune.Module:
    """The module with the reader's preprocessing."""
    own, backbone = module.preprocessing, module.backbone
    size, multiple = reader.preprocessing.get("size", own.size), backbone.size_multiple
    if size not in (own.size, backbone.input_size) and (multiple is None or size % multiple):
        wanted = "no other" if multiple is None else f"other multiples of {multiple}"
        raise UsageError(
            f"image_width is {size}, and {module.name} takes {backbone.input_size} and {wanted}: give "
            "image_width=module.get_expected_image_width()"
        )
    changed = copy.copy(module)
    changed.preprocessing = Preprocessing.model_validate({**own.model_dump(), **reader.preprocessing})
    return changed


def _joined(
    config: hubtune.RunConfig, reader: ImageClassificationReader, feature: Variable
) -> hubtune.RunConfig:
    """The configuration with what the reader and the module's ``context`` say."""
    # In the configuration, too, so that the run's recipe has it.
    said: dict[str, Any] = {"fit": "stretch"}
    if reader.data_augmentation:
        said["augment"] = "standard"
    if reader.random_seed is not None:
        said["seed"] = reader.random_seed
    said = {name: value for name, value in said.items() if name not in config.model_fields_set}
    if not feature.trainable and TRAINERS[config.strategy.name].by_gradients:
        said |= _head_alone(config, [stage.name for stage in feature.module.stages])
    return hubtune.RunConfig(**{**dict(config), **said})


def _head_alone(config: hubtune.RunConfig, stages: Sequence[str]) -> dict[str, Any]:
    """Settings with which the strategy trains only the head, as it would train it beside a trunk."""
    strategy = config.strategy
    if not isinstance(strategy, _STRATEGIES):
        raise UsageError(
            f"context(trainable=False) keeps the module as it is, and strategy {strategy.name} says itself "
            "what is trained: take context(trainable=True)"
        )
    rules = []
    for rule in strategy.rules(stages):
        if fnmatchcase("head", rule.match):
            rules.append(rule.model_copy(update={"match": "head"}))
            if rule.dimensions is None:
                break  # no parameter of the head is left for later rules
    logger.info("the module is not trained; strategy frozen would solve the head in seconds")
    automatic = isinstance(config.schedule, AutoSchedule)
    optimizer = config.optimizer
    if optimizer.name == "auto":
        optimizer = optimizer.model_copy(update={"name": strategy.optimizer()})
    return {
        "strategy": RulesStrategy(
            list=[*rules, Rule(match="*", frozen=True)], learning_rate=strategy.learning_rate
        ),
        "optimizer": optimizer,
        "schedule": strategy.schedule() if automatic else config.schedule,
        "clip": config.clip or strategy.clip(),
    }


def _plain(value: Any) -> Any:
    """A number or a sequence of numbers as Python has them, of what may be an array."""
    return tuple(np.ravel(value).tolist()) if np.ndim(value) else value


def _located(path: str | Path, base: Path) -> str | Path:
    # os.path gives an answer for every path, pathlib an error for some.
    if os.path.exists(path) or not os.path.exists(base / path):  # noqa: PTH110
        return path
    return base / path


def _values(rows: Sequence[Prediction], labels: Sequence[str]) -> np.ndarray:
    """Probabilities ``[pictures, classes]``, float32; ``nan`` for a picture that cannot be read."""
    known = next((row.scores for row in rows if row.error is None), None)
    if known is not None:
        match_labels([*known], labels, remap_by_name=True)  # refuses other classes
    values = np.full((len(rows), len(labels)), np.nan, dtype=np.float32)
    for number, row in enumerate(rows):
        if row.error is None:
            values[number] = [row.scores[name] for name in labels]
    return values


class _Names(SimpleNamespace):
    """Some names of PaddleHub's; others are refused in a sentence."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(_missing(name))


def _missing(name: str) -> str:
    return (
        f"hubtune.paddlehub has no {name!r}: of PaddleHub 1.x, it has what fine-tunes an image classifier on "
        f"one's own lists: {', '.join(__all__)}"
    )


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(_missing(name))


reader = _Names(ImageClassificationReader=ImageClassificationReader)
dataset = _Names(base_cv_dataset=_Names(BaseCVDataset=BaseCVDataset))
finetune = _Names(strategy=_Names(**{strategy.__name__: strategy for strategy in _STRATEGIES}))
