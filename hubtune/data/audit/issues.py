"""Issues of a data set, most severe first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.images.bit_depth import common_bits
from hubtune.data.images.formats import count_formats
from hubtune.data.listing import known_as
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.scanner import FILE_NOTES, Scan
from hubtune.text import first_few, plural

TINY = 32  # pixels, the shorter side
BLANK = 0.01  # contrast; also at most a tenth of the mean luma, because a dark image may still show something
DARK = 0.15  # luma that 95 % of the pixels are below
BRIGHT = 0.9  # luma that 95 % of the pixels are above
# Sharpness. Of 600 good photos of 320 × 240 pixels none had less, and all of them had after a blur with a
# radius of 4.
BLURRED = 0.5
UNBALANCED = 10.0  # size of the largest class, divided by that of the smallest
FEW = 10  # images of a class
_WITHOUT_FILES = ("small_classes", "unbalanced")  # issues of classes


@dataclass(frozen=True, slots=True)
class IssueFile:
    """A file with an issue; ``label`` is ``None`` if it is in no class, ``note`` a phrase about this file."""

    path: Path
    name: str
    label: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Issue:
    """An issue of a data set.

    Attributes:
        kind: identifier for programs.
        groups: the files; copies of one image are in one group.
        suspect: whether the files may be better removed, and not only mentioned.
    """

    kind: str
    title: str
    advice: str
    groups: list[list[IssueFile]]
    suspect: bool = False

    @property
    def files(self) -> Iterable[IssueFile]:
        return chain.from_iterable(self.groups)


@dataclass(frozen=True)
class LabelIssue:
    """A label that is probably wrong: of the image at ``index`` among all of the scan.

    ``own`` is the probability of its own class, ``probability`` that of ``other``, the likeliest one's
    number.
    """

    index: int
    own: float
    other: int
    probability: float


@dataclass(frozen=True)
class LabelCheck:
    """Labels that are probably wrong, those whose own class is least probable first.

    ``accuracy`` is the share of the images whose label is the classifier's first choice; the lower, the more
    false alarms.
    """

    issues: list[LabelIssue]
    accuracy: float


def find_issues(
    scan: Scan, groups: Sequence[DuplicateGroup], labels: LabelCheck | None = None
) -> list[Issue]:
    """Find the issues of a data set, most severe first; at most one of each kind.

    ``groups`` are copies among all images of the scan, class by class.
    """
    images = [(label, image) for label, entries in scan.classes.items() for image in entries]
    files = [IssueFile(image.path, image.name, label) for label, image in images]
    copies = [(group.kind, [files[index] for index in group.members]) for group in groups]
    conflicts = [own for _, own in copies if len({file.label for file in own}) > 1]
    near, equal = (
        [own for kind, own in copies if kind == wanted and len({file.label for file in own}) == 1]
        for wanted in ("near", "equal")
    )
    more = sum(len(group) - 1 for group in equal)
    left_out: dict[bool, list[list[IssueFile]]] = {True: [], False: []}
    for entry in scan.left_out:
        left_out[entry.unreadable].append([_file_outside(scan, entry.path, entry.reason)])
    formats = "; ".join(count_formats(entry.reason for entry in scan.left_out))
    candidates = [
        Issue(
            "unreadable",
            f"{plural(len(left_out[True]), 'file')} cannot be used",
            f"Not in any list: {formats or 'download such files again, convert or remove them'}.",
            left_out[True],
            suspect=True,
        ),
        Issue(
            "contradictory",
            _contradiction(len(conflicts), multi_label=scan.label_sets is not None),
            "One of the labels must be wrong: keep the copy in the right class."
            if scan.label_sets is None
            else "One of them must be wrong: give all copies the right labels.",
            conflicts,
            suspect=True,
        ),
        *_mislabelled(files, [*scan.classes], labels),
        Issue(
            "left_out",
            f"{plural(len(left_out[False]), 'file')} {'is' if len(left_out[False]) == 1 else 'are'} left out",
            "Not in any list, for the reason beside each; nothing is wrong with the files themselves.",
            left_out[False],
        ),
        *_small_classes(scan),
        *_poor_images(files, [image.info for _, image in images]),
        Issue(
            "near_copies",
            f"{plural(sum(map(len, near)), 'picture')} are changed copies of one another "
            f"({plural(len(near), 'group')})",
            "Resized, saved again, mirrored, cropped … `hubtune split` keeps each group in one list: a copy "
            "of a training picture in the test list would make the accuracy look better than it is.",
            near,
        ),
        Issue(
            "equal_copies",
            f"{plural(more, 'picture')} {'is an exact copy' if more == 1 else 'are exact copies'} of others "
            f"({plural(len(equal), 'group')})",
            "Exact copies add nothing to training. `hubtune split` keeps each group in one list.",
            equal,
        ),
        *_unbalanced(scan),
        *_unusual_files(scan),
    ]
    return [issue for issue in candidates if issue.groups or issue.kind in _WITHOUT_FILES]


def _contradiction(count: int, *, multi_label: bool) -> str:
    if multi_label:
        return f"{plural(count, 'picture')} {'has' if count == 1 else 'have'} different labels"
    return f"{plural(count, 'picture')} {'lies' if count == 1 else 'lie'} in more than one class"


def _file_outside(scan: Scan, path: Path, note: str) -> IssueFile:
    return IssueFile(path, known_as(path, scan.root), None, note)


def _mislabelled(files: list[IssueFile], names: list[str], labels: LabelCheck | None) -> Iterator[Issue]:
    if labels is None:
        return
    groups = []
    for issue in labels.issues:
        note = f"probably {names[issue.other]} ({_percent(issue.probability)}; own {_percent(issue.own)})"
        groups.append([replace(files[issue.index], note=note)])
    yield Issue(
        "mislabelled",
        f"{plural(len(groups), 'label')} may be wrong",
        "A classifier that was not trained on these pictures predicts another class. It agrees with "
        f"{_percent(labels.accuracy)} of all labels. Check the first ones first; some are only difficult.",
        groups,
        suspect=True,
    )


def _percent(share: float) -> str:
    return "under 1 %" if 0 <= share < 0.01 else f"{100 * share:.0f} %"


def _small_classes(scan: Scan) -> Iterator[Issue]:
    small = [f"{label} ({count})" for label, count in scan.sizes.items() if count < FEW]
    if small:
        one, many = ("class has", "classes have") if scan.label_sets is None else ("label has", "labels have")
        title = f"{len(small):,} {one if len(small) == 1 else many} fewer than {FEW} pictures"
        noun = "class" if scan.label_sets is None else "label"
        advice = f"Add pictures: the accuracy of so small a {noun} cannot be measured."
        yield Issue("small_classes", f"{title}: {first_few(small)}", advice, [])


def _unbalanced(scan: Scan) -> Iterator[Issue]:
    sizes = scan.sizes
    if not sizes or scan.label_sets is not None:  # a rare label is no small class, and cannot be weighted
        return
    largest, smallest = (choose(sizes, key=sizes.__getitem__) for choose in (max, min))
    most, least = sizes[largest], sizes[smallest]
    if least and most >= UNBALANCED * least:
        yield Issue(
            "unbalanced",
            f"Class {largest} has {most / least:.0f} times the pictures of class {smallest} "
            f"({most:,} and {least:,})",
            "Add pictures of the small classes, or weight all classes equally: -o train.balance=weights",
            [],
        )


# Description and advice.
_POOR_IMAGES = {
    "blank": ("blank", "Such pictures show nothing: remove them."),
    "dark": ("nearly black", "Remove such pictures, unless the model will be used on pictures as dark."),
    "bright": ("nearly white", "Remove such pictures, unless the model will be used on pictures as bright."),
    "tiny": (
        f"tiny (short side under {TINY} pixels)",
        "Replace such pictures by larger versions if there are any: thumbnails are this small.",
    ),
    "blurred": (
        "blurred",
        "Remove pictures that nobody could classify, unless the model will be used on such pictures.",
    ),
}


def _poor_kind(info: ImageInfo, bits: int) -> str | None:
    """Return the first kind that applies: a black image is not reported as blurred as well.

    16-bit images are seen as training does, scaled from the ``bits`` that they use together.
    """
    scale = 2.0 ** (info.bits - bits) if info.bits else 1.0
    applies = {
        "blank": info.contrast * scale <= min(BLANK, info.brightness * scale / 10),
        "dark": info.brightest * scale < DARK,
        "bright": info.darkest * scale > BRIGHT,
        "tiny": min(info.width, info.height) < TINY,
        "blurred": info.sharpness < BLURRED,
    }
    return next((kind for kind in _POOR_IMAGES if applies[kind]), None)


def _poor_images(files: list[IssueFile], infos: list[ImageInfo | None]) -> Iterator[Issue]:
    bits = common_bits(info.bits for info in infos if info is not None)
    kinds = [None if info is None else _poor_kind(info, bits) for info in infos]
    for kind, (description, advice) in _POOR_IMAGES.items():
        poor = [[file] for file, own in zip(files, kinds, strict=True) if own == kind]
        title = f"{plural(len(poor), 'picture')} {'is' if len(poor) == 1 else 'are'} {description}"
        yield Issue(kind, title, advice, poor, suspect=True)


def _unusual_files(scan: Scan) -> Iterator[Issue]:
    renamed = set(scan.renamed)
    images = (image for own in scan.classes.values() for image in own if image.path in renamed)
    formats = {image.path: image.info.format for image in images if image.info is not None}
    advice = {
        "renamed": "Read anyway; other programs may refuse such files.",
        "animated": "Only the first frame is used.",
        "strays": "Ignored.",
    }
    for kind, text in advice.items():
        groups = [[_file_outside(scan, path, formats.get(path, ""))] for path in scan.unusual_files()[kind]]
        one, many, _ = FILE_NOTES[kind]
        note = one if len(groups) == 1 else many
        yield Issue(kind, f"{plural(len(groups), 'file')} {note}", text, groups)
