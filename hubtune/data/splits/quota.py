"""What is asked of every class, and what a class can give."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from hubtune.data.splits.leakage import WORDS
from hubtune.errors import UsageError
from hubtune.text import plural


@dataclass(frozen=True)
class SplitSize:
    """How many pictures of a class: a number, or a share of them."""

    count: int = 0
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> "SplitSize":
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


NOTHING = SplitSize()


# Why pictures are bound to training, and what helps.
_CONTRADICTED = "as they, or others of their groups, have copies in another class"
_REPAIR = "Remove the copies that are in the wrong class, and split again."


@dataclass(frozen=True)
class ClassSize:
    """What keeps the pictures of a class from going to any list.

    Attributes:
        total: all its pictures.
        bound: those that must be in training, as their label is doubted.
        largest: how many the largest group has that is of more than one picture; 0 without any.
        across: whether such groups have pictures of other classes, too.
    """

    total: int
    bound: int
    largest: int
    across: bool


@dataclass(frozen=True)
class SplitRequest:
    """What is asked of every class.

    Attributes:
        validate: validation pictures.
        test: test pictures.
        train: training pictures; ``None`` for all the rest.
    """

    validate: SplitSize
    test: SplitSize
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

    def shortage(self, folder: str, got: Mapping[str, int], held: ClassSize) -> str | None:
        """Say what a class gives, if that is not what is asked.

        Args:
            folder: the class.
            got: by list, what it gives.
            held: what keeps its pictures from going where they might.
        """
        total, asked = held.total, self.of(held.total)
        wanted = {"train": self.train, "validate": self.validate, "test": self.test}
        more = [
            name
            for name in WORDS
            if wanted[name] is not None
            and got.get(name, 0) > max(asked[name], held.bound * (name == "train"))
        ]
        missed = [
            f"{asked[name] or 'any'} in the {WORDS[name]} list"
            for name in WORDS
            if name in more or got.get(name, 0) < asked[name] or (wanted[name] and not got.get(name, 0))
        ]
        if not missed:
            return None
        lists = " and ".join(missed)
        gives = ", ".join(
            f"{got.get(name, 0)} for {words}"
            for name, words in WORDS.items()
            if got.get(name, 0) or name == "train"
        )
        if 0 < held.bound == total:
            whole = (
                f"All {total:,} pictures of class {folder!r} are"
                if total > 1
                else f"The only picture of class {folder!r} is"
            )
            return f"{whole} bound to training, {_CONTRADICTED}: none is left for {lists}. {_REPAIR}"
        has = f"Class {folder!r} has {plural(total, 'picture')}"
        if held.bound and total - held.bound < asked["validate"] + asked["test"] < total:
            other = total - held.bound
            return (
                f"{has}, of which {held.bound:,} {'is' if held.bound == 1 else 'are'} bound to training, "
                f"{_CONTRADICTED}; the other {other:,} {'does' if other == 1 else 'do'} not come to {lists}: "
                f"it gives {gives}. {_REPAIR}"
            )
        if held.largest and (more or sum(asked.values()) < total):
            across = ", also across classes," if held.across else ","
            size = f" of up to {held.largest:,}" if held.largest > 1 else ""
            return (
                f"{has} in groups{size} that stay together{across} which do not come to "
                f"{lists}: it gives {gives}."
            )
        return f"{has}, too few for {lists}: it gives {gives}."
