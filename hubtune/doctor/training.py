"""Checks of a run: does it learn, does it overfit, was its learning rate right, was it long enough?"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hubtune.data.listing import WORDS
from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.run_record import RunRecord
from hubtune.evaluation.metrics import Metrics
from hubtune.hardware.cpu import cores
from hubtune.runs.folder import RECIPE_FILE
from hubtune.text import plural, shell_quoted, shortened

# Shares of the loss: above 1.05, it rises; above 0.85 of that of guessing, nothing was learned yet.
_RISES, _HARDLY_BELOW_GUESSING = 1.05, 0.85
_FAR_RATE = 10  # times the strategy's own rate, or a tenth of it, which may be the cause
_FEW_STEPS = 30
_LARGE_GAP = 0.2  # between the accuracies on training and validation images
_WORSE_LOSS = 1.2  # of the smallest loss on the validation list
_MANY_WAITS = 0.3
_WIDE, _FEW_PER_CLASS = 0.15, 2


def check_training(record: RunRecord, classes: int, training_images: int) -> list[Check]:
    """Check what a run recorded, given the number of classes (or labels) and of training images."""
    run = _TrainedRun(record, classes, training_images)
    return [
        run.check_end(),
        *run.check_divergence(),
        run.check_learning(),
        *run.check_rate(),
        *run.check_overfitting(),
        *run.check_attractor(),
        *run.check_length(),
        *run.check_choice(),
        *run.check_waiting(),
    ]


@dataclass(frozen=True)
class _Trend:
    """The means of the first and of the last quarter of the logged steps."""

    first: float
    last: float

    @property
    def rises(self) -> bool:
        return self.last > self.first * _RISES

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Trend":
        size = max(1, len(values) // 4)
        return cls(sum(values[:size]) / size, sum(values[-size:]) / size)


@dataclass(frozen=True)
class _TrainedRun:
    record: RunRecord
    classes: int
    training_images: int

    def check_end(self) -> Check:
        record, own = self.record, self.record.path
        if record.result is not None:
            step = record.best_step
            return Check("end", GOOD, f"Finished; its model is that of step {step:,}" if step else "Finished")
        if record.diverged is not None:
            return Check("end", NOTE, "Not finished: it diverged, and resuming it would not help")
        if record.owner:
            return Check("end", NOTE, f"Not finished: {record.owner.rstrip('.')}")
        step = record.logged[-1].step if record.logged else 0
        at = f" after step {step:,} of {record.planned:,}" if step else ""
        return Check(
            "end", NOTE, f"Not finished: it was stopped{at}", f"hubtune finetune {_word(own)} --resume"
        )

    def check_divergence(self) -> Iterator[Check]:
        if (report := self.record.diverged) is not None and self.record.result is None:
            yield Check(
                "divergence",
                BAD,
                f"The loss or a weight is not a finite number from step {report.get('step')}: the learning "
                f"rate {self._rate:g} is too high",
                self._again(self._set_rate(self._rate / 10)),
            )

    def check_learning(self) -> Check:
        if self.record.measured is None and self.record.result is None:
            return Check("learning", NOTE, "Nothing was measured yet")
        if self.record.measured is None:
            return Check(
                "learning",
                NOTE,
                "No accuracy was measured: there is no validation and no test list with a readable picture",
                self._new_lists,
            )
        name, metrics = self.record.measured
        percent, images = _percent(metrics.accuracy), plural(metrics.count, f"{WORDS[name]} picture")
        figure = f"{'right for' if metrics.mean_ap is None else 'all labels right in'} {percent} of {images}"
        if metrics.largest_class is None or metrics.interval[0] > metrics.largest_class:
            return Check("learning", GOOD, f"It has learned: {figure}")
        guess = f"always giving the most frequent answer is right for {_percent(metrics.largest_class)}"
        if metrics.accuracy - metrics.largest_class > 0.1:
            return Check(
                "learning",
                NOTE,
                f"It may have learned: {figure}, but {guess}, and {metrics.count:,} are too few to tell",
                self._new_lists,
            )
        if self.record.result is None and self.record.diverged is None:
            finding = f"So far: {figure}, and {guess}; it has not finished"
            return Check("learning", NOTE, finding, f"hubtune finetune {_word(self.record.path)} --resume")
        cause, cure = self._cause(metrics)
        state = BAD if metrics.mean_ap is None else NOTE
        return Check("learning", state, f"It has not learned: {figure}, and {guess}. {cause}", cure)

    def check_rate(self) -> Iterator[Check]:
        if (trend := self._loss) is None or self.record.diverged is not None:
            return
        if trend.rises:
            yield Check(
                "rate",
                BAD,
                f"The loss on training pictures rises, from {trend.first:.3g} to {trend.last:.3g}: the "
                f"learning rate {self._rate:g} is too high",
                self._with_lower_rate(),
            )
        elif self._is_too_slow(trend):
            yield Check(
                "rate",
                BAD,
                f"The loss on training pictures hardly falls, from {trend.first:.3g} to {trend.last:.3g}: "
                f"the learning rate {self._rate:g} is too low",
                self._again(self._set_rate(self._usual_rate)),
            )

    def check_overfitting(self) -> Iterator[Check]:
        evaluations = [entry for entry in self.record.evaluations if entry.metrics.count]
        if not evaluations or not self.record.logged or self.record.recipe.train.augment.mixes:
            return
        learned = _Trend.of([entry.accuracy for entry in self.record.logged]).last
        last = evaluations[-1].metrics
        if learned - last.accuracy < _LARGE_GAP or learned <= last.interval[1]:
            return
        least = min(entry.metrics.loss for entry in evaluations)
        found = (
            f"It overfits: in the end it was right for {_percent(learned)} of the training pictures, and for "
            f"{_percent(last.accuracy)} of those for validation"
        )
        cure = self._again("strategy=frozen")
        if last.loss > _WORSE_LOSS * least:
            worse = f"{found}, whose loss rose from {least:.3g} to {last.loss:.3g}"
            yield Check(
                "overfitting", BAD, f"{worse} (the model is that of step {self.record.best_step:,})", cure
            )
        else:
            yield Check("overfitting", NOTE, f"{found}; more pictures help most, then augmentation", cure)

    def check_attractor(self) -> Iterator[Check]:
        found = (self.record.result or {}).get("attractor")
        if isinstance(found, dict) and {"label", "count", "errors"} <= found.keys():
            learned = self.check_learning().state != BAD
            yield Check(
                "attractor",
                BAD if learned else NOTE,
                f"{shortened(str(found['label']))} attracts the other classes: {found['count']:,} of their "
                f"{found['errors']:,} mistakes are taken for it"
                + "; it may have most of the pictures, or some that belong to others"
                * learned,
                f"hubtune audit {_word(self.record.path)}" * learned,
            )

    def check_length(self) -> Iterator[Check]:
        evaluations, epochs = self.record.evaluations, self.record.recipe.train.epochs
        if self.record.result is None or len(evaluations) < 2 or not self.record.logged:
            return
        before, last = (entry.metrics.selection_figure for entry in evaluations[-2:])
        if self.record.best_step == evaluations[-1].step and last > before:
            yield Check(
                "length",
                NOTE,
                f"The last of {plural(len(evaluations), 'evaluation')} is the best one: "
                "it was still learning",
                f"hubtune finetune {_word(self.record.path)} --resume -o train.epochs={2 * epochs}",
            )

    def check_choice(self) -> Iterator[Check]:
        measured = [entry.metrics for entry in self.record.evaluations]
        if not self.record.logged or (measured and not measured[-1].count):
            return
        if not measured:
            yield Check(
                "choice",
                NOTE,
                "There is no validation list: the model is that of the last step, and not the best one",
                self._new_lists,
            )
            return
        metrics = measured[-1]
        width = (metrics.interval[1] - metrics.interval[0]) / 2
        if len(measured) > 1 and width > _WIDE:
            few = metrics.count < _FEW_PER_CLASS * self.classes or metrics.count < 10
            yield Check(
                "choice",
                BAD if few else NOTE,
                f"{plural(metrics.count, 'validation picture')} {'is' if metrics.count == 1 else 'are'} "
                f"too few to choose the best of {len(measured)} evaluations: their accuracy is uncertain by "
                f"±{100 * width:.0f} points",
                self._new_lists,
            )

    def check_waiting(self) -> Iterator[Check]:
        if (waited := self.record.waited) is not None and waited >= _MANY_WAITS:
            workers = max(self.record.recipe.data.workers + 2, cores())
            yield Check(
                "waiting",
                NOTE,
                f"The network waited for pictures {_percent(waited, 0)} of the time: they are decoded "
                "too slowly",
                self._again(f"data.workers={workers}"),
            )

    def _cause(self, metrics: Metrics) -> tuple[str, str]:
        """Return why nothing was learned, and what to do."""
        record, train = self.record, self.record.recipe.train
        trend = self._loss
        if trend is None:
            return (
                f"The features of {record.recipe.module.name} do not tell these classes apart, or labels are "
                "wrong",
                f"hubtune audit {_word(record.path)}",
            )
        falls = (
            f"the loss on training pictures went from {trend.first:.3g} to {trend.last:.3g}"
            if len(record.logged) > 1
            else f"the loss on training pictures was {trend.last:.3g}"
        )
        learned = _Trend.of([entry.accuracy for entry in record.logged]).last
        updates = train.batch_norm == "update"
        if record.diverged is not None or trend.rises:
            return f"Its learning rate {self._rate:g} is too high: {falls}", self._with_lower_rate()
        if record.recipe.module.weights == "none" or record.recipe.strategy.from_random:
            return (
                f"Its network starts from random values, and {plural(self.training_images, 'picture')} "
                f"are too few to teach it (BatchNorm and dropout make it harder): {falls}. "
                "Take a pretrained network",
                self._again("module=mobilenet_v2_imagenet", "strategy=frozen", "train.dropout=0"),
            )
        if self._rate >= _FAR_RATE * self._usual_rate * 0.999:
            return f"Its learning rate {self._rate:g} may be too high: {falls}", self._with_lower_rate()
        if self._is_too_slow(trend):
            cure = self._again(self._set_rate(self._usual_rate))
            return f"Its learning rate {self._rate:g} is too low: {falls}", cure
        if (metrics.largest_class or 0) + _LARGE_GAP < learned:
            why = (
                "BatchNorm's statistics of few pictures"
                if updates
                else "labels of the lists that differ, or chance"
            )
            cure = self._again("train.batch_norm=keep") if updates else f"hubtune audit {_word(record.path)}"
            return f"It knows its training pictures ({_percent(learned)} right): a sign of {why}", cure
        if 0 < record.planned < _FEW_STEPS:
            epochs = math.ceil(_FEW_STEPS * train.epochs / record.planned)
            few = f"It had only {plural(record.planned, 'step')}, and {falls}"
            return few, self._again(f"train.epochs={epochs}")
        if train.dropout > 0 or updates:
            return f"Dropout or BatchNorm disturb it: {falls}", self._again(
                "train.dropout=0", "train.batch_norm=keep"
            )
        return f"It has hardly begun: {falls}", self._again("train.learning_rate=auto")

    def _is_too_slow(self, loss: _Trend) -> bool:
        """Whether the loss is still near that of guessing, and the rate far below the usual one."""
        guessing = _HARDLY_BELOW_GUESSING * math.log(max(self.classes, 2))
        return loss.last > guessing and self._rate * _FAR_RATE <= self._usual_rate * 1.001

    @property
    def _rate(self) -> float:
        return self.record.recipe.config().rate

    @property
    def _usual_rate(self) -> float:
        return float(getattr(self.record.recipe.strategy, "default_rate", 1e-4))

    def _with_lower_rate(self) -> str:
        lower = self._usual_rate if self._rate > self._usual_rate else self._rate / 10
        return self._again(self._set_rate(lower))

    def _set_rate(self, rate: float) -> str:
        own = getattr(self.record.recipe.strategy, "learning_rate", None)
        return f"{'train' if own is None else 'strategy'}.learning_rate={rate:.3g}"

    @property
    def _loss(self) -> _Trend | None:
        losses = [entry.loss for entry in self.record.logged if math.isfinite(entry.loss)]
        return _Trend.of(losses) if losses else None

    @property
    def _new_lists(self) -> str:
        source = _word(self.record.source or "PICTURES")
        return f"hubtune split {source} --val 20% --test 20% --out {_word(self.record.path)}-lists"

    def _again(self, *overrides: str) -> str:
        recipe = _word(os.fspath(self.record.path / RECIPE_FILE))
        return " ".join(["hubtune finetune", recipe, *(f"-o {override}" for override in overrides)])


def _word(path: str | os.PathLike[str]) -> str:
    return shell_quoted(os.fspath(path))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
