"""Solves the linear head of a frozen backbone: its views, its blocks of features and its regularisation."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.splits.kfold import make_folds
from hubtune.errors import MachineError
from hubtune.inference.feature_table import Table
from hubtune.inference.frozen_backbone import FrozenBackbone, Timing
from hubtune.inference.predict import mean_rows
from hubtune.inference.ridge_head import FurtherTable, RidgeHead, clearly_lower, fit_ridge
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import HeadSettings
from hubtune.text import format_bytes
from hubtune.train.context import RunContext
from hubtune.train.training_features import FeatureTables, TrainingFeatures
from hubtune.train.views import area, mirrored

if TYPE_CHECKING:
    from hubtune.inference.linear_head import Validation

# Raised when the same features give another head.
_VERSION = 2
# Of more images, about this many choose blocks and views of a ridge head.
_CHOOSE_ON = 1_000
# Up to this many rows, a ridge head is solved at once; of more, about this many are its start.
_MOST_EXACT, _SPANNING = 2_000, 2_000
# Of more images, about this many choose the views of a logistic head, and this many its regularisation.
_CHOOSE_VIEWS_ON, _CHOOSE_STRENGTH_ON = 2_000, 5_000
# Seconds of a ridge head for each pair of rows and value of a row; and of a logistic one's cross-validation,
# for each fold, class, row and value, of which at most as many count as there are rows. On two cores of an
# AMD EPYC, heads took a fifth of it to three times it.
_RIDGE_SECONDS, _LOGISTIC_SECONDS = 5e-11, 3e-8
# Seconds for starting the passes over the images, and for the engine's first images of new shapes.
_START_SECONDS = 1.0


@dataclass(frozen=True)
class Solution:
    """A linear head for a frozen backbone, and the views to use it with.

    Attributes:
        views: the ways to look at each image; the features are averaged over them.
        weight: float32 ``[width, num_classes]``; for the first features of a row, if there are more.
        bias: float32 ``[num_classes]``.
        strength: of a ridge head's regularisation; of a logistic one's, the inverse.
        accuracy: of training images that were left out of a fit; slightly optimistic, because views and
            strength were chosen with it. ``None`` if the classes are too small for it.
        thresholds: of multi-label images, the probability from which an image has each label, chosen on them.
    """

    views: list[Preprocessing]
    weight: np.ndarray
    bias: np.ndarray
    strength: float
    accuracy: float | None
    thresholds: Sequence[float] | None = None

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits ``[num_classes]`` of an image from its features in each view; float64."""
        return mean_rows(rows)[: len(self.weight)] @ self.weight.astype(np.float64) + self.bias


def head_settings(config: RunConfig) -> HeadSettings:
    """Return the settings of a strategy that starts by solving a head."""
    return cast(HeadSettings, config.strategy)


