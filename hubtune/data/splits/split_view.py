"""A split in a notebook: the number of images of each class in each list, and a few of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from hubtune.data.images.thumbnails import local_thumbnails
from hubtune.data.label_sets import NO_LABEL
from hubtune.data.listing import Excluded
from hubtune.notebook.html import image_tag, line, message, more, notice, table, text, word
from hubtune.text import first_few, plural

_MOST_CLASSES = 20
_IMAGES_A_CLASS = 5
_SIDE = 48  # of an image in the table, pixels
_MOST_REASONS, _MOST_REMARKS = 5, 10


@dataclass(frozen=True)
class ListedClass:
    """A class, or label: its name, the number of its images in each list, and the images."""

    name: str
    counts: Sequence[int]
    images: Sequence[Path]


def describe_counts(
    noun: str, classes: Sequence[ListedClass], totals: Mapping[str, int], without_label: Sequence[int]
) -> list[Markup]:
    """Return a table with a row for each class and a column for each list, and a few images of each class.

    Args:
        noun: what a row is, ``class`` or ``label``.
        classes: the rows.
        totals: name of a list → number of its images.
        without_label: number of images without a label in each list; 0 each where every image has one.
    """
    first = classes[:_MOST_CLASSES]
    samples = [_sample(each.images) for each in first]
    made = iter(local_thumbnails([path for sample in samples for path in sample]))
    rows = [
        [
            text(each.name),
            *(f"{count:,}" for count in each.counts),
            Markup("").join(image_tag(next(made), path.name, side=_SIDE) for path in sample),
        ]
        for each, sample in zip(first, samples, strict=True)
    ]
    rest = len(classes) - len(first)
    if rest:
        rows.append([message(f"and {rest:,} more"), *([""] * len(totals)), ""])
    if any(without_label):
        rows.append([word(NO_LABEL), *(f"{count:,}" for count in without_label), ""])
    rows.append([word("total"), *(f"{count:,}" for count in totals.values()), ""])
    heading = [noun, *(name.replace("_", " ") for name in totals), ""]
    return [table(heading, rows, sides="<".ljust(len(heading) - 1, ">") + "<", total=True)]


def _sample(images: Sequence[Path]) -> list[Path]:
    """Return a few images, evenly spaced: neighbours are often of the same thing."""
    count = min(_IMAGES_A_CLASS, len(images))
    return [images[number * len(images) // count] for number in range(count)]


def describe_left_out(left_out: Sequence[Excluded], remarks: Sequence[str]) -> list[Markup]:
    """Return the files that are in no list, by reason, and the remarks."""
    reasons: dict[str, list[str]] = {}
    for entry in left_out:
        reasons.setdefault(entry.reason, []).append(entry.path.name)
    parts = []
    if left_out:
        lines = [line(message(f"{plural(len(left_out), 'file')} left out"), strong=True)]
        for reason, names in [*reasons.items()][:_MOST_REASONS]:
            lines.append(line(Markup("{}: {}").format(message(reason), text(first_few(names)))))
        if len(reasons) > _MOST_REASONS:
            lines.append(more(len(reasons) - _MOST_REASONS))
        parts.append(notice(Markup("").join(lines), warning=True))
    parts += [notice(message(remark)) for remark in remarks[:_MOST_REMARKS]]
    return [*parts, *([more(len(remarks) - _MOST_REMARKS)] if len(remarks) > _MOST_REMARKS else [])]
