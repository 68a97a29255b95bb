"""Training by gradients: from a recipe and a network to the step of the best model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import paddle

from hubtune.data.images.mixup import mix_batch
from hubtune.data.listing import ImageEntry
from hubtune.data.loader import Batch, load_batches
from hubtune.evaluation.metrics import Metrics
from hubtune.hardware.throughput import estimate_seconds, from_last_stage, measure_step, threads, use_threads
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import LastStageStrategy
from hubtune.rng import rng_for
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import CANDIDATES, RunFolder
from hubtune.runs.signals import Stop
from hubtune.text import format_duration
from hubtune.train.averaging import MovingAverage
from hubtune.train.batch_size import fitting_batch
from hubtune.train.candidates import BestWeights
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.loop import LoopSettings, fit
from hubtune.train.loss import Loss, class_weights, one_hot
from hubtune.train.lr_finder import RATES, STEPS, RangeTest, draw_range_test, test_range
from hubtune.train.optimizer import Optimizer, precision_of
from hubtune.train.plan import TrainingPlan, plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.schedules import RunLength
from hubtune.train.skipped import BadImages

Prepare = Callable[[int, int], np.ndarray]
"""Epoch and index of a training picture → what the network is given of it."""

_IMBALANCE = 2.0  # times as many pictures in one class as in another, above which `balance: auto` acts


class Training:
    """A network that is trained by gradients, as a recipe says."""

    def __init__(
        self,
        classifier: Classifier,
        config: RunConfig,
        examples: Sequence[ImageEntry],
        num_classes: int,
        run: RunFolder,
        skipped: BadImages,
        stop: Stop,
        observer: Callback,
        *,
        keep_statistics: bool,
        forward: Callable[[paddle.Tensor], paddle.Tensor],
        prepare: Prepare,
        mixing: AugmentSettings,
    ) -> None:
        """Take what training needs; nothing is done yet.

        Args:
            classifier: the network, with the weights that training starts from.
            config: how to train.
            examples: the training pictures.
            num_classes: how many classes there are.
            run: the run folder.
            skipped: told about pictures that cannot be read.
            stop: asked after each step.
            observer: told about progress.
            keep_statistics: BatchNorm layers keep their statistics.
            forward: what logits are made with of what ``prepare`` gives.
            prepare: makes the network's input; called in any thread.
            mixing: how pictures of a batch are mixed with one another.
        """
        self._classifier, self._config, self._examples = classifier, config, examples
        self._num_classes = num_classes
        self._run, self._skipped, self._stop, self._observer = run, skipped, stop, observer
        self._keep_statistics, self._forward = keep_statistics, forward
        self._prepare, self._mixing = prepare, mixing
        # Before anything is frozen: what is, is no longer among those that can be trained.
        self._parameters = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        self._precision = precision_of(config.amp, config.loss_scale)
        self._labels = np.array([example.label for example in examples], dtype=np.int64)
        self._balance = balance_of(config.balance, self._labels)
        self._span = RunLength(config.epochs, len(examples), config.images_per_step)
        weights = class_weights(self._labels, num_classes) if self._balance == "weights" else None
        self._loss = Loss(config.loss, weights)
        self._candidates: BestWeights | None = None
        if config.average_best is not None:
            self._candidates = BestWeights(run.path / CANDIDATES, config.average_best)

    def fit(
        self,
        state: TrainState,
        *,
        module: str,
        shape: tuple[int, int],
        evaluated: int,
        evaluate: Callable[[], Metrics | None],
        keep_best: Callable[[Metrics | None, int], None],
        adopt: Callable[[TrainState], None],
    ) -> TrainState:
        """Train from the newest checkpoint, or from ``state``.

        Args:
            state: where training starts if there is no checkpoint.
            module: the module's name, for what is measured of its pace.
            shape: height and width of the pictures, for the same.
            evaluated: pictures that an evaluation runs, all views counted.
            evaluate: measures the network on the validation list.
            keep_best: saves the network as the best model, of a step.
            adopt: brings the state of a checkpoint up to date with what was saved after it.

        Returns:
            The state at the end.

        Raises:
            UsageError: if the strategy does not fit the network.
            NumericError, StoppedError: as :func:`hubtune.train.loop.fit`.
        """
        config, span = self._config, self._span
        micro_batch = self._micro_batch()
        method = self._method(self._rate(micro_batch))
        update = self._update(method)
        average = None if config.ema is None else MovingAverage(self._classifier.state(), config.ema)
        restored = Checkpoints(self._run.checkpoints).restore(self._classifier, update, average)
        if restored:
            adopt(restored)
        if restored or state.best_accuracy is None:
            self._run.history.keep_through((restored or state).evaluated)
        state = restored or state
        plan = LoopSettings(
            steps_per_epoch=span.steps_per_epoch,
            total_steps=span.total,
            eval_interval=config.eval_interval,
            log_interval=config.log_interval,
            save_interval=config.save_ckpt_interval,
            keep_statistics=self._keep_statistics,
            rate=method.rates(span),
            base_rate=method.rate,
            seed=config.seed,
            micro_batch=micro_batch,
            early_stopping=config.early_stopping,
        )
        update.begin(state.step)  # what is frozen costs no gradients, and makes steps quicker
        self._settle_pace(plan, state.step, module, shape, evaluated)
        done = span.images_before(state.step)
        self._observer.start("training", len(self._examples) * config.epochs, done)
        fit(
            self._classifier,
            self._forward,
            update,
            self._loss,
            self._batches(state.step),
            [example.path for example in self._examples],
            plan,
            state,
            evaluate=evaluate,
            keep_best=lambda metrics: keep_best(metrics, state.step),
            consider=lambda metrics: self._consider(metrics, state.step),
            average=average,
            run=self._run,
            stop=self._stop,
            observer=self._observer,
        )
        self._average_best(state, evaluate, keep_best)
        return state

    def _consider(self, metrics: Metrics, step: int) -> None:
        if self._candidates is not None:
            state = {name: tensor.numpy() for name, tensor in self._classifier.state().items()}
            self._candidates.add(step, metrics.accuracy, state)

    def _average_best(
        self,
        state: TrainState,
        evaluate: Callable[[], Metrics | None],
        keep_best: Callable[[Metrics | None, int], None],
    ) -> None:
        """Hold the mean of the best evaluations' weights against the best of them."""
        mean = None if self._candidates is None else self._candidates.mean()
        if mean is not None:
            for name, tensor in self._classifier.state().items():
                tensor.set_value(mean[name])
            metrics = evaluate()
            if metrics is not None and state.best_accuracy is not None:
                better = metrics.accuracy > state.best_accuracy
                logger.info(
                    "mean of the best weights: acc=%.5f%s",
                    *(metrics.accuracy, "" if better else ", no better than the best model, which stays"),
                )
                if better:
                    state.best_accuracy, state.best_step = metrics.accuracy, state.step
                    keep_best(metrics, state.step)

    def _method(self, rate: float) -> TrainingPlan:
        return plan_training(self._config, self._parameters, rate)

    def _update(self, method: TrainingPlan) -> Optimizer:
        return Optimizer(method, self._span.steps_per_epoch, replace(self._precision))

    def _micro_batch(self) -> int | None:
        if self._config.micro_batch is not None or self._config.batch_size != "auto":
            return self._config.micro_batch
        array = next((batch.arrays[0] for batch, _ in self._batches(0, 1) if batch.arrays), None)
        if array is None:
            return None
        part = fitting_batch(self._classifier, self._forward, array, self._span.batch_size)
        logger.info("batch_size: %d, %d at once", self._span.batch_size, part)
        return part

    def _rate(self, micro_batch: int | None) -> float:
        """The recipe's rate, or that of a range test, which a resumed run does not repeat."""
        if self._config.learning_rate != "auto":
            return self._config.rate
        known = self._run.read_range_test()
        if known is None:
            found = self._test_range(micro_batch)
            self._run.write_range_test(found.as_dict(), draw_range_test(found))
        else:
            found = RangeTest.from_dict(known)
        logger.info("learning rate %g, by a test of %d rates", found.chosen, len(found.rates))
        return found.chosen

    def _test_range(self, micro_batch: int | None) -> RangeTest:
        batches = []
        for batch, targets in self._batches(0, STEPS):
            if batch.arrays:
                batches.append((batch.arrays, targets))
            if len(batches) == STEPS:
                break
        self._observer.start("learning rate", len(RATES) * sum(len(targets) for _, targets in batches))

        def advance(images: int) -> None:
            self._stop.check()
            self._observer.advance(images)

        method = self._method(1.0)
        return test_range(
            self._classifier,
            self._forward,
            lambda: self._update(method),
            self._loss,
            batches,
            micro_batch=micro_batch,
            keep_statistics=self._keep_statistics,
            advance=advance,
        )

    def _settle_pace(
        self, plan: LoopSettings, step: int, module: str, shape: tuple[int, int], evaluated: int
    ) -> None:
        """Choose the number of threads for a run that begins, and say how long training will take."""
        left = (plan.total_steps - step) * self._span.batch_size
        pace = measure_step(
            self._classifier,
            module,
            shape,
            self._span.batch_size,
            images=left,
            keep_statistics=plan.keep_statistics,
        )
        if step == 0 and pace.threads != threads():
            use_threads(pace.threads)
            self._run.record_threads(pace.threads)
        if isinstance(self._config.strategy, LastStageStrategy):
            pace = from_last_stage(pace)
        evaluations = sum(map(plan.evaluates_after, range(step + 1, plan.total_steps + 1)))
        seconds = estimate_seconds(pace, images=left, epochs=1, evaluated=evaluations * evaluated)
        logger.info(
            "training will take about %s, at %.1f pictures/s",
            *(format_duration(seconds), 1 / pace.seconds_per_image),
        )

    def _batches(
        self, first_step: int, epochs: int | None = None
    ) -> Iterator[tuple[Batch[np.ndarray], np.ndarray]]:
        """All batches from a step on, with targets; an epoch's order is drawn from (seed, epoch) alone."""
        config, steps, size = self._config, self._span.steps_per_epoch, self._span.batch_size
        paths = [example.path for example in self._examples]
        for epoch in range(first_step // steps, epochs or config.epochs):
            random = rng_for(config.seed, "order", epoch)
            if self._balance == "sampler":
                order = balanced_order(self._labels, random)
            else:
                order = random.permutation(len(paths)).tolist()
            batches = [order[start : start + size] for start in range(0, len(order), size)]
            if epoch == first_step // steps:
                batches = batches[first_step % steps :]
            loaded = load_batches(paths, batches, partial(self._prepare, epoch), workers=config.workers)
            for step, batch in enumerate(loaded, (epoch + 1) * steps - len(batches)):
                for error in batch.bad.values():
                    self._skipped.add("train", error)
                labels = self._labels[batch.indices]
                if not self._mixing.mixes or not batch.arrays:
                    yield batch, one_hot(labels, self._num_classes)
                    continue
                random = rng_for(config.seed, "mix", step)
                arrays, targets = mix_batch(batch.arrays, labels, self._num_classes, self._mixing, random)
                yield replace(batch, arrays=arrays), targets


def balance_of(balance: str, labels: np.ndarray) -> str:
    """What ``auto`` means for these labels: ``weights`` or ``none``."""
    if balance != "auto":
        return balance
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    return "weights" if len(counts) and counts.max() > _IMBALANCE * counts.min() else "none"


def balanced_order(labels: np.ndarray, random: np.random.Generator) -> list[int]:
    """As many indices as there are labels, each class equally often, in random order.

    A class's pictures are all shown before any of them is shown again.
    """
    classes = np.unique(labels)
    shares = np.full(len(classes), len(labels) // len(classes))
    shares[random.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    chosen: list[int] = []
    for label, share in zip(classes, shares, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = -(-share // len(own))
        chosen += np.concatenate([random.permutation(own) for _ in range(rounds)])[:share].tolist()
    order: list[int] = random.permutation(chosen).tolist()
    return order
