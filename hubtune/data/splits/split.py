"""Honest splits: the pictures of a source become training, validation and test lists.

A picture's place is decided by a hash of the seed and of its name alone, so a split is the same on every
machine and hardly changes when pictures are added. Pictures that belong together (copies, nearly equal ones,
those of one patient) always stay on one side.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence

from hubtune.data.dedup.duplicates import find_groups
from hubtune.data.dedup.groups import COPY_KINDS, DuplicateGroup, expected_leaks, groups_by_key, merge_groups
from hubtune.data.list_files import encode
from hubtune.data.listing import PARTS, Excluded, ImageEntry
from hubtune.data.scan.scanner import Scan, name_key
from hubtune.data.splits.assignment import Assignment, Unit
from hubtune.data.splits.class_names import class_namer
from hubtune.data.splits.files import Split
from hubtune.data.splits.leakage import WORDS, find_leaks, leaks_in_words
from hubtune.data.splits.quota import NOTHING, ClassSize, SplitRequest, SplitSize
from hubtune.errors import DataError
from hubtune.text import first_few, plural

# Remarks of one kind that are written out in full.
_MOST_REMARKS = 10
_GROUP_WORDS = {"equal": "byte-equal", "near": "nearly equal", "burst": "of one thing", "given": "given"}
_TESTED = {
    "equal": "a copy of it",
    "near": "nearly the same picture",
    "burst": "another picture of the same thing",
    "given": "another picture of its group",
}


def images_of(scan: Scan, test_scan: Scan | None = None) -> list[ImageEntry]:
    """All pictures in the order that groups count them in: class after class, then the test folder's."""
    return [
        image
        for found in (scan, test_scan)
        if found is not None
        for images in found.classes.values()
        for image in images
    ]


def make_split(
    scan: Scan,
    *,
    validate: SplitSize,
    test: SplitSize = NOTHING,
    train: int | None = None,
    seed: int = 0,
    labels: dict[str, str] | None = None,
    test_scan: Scan | None = None,
    groups: Sequence[DuplicateGroup] | None = None,
) -> Split:
    """Divide every class at random, by the seed, into training, validation and test pictures.

    Pictures whose source has put them into a list stay there. Where it has no list of its own for what is
    asked, that is taken from the training pictures.

    Args:
        scan: the pictures.
        validate: validation pictures per class.
        test: test pictures per class.
        train: training pictures per class; ``None`` takes all the rest.
        seed: another seed gives another split.
        labels: class folder → display name, in the order of the labels.
        test_scan: a separate folder of test pictures, in place of ``test``.
        groups: what belongs together, as places in :func:`images_of`; groups with a common member count as
            one. Default: the copies that are found, and what the source says.

    Raises:
        DataError: if no picture of the test folder belongs to a class, or a class has no training picture.
    """
    images = images_of(scan, test_scan)
    if groups is None:
        groups = [*find_groups(images), *groups_by_key([image.group for image in images])]
    table = _Table(scan, images, labels or {folder: folder for folder in scan.classes}, seed)
    if test_scan is not None:
        table.place_test_folder(test_scan)
    has = table.place_parts()
    together = table.join(groups)
    table.leave_out_tested(together)
    table.note_groups(groups, together, divided=bool(has))
    table.bind_conflicts(groups, together)
    table.deal(
        together,
        SplitRequest(NOTHING if "validate" in has else validate, NOTHING if "test" in has else test, train),
    )
    return table.finish(groups, together)


