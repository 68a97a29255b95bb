"""The `frozen` strategy: which views of the pictures, and which head, on features that never change."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubtune.data.dedup.groups import connected_components
from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.images.preprocessing import WHOLE_STEP, Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError, ModelError
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone, Pace
from hubtune.inference.predict import BackboneOutput, mean_of
from hubtune.log import logger
from hubtune.recipe.strategies import HeadSettings
from hubtune.rng import rng_for

if TYPE_CHECKING:
    from hubtune.data.splits.kfold import Fold

# Raised when the same features come to mean another head.
_VERSION = 1
# Of larger training lists, so many pictures choose the views, and so many the strength.
_CHOOSE_VIEWS_ON = 2_000
_CHOOSE_STRENGTH_ON = 5_000
# Of a cross-validation, for each fold, class, row and value of a row, of which no more count than there are
# rows: on two cores of an AMD EPYC, with 420 to 5,000 rows, from a fifth of this to three times as much.
_HEAD_SECONDS, _USUAL_WIDTH = 3e-8, 1280
# Of the passes over the pictures, and of what the engine does at the first of new shapes.
_START_SECONDS = 1.0
# A whole picture holds more than its centre: by so much its long side is larger than the centre's side. With
# the smaller of them, a 4:3 picture has as many pixels as the centre alone.
_WIDER, _EQUAL = 9 / 7, 8 / 7

Watch = Callable[[str, Iterator[BackboneOutput], int], Iterator[BackboneOutput]]
"""Passes on what the trunk makes of training pictures; told what is done, in a word or two, and how many."""


@dataclass(frozen=True)
class Solution:
    """A head for a frozen trunk, and how the trunk is to look at pictures.

    Attributes:
        views: the ways each picture is looked at; the features are averaged over them.
        weight: float32 ``[width, num_classes]``.
        bias: float32 ``[num_classes]``.
        strength: inverse strength of the L2 regularisation.
        accuracy: cross-validated on the training list; views and strength were chosen with it, so it is a
            little flattered. ``None`` where the classes are too small for it.
    """

    views: list[Preprocessing]
    weight: np.ndarray
    bias: np.ndarray
    strength: float
    accuracy: float | None

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Logits ``[num_classes]`` of a picture, from its features in each view; float64."""
        return mean_of(rows) @ self.weight.astype(np.float64) + self.bias


