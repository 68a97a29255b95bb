"""Checks of lists and listings: classes with few images, images that are in two lists, those left out."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import WORDS, ImageEntry, count_by_class, count_by_label, known_as
from hubtune.data.splits.leakage import LIST_PAIRS
from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.text import escaped, first_few, plural

_FEW_IMAGES, _MANY_TIMES = 10, 10
# Larger data is not read: the answer is to come within seconds.
_MOST_IMAGES, _MOST_BYTES = 50_000, 300_000_000


def check_list_images(
    labels: Sequence[str],
    images: Mapping[str, Sequence[ImageEntry]],
    sets: LabelSets | None,
    base: Path,
    cure: str,
) -> list[Check]:
    """Check the classes and the images of lists.

    Args:
        labels: names of the classes, or of the sets of labels.
        images: name of each list → its images.
        sets: the labels of multi-label lists, and their sets.
        base: the folder that names in messages start from.
        cure: the command that makes new lists.
    """
    return [*_check_classes(labels, images, sets), *_check_copies(images, base, cure)]


def _check_classes(
    labels: Sequence[str], images: Mapping[str, Sequence[ImageEntry]], sets: LabelSets | None
) -> list[Check]:
    """Check how many training images each class (or label) has; ``images`` are those of each list."""
    counts = count_by_class(labels, images) if sets is None else count_by_label(sets, images)
    one, several = ("class", "classes") if sets is None else ("label", "labels")
    trained = {label: own.get("train", 0) for label, own in counts.items()}
    missing = [label for label, count in trained.items() if not count]
    few = [f"{label} ({count})" for label, count in trained.items() if 0 < count < _FEW_IMAGES]
    checks = []
    if missing:
        checks.append(
            Check(
                "missing-classes",
                BAD,
                f"No training picture has the {one if len(missing) == 1 else several} {first_few(missing)}: "
                "it cannot be learned",
                "add pictures, or remove its line from the label list",
            )
        )
    if few:
        checks.append(
            Check(
                "few-pictures",
                NOTE,
                f"Fewer than {_FEW_IMAGES} training pictures: {first_few(few)}; nothing reliable is "
                "learned from so few",
                "add pictures: 20 to 50 of each are a good start",
            )
        )
    present = {label: count for label, count in trained.items() if count}
    if sets is None and len(present) > 1:
        most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        if present[most] >= _MANY_TIMES * present[least]:
            checks.append(
                Check(
                    "balance",
                    NOTE,
                    f"{escaped(most)} has {present[most]:,} training pictures, and {escaped(least)} "
                    f"{present[least]:,}: rare classes are taken for frequent ones",
                    "-o train.balance=weights with hubtune finetune",
                )
            )
    if not checks:
        count = sum(map(len, images.values()))
        return [Check("classes", GOOD, f"{plural(count, 'picture')} of {len(labels):,} {several}")]
    return checks


def _check_copies(images: Mapping[str, Sequence[ImageEntry]], base: Path, cure: str) -> list[Check]:
    """Find files with the same bytes in two lists, or with two classes."""
    by_size: dict[int, list[tuple[str, ImageEntry]]] = defaultdict(list)
    listed = [(name, image) for name, own in images.items() if name in WORDS for image in own]
    if len(listed) > _MOST_IMAGES:
        text = f"Copies in several lists were not looked for in {len(listed):,} pictures"
        return [Check("copies", NOTE, text, f"hubtune scan {escaped(str(base))}")]
    for name, image in listed:
        with suppress(OSError):
            by_size[image.path.stat().st_size].append((name, image))
    alike = {size: own for size, own in by_size.items() if size and len(own) > 1}
    read, known = 0, defaultdict(list)
    for size, own in alike.items():
        read += size * len(own)
        if read > _MOST_BYTES:
            break
        for name, image in own:
            with suppress(OSError):
                known[hashlib.sha256(image.path.read_bytes()).digest()].append((name, image))
    checks = []
    for part, beside in LIST_PAIRS:
        pairs = [
            (image, mates[0])
            for own in known.values()
            if (mates := [image for name, image in own if name == beside])
            for name, image in own
            if name == part
        ]
        if pairs:
            names = first_few(
                [f"{known_as(one.path, base)} = {known_as(other.path, base)}" for one, other in pairs]
            )
            checks.append(
                Check(
                    "leaks",
                    BAD,
                    f"{plural(len(pairs), f'{WORDS[part]} picture')} of {len(images[part]):,} "
                    f"{'is' if len(pairs) == 1 else 'are'} in the {WORDS[beside]} list, too: its "
                    f"accuracy is too high ({names})",
                    cure,
                )
            )
    different = [own for own in known.values() if len({image.label for _, image in own}) > 1]
    if different:
        names = first_few(
            [" = ".join(known_as(image.path, base) for _, image in own[:2]) for own in different]
        )
        checks.append(
            Check(
                "contradictions",
                BAD,
                f"{plural(len(different), 'picture')} {'has' if len(different) == 1 else 'have'} two "
                f"classes: {names}",
                "remove the copy in the wrong class",
            )
        )
    if checks or read > _MOST_BYTES:
        return checks
    counts = Counter(name for name, _ in listed)
    where = "lists" if len(counts) > 1 else "classes"
    return [Check("leaks", GOOD, f"No picture is in two {where}, as far as equal files tell")]
