"""Cost of further training after strategy `frozen`, estimated in a fraction of the run's own time."""

import math
from dataclasses import dataclass

import numpy as np
import paddle

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hardware import cpu
from hubtune.hardware.device import select_device
from hubtune.hardware.throughput import estimate_pace, estimate_seconds, from_last_stage, measure_step
from hubtune.hub.model_card import read_card
from hubtune.inference.extract import sample_inputs
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import Timing, recall_timing
from hubtune.models.classifier import Classifier
from hubtune.runs.result import Run
from hubtune.task import ImageClassifierTask
from hubtune.train.head_solver import head_settings
from hubtune.train.last_stage import is_writable
from hubtune.train.strategies import TRAINERS
from hubtune.train.views import area, first_views

_START_SECONDS = 5.0  # for starting a process and its engines, and reading the best model
_LAST_STAGE = TRAINERS["last_stage"]
# Measuring takes about as long as the frozen backbone takes for this many images. It is done if that is less
# than this share of the run's time, or less than this many seconds.
_MEASURED_IMAGES, _SHARE, _LEAST_SECONDS = 100, 0.2, 1.0


@dataclass(frozen=True)
class CostEstimate:
    """Estimated seconds of a strategy, up to the test list's figures; ``None`` if too slow to measure."""

    strategy: str
    seconds: float | None


def estimate_costs(task: ImageClassifierTask, run: Run, seconds: float) -> list[CostEstimate]:
    """Estimate the strategies that could follow a task's run of strategy ``frozen``, which took some seconds.

    ``last_stage`` is listed only if it can be used: there is a validation list, the network has stages, and
    the cache has room for the activations.
    """
    config, module = task.config, task.module
    counts = {name: len(task.dataset.examples(name)) for name in ("train", "validate", "test")}
    own = module.preprocessing_for(config)
    classifier = _build_classifier(task, own)
    views = read_card(run.best_model).views
    pace = _backbone_pace(task, own, views[0])
    affordable = pace is not None and (
        _MEASURED_IMAGES * pace.seconds * (1 - pace.idle) < max(_SHARE * seconds, _LEAST_SECONDS)
    )

    def cost(view: Preprocessing, *, evaluated: int, last_stage: bool) -> float | None:
        step = estimate_pace(classifier, module.name, _shape(task, view), affordable=affordable)
        if step is None:
            return None
        step = from_last_stage(step) if last_stage else step
        evaluated *= config.epochs
        training = estimate_seconds(step, images=counts["train"], epochs=config.epochs, evaluated=evaluated)
        return training + _START_SECONDS

    everything = cost(own, evaluated=counts["validate"], last_stage=False)
    estimates = [CostEstimate("default_finetune", everything)]
    if run.validate is None or len(module.stages) < _LAST_STAGE.min_stages:
        return estimates
    for stage, _, tensor in [*classifier.trained_parameters()]:
        tensor.stop_gradient = stage not in (classifier.last_stage, "head")
    cached = counts["train"] + counts["validate"]
    size = _activation_bytes(classifier, module.name, _shape(task, views[0]), affordable=affordable)
    cache = FeatureCache()
    if size is None or not is_writable(cache) or size * cached * len(views) > cache.limit:
        return estimates
    last = cost(views[0], evaluated=counts["validate"] * len(views), last_stage=True)
    if last is not None and pace is not None:
        last += pace.seconds_for(len(views)) * (cached + counts["test"])
    return [CostEstimate("last_stage", last), *estimates]


def _build_classifier(task: ImageClassifierTask, view: Preprocessing) -> Classifier:
    classifier = Classifier(task.module.backbone, len(task.dataset.label_list))
    classifier.take_channels(view.channels, view.grey_in_colours)
    return classifier


def _backbone_pace(task: ImageClassifierTask, own: Preprocessing, view: Preprocessing) -> Timing | None:
    config, backbone = task.config, task.module.backbone
    first, _ = first_views(
        own, head_settings(config), fixed=config.fit is not None, size_multiple=backbone.size_multiple
    )
    pace = recall_timing(backbone.name, config.engine, first)
    return pace and Timing(pace.seconds_for(area(view) / area(first)), pace.idle)


def _shape(task: ImageClassifierTask, view: Preprocessing) -> tuple[int, int]:
    paths = [example.path for example in task.dataset.examples("train")]
    [pixels] = sample_inputs([view], paths) or [np.zeros((view.size, view.size, 3))]
    return pixels.shape[0], pixels.shape[1]


def _activation_bytes(
    classifier: Classifier, name: str, shape: tuple[int, int], *, affordable: bool
) -> int | None:
    """Bytes that the cache stores for an image in a view, in half precision; ``None`` if unknown."""
    key = f"values before the last stage of {name}, {shape[0]}×{shape[1]}"
    count = cpu.load_measurement(key)
    if not isinstance(count, int):
        if not affordable:
            return None
        classifier.eval()
        with paddle.no_grad():
            values = classifier.before_last_stage(paddle.zeros([1, classifier.channels, *shape]))
        count = math.prod(values.shape)
        cpu.save_measurement(key, count)
    return 2 * count


def estimate_training(task: ImageClassifierTask) -> float:
    """Measure on this machine about how many seconds training of the whole network would take."""
    config, module = task.config, task.module
    select_device(config.device)
    counts = {name: len(task.dataset.examples(name)) for name in ("train", "validate")}
    view = module.preprocessing_for(config)
    pace = measure_step(
        _build_classifier(task, view),
        module.name,
        (view.size, view.size),
        config.images_per_step,
        keep_statistics=True,
    )
    evaluated = counts["validate"] * config.epochs
    return estimate_seconds(pace, images=counts["train"], epochs=config.epochs, evaluated=evaluated)
