"""PaddleHub 1.x's names for fine-tuning an image classifier: old scripts run after a change of imports.

This module only translates to hubtune's own classes, which train, read and score. What is the same, what is
corrected and what is refused: ``docs/paddlehub-1x.md``.

Example:
    >>> import hubtune.paddlehub as hub
    >>> from hubtune.paddlehub import BaseCVDataset
    >>> module = hub.Module(name="xception71_imagenet")
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import numpy as np

# Through the package, which sets MKL's path before it imports Paddle.
import hubtune
from hubtune import BaseCVDataset, RulesStrategy, UsageError
from hubtune.compat.paddlehub_reader import (
    FEATURE_MAP,
    IMAGE,
    ImageClassificationReader,
    Module,
    Variable,
    with_preprocessing,
)
from hubtune.inference.label_matching import match_labels
from hubtune.log import logger, show_on_stderr
from hubtune.recipe.optimization import AutoSchedule
from hubtune.recipe.rule import Rule
from hubtune.recipe.strategies import (
    AdamWeightDecayStrategy,
    CombinedStrategy,
    DefaultFinetuneStrategy,
    DefaultStrategy,
    GradientStrategy,
    L2SPFinetuneStrategy,
    ULMFiTStrategy,
)
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

_WITHOUT_EFFECT = ("use_data_parallel", "use_pyreader", "enable_memory_optim")
_ACCURACY = ("default", "acc", ["acc"])  # values of metrics_choices
_PHASES = {"train": "train", "dev": "validate", "val": "validate", "test": "test"}


def RunConfig(**settings: Any) -> hubtune.RunConfig:
    """Return hubtune's configuration.

    Args:
        settings: ``num_epoch``, ``batch_size``, ``checkpoint_dir``, ``eval_interval``, ``log_interval``,
            ``save_ckpt_interval``, ``use_cuda``, ``strategy`` (default ``DefaultStrategy()``, as in
            PaddleHub), and all other arguments of :class:`hubtune.RunConfig`. ``use_data_parallel``,
            ``use_pyreader`` and ``enable_memory_optim`` have no effect.

    Raises:
        UsageError: if a setting is unknown or wrong.
    """
    if settings.get("use_data_parallel"):
        show_on_stderr()
        logger.info("use_data_parallel has no effect: one device trains")
    settings["strategy"] = settings.get("strategy") or DefaultStrategy()
    for name in _WITHOUT_EFFECT:
        settings.pop(name, None)
    return hubtune.RunConfig(**settings)


@dataclass(frozen=True)
class RunState:
    """One batch of a prediction.

    Attributes:
        run_results: one array: probabilities ``[images, classes]``, float32, in the order of the data set's
            classes; a row of ``nan`` for an unreadable image.
        run_step: number of batches, always 1.
        run_time_used: the batch's share of the whole prediction's time, seconds.
        run_speed: batches per second.
    """

    run_results: list[np.ndarray]
    run_step: int
    run_examples: int
    run_time_used: float
    run_speed: float


class ImageClassifierTask:
    """Fine-tunes a module on a data set, keeps the best model, and predicts with it.

    Its attribute ``task`` is hubtune's task.
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
        """Combine the parts; only the class names are read, and nothing is trained yet.

        Args:
            feature: ``output_dict["feature_map"]`` of the module's ``context``.
            num_classes: number of classes of the data set.
            feed_list: ``[input_dict["image"].name]``.
            data_reader: the images and their preprocessing.
            config: how to train; default ``RunConfig()``. Its ``fit``, ``augment`` and ``seed`` take
                precedence over the reader's.
            hidden_units: widths of fully connected layers with ReLU before the classifier.
            metrics_choices: ``["acc"]``: the best model is chosen by accuracy.

        Raises:
            UsageError: if the arguments do not fit together.
            DataError: if the class names cannot be read.
        """
        config = config or RunConfig()
        for value, kind, name in (
            (feature, Variable, "feature"),
            (data_reader, ImageClassificationReader, "data_reader"),
            (config, hubtune.RunConfig, "config"),
        ):
            if not isinstance(value, kind):
                raise UsageError(f"{name} must be a {kind.__name__}, not a {type(value).__name__}")
        if feature.name != FEATURE_MAP:
            raise UsageError(
                f"feature must be output_dict[{FEATURE_MAP!r}], the new head's input, not {feature.name!r}"
            )
        if list(feed_list) != [IMAGE]:
            raise UsageError(f"feed_list must be [input_dict[{IMAGE!r}].name], not {feed_list!r}")
        if metrics_choices not in _ACCURACY:
            raise UsageError(
                f"metrics_choices is {metrics_choices!r}, and hubtune chooses the best model by accuracy: "
                "take ['acc'], and compute other figures from predict()"
            )
        show_on_stderr()
        self.task = hubtune.ImageClassifierTask(
            module=with_preprocessing(feature.module, data_reader),
            dataset=data_reader.dataset,
            config=_merge_settings(config, data_reader, feature),
            hidden_units=hidden_units,
        )
        count = self.task.dataset.num_labels
        if num_classes != count:
            raise UsageError(
                f"num_classes is {num_classes!r}, and the data set has {count} classes: give "
                "num_classes=dataset.num_labels"
            )

    def finetune_and_eval(self, *, resume: bool = False) -> hubtune.Run:
        """Train with evaluations on the way; then measure the best model on the test list, once.

        Args:
            resume: continue the newest run in ``checkpoint_dir`` at the image where it stopped. Otherwise a
                new run begins, in ``<checkpoint_dir>-2`` if there is one already.

        Returns and raises what :meth:`hubtune.ImageClassifierTask.finetune_and_eval` does.
        """
        folder = self.task.config.checkpoint_dir
        earlier = latest_in_series(Path(folder)) if folder and not resume else None
        if earlier and is_run(earlier) and not (earlier / RESULT_FILE).exists():
            logger.info("%s has not finished: finetune_and_eval(resume=True) continues it", earlier)
        return self.task.finetune_and_eval(resume=resume)

    def eval(self, phase: str = "dev", load_best_model: bool = True) -> hubtune.Metrics:
        """Measure the best model on a list of the data set.

        Args:
            phase: ``dev`` (or ``val``), ``test`` or ``train``.
            load_best_model: has no effect: only the best model is kept.

        Raises:
            UsageError: if the phase is unknown.
            DataError: if the data set has no such list.
            ModelError: if there is no trained model, or its classes differ from the data's.
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
        """Score images with the best model, in order; unreadable ones keep their place and are named.

        Args:
            data: image files. A relative path that does not exist in the current folder starts at the data
                set's base folder. ``None``: the data set's prediction list.
            load_best_model: has no effect: only the best model is kept.
            return_result: return class names in place of states, ``None`` for an unreadable image.

        Returns:
            A state for each batch of ``batch_size`` images, or names.

        Raises:
            UsageError: if ``data`` is a single path, or is ``None`` without a prediction list.
            ModelError: if there is no trained model, or its classes differ from the data's.
        """
        started = time.perf_counter()
        rows = self.task.predict(self._images(data))
        seconds = time.perf_counter() - started
        for row in rows:
            if row.error is not None:
                logger.warning("%s: %s: no answer (nan, of which argmax makes 0)", row.path, row.error)
        if return_result:
            return [row.label for row in rows]
        scores = _score_matrix(rows, self.task.dataset.label_list)
        size = self.task.config.images_per_step
        states = []
        for start in range(0, len(scores), size):
            batch = scores[start : start + size]
            time_used = seconds * len(batch) / len(scores)
            states.append(RunState([batch], 1, len(batch), time_used, 1 / time_used))
        return states

    def _images(self, data: Sequence[str | Path] | None) -> list[str | Path]:
        dataset = self.task.dataset
        if data is None:
            if dataset.list_files["predict"] is None:
                raise UsageError("Give predict() the images, data=[…], or the data set a predict_list_file")
            return [*dataset.get_predict_examples()]
        if isinstance(data, str | os.PathLike):
            raise UsageError(f"Give a list of images, even for one: data=[{os.fspath(data)!r}]")
        return [_resolve(path, dataset.base_path) for path in data]


def _merge_settings(
    config: hubtune.RunConfig, reader: ImageClassificationReader, feature: Variable
) -> hubtune.RunConfig:
    """Add the reader's settings, and those of the module's ``context``, to the configuration."""
    # `fit` has its effect through the module's preprocessing; here it is for the run's recipe.
    extra: dict[str, Any] = {"fit": "stretch"}
    if reader.data_augmentation:
        extra["augment"] = "standard"
    if reader.random_seed is not None:
        extra["seed"] = reader.random_seed
    extra = {name: value for name, value in extra.items() if name not in config.model_fields_set}
    if not feature.trainable and TRAINERS[config.strategy.name].by_gradients:
        extra |= _head_only_settings(config, [stage.name for stage in feature.module.stages])
    return hubtune.RunConfig(**{**dict(config), **extra})


def _head_only_settings(config: hubtune.RunConfig, stages: Sequence[str]) -> dict[str, Any]:
    """Settings that train only the head, in the way in which the strategy trains it."""
    strategy = cast(GradientStrategy, config.strategy)
    if not TRAINERS[strategy.name].paddlehub:
        raise UsageError(
            f"context(trainable=False) freezes the module, and strategy {strategy.name} decides itself what "
            "is trained: use context(trainable=True)"
        )
    rules = []
    for rule in strategy.rules(stages):
        if fnmatchcase("head", rule.match):
            rules.append(rule.model_copy(update={"match": "head"}))
            if rule.dimensions is None:
                break  # later rules do not reach a parameter of the head
    logger.info("the module is not trained; strategy frozen would fit the head in seconds")
    rules.append(Rule(match="*", frozen=True))
    optimizer = config.optimizer
    if optimizer.name == "auto":
        optimizer = optimizer.model_copy(update={"name": strategy.optimizer()})
    return {
        "strategy": RulesStrategy(list=rules, learning_rate=strategy.learning_rate),
        "optimizer": optimizer,
        "schedule": strategy.schedule() if isinstance(config.schedule, AutoSchedule) else config.schedule,
        "clip": config.clip or strategy.clip(),
    }


def _resolve(path: str | Path, base: Path) -> str | Path:
    # os.path.exists returns False for an invalid path, where pathlib raises.
    if os.path.exists(path) or not os.path.exists(base / path):  # noqa: PTH110
        return path
    return base / path


def _score_matrix(rows: Sequence[hubtune.Prediction], labels: Sequence[str]) -> np.ndarray:
    """Probabilities ``[images, classes]``, float32; ``nan`` for an unreadable image."""
    first = next((row for row in rows if row.error is None), None)
    if first is not None:
        match_labels([*first.scores], labels, remap_by_name=True)  # refuses other classes
    missing = [np.nan] * len(labels)
    scores = [missing if row.error else [row.scores[name] for name in labels] for row in rows]
    return np.array(scores, dtype=np.float32)


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(
        f"hubtune.paddlehub has no {name!r}: of PaddleHub 1.x, it has the names for fine-tuning an image "
        f"classifier on one's own lists: {', '.join(__all__)}"
    )


class _Names(SimpleNamespace):
    """A module of PaddleHub; for an unknown name, the error lists the supported ones."""

    def __getattr__(self, name: str) -> NoReturn:
        __getattr__(name)


reader = _Names(ImageClassificationReader=ImageClassificationReader)
dataset = _Names(base_cv_dataset=_Names(BaseCVDataset=BaseCVDataset))
_strategies = {name: getattr(hubtune, name) for name in __all__ if name.endswith("Strategy")}
finetune = _Names(strategy=_Names(**_strategies))
