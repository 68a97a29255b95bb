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
from hubtune.evaluation.thresholds import DEFAULT_THRESHOLD
from hubtune.hardware import throughput
from hubtune.inference.engine import start_engine
from hubtune.inference.extract import sample_inputs
from hubtune.inference.load_model import load_model
from hubtune.inference.memory import ImageMemory, training_memory
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
from hubtune.train.distributed.lead import TrainingLead, share_best_scores
from hubtune.train.distributed.model_averaging import ModelAveraging
from hubtune.train.distributed.sharded_gradients import ShardedGradients
from hubtune.train.evaluator import Evaluator, FittedCalibration, Scorer, TrainedModel
from hubtune.train.finite import FiniteCheck
from hubtune.train.loop import fit
from hubtune.train.loss import Loss, class_weights
from hubtune.train.lr_finder import RATES, STEPS, RangeTest, draw_range_test, find_learning_rate
from hubtune.train.optimizer import Optimizer, precision_of
from hubtune.train.plan import LoopSettings, TrainingPlan, plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.schedules import RunLength
from hubtune.train.step import Sharding, TrainStep

_SMALL_DATA = 10_000  # training images below which pretrained BatchNorm statistics are kept


@dataclass(frozen=True)
class TrainedPart:
    """The part of a network that is trained, with its input.

    Attributes:
        forward: computes logits from what ``prepare`` returns, for :class:`~hubtune.train.step.TrainStep`.
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
    take_trained_head(context, classifier)
    views = [context.view]
    return train_part(context, classifier, whole_network(context, classifier, views), views, TrainState())


def take_trained_head(context: RunContext, classifier: Classifier) -> None:
    """Start from the head of the model that the module is, if there is one of these layers."""
    head, labels = context.module.head, context.data.output_labels
    if head is None:
        return
    if head.hidden_units != tuple(context.config.hidden_units):
        logger.info("the head starts from random values: that of %s has other layers", context.module.name)
        return
    common = head.copy_to(classifier, labels)
    logger.info(
        "the head of %s is kept for %d of %d classes",
        *(context.module.name, len(common), len(labels)),
    )


def whole_network(context: RunContext, classifier: Classifier, views: Sequence[Preprocessing]) -> TrainedPart:
    """Return the part that trains the whole network on augmented images; further views are mirror images."""
    view, settings = views[0], context.config.augment
    paths = context.paths("train")
    if context.config.loss.auxiliary:
        classifier.take_auxiliary_outputs(context.config.seed)
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
            answers=context.data.answers,
            batch_size=context.images_at_once,
            workers=config.workers,
        )

    return TrainedPart(classifier.training_logits, prepare, settings, score)


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
    training = GradientTraining(context, classifier, part, views)
    with context.stops_with("Stopped outside the steps of training; what was done is saved"):
        training.fit(state)
    return load_best(context, views)


def load_best(context: RunContext, views: Sequence[Preprocessing]) -> TrainedModel:
    """Load the run's best model, whose weights and figures are in its folder."""
    logger.info("Load the best model from %s", context.folder.best_model)
    trust_code, engine = context.module.code is not None, context.config.engine
    best = load_model(context.folder.best_model, trust_code=trust_code, engine=engine)
    loading = context.loading
    score: Scorer = partial(best.score, batch_size=loading["batch_size"], workers=loading["workers"])
    if context.group is not None:
        score = share_best_scores(context, context.group, score)
    card = best.card
    # 0.5 is what a model has before thresholds are fitted.
    fitted = any(threshold != DEFAULT_THRESHOLD for threshold in card.thresholds)
    calibration = FittedCalibration(card.temperature, thresholds=card.thresholds if fitted else None)
    metrics = {**card.metrics}
    return TrainedModel(best.classifier, list(views), score, card.step, metrics, calibration=calibration)


