"""Requests for a split: the images that each class is to give to each list, and what it can give."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from hubtune.data.listing import WORDS
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import UsageError
from hubtune.text import escaped, plural


@dataclass(frozen=True)
class SplitSize:
    """A number of images per class, or a share of them, 0 to less than 1; ``text`` is for ``split.json``."""

    count: int = 0
    share: Fraction | None = None
    text: str = field(default="", compare=False)

    @classmethod
    def parse(cls, size: str | float) -> "SplitSize":
        """Read ``20`` (images), ``0.2`` or ``20%`` (a share); raise UsageError for anything else."""
        text = str(size)
        if re.fullmatch(r"\s*\d{1,9}\s*", text):
            return cls(count=int(text), text=text)
        match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)\s*", text)
        share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
        if share is None or share >= 1:
            raise UsageError(
                f"{text!r} is not a size: write a number of pictures per class (20), or a share (0.2 or 20%)"
            )
        return cls(share=share, text=text)

    def of(self, total: int) -> int:
        """Return the number of images out of ``total``; a share is rounded to the nearest."""
        return self.count if self.share is None else math.floor(self.share * total + Fraction(1, 2))

    def __bool__(self) -> bool:
        return bool(self.count or self.share)


NOTHING = SplitSize()
_PASSING = ("no_list", "listing")  # settings that do not change what a source has


@dataclass(frozen=True)
class SplitRequest:
    """Everything that a split is asked for; see :func:`hubtune.data.prepare.split`.

    Attributes:
        folds: number of folds, in place of a validation list.
        module: the module whose features find images of the same thing; for ``split.json``.
        settings: how the source is to be read.
        explicit: whether ``val`` and ``test`` were set by the caller, who is told if they have no effect.
    """

    validate: SplitSize = NOTHING
    test: SplitSize = NOTHING
    train: int | None = None
    seed: int = 0
    group_by: str | None = None
    labels: Path | Mapping[str, str] | None = None
    test_dir: Path | None = None
    folds: int | None = None
    module: str | None = None
    explicit: Mapping[str, bool] = field(default_factory=dict)
    settings: SourceSettings = AS_FOUND

    def check(self, source: str) -> None:
        """Raise UsageError if there are two kinds of test images, or the test folder contains the source."""
        if self.test_dir is None:
            return
        if self.test:
            raise UsageError("--test and --test-dir both say where test pictures come from: give one of them")
        if "://" not in source and Path(source).resolve().is_relative_to(self.test_dir.resolve()):
            raise UsageError(
                f"--test-dir {self.test_dir} holds {source} itself: give a folder of test pictures only"
            )

    def options(self, source: str) -> dict[str, Any]:
        """Return the request as it is recorded in ``split.json``."""
        return {
            "pictures": source,
            "validate": None if self.folds else self.validate.text,
            "test": self.test.text,
            "train": self.train,
            "folds": self.folds,
            "group_by": self.group_by,
            "module": self.module,
            "seed": self.seed,
            "labels": str(self.labels) if isinstance(self.labels, Path) else self.labels,
            "test_dir": str(self.test_dir) if self.test_dir else None,
            **{name: value for name, value in vars(self.settings).items() if value and name not in _PASSING},
        }

    def sizes(self, total: int) -> dict[str, int]:
        """Return the images that a class of ``total`` images is asked for, by list."""
        return {"test": self.test.of(total), "validate": self.validate.of(total), "train": self.train or 0}

    def quotas(self, free: int, bound: int) -> dict[str, int]:
        """Return what a class can give: the sizes as long as training keeps an image, else half of them.

        Of its images, ``free`` ones may go to any list, and ``bound`` ones must be in training. The result is
        the number of free images for each list; without training if that takes all the rest.
        """
        sizes = self.sizes(free + bound)
        test, validate = sizes["test"], sizes["validate"]
        if test + validate >= free + min(bound, 1):
            for_both = (free + bound) // 2
            # Validation first: without it no best model can be chosen.
            validate = min(sizes["validate"], math.ceil(for_both * validate / max(1, test + validate)))
            test = min(test, for_both - validate)
        quotas = {"test": test, "validate": validate}
        return quotas if self.train is None else {**quotas, "train": max(0, self.train - bound)}

    def shortage(
        self, folder: str, got: Counter[str], *, bound: int, largest_group: int, shares_groups: bool
    ) -> str | None:
        """Describe how a class that gives ``got``, by list, falls short of the request; ``None`` if not.

        ``bound`` of its images must be in training; ``largest_group`` is 0 without groups of at least two,
        and ``shares_groups``, whether these have images of other classes, too.
        """
        total = got.total()
        sizes = self.sizes(total)
        requested = {"train": self.train, "validate": self.validate, "test": self.test}
        exceeded = [
            name
            for name in WORDS
            if requested[name] is not None and got[name] > max(sizes[name], bound * (name == "train"))
        ]
        missed = [
            f"{sizes[name]:,} in the {WORDS[name]} list" if sizes[name] else f"any in the {WORDS[name]} list"
            for name in WORDS
            if name in exceeded or got[name] < sizes[name] or (requested[name] and not got[name])
        ]
        if not missed:
            return None
        lists = " and ".join(missed)
        gives = ", ".join(
            f"{got[name]:,} for {words}" for name, words in WORDS.items() if got[name] or name == "train"
        )
        has = f"Class '{escaped(folder)}' has {plural(total, 'picture')}"
        others = total - bound
        if bound and (not others or others < sizes["validate"] + sizes["test"] < total):
            return (
                f"{has}, {bound:,} of them bound to training because of copies in another class, and "
                f"too few others for {lists}: it gives {gives}. Remove the copies that are in the wrong "
                "class, and split again."
            )
        if largest_group and (exceeded or sum(sizes.values()) < total):
            across = ", also across classes" if shares_groups else ""
            of_up_to = f" of up to {largest_group:,}" if largest_group > 1 else ""
            return (
                f"{has} in groups{of_up_to} that stay together{across}, with which {lists} cannot be met "
                f"exactly: it gives {gives}."
            )
        return f"{has}, too few for {lists}: it gives {gives}."
