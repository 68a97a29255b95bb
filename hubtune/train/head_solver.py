"""Solves the linear head of a frozen backbone: views and regularisation by cross-validation."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import Fold, make_folds, split_keys
from hubtune.errors import DataError, ModelError
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.frozen_backbone import FrozenBackbone, Timing
from hubtune.inference.predict import mean_rows
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import HeadSettings
from hubtune.rng import rng_for
from hubtune.train.batches import resolve_balance
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images
from hubtune.train.views import area, mirrored

# Raised when the same features give another head.
_VERSION = 1
# Of longer training lists, this many images choose the views, and this many the strength.
_CHOOSE_VIEWS_ON = 2_000
_CHOOSE_STRENGTH_ON = 5_000
# Seconds of a cross-validation for each fold, class, row and value of a row; at most as many values count as
# there are rows. On two cores of an AMD EPYC, 420 to 5,000 rows took a fifth of it to three times it.
_HEAD_SECONDS, _USUAL_WIDTH = 3e-8, 1280
# Seconds for starting the passes over the images, and for the engine's first images of new shapes.
_START_SECONDS = 1.0


@dataclass(frozen=True)
class Solution:
    """A linear head for a frozen backbone, and the views to use it with.

    Attributes:
        views: the ways to look at each image; the features are averaged over them.
        weight: float32 ``[width, num_classes]``.
        bias: float32 ``[num_classes]``.
        strength: inverse strength of the L2 regularisation; of a ridge head, its strength.
        accuracy: cross-validated on the training list; slightly optimistic, because views and strength were
            chosen with it. ``None`` if the classes are too small for it.
        second_order: whether the head is for the second-order features, too.
    """

    views: list[Preprocessing]
    weight: np.ndarray
    bias: np.ndarray
    strength: float
    accuracy: float | None
    second_order: bool = False

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits ``[num_classes]`` of an image from its features in each view; float64."""
        return mean_rows(rows)[: len(self.weight)] @ self.weight.astype(np.float64) + self.bias


def head_settings(config: RunConfig) -> HeadSettings:
    """Return the settings of a strategy that starts by solving a head."""
    return cast(HeadSettings, config.strategy)


