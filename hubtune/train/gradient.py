"""Training by gradients: from a network and a recipe to the best model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.ram_cache import DecodedImages
from hubtune.hardware import throughput
from hubtune.inference.engine import start_engine
from hubtune.inference.extract import sample_inputs
from hubtune.inference.memory import ImageMemory, training_memory
from hubtune.inference.model import load_model
from hubtune.inference.predict import ImageScores, predict_scores
from hubtune.inference.program import Subnetwork
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.augment import AugmentSettings
from hubtune.rng import rng_for
from hubtune.text import format_duration
from hubtune.train.averaging import MovingAverage
from hubtune.train.batch_size import largest_batch
from hubtune.train.batches import PrepareInput, TrainBatches
from hubtune.train.checkpoint import Checkpointer, Checkpoints, TrainState
from hubtune.train.context import RunContext
from hubtune.train.evaluator import Evaluator, FittedCalibration, Scorer, TrainedModel
from hubtune.train.finite import FiniteCheck
from hubtune.train.loop import fit
from hubtune.train.loss import Loss, class_weights
from hubtune.train.lr_finder import RATES, STEPS, draw_range_test, find_learning_rate
from hubtune.train.optimizer import Optimizer, precision_of
from hubtune.train.plan import LoopSettings, TrainingPlan, plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.schedules import RunLength
from hubtune.train.step import TrainStep

_SMALL_DATA = 10_000  # training images below which pretrained BatchNorm statistics are kept


@dataclass(frozen=True)
class TrainedPart:
    """The part of a network that is trained, with its input.

    Attributes:
        forward: computes logits from what ``prepare`` returns.
        mixing: how images of a batch are mixed with one another.
        score: scores images by the network as it is when called.
        last_stage_only: whether only the last stage and the head are run.
    """

    forward: Callable[[paddle.Tensor], paddle.Tensor]
    prepare: PrepareInput
    mixing: AugmentSettings
    score: Scorer
    last_stage_only: bool = False


def train_by_gradients(context: RunContext, classifier: Classifier) -> TrainedModel:
    """Train as the strategy's rules say, from the module's weights or random values."""
    views = [context.view]
    return train_part(context, classifier, whole_network(context, classifier, views), views, TrainState())


def whole_network(context: RunContext, classifier: Classifier, views: Sequence[Preprocessing]) -> TrainedPart:
    """Return the part that trains the whole network on augmented images; further views are mirror images."""
    view, settings = views[0], context.config.augment
    paths = context.paths("train")
    # With a single epoch, nothing is decoded twice.
    decoded = DecodedImages(len(paths), 0 if context.config.epochs == 1 else None)

    def prepare(epoch: int, index: int) -> np.ndarray:
        image = decoded.get(index, lambda: read_image(paths[index], view, settings))
        pixels = augment_image(image, view, settings, rng_for(context.config.seed, "augment", epoch, index))
        mirror = views[drawn_view(context, len(views), epoch, index)].mirror
        return view.normalise(pixels if mirror == view.mirror else pixels[:, ::-1])

    def score(paths: Sequence[Path]) -> Iterator[ImageScores]:
        # Paddle itself: the network changes too often to compile it for other engines.
        engine = start_engine(Subnetwork(classifier, classifier, view), [], wanted="paddle")
        config = context.config
        return predict_scores(
            engine,
            views,
            paths,
            classes=len(context.data.labels),
            batch_size=config.images_per_step,
            workers=config.workers,
        )

    return TrainedPart(classifier, prepare, settings, score)


def drawn_view(context: RunContext, count: int, epoch: int, index: int) -> int:
    """Draw the view in which a training image is seen in an epoch."""
    return int(rng_for(context.config.seed, "view", epoch, index).integers(count))


def train_part(
    context: RunContext,
    classifier: Classifier,
    part: TrainedPart,
    views: Sequence[Preprocessing],
    state: TrainState,
) -> TrainedModel:
    """Train a part of a network from the newest checkpoint, or from ``state``, and load the best model."""
    training = _GradientTraining(context, classifier, part, views)
    with context.stops_with("Stopped outside the steps of training; what was done is saved"):
        training.fit(state)
    return load_best(context, views)


def load_best(context: RunContext, views: Sequence[Preprocessing]) -> TrainedModel:
    """Load the run's best model, whose weights and figures are in its folder."""
    logger.info("Load the best model from %s", context.folder.best_model)
    trust_code, engine = context.module.code is not None, context.config.engine
    best = load_model(context.folder.best_model, trust_code=trust_code, engine=engine)
    loading = context.loading
    score = partial(best.score, batch_size=loading["batch_size"], workers=loading["workers"])
    card, calibration = best.card, FittedCalibration(best.card.temperature)
    metrics = {**card.metrics}
    return TrainedModel(best.classifier, list(views), score, card.step, metrics, calibration=calibration)