class _Table:
    """All pictures on their way into lists, and what is to be said of it."""

    def __init__(self, scan: Scan, images: list[ImageEntry], names: dict[str, str], seed: int) -> None:
        self.split = Split(
            list(names), list(names.values()), left_out=list(scan.left_out), remarks=scan.remarks()
        )
        self._root, self._seed = scan.root, seed
        self._images = images
        numbers = {folder: label for label, folder in enumerate(names)}
        self._places = Assignment(
            [numbers.get(folder) for folder, found in scan.classes.items() for _ in found], len(names)
        )
        self._tests = range(len(self._places.labels), len(images))  # of the test folder
        self._pool: list[bool] = []  # what is to be divided here, when all others have their lists
        self._after_groups = 0  # the place among the remarks

    def place_test_folder(self, scan: Scan) -> None:
        """Give each picture of the test folder its class, from its folder or its name."""
        split = self.split
        split.left_out += scan.left_out
        split.remarks += scan.remarks()
        label_of = class_namer(split.folders, split.labels)
        for place in self._tests:
            label = label_of(self._images[place].name)
            self._places.add(label, "test")
            if label is None:
                split.left_out.append(Excluded(self._images[place].path, "no class has this name"))
        if not any(self._places.lists[place] for place in self._tests):
            raise DataError(
                f"No picture in {scan.root} can be told to belong to a class: name them after their class "
                f"({split.folders[0]}.jpg, {split.folders[0]}_2.jpg), or put them into folders named so"
            )

    def place_parts(self) -> set[str]:
        """Put validation and test pictures where their source has them; returns which of these it has."""
        given = set()
        for place, free in enumerate(self._places.free):
            part = self._images[place].part
            if free and part in PARTS[1:]:
                self._places.lists[place], self._places.free[place] = part, False
                given.add(part)
        return given

    def join(self, groups: Sequence[DuplicateGroup]) -> list[DuplicateGroup]:
        """Groups without a common member, of pictures that have a class."""
        used = (
            tuple(place for place in group.members if self._places.labels[place] is not None)
            for group in groups
        )
        return merge_groups(
            DuplicateGroup(members, group.kind)
            for members, group in zip(used, groups, strict=True)
            if len(members) > 1
        )

    def leave_out_tested(self, together: Sequence[DuplicateGroup]) -> None:
        """Leave out pictures of the tree that belong to pictures of the test folder."""
        for group in together:
            sums = {self._images[place].sha256 for place in group.members if place in self._tests}
            if not sums:
                continue
            for place in group.members:
                if self._places.free[place]:
                    self._places.free[place] = False
                    image = self._images[place]
                    what = "the same picture" if image.sha256 in sums else _TESTED[group.kind]
                    self.split.left_out.append(Excluded(image.path, f"{what} is in the test folder"))
        self._pool = list(self._places.free)
        present = {self._places.labels[place] for place, free in enumerate(self._places.free) if free}
        for label, folder in enumerate(self.split.folders):
            if label in present:
                continue
            if self._tests:
                raise DataError(
                    f"Every picture of {self._root / folder} is in the test folder, too: none is left for "
                    "training"
                )
            self.split.remarks.append(
                f"Class {folder!r} has no training picture: nothing can be learned of it."
            )

    def bind_conflicts(self, groups: Sequence[DuplicateGroup], together: Sequence[DuplicateGroup]) -> None:
        """Put copies that lie in different classes, and all that belongs to them, into the training list.

        On different sides, these would be questions that no classifier can answer right twice.
        """
        doubted = [
            group
            for group in groups
            if group.kind in COPY_KINDS
            and len({self._places.labels[place] for place in group.members} - {None}) > 1
        ]
        self.split.conflicts = [
            [self._images[place] for place in group.members if self._places.labels[place] is not None]
            for group in doubted
        ]
        touched = {place for group in doubted for place in group.members}
        for group in together:
            if not touched.isdisjoint(group.members):
                self._places.bind(group.members)
        said = [self._conflict(group) for group in doubted]
        self.split.remarks += said[:_MOST_REMARKS]
        if len(said) > _MOST_REMARKS:
            self.split.remarks.append(
                f"… and {len(said) - _MOST_REMARKS:,} more of these; split.json has all in `conflicts`."
            )

    def _conflict(self, group: DuplicateGroup) -> str:
        members = [place for place in group.members if self._places.labels[place] is not None]
        sums = {self._images[place].sha256 for place in members}
        what = "The same picture lies" if len(sums) == 1 else "Nearly the same picture lies"
        where = [WORDS[name] for name in PARTS if any(self._places.lists[place] == name for place in members)]
        lists = f"the {' and '.join(where)} list{'s' * (len(where) > 1)}"
        names = first_few([self._images[place].name for place in members])
        return f"{what} in different classes: {names}. All are in {lists}; remove the wrong ones."

    def note_groups(
        self, groups: Sequence[DuplicateGroup], together: Sequence[DuplicateGroup], *, divided: bool
    ) -> None:
        """Note the groups, and say how many there are; whether the source has divided them itself."""
        split = self.split
        split.groups = [[self._images[place] for place in group.members] for group in together]
        split.group_kinds = [group.kind for group in together]
        if not together:
            return
        kinds = Counter(split.group_kinds)
        parted = ", ".join(f"{kinds[kind]:,} {words}" for kind, words in _GROUP_WORDS.items() if kinds[kind])
        hold = "holds" if len(together) == 1 else "hold"
        said = (
            f"{plural(len(together), 'group')} of pictures that belong together ({parted}) {hold} "
            f"{plural(sum(map(len, split.groups)), 'picture')}"
        )
        copies = sum(group.kind in COPY_KINDS for group in groups)
        if kinds["given"] and copies:
            said += f", {plural(copies, 'group')} of copies among them"
        split.remarks.append(f"{said}." if divided else f"{said}; each stays in one list.")
        self._after_groups = len(split.remarks)
        self._note_ties(groups)

    def _note_ties(self, groups: Sequence[DuplicateGroup]) -> None:
        """Say which copies make one group of several that were given apart, as of two patients."""
        given = {
            place: number
            for number, group in enumerate(groups)
            if group.kind == "given"
            for place in group.members
        }
        ties = [
            group
            for group in groups
            if group.kind in COPY_KINDS
            and len({given[place] for place in group.members if place in given}) > 1
        ]
        for group in ties[:_MOST_REMARKS]:
            names = first_few([self._images[place].name for place in group.members])
            self.split.remarks.append(
                f"Copies of one picture lie in groups that were given apart: {names}. These groups stay "
                "together."
            )
        if len(ties) > _MOST_REMARKS:
            self.split.remarks.append(f"… and {len(ties) - _MOST_REMARKS:,} more of these.")

    def deal(self, together: Sequence[DuplicateGroup], wish: SplitRequest) -> None:
        """Deal the pictures that are free to the lists, and say where they do not suffice."""
        units = self._places.deal(together, self._lot, wish)
        left_over = sorted(self._places.left_over.items())
        self.split.left_over = {self.split.folders[label]: count for label, count in left_over}
        self._say_shortages(units, wish)

    def _lot(self, unit: Unit) -> tuple[bytes, str]:
        """A group's lot is that of its first picture. Unicode forms of one name are one (macOS's differ)."""
        first = min(unit, key=lambda place: name_key(self._images[place].name))
        label, name = self._places.labels[first], self._images[first].name
        assert label is not None  # what is free has a class
        text = unicodedata.normalize("NFC", f"{self._seed}\0{self.split.folders[label]}\0{name}")
        return hashlib.sha256(encode(text)).digest(), name

    def _say_shortages(self, units: Sequence[Unit], wish: SplitRequest) -> None:
        largest, across = Counter[int](), set[int]()
        for unit in units:
            counts = self._places.counts(unit) if len(unit) > 1 else {}
            for label, count in counts.items():
                largest[label] = max(largest[label], count)
            if len(counts) > 1:
                across |= {*counts}
        small = {}
        for label, (folder, got) in enumerate(zip(self.split.folders, self._places.got, strict=True)):
            held = ClassSize(got.total(), self._places.bound[label], largest[label], label in across)
            if sentence := wish.shortage(folder, got, held):
                small[folder] = sentence
        self.split.remarks += list(small.values())[:_MOST_REMARKS]
        if len(small) > _MOST_REMARKS:
            names = ", ".join(map(repr, list(small)[_MOST_REMARKS:]))
            self.split.remarks.append(f"Fewer than asked, likewise: {names}.")

    def finish(self, groups: Sequence[DuplicateGroup], together: Sequence[DuplicateGroup]) -> Split:
        """Fill the lists, and say what leaks, or what would have."""
        split = self.split
        for place, (name, label) in enumerate(zip(self._places.lists, self._places.labels, strict=True)):
            if name is not None and label is not None:
                split.lists[name].append((self._images[place], label))
        for entries in split.lists.values():
            entries.sort(key=lambda entry: (entry[1], name_key(entry[0].name)))
        split.leaks = find_leaks(self._images, self._places.lists, groups)
        counts = {name: len(entries) for name, entries in split.lists.items()}
        split.remarks += leaks_in_words(split.leaks, counts)
        if not split.leaks:
            self._expect_leaks(together)
        return split

    def _expect_leaks(self, together: Sequence[DuplicateGroup]) -> None:
        """Reckon what a random split of the same sizes would have leaked, and say it after the groups."""
        split = self.split
        lists: dict[str, Counter[int]] = {name: Counter() for name in PARTS}
        totals: Counter[int] = Counter()
        for got_label, got in enumerate(self._places.got):
            totals[got_label] = got.total()
            for name in lists:
                lists[name][got_label] = got[name]
        of_groups = [
            counts
            for group in together
            if (
                counts := self._places.counts([place for place in group.members if self._pool[place]])
            ).total()
            > 1
        ]
        measured = {name: lists[name].total() for name in PARTS[1:] if lists[name].total()}
        if not of_groups or not measured:
            return
        split.random_leaks = expected_leaks(of_groups, lists, totals)
        parted = " and ".join(
            f"{_about(split.random_leaks[name])} of {count:,} {WORDS[name]}"
            for name, count in measured.items()
        )
        what = "copies" if set(split.group_kinds) <= {*COPY_KINDS} else "copies or group mates"
        split.remarks.insert(
            self._after_groups,
            f"A random split of these sizes would have put {what} of {parted} pictures into training, "
            "on average.",
        )


def _about(number: float) -> str:
    return "fewer than 1" if number < 0.5 else f"{round(number):,}"
