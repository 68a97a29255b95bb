"""What is asked of every class, and what a class can give."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hubtune.data.crossing import WORDS
from hubtune.data.scan import counted
from hubtune.errors import UsageError


@dataclass(frozen=True)
class Amount:
    """How many pictures of a class: a number, or a share of them."""

    count: int = 0
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> "Amount":
        """Read ``20`` (pictures), ``0.2`` or ``20%`` (a share).

        Raises:
            UsageError: if it is none of these.
        """
        if re.fullmatch(r"\s*\d{1,9}\s*", text):
            return cls(count=int(text))
        match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)\s*", text)
        share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
        if share is None or share >= 1:
            raise UsageError(
                f"{text!r} is no amount: write a number of pictures per class (20), or a share (0.2 or 20%)"
            )
        return cls(share=share)

    def of(self, total: int) -> int:
        """The number of pictures out of ``total``, a share rounded to the nearest."""
        return self.count if self.share is None else math.floor(self.share * total + Fraction(1, 2))

    def __bool__(self) -> bool:
        return bool(self.count or self.share)


NOTHING = Amount()


@dataclass(frozen=True)
class Wish:
    """What is asked of every class.

    Attributes:
        validate: validation pictures.
        test: test pictures.
        train: training pictures; ``None`` for all the rest.
    """

    validate: Amount
    test: Amount
    train: int | None

    def of(self, total: int) -> dict[str, int]:
        """What is asked of a class with so many pictures, by list."""
        return {"test": self.test.of(total), "validate": self.validate.of(total), "train": self.train or 0}

    def rooms(self, free: int, bound: int) -> dict[str, int]:
        """What a class can give: all that is asked while training keeps a picture, else half of it.

        Args:
            free: pictures that may go to any list.
            bound: those that must be in training.

        Returns:
            How many of the free ones go to each list; without training where that takes all the rest.
        """
        asked = self.of(free + bound)
        test, validate = asked["test"], asked["validate"]
        if test + validate >= free + min(bound, 1):
            for_both = (free + bound) // 2
            # Validation first: without it no best model can be chosen.
            validate = min(asked["validate"], math.ceil(for_both * validate / max(1, test + validate)))
            test = min(test, for_both - validate)
        rooms = {"test": test, "validate": validate}
        return rooms if self.train is None else {**rooms, "train": max(0, self.train - bound)}

    def shortage(self, folder: str, got: Mapping[str, int], total: int, sizes: Sequence[int]) -> str | None:
        """Say what a class gives, if that is less than is asked.

        Args:
            folder: the class.
            got: by list, what it gives.
            total: its pictures.
            sizes: of its groups of two and more.
        """
        asked = self.of(total)
        missing = [
            f"{asked[name] or 'any'} in the {WORDS[name]} list"
            for name, wanted in (("train", self.train), ("validate", self.validate), ("test", self.test))
            if got.get(name, 0) < asked[name] or (wanted and not got.get(name, 0))
        ]
        if not missing:
            return None
        lists = " and ".join(missing)
        gives = ", ".join(
            f"{got.get(name, 0)} for {words}"
            for name, words in WORDS.items()
            if got.get(name, 0) or name == "train"
        )
        has = f"Class {folder!r} has {counted(total, 'picture')}"
        if sizes and sum(asked.values()) < total:
            return (
                f"{has} in groups of up to {max(sizes):,} that stay together, which do not come to {lists}: "
                f"it gives {gives}."
            )
        return f"{has}, too few for {lists}: it gives {gives}."
