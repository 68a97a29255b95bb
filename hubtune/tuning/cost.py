"""What more training would cost after strategy `frozen`: an idea of it that costs next to nothing itself."""

import math
from dataclasses import dataclass

import numpy as np
import paddle

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hardware import cpu
from hubtune.hardware.throughput import estimate_seconds, from_last_stage, rough_pace
from hubtune.hub.entry import preprocessing_for
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import Pace, known_pace
from hubtune.inference.model_folder import read_card
from hubtune.inference.predict import sample_of
from hubtune.models.classifier import Classifier
from hubtune.recipe.strategies import HeadSettings
from hubtune.task import ImageClassifierTask, Run
from hubtune.train.frozen_head import area, first_views
from hubtune.train.last_stage import can_be_written

_START_SECONDS = 5.0  # of a process, its engines, and the reading of the best model
# What is measured here takes about as long as so many looks of the frozen trunk at most; it may take such a
# share of the run's time, or so many seconds.
_LOOKS, _SHARE, _LEAST_SECONDS = 100, 0.2, 1.0
# Of training that is long enough to try numbers of threads; see `measure_step`.
_TRYING, _LONG_ENOUGH = 0.05, 20.0


@dataclass(frozen=True)
class CostEstimate:
    """A strategy that could follow.

    Attributes:
        strategy: its name.
        seconds: about how long it would take, to the figure of the test list; ``None`` where that is not
            known, and would take too long to measure.
    """

    strategy: str
    seconds: float | None


def estimate_costs(task: ImageClassifierTask, run: Run, seconds: float) -> list[CostEstimate]:
    """What could follow a run of strategy ``frozen``.

    ``last_stage`` is only offered where it can be used: there is a validation list, the network has stages,
    and the cache has room for the activations.

    Args:
        task: the task.
        run: its run.
        seconds: how long that took.
    """
    config, module = task.config, task.module
    counts = {name: len(task.dataset.examples(name)) for name in ("train", "validate", "test")}
    own = preprocessing_for(module.name, module.preprocessing, module.backbone, config)
    classifier = Classifier(module.backbone, len(task.dataset.label_list))
    classifier.take_channels(own.channels, own.grey_in_colours)
    views = read_card(run.best_model).views
    look = _look(task, own, views[0])
    affordable = look is not None and (
        _LOOKS * look.seconds * (1 - look.waiting) < max(_SHARE * seconds, _LEAST_SECONDS)
    )

    def cost(view: Preprocessing, *, evaluated: int, last_stage: bool) -> float | None:
        pace = rough_pace(classifier, module.name, _shape(task, view), affordable=affordable)
        if pace is None:
            return None
        pace = from_last_stage(pace) if last_stage else pace
        training = estimate_seconds(
            pace, images=counts["train"], epochs=config.epochs, evaluated=evaluated * config.epochs
        )
        trying = _TRYING * training if training > _LONG_ENOUGH else 0.0
        return training + trying + _START_SECONDS

    everything = cost(own, evaluated=counts["validate"], last_stage=False)
    found = [CostEstimate("default_finetune", everything)]
    if run.validate is None or len(module.stages) < 3:
        return found
    for stage, _, tensor in [*classifier.trained_parameters()]:
        tensor.stop_gradient = stage not in (classifier.last_stage, "head")
    kept = counts["train"] + counts["validate"]
    size = _activation_bytes(classifier, module.name, _shape(task, views[0]), affordable=affordable)
    cache = FeatureCache()
    if size is None or not can_be_written(cache) or size * kept * len(views) > cache.limit:
        return found
    last = cost(views[0], evaluated=counts["validate"] * len(views), last_stage=True)
    if last is not None and look is not None:
        last += look.seconds_for(len(views)) * (kept + counts["test"])
    return [CostEstimate("last_stage", last), *found]


def _look(task: ImageClassifierTask, own: Preprocessing, view: Preprocessing) -> Pace | None:
    """How long the frozen trunk takes for a picture in a view."""
    config, backbone = task.config, task.module.backbone
    assert isinstance(config.strategy, HeadSettings)
    first, _ = first_views(
        own, config.strategy, fixed=config.fit is not None, size_multiple=backbone.size_multiple
    )
    pace = known_pace(backbone.name, config.engine, first)
    return pace and Pace(pace.seconds_for(area(view) / area(first)), pace.waiting)


def _shape(task: ImageClassifierTask, view: Preprocessing) -> tuple[int, int]:
    paths = [example.path for example in task.dataset.examples("train")]
    [pixels] = sample_of([view], paths) or [np.zeros((view.size, view.size, 3))]
    return pixels.shape[0], pixels.shape[1]


def _activation_bytes(
    classifier: Classifier, name: str, shape: tuple[int, int], *, affordable: bool
) -> int | None:
    """What the cache keeps of a picture in a view, in half precision; ``None`` where it is not known."""
    what = f"values before the last stage of {name}, {shape[0]}×{shape[1]}"
    count = cpu.recall(what)
    if not isinstance(count, int):
        if not affordable:
            return None
        classifier.eval()
        with paddle.no_grad():
            values = classifier.before_last_stage(paddle.zeros([1, classifier.channels, *shape]))
        count = math.prod(values.shape)
        cpu.remember(what, count)
    return 2 * count