class HeadSolver:
    """Chooses views, features and regularisation on the training list alone, and solves the head."""

    def __init__(self, context: RunContext, backbone: FrozenBackbone, blocks: Sequence[int]) -> None:
        """Take the training list; arguments and errors are those of :class:`TrainingFeatures`."""
        self._context, self._backbone, self._blocks = context, backbone, blocks
        self._settings, self._seed = head_settings(context.config), context.config.seed
        self._classes = context.data.answers.count
        merge_copies = self._settings.head == "ridge"  # the other solver has no weights
        self._features = TrainingFeatures(context, backbone, blocks, merge_copies=merge_copies)

    def solve(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        """Fit the head, or take it from the cache.

        Args:
            own: the view to start from.
            wider: another view to try in its place; ``None`` for none.

        Raises:
            DataError: if no image can be read, or all are of one class.
        """
        features, cache = self._features, self._context.cache
        self._backbone.choose_engine([own], [entry.path for entry in features.entries])
        # Everything that the solution depends on.
        facts = {
            "what": "head",
            "version": _VERSION,
            "trunk": self._backbone.facts,
            "pictures": features.digest,
            "classes": self._classes,
            **self._describe_label_sets(),
            "settings": {name: getattr(self._settings, name) for name in ("head", "folds", "views")},
            "views": [view and view.model_dump() for view in (own, wider)],
            "seed": self._seed,
        }
        note = cache.note(facts)
        # The weights are stored like features, because these are verified when they are read.
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
        with cache.space({"what": "heads", "module": self._backbone.facts["module"]}) as heads:
            weights = heads.get(key) if note else None
            if note and weights is not None:
                views = [Preprocessing.model_validate(view) for view in note["views"]]
                logger.info("head and views are those of an earlier run, from the cache")
                features.report_bad({int(index): reason for index, reason in note["bad"].items()})
                figures = note["strength"], note["accuracy"], note.get("thresholds")
                return Solution(views, weights[:-1], weights[-1], *figures)
            search = self._search_ridge if self._settings.head == "ridge" else self._search_logistic
            solution = search(own, wider)
            if features.has_changed or features.is_partial:
                return solution  # of other images than those in the key
            heads.put(key, np.vstack([solution.weight, solution.bias]))
        cache.put_note(
            facts,
            {
                "views": [view.model_dump() for view in solution.views],
                "strength": solution.strength,
                "accuracy": solution.accuracy,
                "thresholds": solution.thresholds,
                "bad": {str(index): reason for index, reason in features.bad.items()},
            },
        )
        return solution

    def _describe_label_sets(self) -> dict[str, Any]:
        sets = self._context.data.label_sets
        return {} if sets is None else {"sets of labels": sets.sets}

    def solve_for(self, views: list[Preprocessing]) -> Solution:
        """Fit the head to all blocks of features in these views; nothing is chosen, nor taken from the cache.

        Raises:
            DataError: if no image can be read, or all are of one class.
        """
        if self._settings.head != "ridge":
            return self._solve_logistic(views)
        tables = self._sample(views)
        rest = np.setdiff1d(np.arange(len(self._features.entries)), tables.indices)
        return _solution(views, self._fit_ridge(tables.all, views, rest))

    def estimate(self, own: Preprocessing, wider: Preprocessing | None, others: int) -> float | None:
        """Estimate the seconds until the head is solved and the other images are scored.

        Args:
            own: as in :meth:`solve`.
            wider: as in :meth:`solve`.
            others: number of images that are scored afterwards.

        Returns:
            The estimate; ``None`` if the features of the first images are in the cache already.
        """
        paths = [entry.path for entry in self._features.entries]
        pace = self._backbone.measure(own, paths, workers=self._context.config.workers, check=self._check)
        if pace is None:
            return None
        count = len(paths)
        if self._settings.head == "ridge":
            views = 2 if self._settings.views in ("auto", 2) else 1
            return pace.seconds_for(views) * (count + others) + _START_SECONDS + self._ridge_seconds(count)
        return self._logistic_seconds(pace, own, wider, count, others)

    def _ridge_seconds(self, count: int) -> float:
        few = min(count, _CHOOSE_ON)
        pairs = 3 * few**2 + (count**2 if count <= _MOST_EXACT else _SPANNING * (_SPANNING + count))
        return _RIDGE_SECONDS * pairs * sum(self._blocks)

    def _logistic_seconds(
        self, pace: Timing, own: Preprocessing, wider: Preprocessing | None, count: int, others: int
    ) -> float:
        def fitting(rows: int) -> float:
            width = min(rows, self._blocks[0])
            return _LOGISTIC_SECONDS * self._settings.folds * self._classes * rows * width

        seconds = _START_SECONDS + fitting(min(count, _CHOOSE_STRENGTH_ON))
        if self._settings.views != "auto":
            views = 2 if self._settings.views == 2 else 1
            return seconds + pace.seconds_for(views) * (count + others)
        few = min(count, _CHOOSE_VIEWS_ON)
        wide = area(max(own, wider or own, key=area)) / area(own)
        # One pass for each: the own view, the wider one, and the mirror image of the better one.
        passes = [1.0, *([] if wider is None else [wide]), wide]
        seconds += few * sum(map(pace.seconds_for, passes)) + len(passes) * fitting(few)
        return seconds + (count - few + others) * pace.seconds_for(2 * wide)

    def _search_ridge(self, own: Preprocessing, _: Preprocessing | None) -> Solution:
        """Choose between one view and also its mirror image, and between the first block and all.

        More is taken unless less has a clearly lower loss: with few images, chance decides which is lower,
        and more was seldom worse on test lists.
        """
        features, everything = self._features, np.arange(len(self._features.entries))
        views = [own, mirrored(own)] if self._settings.views in ("auto", 2) else [own]
        tables = self._sample(views)
        rows, table, few, single = tables.indices, tables.all, tables.few, tables.few_single
        head = self._fit_ridge(few)
        if len(few.blocks) > 1 and _is_better(first := self._fit_ridge(few.first_block()), head):
            head, table, few, single = first, table.first_block(), few.first_block(), single.first_block()
        # After a stop there is no time for another pass.
        may_choose = self._settings.views == "auto" and not features.is_partial
        if may_choose and _is_better(alone := self._fit_ridge(single), head):
            head, views = alone, views[:1]
            if len(few.rows) < len(table.rows):
                table = features.tables(views, rows, rows).all
                table = table if len(few.blocks) > 1 else table.first_block()
        _log_choice(views, few.blocks)
        rest = np.setdiff1d(everything, rows)
        is_final = len(few.rows) == len(table.rows) and not len(rest)
        del tables, few, single  # which may be hundreds of megabytes
        if not is_final:
            logger.info("solving the head on %d × %d features", len(everything), table.rows.shape[1])
            head = self._fit_ridge(table, views, rest)
        return _solution(views, head)

    def _sample(self, views: Sequence[Preprocessing]) -> FeatureTables:
        """Return all rows or a sample of many, and a smaller one; of two classes at least."""
        features, count = self._features, len(self._features.entries)
        most = count if count <= _MOST_EXACT else _SPANNING
        while True:
            rows = features.sample(most)
            tables = features.tables(views, rows, features.sample(_CHOOSE_ON, rows))
            if _has_classes(tables.few) or features.is_partial:
                return tables
            # Pictures of the small sample cannot be read.
            tables = features.tables(views, rows, rows)
            if _has_classes(tables.all):
                return tables
            most = min(2 * most, count)

    @property
    def progress(self) -> tuple[int, int]:
        """Number of different training images that were used, and of all; fewer after a stop."""
        return len(self._features.used), len(self._features.entries)

    @property
    def is_partial(self) -> bool:
        """Whether the head was solved on what was there when a stop was requested."""
        return self._features.is_partial

    def _check(self) -> None:
        """Raise ``StopRequested`` if a stop was requested, except while a head of what is there is solved."""
        if not self._features.is_partial:
            self._context.stop.check()

    def _fit_ridge(
        self, table: Table, views: Sequence[Preprocessing] = (), rest: Sequence[int] | np.ndarray = ()
    ) -> RidgeHead:
        """Fit a head to a table, and to the images whose indices are ``rest``."""
        if not len(rest):
            return fit_ridge(table, self._classes, check=self._check)
        width, folder = table.rows.shape[1], self._context.folder.path
        self._check_space(folder, width * len(rest) * np.dtype(np.float16).itemsize)
        rows = self._features.chunks(views, np.asarray(rest), width)
        return fit_ridge(table, self._classes, FurtherTable(rows, folder), self._check)

    def _check_space(self, folder: Path, needed: int) -> None:
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise MachineError(
                f"{folder} needs {format_bytes(needed)} while the head of {len(self._features.entries):,} "
                f"pictures is solved, and has {format_bytes(free)}: free some space, or use "
                "-o strategy.head=logistic"
            )

    def _search_logistic(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        views = [own, mirrored(own)] if self._settings.views == 2 else [own]
        if self._settings.views == "auto":
            views = self._choose_views(own, wider)
        _log_choice(views, self._blocks)
        return self._solve_logistic(views)

    def _solve_logistic(self, views: list[Preprocessing]) -> Solution:
        # Imported here because SciPy takes 0.3 s to import, and other heads do not need it.
        from hubtune.inference.linear_head import DEFAULT_STRENGTH, fit_head

        features, everything = self._features, np.arange(len(self._features.entries))
        few = features.sample(_CHOOSE_STRENGTH_ON)
        tables = features.tables(views, everything, few)
        logger.info("solving the head on %d × %d features", *tables.all.rows.shape)
        strength, accuracy = DEFAULT_STRENGTH, None
        if validation := self._cross_validate(tables.few):
            strength, accuracy = validation.strength, validation.accuracy
        else:
            logger.info("too few training pictures to choose the regularisation by cross-validation")
        head = fit_head(
            tables.all.rows,
            tables.all.labels,
            strength,
            num_classes=self._classes,
            balance=features.is_balanced,
            check=self._check,
        )
        return Solution(views, head.weight, head.bias, strength, accuracy)

    def _choose_views(self, own: Preprocessing, wider: Preprocessing | None) -> list[Preprocessing]:
        """Try the wider view in place of the own one, then the mirror image beside the better of them."""
        few = self._features.sample(_CHOOSE_VIEWS_ON)
        table = self._features.tables([own], few, few).all
        if (validation := self._cross_validate(table)) is None:
            return [own]
        best, lowest = own, validation.loss
        if wider is not None:
            other = self._features.tables([wider], few, few).all
            if (validation := self._cross_validate(other)) and validation.loss < lowest:
                best, table, lowest = wider, other, validation.loss
        mirror = self._features.tables([mirrored(best)], few, few).all
        both = replace(table, rows=(table.rows + mirror.rows) / 2)
        if (validation := self._cross_validate(both)) and validation.loss < lowest:
            return [best, mirrored(best)]
        return [best]

    def _cross_validate(self, table: Table) -> "Validation | None":
        """Cross-validate a logistic head; copies and groups stay together. ``None`` if there are too few."""
        from hubtune.inference.linear_head import cross_validate_head

        folds = make_folds(table.labels, table.keys, folds=self._settings.folds, seed=self._seed)
        if not folds:
            return None
        balance = self._features.is_balanced
        return cross_validate_head(table.rows, table.labels, folds, balance=balance, check=self._check)


def _solution(views: list[Preprocessing], head: RidgeHead) -> Solution:
    thresholds = None if head.thresholds is None else head.thresholds.tolist()
    return Solution(views, head.weight, head.bias, head.strength, head.accuracy, thresholds)


def _has_classes(table: Table) -> bool:
    return len(np.unique(table.labels)) > 1


def _is_better(head: RidgeHead, other: RidgeHead) -> bool:
    return clearly_lower(head.errors, other.errors)


def _log_choice(views: Sequence[Preprocessing], blocks: Sequence[int]) -> None:
    described = ", ".join(view.description for view in views)
    second_order = " and covariances of earlier ones" if len(blocks) > 1 else ""
    logger.info("views: %s; features: mean of the last map%s", described, second_order)