class HeadSolver:
    """Chooses views and regularisation by cross-validation on the training list, and solves the head."""

    def __init__(
        self,
        trunk: FrozenBackbone,
        cache: FeatureCache,
        examples: Sequence[ImageEntry],
        groups: Mapping[Path, int],
        settings: HeadSettings,
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
        batch_size: int,
        workers: int,
        watch: Watch,
        check: Callable[[], None],
    ) -> None:
        """Take the pieces, and sum up the training pictures.

        Args:
            trunk: gives pooled features.
            cache: where outcomes are kept.
            examples: the training list.
            groups: number of the group of pictures that belong together, for those that are in one.
            settings: of the strategy.
            num_classes: number of classes.
            balanced: whether each class counts the same, however many pictures it has.
            seed: decides the folds.
            batch_size: pictures at once.
            workers: threads that decode.
            watch: sees every picture pass.
            check: called between solutions; may raise to stop.
        """
        self._trunk, self._cache = trunk, cache
        self._settings, self._balance = settings, balanced
        self._classes, self._seed = num_classes, seed
        self._sizes = {"batch_size": batch_size, "workers": workers}
        self._watch, self._check = watch, check
        self._examples = list(examples)
        self._bad: dict[int, str] = {}
        self._pace: Pace | None = None  # in the own view
        self._read(groups)

    def _read(self, groups: Mapping[Path, int]) -> None:
        """Sum up the training pictures: copies of one another are kept together, and outcomes are kept."""
        sums = []
        for example in self._examples:
            self._check()
            try:
                sums.append(hashlib.sha256(read_content(example.path)).hexdigest())
            except ImageError:
                sums.append(f"unreadable {len(sums)}")  # it is named where its features are asked for
        own_of = dict(zip((example.path for example in self._examples), sums, strict=True))
        # Copies of a picture, and pictures of one group, hang together, also through one another.
        mates: dict[int, list[str]] = defaultdict(list)
        for path, number in groups.items():
            if path in own_of:
                mates[number].append(own_of[path])
        first_of = connected_components([*zip(sums), *mates.values()])
        self._group_of = {path: first_of[own] for path, own in own_of.items()}
        lines = [
            f"{own} {example.label} {self._group_of[example.path]}"
            for own, example in zip(sums, self._examples, strict=True)
        ]
        self._sum = hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def solve(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        """Solve the head.

        Args:
            own: the view that is taken, or that others are held against.
            wider: another view that is tried with ``views: auto``; ``None`` for none.

        Raises:
            DataError: no picture can be read, or all are of one class.
        """
        self._trunk.decide([own], [example.path for example in self._examples])
        asked = {
            "what": "head",
            "version": _VERSION,
            "trunk": self._trunk.facts,
            "pictures": self._sum,
            "classes": self._classes,
            # Those that the solution depends on: other strategies begin with the same one.
            "settings": {
                **{name: getattr(self._settings, name) for name in ("folds", "views", "budget")},
                "balanced": self._balance,
            },
            "views": [view and view.model_dump() for view in (own, wider)],
            "seed": self._seed,
        }
        noted = self._cache.note(asked)
        # The weights are kept as values in the cache are: checked when they are read.
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
        with self._cache.space({"what": "heads", "module": self._trunk.facts["module"]}) as heads:
            solved = heads.get(key) if noted else None
            if noted and solved is not None:
                views = [Preprocessing.model_validate(view) for view in noted["views"]]
                logger.info("head and views as they were found before, from the cache")
                self._tell_bad({int(index): reason for index, reason in noted["bad"].items()})
                return Solution(views, solved[:-1], solved[-1], noted["strength"], noted["accuracy"])
            solution = self._search(own, wider)
            heads.put(key, np.vstack([solution.weight, solution.bias]))
        self._cache.keep_note(
            asked,
            {
                "views": [view.model_dump() for view in solution.views],
                "strength": solution.strength,
                "accuracy": solution.accuracy,
                "bad": {str(index): reason for index, reason in self._bad.items()},
            },
        )
        return solution

    def _tell_bad(self, bad: Mapping[int, str]) -> None:
        """Let the pictures be seen that could not be read when the head was solved."""
        paths = {self._examples[index].path: reason for index, reason in bad.items()}
        outputs = (BackboneOutput(path, None, ImageError(path, reason)) for path, reason in paths.items())
        for _ in self._watch("features", outputs, len(paths)):
            pass

    def estimate(self, own: Preprocessing, wider: Preprocessing | None, others: int) -> float | None:
        """Seconds until the head is solved and the other pictures are scored.

        Args:
            own: as in :meth:`solve`.
            wider: as in :meth:`solve`.
            others: how many pictures are scored afterwards.

        Returns:
            The estimate; ``None`` where the first pictures are in the cache already.
        """
        paths = [example.path for example in self._examples]
        self._pace = self._trunk.measure(own, paths, workers=self._sizes["workers"], check=self._check)
        if self._pace is None:
            self._pace = self._trunk.known_pace(own)
            return None
        pace, count = self._pace, len(self._examples)
        solved = _START_SECONDS + self._head_seconds(min(count, _CHOOSE_STRENGTH_ON))
        if self._settings.views != "auto":
            return pace.seconds_for(self._settings.views) * (count + others) + solved
        few = min(count, _CHOOSE_VIEWS_ON)
        widest = max(own, wider or own, key=area)
        wide = area(widest) / area(own)
        chosen = 2 * wide if self._affordable([widest, widest], own) else wide
        # Each by itself: the own view, the wider one, and the better of them mirrored.
        tried = [1.0, *([] if wider is None else [wide]), *([wide] if chosen > wide else [])]
        seconds = few * sum(map(pace.seconds_for, tried))
        seconds += (count - few + others) * pace.seconds_for(chosen)
        return seconds + len(tried) * self._head_seconds(few) + solved

    def _head_seconds(self, rows: int) -> float:
        return _HEAD_SECONDS * self._settings.folds * self._classes * rows * min(rows, _USUAL_WIDTH)

    def _search(self, own: Preprocessing, wider: Preprocessing | None) -> Solution:
        # Here, as SciPy takes a third of a second to import, and a head from the cache needs none.
        from hubtune.inference.linear_head import DEFAULT_STRENGTH, cross_validate_head, fit_head

        views, known = [own], None
        if self._settings.views == 2:
            views = [own, mirrored(own)]
        elif self._settings.views == "auto":
            views, known = self._choose_views(own, wider)
        logger.info("views: %s", ", ".join(view.description for view in views))
        table = self._features(views, self._examples, known)
        logger.info("solving the head on %d × %d features", *table.rows.shape)
        few = table.some(_CHOOSE_STRENGTH_ON, self._seed)
        folds = few.folds(self._settings.folds, self._seed)
        strength, accuracy = DEFAULT_STRENGTH, None
        if folds:
            found = cross_validate_head(few.rows, few.labels, folds, balance=self._balance, check=self._check)
            strength, accuracy = found.strength, found.accuracy
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

    def _choose_views(
        self, own: Preprocessing, wider: Preprocessing | None
    ) -> "tuple[list[Preprocessing], _Table]":
        """Try the wider view in place of the own one, and then the mirrored one beside the better of them.

        Returns:
            The views, and the features in them of the pictures that they were chosen on: without a cache,
            they would have to be computed again.
        """
        from hubtune.inference.linear_head import cross_validate_head

        labels = np.array([example.label for example in self._examples])
        examples = [self._examples[i] for i in _some(labels, _CHOOSE_VIEWS_ON, self._seed)]
        table = self._features([own], examples)
        folds = table.folds(self._settings.folds, self._seed)
        if not folds:
            return [own], table

        def loss(table: _Table) -> float:
            found = cross_validate_head(
                table.rows, table.labels, folds, balance=self._balance, check=self._check
            )
            return found.loss

        chosen, least = own, loss(table)
        if wider is not None and self._affordable([wider], own):
            others = self._features([wider], examples)
            if (other := loss(others)) < least:
                chosen, table, least = wider, others, other
        if self._affordable([chosen, chosen], own):
            second = self._features([mirrored(chosen)], examples)
            both = replace(table, rows=(table.rows + second.rows) / 2)
            if loss(both) < least:
                return [chosen, mirrored(chosen)], both
        return [chosen], table

    def _affordable(self, views: Sequence[Preprocessing], own: Preprocessing) -> bool:
        """Whether the budget allows to look at all training pictures so, or it takes little longer."""
        if self._pace is None:
            return True  # not known, as all came from the cache so far
        once = self._pace.seconds * len(self._examples)
        wanted = once * sum(area(view) for view in views) / area(own)
        return wanted <= max(self._settings.budget, 1.5 * once)

    def _features(
        self, views: Sequence[Preprocessing], examples: Sequence[ImageEntry], known: "_Table | None" = None
    ) -> "_Table":
        """The features of the pictures that can be read, averaged over the views.

        Args:
            views: the views.
            examples: the pictures.
            known: features of some of them in these views, which are not looked up or computed again.
        """
        row_of = {} if known is None else dict(zip(known.paths, known.rows, strict=True))
        asked = [example.path for example in examples if example.path not in row_of]
        rows = np.empty((0, 0), np.float32)
        kept: list[ImageEntry] = []
        outputs: Iterator[BackboneOutput] = iter(())
        if asked:
            outputs = self._watch("features", self._trunk.outputs(views, asked, **self._sizes), len(asked))
        for number, example in enumerate(examples):
            row = row_of.get(example.path)
            if row is None:
                output = next(outputs)
                if output.rows is None:
                    if output.error is not None and examples is self._examples:
                        self._bad[number] = output.error.reason
                    continue
                if not all(np.isfinite(row).all() for row in output.rows):
                    raise ModelError(
                        f"The network's features of {output.path} are no finite numbers: are its weights "
                        "sound, or the picture too small for it? Take another module, or another fit"
                    )
                row = np.mean(output.rows, axis=0, dtype=np.float32)
            if not kept:  # once, and not as a list beside it, as they may be gigabytes
                rows = np.empty((len(examples), len(row)), np.float32)
            rows[len(kept)] = row
            kept.append(example)
        for _ in outputs:  # to its end, where what was computed is written
            pass
        if not kept:
            raise DataError("None of the training pictures can be read: see skipped.csv in the run folder")
        labels = np.array([example.label for example in kept])
        if len(np.unique(labels)) < 2:
            raise DataError("All readable training pictures are of one class: a classifier needs two")
        paths = [example.path for example in kept]
        return _Table(rows[: len(kept)], labels, [self._group_of[path] for path in paths], paths)


@dataclass(frozen=True)
class _Table:
    """Features ``[N, width]``, with the class, the group and the picture of each row."""

    rows: np.ndarray
    labels: np.ndarray
    groups: list[str]
    paths: list[Path]

    def some(self, count: int, seed: int) -> "_Table":
        """At most about so many of the rows."""
        indices = _some(self.labels, count, seed)
        return _Table(
            self.rows[indices],
            self.labels[indices],
            [self.groups[i] for i in indices],
            [self.paths[i] for i in indices],
        )

    def folds(self, count: int, seed: int) -> "list[Fold]":
        from hubtune.data.splits.kfold import make_folds

        return make_folds(self.labels, self.groups, folds=count, seed=seed)


def _some(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of about ``count`` rows at most, of each class the same share, but two if it has them."""
    if len(labels) <= count:
        return np.arange(len(labels))
    order = rng_for(seed, "some").permutation(len(labels))
    taken = []
    for label in np.unique(labels):
        own = order[labels[order] == label]
        taken.append(own[: max(2, round(count * len(own) / len(labels)))])
    return np.sort(np.concatenate(taken))


def mirrored(view: Preprocessing) -> Preprocessing:
    """The same view, mirrored."""
    return view.model_copy(update={"mirror": True})


def whole_view(own: Preprocessing, size_multiple: int | None, *, larger: bool = True) -> Preprocessing | None:
    """A view of the whole picture.

    Args:
        own: how the module was pretrained to look at pictures.
        size_multiple: as the backbone's record has it.
        larger: whether it has a little more pixels than the own view, or about as many.

    Returns:
        ``whole`` where the network takes pictures of any shape, else ``stretch``; ``None`` where the own view
        shows the whole picture already.
    """
    if own.fit not in ("crop", "stretch_crop"):
        return None
    side = own.size * (_WIDER if larger else _EQUAL)
    if size_multiple is None:
        changes: dict[str, Any] = {"fit": "stretch"}
    elif WHOLE_STEP % size_multiple:
        changes = {"fit": "stretch", "size": round(side / size_multiple) * size_multiple}
    else:
        changes = {"fit": "whole", "resize": round(side / WHOLE_STEP) * WHOLE_STEP}
    return own.model_copy(update=changes)


def first_views(
    own: Preprocessing, settings: HeadSettings, *, fixed: bool, size_multiple: int | None
) -> tuple[Preprocessing, Preprocessing | None]:
    """The two views that :meth:`HeadSolver.solve` takes.

    Args:
        own: how the module was pretrained to look at pictures, or as a person has asked for it.
        settings: of the strategy.
        fixed: whether a person has asked for it.
        size_multiple: as the backbone's record has it.
    """
    if fixed:
        return own, None
    wider = whole_view(own, size_multiple, larger=settings.views != 1)
    return (own, wider) if wider is None or settings.views == "auto" else (wider, None)


def area(view: Preprocessing) -> float:
    """Pixels of an input; most pictures are 4:3."""
    return 0.75 * view.resize**2 if view.fit == "whole" else float(view.size**2)
