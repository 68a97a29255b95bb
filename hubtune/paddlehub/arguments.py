"""Arguments of tasks, by position in the orders of several versions of PaddleHub, or by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hubtune
from hubtune.errors import UsageError, suggest
from hubtune.paddlehub.image_reader import ImageClassificationReader
from hubtune.paddlehub.pretrained import FEATURE_MAP, IMAGE, Variable
from hubtune.paddlehub.run_config import RunConfig

_TASK = ("feed_list", "data_reader", "startup_program", "config", "hidden_units", "metrics_choices")
_PREDICTION = ("load_best_model", "return_result", "accelerate_mode")
_ACCURACY = ("default", "acc", ["acc"])  # values of metrics_choices


def _by_name(
    function: str,
    given: Sequence[Any],
    named: Mapping[str, Any],
    order: Sequence[str],
    first: str,
    is_old: bool,
) -> dict[str, Any]:
    """Return all arguments by name; PaddleHub 1.8 put ``first`` before the order of earlier versions.

    Raises:
        UsageError: if there are too many, one is unknown, or one is given twice.
    """
    places = order if is_old else (first, *order)
    if len(given) > len(places):
        raise UsageError(f"{function} takes at most {', '.join(places)} by position: name the arguments")
    found = dict(zip(places, given, strict=False))
    for name in named:
        if name not in (first, *order):
            known = (first, *order)
            raise UsageError(
                f"{function} has no argument {name!r}: it may be {', '.join(known)}.{suggest(name, known)}"
            )
        if name in found:
            raise UsageError(f"{function} has two values of {name}: by position, and by name")
    return {**found, **named}


def prediction_arguments(given: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``predict`` after the images, by name."""
    is_old = not given or isinstance(given[0], bool)
    return _by_name("predict()", given, named, _PREDICTION, "label_list", is_old)


@dataclass(frozen=True)
class TaskArguments:
    """The arguments of a task after ``feature`` and ``num_classes``, checked one by one.

    Attributes:
        reader: the images and their preprocessing.
        config: how to train.
        hidden_units: widths of fully connected layers before the classifier.
        has_reader: whether the script made the reader, as up to PaddleHub 1.7.
    """

    reader: ImageClassificationReader
    config: RunConfig | hubtune.RunConfig
    hidden_units: Sequence[int] | None
    has_reader: bool

    @property
    def settings(self) -> hubtune.RunConfig:
        """hubtune's configuration."""
        return self.config.settings if isinstance(self.config, RunConfig) else self.config


def task_arguments(
    task: str, feature: Variable, given: Sequence[Any], named: Mapping[str, Any]
) -> TaskArguments:
    """Check the arguments of a task, and make what is not given.

    Raises:
        UsageError: if one is missing, unknown or wrong.
        DataError: if the class names cannot be read.
    """
    is_old = not given or isinstance(given[0], list | tuple)
    found = _by_name(task, given, named, _TASK, "dataset", is_old)
    _check_kind(feature, Variable, "feature")
    if feature.name != FEATURE_MAP:
        raise UsageError(
            f"feature must be output_dict[{FEATURE_MAP!r}], the new head's input, not {feature.name!r}"
        )
    feeds = found.get("feed_list")
    if feeds is not None and [*feeds] != [IMAGE]:
        raise UsageError(f"feed_list must be [input_dict[{IMAGE!r}].name], not {feeds!r}")
    metrics = found.get("metrics_choices", "default")
    if metrics not in _ACCURACY:
        raise UsageError(
            f"metrics_choices is {metrics!r}, and hubtune chooses the best model by accuracy: take ['acc'], "
            "and compute other figures from predict()"
        )
    config = found.get("config") or RunConfig()
    _check_kind(config, RunConfig | hubtune.RunConfig, "config")
    reader: Any = found.get("data_reader")
    has_reader = reader is not None
    if reader is None and found.get("dataset") is not None:
        size = feature.module.preprocessing.size
        reader = ImageClassificationReader(size, size, found["dataset"])
    _check_kind(reader, ImageClassificationReader, "data_reader")
    hidden_units = found.get("hidden_units")
    _check_kind(hidden_units, list | tuple | None, "hidden_units", "list of whole numbers")
    return TaskArguments(reader, config, hidden_units, has_reader)


def _check_kind(value: Any, kind: Any, name: str, wanted: str | None = None) -> None:
    if not isinstance(value, kind):
        wanted = wanted or getattr(kind, "__name__", "RunConfig")
        raise UsageError(f"{name} must be a {wanted}, not a {type(value).__name__}")