class _GradientTraining:
    """Builds everything that the loop needs, in the order in which a resumed run needs it."""

    def __init__(
        self, context: RunContext, classifier: Classifier, part: TrainedPart, views: Sequence[Preprocessing]
    ) -> None:
        self._context, self._config = context, context.config
        self._classifier, self._part, self._views = classifier, part, views
        config, self._micro_batch = context.config, context.config.micro_batch
        # Before anything is frozen: frozen parameters are no longer among the trainable ones.
        self._parameters = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        self._precision = precision_of(config.amp, config.loss_scale)
        self._length = RunLength(config.epochs, len(context.paths("train")), config.images_per_step)
        self._keep_statistics = config.batch_norm == "keep"
        if config.batch_norm == "auto" and context.module.weights is not None:
            self._keep_statistics = self._length.images < _SMALL_DATA
        self._batches = TrainBatches(context, self._length, part.prepare, part.mixing)
        weights = None
        if self._batches.balance == "weights":
            weights = class_weights(self._batches.labels, len(context.data.labels))
        self._loss = Loss(config.loss, weights)

    def fit(self, state: TrainState) -> None:
        """Train from the newest checkpoint or from ``state``, if memory holds a batch."""
        if (array := self._first_array()) is None:
            self._fit(state)
            return
        batch, half = min(self._length.batch_size, self._length.images), self._precision.dtype != "float32"
        memory = training_memory(self._classifier, self._part.forward, array, half=half)
        if self._config.batch_size == "auto" and self._micro_batch is None:
            self._micro_batch = largest_batch(memory, self._length.batch_size)
            logger.info("batch_size: %d, %d at once", self._length.batch_size, self._micro_batch)
        count = min(self._micro_batch or batch, batch)
        # The loader's arrays and the tensor; while a batch is computed, others are loaded.
        inputs = 2 * array.nbytes * batch / count
        with ImageMemory(memory.least + inputs, memory.most + 3 * inputs).checked(count, array.shape[-2:]):
            self._fit(state)

    def _fit(self, state: TrainState) -> None:
        config, context, length = self._config, self._context, self._length
        plan = plan_training(config, self._parameters, self._learning_rate())
        settings = LoopSettings(
            steps_per_epoch=length.steps_per_epoch,
            total_steps=length.total,
            eval_interval=config.eval_interval,
            log_interval=config.log_interval,
            save_interval=config.save_ckpt_interval,
            rate=plan.rates(length),
            base_rate=plan.rate,
        )
        step = self._step(plan)
        finite = FiniteCheck(context.folder, settings, step.optimizer)
        step.seed, step.finite = config.seed, finite
        if config.ema is not None:
            step.average = MovingAverage(self._classifier.state(), config.ema)
        evaluator = Evaluator(
            context, self._classifier, self._views, self._part.score, finite, average=step.average
        )
        checkpoints = Checkpoints(context.folder.checkpoints)
        restored = checkpoints.restore(
            self._classifier, step.optimizer, step.average, step=context.checkpoint
        )
        if restored:
            evaluator.restore_best(restored)
        if restored or state.best_accuracy is None:
            context.folder.history.keep_through((restored or state).evaluated)
        state = restored or state
        step.optimizer.begin(state.step)  # frozen parameters cost no gradients, which shortens a step
        checkpointer = Checkpointer(
            checkpoints, self._classifier, step.optimizer, settings, finite, average=step.average
        )
        checkpointer.warn_of_little_space()
        if state.step == 0 and (count := throughput.training_threads()) != throughput.thread_count():
            throughput.set_threads(count)
            context.folder.record_threads(count)
        self._log_estimate(settings, state.step)
        done = length.images_before(state.step)
        context.callback.start("training", len(context.paths("train")) * config.epochs, done)
        fit(
            step,
            self._batches.after(state.step),
            settings,
            state,
            evaluator=evaluator,
            checkpointer=checkpointer,
            stop=context.stop,
            callback=context.callback,
        )
        evaluator.average_best(state)

    def _step(self, plan: TrainingPlan) -> TrainStep:
        optimizer = Optimizer(plan, self._length.steps_per_epoch, replace(self._precision))
        return TrainStep(
            self._classifier,
            self._part.forward,
            optimizer,
            self._loss,
            keep_statistics=self._keep_statistics,
            micro_batch=self._micro_batch,
        )

    def _first_array(self) -> np.ndarray | None:
        """The input of the first training image that can be read."""
        for index in range(len(self._context.paths("train"))):
            with suppress(ImageError):
                return self._part.prepare(0, index)
        return None

    def _learning_rate(self) -> float:
        """The recipe's rate, or that of a range test, which a resumed run does not repeat."""
        if self._config.learning_rate != "auto":
            return self._config.rate
        test = self._context.folder.read_range_test() or self._range_test()
        rate: float = test["chosen"]
        logger.info("learning rate %g, by a test of %d rates", rate, len(test["rates"]))
        return rate

    def _range_test(self) -> dict[str, Any]:
        readable = (batch for batch in self._batches.after(0, STEPS) if batch.arrays)
        batches = list(islice(readable, STEPS))
        images = sum(len(batch.targets) for batch in batches)
        self._context.callback.start("learning rate", len(RATES) * images)

        def advance(images: int) -> None:
            self._context.stop.check()
            self._context.callback.advance(images)

        plan = plan_training(self._config, self._parameters, 1.0)
        test = find_learning_rate(lambda: self._step(plan), batches, advance)
        document = test.as_dict()
        self._context.folder.write_range_test(document, draw_range_test(test))
        return document

    def _log_estimate(self, settings: LoopSettings, step: int) -> None:
        """Log how long training will take."""
        context, size = self._context, self._length.batch_size
        remaining = (settings.total_steps - step) * size
        [pixels] = sample_inputs(self._views[:1], context.paths("train")) or [np.zeros((224, 224, 3))]
        pace = throughput.measure_step(
            self._classifier,
            context.module.name,
            pixels.shape[:2],
            size,
            keep_statistics=self._keep_statistics,
        )
        if self._part.last_stage_only:
            pace = throughput.from_last_stage(pace)
        evaluations = sum(map(settings.evaluates_after, range(step + 1, settings.total_steps + 1)))
        evaluated = evaluations * len(context.paths("validate")) * len(self._views)
        seconds = throughput.estimate_seconds(pace, images=remaining, epochs=1, evaluated=evaluated)
        logger.info(
            "training will take about %s, at %.1f pictures/s",
            *(format_duration(seconds), 1 / pace.seconds_per_image),
        )