class GradientTraining:
    """Builds everything that the loop needs, in the order in which a resumed run needs it."""

    def __init__(
        self, context: RunContext, classifier: Classifier, part: TrainedPart, views: Sequence[Preprocessing]
    ) -> None:
        self._context, self._config = context, context.config
        self._classifier, self._part, self._views = classifier, part, views
        config, self.micro_batch = context.config, context.config.micro_batch
        self._fitting: int | None = None  # images that memory holds at once by the estimate
        # Before anything is frozen: frozen parameters are no longer among the trainable ones.
        self._parameters = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        self._precision = precision_of(config.amp, config.loss_scale)
        self._length = RunLength(config.epochs, len(context.paths("train")), config.images_per_step)
        self._keep_statistics = config.batch_norm == "keep"
        if config.batch_norm == "auto" and context.module.weights is not None:
            self._keep_statistics = self._length.images < _SMALL_DATA
        self.batches = TrainBatches(context, self._length, part.prepare, part.mixing)
        weights = None
        if self.batches.balance == "weights":
            weights = class_weights(self.batches.labels, len(context.data.labels))
        self._loss = Loss(config.loss, weights)
        self.sharding = None if config.shards is None else ShardedGradients(config.shards)

    def fit(self, state: TrainState) -> None:
        """Train from the newest checkpoint or from ``state``, if memory holds a batch."""
        if (array := self._first_array()) is None:
            self._fit(state)
            return
        batch, half = min(self._length.batch_size, self._length.images), self._precision.dtype != "float32"
        batch = -(-batch // (self._config.shards or 1))
        memory = training_memory(self._classifier, self._part.forward, array, half=half)
        context, parts = self._context, self._context.parts
        if self._config.batch_size == "auto" and self.micro_batch is None:
            self._fitting = self.micro_batch = largest_batch(memory, batch)
            if context.group is None:
                recorded = context.folder.read_manifest().get("micro_batch", ())
                parts.begin(self.micro_batch, recorded, context.folder.record_parts)
            logger.info("batch_size: %d, %d at once", self._length.batch_size, self.micro_batch)
        count = min(self.micro_batch or batch, batch)
        # The loader's arrays and the tensor; while a batch is computed, others are loaded.
        inputs = 2 * array.nbytes * batch / count
        memory = ImageMemory(memory.least + inputs, memory.most + 3 * inputs)
        with memory.checked(count, array.shape[-2:], lambda: min(count, parts.at_once or count)):
            self._fit(state)

    def _fit(self, state: TrainState) -> None:
        config, context, length = self._config, self._context, self._length
        lead = None if context.group is None else TrainingLead(context, context.group)
        if lead is not None:
            self.sharding = lead.prepare(
                self._classifier, self._views, self._part.last_stage_only, self.micro_batch
            )
        plan = self.plan(self._learning_rate(lead))
        settings = self.settings(plan)
        step = self.make_step(plan, settings)
        finite = FiniteCheck(context.folder, settings, step.optimizer)
        step.finite = finite
        if config.ema is not None:
            step.average = MovingAverage(self._classifier.state(), config.ema)
        score = self._part.score if lead is None else lead.share_scores(self._classifier, self._part.score)
        evaluator = Evaluator(context, self._classifier, self._views, score, finite, average=step.average)
        checkpoints = Checkpoints(context.folder.checkpoints, config.keep)
        restored = checkpoints.restore(
            self._classifier, step.optimizer, step.average, step=context.checkpoint
        )
        if restored:
            evaluator.restore_best(restored)
        if restored or state.best_accuracy is None:
            context.folder.history.keep_through((restored or state).evaluated)
        state = restored or state
        if self._fitting is not None:
            context.parts.limit(state.step, self._fitting)
        step.optimizer.begin(state.step)  # frozen parameters cost no gradients, which shortens a step
        checkpointer = Checkpointer(
            checkpoints, self._classifier, step.optimizer, settings, finite, average=step.average
        )
        checkpointer.warn_of_little_space()
        threads = throughput.training_threads(sharded=config.shards is not None)
        if state.step == 0 and threads != throughput.thread_count():
            throughput.set_threads(threads)
            context.folder.record_threads(threads)
        self._log_estimate(settings, state.step)
        done = length.images_before(state.step)
        context.callback.start("training", len(context.paths("train")) * config.epochs, done)
        batches = self.batches.after(state.step)
        if lead is not None:
            lead.start(plan.rate, state.step, self._classifier, step.optimizer)
            batches = lead.announced(batches)
        fit(
            step,
            batches,
            settings,
            state,
            evaluator=evaluator,
            checkpointer=checkpointer,
            stop=context.stop,
            callback=context.callback,
        )
        evaluator.average_best(state)

    def plan(self, rate: float) -> TrainingPlan:
        return plan_training(self._config, self._parameters, rate)

    def settings(self, plan: TrainingPlan) -> LoopSettings:
        config, length = self._config, self._length
        return LoopSettings(
            steps_per_epoch=length.steps_per_epoch,
            total_steps=length.total,
            eval_interval=config.eval_interval,
            log_interval=config.log_interval,
            save_interval=config.save_ckpt_interval,
            rate=plan.rates(length),
            base_rate=plan.rate,
            average_interval=config.model_average_interval,
            eval_each_epoch=config.eval_each_epoch,
        )

    def make_step(self, plan: TrainingPlan, settings: LoopSettings | None = None) -> TrainStep:
        """Build a step with a new optimizer; models are averaged only if ``settings`` say when."""
        optimizer = Optimizer(plan, self._length.steps_per_epoch, replace(self._precision))
        sharding: Sharding | None = self.sharding
        if settings is not None and settings.average_interval is not None:
            assert self.sharding is not None
            shards = self.sharding
            sharding = ModelAveraging(settings, shards.group, shards.exchange, shards.on_failure)
        return TrainStep(
            self._classifier,
            self._part.forward,
            optimizer,
            self._loss,
            keep_statistics=self._keep_statistics,
            micro_batch=self.micro_batch,
            parts=self._context.parts,
            seed=self._config.seed,
            sharding=sharding,
        )

    def _first_array(self) -> np.ndarray | None:
        """The input of the first training image that can be read."""
        for index in range(len(self._context.paths("train"))):
            with suppress(ImageError):
                return self._part.prepare(0, index)
        return None

    def _learning_rate(self, lead: TrainingLead | None) -> float:
        """The recipe's rate, or that of a range test, which a resumed run does not repeat."""
        if self._config.learning_rate != "auto":
            return self._config.rate
        test = self._context.folder.read_range_test()
        if test is None:
            if lead is not None:
                lead.begin_range_test()
            test = self._save_range_test(self.range_test())
        rate: float = test["chosen"]
        logger.info("learning rate %g, by a test of %d rates", rate, len(test["rates"]))
        return rate

    def range_test(self) -> RangeTest:
        """Try several learning rates on the first batches, and leave the network as it was."""
        found = self.batches.after(0, STEPS)
        if self._context.rank.size == 1:  # else all ranks have to take the same ones
            found = (batch for batch in found if batch.count)
        batches = list(islice(found, STEPS))
        images = sum(batch.size for batch in batches)
        self._context.callback.start("learning rate", len(RATES) * images)

        def advance(images: int) -> None:
            self._context.stop.check()
            self._context.callback.advance(images)

        plan = self.plan(1.0)
        return find_learning_rate(lambda: self.make_step(plan), batches, advance)

    def _save_range_test(self, test: RangeTest) -> dict[str, Any]:
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
        ranks = context.rank.size
        seconds = throughput.estimate_seconds(pace, images=remaining, epochs=1, evaluated=evaluated) / ranks
        logger.info(
            "training will take about %s, at %.1f pictures/s",
            *(format_duration(seconds), ranks / pace.seconds_per_image),
        )
