"""What is to be seen to in a data set, most important first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import known_as
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.scanner import Scan
from hubtune.text import first_few, plural

TINY = 32
"""A picture whose short side has fewer pixels is tiny."""

BLANK = 0.01
"""A picture is blank whose luma deviates by no more (:attr:`~hubtune.data.scan.inspect.ImageInfo.contrast`),
nor by more than a tenth of its mean: what is dark may still show something."""

DARK = 0.15
"""A picture is dark where 95 % of its pixels have less luma
(:attr:`~hubtune.data.scan.inspect.ImageInfo.brightest`)."""

BRIGHT = 0.9
"""A picture is bright where 95 % of its pixels have more
(:attr:`~hubtune.data.scan.inspect.ImageInfo.darkest`)."""

BLURRED = 0.5
"""A picture is blurred that is less sharp (:func:`~hubtune.data.scan.inspect.measure_sharpness`). Of 600 good
photos none was, and each of them once it was blurred with a radius of 4 at 320 pixels."""

UNBALANCED = 10.0
"""Classes are out of balance where the largest has so many times the pictures of the smallest."""

FEW = 10
"""A class with fewer pictures is small."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file with something to be seen to.

    Attributes:
        path: the file.
        name: how its source calls it.
        label: its class; ``None`` for what is in none.
        note: what is particular to it, in a few words.
    """

    path: Path
    name: str
    label: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Issue:
    """Something to be seen to.

    Attributes:
        kind: a word for programs.
        title: what it is, with how many.
        advice: what a person can do about it.
        groups: the files; those that belong together are in one group.
        suspect: whether the files may be better left out, and not only be mentioned.
    """

    kind: str
    title: str
    advice: str
    groups: list[list[Item]]
    suspect: bool = False

    @property
    def items(self) -> Iterable[Item]:
        """All files."""
        return chain.from_iterable(self.groups)


@dataclass(frozen=True)
class LabelIssue:
    """A label that is probably wrong.

    Attributes:
        place: of the picture, among those of the scan.
        own: probability of its label.
        other: the class that it probably is.
        probability: of that class.
    """

    place: int
    own: float
    other: str
    probability: float


def find_issues(
    scan: Scan,
    groups: Sequence[DuplicateGroup],
    doubts: Sequence[LabelIssue] = (),
    *,
    accuracy: float | None = None,
) -> list[Issue]:
    """Find what is to be seen to.

    Args:
        scan: what looks at the pictures told.
        groups: the copies among all pictures of the scan, class by class.
        doubts: labels that are probably wrong, the most certain first.
        accuracy: share of the pictures that the classifier behind ``doubts`` names as they are labelled.

    Returns:
        What was found, the most important first; nothing of a kind that there is none of.
    """
    items = [Item(own.path, own.name, label) for label, all_ in scan.classes.items() for own in all_]
    facts = [image.info for own in scan.classes.values() for image in own]
    copies = [(group, [items[place] for place in group.members]) for group in groups]
    several = [(group, own) for group, own in copies if len({item.label for item in own}) > 1]
    alike = [(group, own) for group, own in copies if len({item.label for item in own}) == 1]
    found = [
        _unreadable(scan),
        _contradictory([own for _, own in several]),
        _mislabelled(items, doubts, accuracy),
        _small_classes(scan),
        *_by_facts(items, facts),
        _near([own for group, own in alike if group.kind == "near"]),
        _equal([own for group, own in alike if group.kind == "equal"]),
        _unbalanced(scan),
        *_by_format(scan),
    ]
    return [finding for finding in found if finding is not None]


def _named(scan: Scan, path: Path, note: str = "") -> Item:
    return Item(path, known_as(path, scan.root), None, note)


def _alone(items: Iterable[Item]) -> list[list[Item]]:
    return [[item] for item in items]


def _unreadable(scan: Scan) -> Issue | None:
    if not scan.left_out:
        return None
    return Issue(
        "unreadable",
        f"{plural(len(scan.left_out), 'file')} cannot be used",
        "What cannot be used stays out of all lists: fetch it anew from where it came, convert or remove it.",
        _alone(_named(scan, entry.path, entry.reason) for entry in scan.left_out),
        suspect=True,
    )


def _contradictory(groups: list[list[Item]]) -> Issue | None:
    if not groups:
        return None
    verb = "lies" if len(groups) == 1 else "lie"
    return Issue(
        "contradictory",
        f"{plural(len(groups), 'picture')} {verb} in more than one class",
        "One of the labels must be wrong: keep the copy in the right class.",
        groups,
        suspect=True,
    )


def _mislabelled(items: list[Item], doubts: Sequence[LabelIssue], accuracy: float | None) -> Issue | None:
    if not doubts:
        return None
    right = (
        "" if accuracy is None else f" It names {_percent(accuracy)} of all pictures as they are labelled."
    )
    return Issue(
        "mislabelled",
        f"{plural(len(doubts), 'label')} may be wrong",
        f"A classifier that has not seen them is sure of another class.{right} Look at them, the first ones "
        "above all; some are only hard to tell.",
        [
            [
                Item(
                    items[doubt.place].path,
                    items[doubt.place].name,
                    items[doubt.place].label,
                    f"rather {doubt.other} ({_percent(doubt.probability)}; its own {_percent(doubt.own)})",
                )
            ]
            for doubt in doubts
        ],
        suspect=True,
    )


def _percent(share: float) -> str:
    return "under 1 %" if 0 <= share < 0.01 else f"{100 * share:.0f} %"


def _small_classes(scan: Scan) -> Issue | None:
    small = [(label, len(own)) for label, own in scan.classes.items() if len(own) < FEW]
    if not small:
        return None
    many = "class has" if len(small) == 1 else "classes have"
    return Issue(
        "small_classes",
        f"{len(small):,} {many} fewer than {FEW} pictures: "
        + first_few([f"{label} ({number})" for label, number in small]),
        "Add pictures: what is measured on a handful says little.",
        [],
    )


def _unbalanced(scan: Scan) -> Issue | None:
    sizes = {label: len(own) for label, own in scan.classes.items()}
    most, least = max(sizes, key=sizes.__getitem__, default=""), min(sizes, key=sizes.__getitem__, default="")
    if not sizes or not sizes[least] or sizes[most] < UNBALANCED * sizes[least]:
        return None
    return Issue(
        "unbalanced",
        f"Class {most} has {sizes[most] / sizes[least]:.0f} times the pictures of class {least} "
        f"({sizes[most]:,} and {sizes[least]:,})",
        "Add pictures of the small classes, or let all classes count the same: -o train.balance=weights",
        [],
    )


# Kind, what the facts must be, words for one and for many, advice. A picture is in the first only that
# fits: one that is black is not blurred as well.
_LOOKS: tuple[tuple[str, Callable[[ImageInfo], bool], tuple[str, str], str], ...] = (
    (
        "blank",
        lambda facts: facts.contrast <= min(BLANK, facts.brightness / 10),
        ("is blank", "are blank"),
        "Nothing is to be seen on them: remove them.",
    ),
    (
        "dark",
        lambda facts: facts.brightest < DARK,
        ("is nearly black", "are nearly black"),
        "Remove them, unless the pictures to come will be as dark.",
    ),
    (
        "bright",
        lambda facts: facts.darkest > BRIGHT,
        ("is nearly white", "are nearly white"),
        "Remove them, unless the pictures to come will be as bright.",
    ),
    (
        "tiny",
        lambda facts: min(facts.width, facts.height) < TINY,
        (f"is tiny (short side under {TINY} pixels)", f"are tiny (short side under {TINY} pixels)"),
        "Take larger ones if there are any: these may be previews of them.",
    ),
    (
        "blurred",
        lambda facts: facts.sharpness < BLURRED,
        ("is blurred", "are blurred"),
        "Remove them if nobody could tell what they show; keep them if the pictures to come will be alike.",
    ),
)


def _by_facts(items: list[Item], facts: list[ImageInfo | None]) -> list[Issue]:
    fitting: dict[str, list[Item]] = {kind: [] for kind, *_ in _LOOKS}
    for item, own in zip(items, facts, strict=True):
        kind = next((kind for kind, fits, *_ in _LOOKS if own is not None and fits(own)), None)
        if kind is not None:
            fitting[kind].append(item)
    return [
        Issue(
            kind,
            f"{plural(len(fitting[kind]), 'picture')} {words[len(fitting[kind]) > 1]}",
            advice,
            _alone(fitting[kind]),
            suspect=True,
        )
        for kind, _, words, advice in _LOOKS
        if fitting[kind]
    ]


def _near(groups: list[list[Item]]) -> Issue | None:
    if not groups:
        return None
    return Issue(
        "near_copies",
        f"{plural(sum(map(len, groups)), 'picture')} are changed copies of one another "
        f"({plural(len(groups), 'group')})",
        "Resized, saved again, mirrored, cropped … `hubtune split` keeps each group in one list: a test "
        "picture whose copy was trained on proves nothing.",
        groups,
    )


def _equal(groups: list[list[Item]]) -> Issue | None:
    if not groups:
        return None
    more = sum(len(group) - 1 for group in groups)
    return Issue(
        "equal_copies",
        f"{plural(more, 'picture')} {'is an exact copy' if more == 1 else 'are exact copies'} of others "
        f"({plural(len(groups), 'group')})",
        "They teach nothing new. `hubtune split` keeps each group in one list.",
        groups,
    )


def _by_format(scan: Scan) -> list[Issue]:
    renamed = set(scan.renamed)
    formats = {
        image.path: image.info.format
        for own in scan.classes.values()
        for image in own
        if image.path in renamed and image.info is not None
    }
    kinds = (
        (
            "renamed",
            scan.renamed,
            ("has another format than its name says", "have other formats than their names say"),
            "They are read all the same; other programs may not.",
        ),
        (
            "animated",
            scan.animated,
            ("has several frames", "have several frames"),
            "Only the first is used.",
        ),
        ("strays", scan.non_images, ("is no picture", "are no pictures"), "They are passed over."),
    )
    return [
        Issue(
            kind,
            f"{plural(len(paths), 'file')} {words[len(paths) > 1]}",
            advice,
            _alone(_named(scan, path, formats.get(path, "")) for path in paths),
        )
        for kind, paths, words, advice in kinds
        if paths
    ]