class HeadSolver:
    """Chooses views and regularisation by cross-validation on the training list, and solves the head."""

    def __init__(self, context: RunContext, backbone: FrozenBackbone, blocks: Sequence[int]) -> None:
        """Take the training list, and read the files whose SHA-256 is not known.

        Args:
            context: of the run.
            backbone: computes the features.
            blocks: width of each block of features; the first has the pooled ones.

        Raises:
            StopRequested: if a stop was requested.
        """
        self._context, self._backbone, self._cache = context, backbone, context.cache
        self._settings, self._seed = head_settings(context.config), context.config.seed
        self._classes, self._blocks = len(context.data.labels), blocks
        self._is_ridge = getattr(self._settings, "head", "logistic") == "ridge"
        self._check = context.stop.check
        self._examples = hash_images(context.data.examples["train"], self._check)
        labels = np.array([example.label for example in self._examples])
        self._balance = resolve_balance(context.config.balance, labels) != "none"
        self._paths = [example.path for example in self._examples]
        self._bad: dict[int, str] = {}
        self._has_changed = False  # whether a file is not the one that was hashed
        self._pace: Timing | None = None  # in the own view
        keys = split_keys(self._examples, context.data.groups)
        self._key_of = dict(zip(self._paths, keys, strict=True))
        lines = [
            f"{example.sha256 or 'unreadable'} {example.label} {key}"
            for example, key in zip(self._examples, keys, strict=True)
        ]
        self._sum = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def solve(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        """Fit the head, or take it from the cache.

        Args:
            own: the view to start from.
            wider: another view to try with ``views: auto``; ``None`` for none.

        Raises:
            DataError: if no image can be read, or all are of one class.
        """
        self._backbone.choose_engine([own], self._paths)
        # Everything that the solution depends on.
        facts = {
            "what": "head",
            "version": _VERSION,
            "trunk": self._backbone.facts,
            "pictures": self._sum,
            "classes": self._classes,
            "settings": {
                **{name: getattr(self._settings, name) for name in ("folds", "views", "budget")},
                "balanced": self._balance,
                **({"head": "ridge"} if self._is_ridge else {}),
            },
            "views": [view and view.model_dump() for view in (own, wider)],
            "seed": self._seed,
        }
        note = self._cache.note(facts)
        # The weights are stored like features, because these are verified when they are read.
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
        with self._cache.space({"what": "heads", "module": self._backbone.facts["module"]}) as heads:
            weights = heads.get(key) if note else None
            if note and weights is not None:
                views = [Preprocessing.model_validate(view) for view in note["views"]]
                logger.info("head and views are those of an earlier run, from the cache")
                self._report_bad({int(index): reason for index, reason in note["bad"].items()})
                second_order = len(weights) - 1 > self._blocks[0]
                return Solution(
                    views, weights[:-1], weights[-1], note["strength"], note["accuracy"], second_order
                )
            solution = self._search_ridge(own, wider) if self._is_ridge else self._search(own, wider)
            if self._has_changed:
                return solution  # of other files than those in the key
            heads.put(key, np.vstack([solution.weight, solution.bias]))
        self._cache.put_note(
            facts,
            {
                "views": [view.model_dump() for view in solution.views],
                "strength": solution.strength,
                "accuracy": solution.accuracy,
                "bad": {str(index): reason for index, reason in self._bad.items()},
            },
        )
        return solution

    def _report_bad(self, bad: Mapping[int, str]) -> None:
        """Report the images that were unreadable when the cached head was fitted."""
        reasons = {self._paths[index]: reason for index, reason in bad.items()}
        outputs = (BackboneOutput(path, None, ImageError(path, reason)) for path, reason in reasons.items())
        for _ in self._watch(outputs, len(reasons)):
            pass

    def _watch(self, outputs: Iterator[BackboneOutput], count: int) -> Iterator[BackboneOutput]:
        return self._context.watch("train", outputs, progress="features", count=count)

    def estimate(self, own: Preprocessing, wider: Preprocessing | None, others: int) -> float | None:
        """Estimate the seconds until the head is solved and the other images are scored.

        Args:
            own: as in :meth:`solve`.
            wider: as in :meth:`solve`.
            others: number of images that are scored afterwards.

        Returns:
            The estimate; ``None`` if the features of the first images are in the cache already.
        """
        workers = self._context.config.workers
        self._pace = self._backbone.measure(own, self._paths, workers=workers, check=self._check)
        if self._pace is None:
            self._pace = self._backbone.recall_timing(own)
            return None
        pace, count = self._pace, len(self._examples)
        fitting = _START_SECONDS + self._head_seconds(min(count, _CHOOSE_STRENGTH_ON))
        if self._is_ridge:
            pixels = area(wider or own) / area(own) * (1 if self._settings.views == 1 else 2)
            return pace.seconds_for(pixels) * (count + others) + fitting
        if self._settings.views != "auto":
            return pace.seconds_for(self._settings.views) * (count + others) + fitting
        few = min(count, _CHOOSE_VIEWS_ON)
        widest = max(own, wider or own, key=area)
        wide = area(widest) / area(own)
        chosen = 2 * wide if self._affordable([widest, widest], own) else wide
        # One pass for each: the own view, the wider one, and the mirror image of the better one.
        passes = [1.0, *([] if wider is None else [wide]), *([wide] if chosen > wide else [])]
        seconds = few * sum(map(pace.seconds_for, passes))
        seconds += (count - few + others) * pace.seconds_for(chosen)
        return seconds + len(passes) * self._head_seconds(few) + fitting

    def _head_seconds(self, rows: int) -> float:
        return _HEAD_SECONDS * self._settings.folds * self._classes * rows * min(rows, _USUAL_WIDTH)

    def _search(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        # Imported here because SciPy takes 0.3 s to import, and a head from the cache does not need it.
        from hubtune.inference.linear_head import DEFAULT_STRENGTH, cross_validate_head, fit_head

        views, features = [own], None
        if self._settings.views == 2:
            views = [own, mirrored(own)]
        elif self._settings.views == "auto":
            views, features = self._choose_views(own, wider)
        logger.info("views: %s", ", ".join(view.description for view in views))
        table = self._features(views, self._examples, features)
        logger.info("solving the head on %d × %d features", *table.rows.shape)
        sample = table.sample(_CHOOSE_STRENGTH_ON, self._seed)
        folds = sample.folds(self._settings.folds, self._seed)
        strength, accuracy = DEFAULT_STRENGTH, None
        if folds:
            best = cross_validate_head(
                sample.rows, sample.labels, folds, balance=self._balance, check=self._check
            )
            strength, accuracy = best.strength, best.accuracy
        else:
            logger.info("too few training pictures to choose the regularisation by cross-validation")
        head = fit_head(
            table.rows,
            table.labels,
            strength,
            num_classes=self._classes,
            balance=self._balance,
            check=self._check,
        )
        return Solution(views, head.weight, head.bias, strength, accuracy)

    def _search_ridge(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        from hubtune.inference.ridge_head import choose_ridge

        view = own if wider is None else wider
        views = [view] if self._settings.views == 1 else [view, mirrored(view)]
        logger.info("views: %s", ", ".join(view.description for view in views))
        table = self._features(views, self._examples)
        logger.info("solving the head on %d × %d features", *table.rows.shape)
        head = choose_ridge(
            table.rows,
            table.labels,
            self._blocks,
            num_classes=self._classes,
            keys=table.keys,
            balance=self._balance,
            check=self._check,
        )
        return Solution(
            views, head.weight, head.bias, head.strength, head.accuracy, len(head.weight) > self._blocks[0]
        )

    def _choose_views(
        self, own: Preprocessing, wider: Preprocessing | None
    ) -> "tuple[list[Preprocessing], _Table]":
        """Try the wider view in place of the own one, then the mirror image beside the better of them.

        Returns:
            The views, and their features of the images that they were chosen on: without a cache, these would
            have to be computed again.
        """
        from hubtune.inference.linear_head import cross_validate_head

        labels = np.array([example.label for example in self._examples])
        examples = [self._examples[i] for i in _sample(labels, _CHOOSE_VIEWS_ON, self._seed)]
        table = self._features([own], examples)
        folds = table.folds(self._settings.folds, self._seed)
        if not folds:
            return [own], table

        def loss(table: _Table) -> float:
            return cross_validate_head(
                table.rows, table.labels, folds, balance=self._balance, check=self._check
            ).loss

        best, lowest = own, loss(table)
        if wider is not None and self._affordable([wider], own):
            other = self._features([wider], examples)
            if (other_loss := loss(other)) < lowest:
                best, table, lowest = wider, other, other_loss
        if self._affordable([best, best], own):
            mirror = self._features([mirrored(best)], examples)
            both = replace(table, rows=(table.rows + mirror.rows) / 2)
            if loss(both) < lowest:
                return [best, mirrored(best)], both
        return [best], table

    def _affordable(self, views: Sequence[Preprocessing], own: Preprocessing) -> bool:
        """Whether these views of all training images fit into the budget, or take little longer than one."""
        if self._pace is None:
            return True  # unknown, because everything came from the cache so far
        once = self._pace.seconds * len(self._examples)
        needed = once * sum(area(view) for view in views) / area(own)
        return needed <= max(self._settings.budget, 1.5 * once)

    def _features(
        self,
        views: Sequence[Preprocessing],
        examples: Sequence[ImageEntry],
        computed: "_Table | None" = None,
    ) -> "_Table":
        """Compute the features of all readable images, averaged over the views.

        Args:
            views: the views.
            examples: the images.
            computed: features of some of them in these views, which are not computed again.
        """
        row_of = {} if computed is None else dict(zip(computed.paths, computed.rows, strict=True))
        missing = [example.path for example in examples if example.path not in row_of]
        rows = np.empty((0, 0), np.float32)
        readable: list[ImageEntry] = []
        outputs: Iterator[BackboneOutput] = iter(())
        if missing:
            outputs = self._watch(
                self._backbone.extract(views, missing, **self._context.loading), len(missing)
            )
        for number, example in enumerate(examples):
            row = row_of.get(example.path)
            if row is None:
                output = next(outputs)
                if output.rows is None:
                    if output.error is not None and examples is self._examples:
                        self._bad[number] = output.error.reason
                    continue
                row = self._mean_row(output, example)
            if not readable:  # allocated once, because a list of rows beside it could be gigabytes
                rows = np.empty((len(examples), len(row)), np.float32)
            rows[len(readable)] = row
            readable.append(example)
        for _ in outputs:  # up to the end, where the cache is written
            pass
        if not readable:
            raise DataError("None of the training pictures can be read: see skipped.csv in the run folder")
        labels = np.array([example.label for example in readable])
        if len(np.unique(labels)) < 2:
            raise DataError("All readable training pictures are of one class: a classifier needs two")
        paths = [example.path for example in readable]
        return _Table(rows[: len(readable)], labels, [self._key_of[path] for path in paths], paths)

    def _mean_row(self, output: BackboneOutput, example: ImageEntry) -> np.ndarray:
        assert output.rows is not None
        if not all(np.isfinite(row).all() for row in output.rows):
            raise ModelError(
                f"The network's features of {output.path} are not finite numbers: its weights may be "
                "damaged, or the picture too small for it. Take another module, or another fit"
            )
        # Rows are computed from the file as it is now, which may differ from what the scan read.
        if output.digest is not None and example.sha256 != output.digest.hex():
            self._has_changed = True
        return np.asarray(np.mean(output.rows, axis=0, dtype=np.float32))


@dataclass(frozen=True)
class _Table:
    """Features ``[N, width]``, with the class, the split key and the file of each row."""

    rows: np.ndarray
    labels: np.ndarray
    keys: list[str]
    paths: list[Path]

    def sample(self, count: int, seed: int) -> "_Table":
        """Return about ``count`` rows at most."""
        indices = _sample(self.labels, count, seed)
        return _Table(
            self.rows[indices],
            self.labels[indices],
            [self.keys[i] for i in indices],
            [self.paths[i] for i in indices],
        )

    def folds(self, count: int, seed: int) -> list[Fold]:
        """Divide the rows for cross-validation; copies and groups stay together."""
        return make_folds(self.labels, self.keys, folds=count, seed=seed)


def _sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of about ``count`` rows at most: the same share of each class, but two if it has them."""
    if len(labels) <= count:
        return np.arange(len(labels))
    order = rng_for(seed, "some").permutation(len(labels))
    sample = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        sample.append(rows[: max(2, round(count * len(rows) / len(labels)))])
    return np.sort(np.concatenate(sample))
