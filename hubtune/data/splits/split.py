"""Honest splits: the images of a source are divided into training, validation and test lists.

The place of an image depends on a hash of the seed and of its name alone, so a split is the same on every
machine and hardly changes when images are added. Images of one group (copies, near-copies, those of one
patient) always stay in one list.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hubtune.data.dedup.duplicates import find_groups
from hubtune.data.dedup.groups import COPY_KINDS, DuplicateGroup, expected_leaks, groups_by_key, merge_groups
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import encode
from hubtune.data.listing import PARTS, WORDS, Excluded, ImageEntry, name_key
from hubtune.data.scan.scanner import Scan
from hubtune.data.shards.members import reading_order
from hubtune.data.splits.assignment import Assignment, Unit
from hubtune.data.splits.class_names import class_namer, read_display_names, rename_labels
from hubtune.data.splits.files import Split
from hubtune.data.splits.label_assignment import assign_by_labels
from hubtune.data.splits.leakage import describe_leaks, find_leaks
from hubtune.data.splits.quota import NOTHING, SplitRequest
from hubtune.errors import DataError
from hubtune.text import escaped, first_few, plural

# Remarks of one kind that are written out in full.
_MOST_REMARKS = 10
_MOST_NAMES = 100  # of classes in one remark
_GROUP_WORDS = {"equal": "byte-equal", "near": "nearly equal", "burst": "of one thing", "given": "given"}
_MATE_WORDS = {
    "equal": "a copy of it",
    "near": "nearly the same picture",
    "burst": "another picture of the same thing",
    "given": "another picture of its group",
}


def images_of(scan: Scan, test_scan: Scan | None = None) -> list[ImageEntry]:
    """Return all images in the order of their places in groups: class after class, then the test folder's."""
    scans = [scan] if test_scan is None else [scan, test_scan]
    return [image for each in scans for images in each.classes.values() for image in images]


def make_split(
    scan: Scan,
    request: SplitRequest,
    *,
    test_scan: Scan | None = None,
    groups: Sequence[DuplicateGroup] | None = None,
) -> Split:
    """Divide every class at random, by the seed, into training, validation and test images.

    Of multi-label data, every label is divided, by
    :func:`~hubtune.data.splits.label_assignment.assign_by_labels`.

    Images that their source assigns to a list stay there. If it has no list of a requested kind, the images
    are taken from the training list.

    Args:
        request: its ``group_by`` and ``test_dir`` are read by the caller.
        test_scan: the images of a separate test folder.
        groups: images that stay in one list, by their places in :func:`images_of`; groups with a common
            member count as one. Default: copies, and the groups of the source.

    Raises:
        DataError: if no image of the test folder belongs to a class, every image of a class is in the test
            folder, or the display names do not fit the classes.
    """
    images = images_of(scan, test_scan)
    if groups is None:
        groups = [*find_groups(images), *groups_by_key([image.group for image in images])]
    names, label_sets = request.labels or {folder: folder for folder in scan.classes}, scan.label_sets
    if label_sets is not None:
        names, label_sets = rename_labels(label_sets, request.labels, request.settings.encoding)
    elif isinstance(names, Path):
        names = read_display_names(names, list(scan.classes), request.settings.encoding)
    builder = _SplitBuilder(scan, images, dict(names), groups, request.seed, label_sets)
    if test_scan is not None:
        builder.place_test_folder(test_scan)
    parts = builder.place_parts()
    builder.join_groups()
    builder.exclude_tested()
    builder.note_groups(is_divided=bool(parts))
    builder.bind_conflicts()
    if "validate" in parts:
        request = replace(request, validate=NOTHING)
    if "test" in parts:
        request = replace(request, test=NOTHING)
    builder.allocate(request)
    return builder.finish()


class _SplitBuilder:
    """Collects the lists, and the remarks about them."""

    def __init__(
        self,
        scan: Scan,
        images: list[ImageEntry],
        names: dict[str, str],
        groups: Sequence[DuplicateGroup],
        seed: int,
        label_sets: LabelSets | None,
    ) -> None:
        self.split = Split(list(names), list(names.values()), options={"seed": seed}, label_sets=label_sets)
        self.split.left_out += scan.left_out
        self.split.non_images += scan.non_images
        self.split.remarks += scan.remarks()
        self._root, self._seed = scan.root, seed
        self._images, self._groups = images, groups
        self._merged: list[DuplicateGroup] = []  # groups of images with a class, without common members
        number_of = {folder: label for label, folder in enumerate(names)}
        self._assignment = Assignment(
            [number_of.get(folder) for folder, own in scan.classes.items() for _ in own], len(names)
        )
        self._tests = range(len(self._assignment.labels), len(images))  # places of the test folder's images
        self._divided: list[bool] = []  # whether an image is divided here, and not assigned by its source
        self._after_groups = 0  # a place among the remarks

    def place_test_folder(self, scan: Scan) -> None:
        """Find the class of each image of the test folder by its folder or its name."""
        split = self.split
        split.left_out += scan.left_out
        split.remarks += scan.remarks()
        label_of = class_namer(split.folders, split.labels)
        for place in self._tests:
            label = label_of(self._images[place].name)
            self._assignment.add(label, "test")
            if label is None:
                split.left_out.append(Excluded(self._images[place].path, "no class has this name"))
        if not any(self._assignment.lists[place] for place in self._tests):
            raise DataError(
                f"No picture in {scan.root} can be told to belong to a class: name them after their class "
                f"({split.folders[0]}.jpg, {split.folders[0]}_2.jpg), or put them into folders named so"
            )

    def place_parts(self) -> set[str]:
        """Place validation and test images as their source assigns them; return which of these it has."""
        parts = set()
        for place, image in enumerate(self._images):
            if self._assignment.free[place] and image.part in PARTS[1:]:
                self._assignment.lists[place], self._assignment.free[place] = image.part, False
                parts.add(image.part)
        return parts

    def join_groups(self) -> None:
        """Merge groups with common members; images without a class are ignored."""
        used = (DuplicateGroup(tuple(self._with_class(group)), group.kind) for group in self._groups)
        self._merged = merge_groups(group for group in used if len(group.members) > 1)

    def _with_class(self, group: DuplicateGroup) -> list[int]:
        return [place for place in group.members if self._assignment.labels[place] is not None]

    def exclude_tested(self) -> None:
        """Exclude images with a copy or a group mate in the test folder."""
        free = self._assignment.free
        for group in self._merged:
            sums = {self._images[place].sha256 for place in group.members if place in self._tests}
            for place in group.members if sums else ():
                if free[place]:
                    free[place] = False
                    image = self._images[place]
                    what = "the same picture" if image.sha256 in sums else _MATE_WORDS[group.kind]
                    self.split.left_out.append(Excluded(image.path, f"{what} is in the test folder"))
        self._divided = list(free)
        present = {label for label, own in zip(self._assignment.labels, free, strict=True) if own}
        empty = [folder for label, folder in enumerate(self.split.folders) if label not in present]
        if empty and self._tests:
            raise DataError(
                f"Every picture of {self._root / empty[0]} is in the test folder, too: none is left for "
                "training"
            )
        if self.split.label_sets is not None:
            return  # labels are not told by folders, and remarks on them follow
        sentences = [
            f"Class '{escaped(folder)}' has no training picture: nothing can be learned of it."
            for folder in empty
        ]
        self._remark(sentences, lambda rest: f"… and {rest:,} more classes without one.")

    def note_groups(self, *, is_divided: bool) -> None:
        """Record the groups, and remark on their number and on copies across given groups."""
        split = self.split
        split.groups = [[self._images[place] for place in group.members] for group in self._merged]
        split.group_kinds = [group.kind for group in self._merged]
        if not self._merged:
            return
        kinds = Counter(split.group_kinds)
        by_kind = ", ".join(f"{kinds[kind]:,} {words}" for kind, words in _GROUP_WORDS.items() if kinds[kind])
        copies = sum(group.kind in COPY_KINDS for group in self._groups)
        split.remarks.append(
            f"{plural(len(self._merged), 'group')} of copies or related pictures ({by_kind}) with "
            f"{plural(sum(map(len, split.groups)), 'picture')} in all"
            + (f", {plural(copies, 'group')} of copies among them" if kinds["given"] and copies else "")
            + ("." if is_divided else "; each group stays in one list.")
        )
        self._after_groups = len(split.remarks)
        given = (group.members for group in self._groups if group.kind == "given")
        group_of = {place: number for number, members in enumerate(given) for place in members}
        ties = [
            f"Copies of one picture lie in different groups: {self._names(group.members)}. These groups stay "
            "together."
            for group in self._groups
            if group.kind in COPY_KINDS
            and len({group_of[place] for place in group.members if place in group_of}) > 1
        ]
        self._remark(ties, lambda rest: f"… and {rest:,} more of these.")

    def _remark(self, sentences: Sequence[str], summary: Callable[[int], str]) -> None:
        """Add remarks of one kind, and a summary with the number of those beyond the first."""
        self.split.remarks += sentences[:_MOST_REMARKS]
        if len(sentences) > _MOST_REMARKS:
            self.split.remarks.append(summary(len(sentences) - _MOST_REMARKS))

    def _names(self, places: Sequence[int]) -> str:
        return first_few([self._images[place].name for place in places])

    def bind_conflicts(self) -> None:
        """Put copies that lie in different classes, and their groups, into the training list.

        In different lists, their labels would contradict one another: no classifier could be right on both.
        """
        copies = [self._with_class(group) for group in self._groups if group.kind in COPY_KINDS]
        conflicts = [places for places in copies if len(self._assignment.counts(places)) > 1]
        self.split.conflicts = [[self._images[place] for place in places] for places in conflicts]
        conflicting = {place for places in conflicts for place in places}
        for group in self._merged:
            if not conflicting.isdisjoint(group.members):
                self._assignment.bind(group.members)
        sentences = [self._describe_conflict(places) for places in conflicts]
        self._remark(
            sentences, lambda rest: f"… and {rest:,} more of these; split.json has all in `conflicts`."
        )

    def _describe_conflict(self, places: Sequence[int]) -> str:
        sums = {self._images[place].sha256 for place in places}
        is_multi_label = self.split.label_sets is not None
        words = [WORDS[name] for name in PARTS if any(self._assignment.lists[p] == name for p in places)]
        names, lists = self._names(places), " and ".join(words)
        return (
            f"{'The' if len(sums) == 1 else 'Nearly the'} same picture "
            f"{'has different labels' if is_multi_label else 'lies in different classes'}: {names}. "
            f"All are in the {lists} list{'s' * (len(words) > 1)}; remove the wrong ones."
        )

    def allocate(self, request: SplitRequest) -> None:
        """Assign the free images to the lists, and remark on classes with too few."""
        label_sets = self.split.label_sets
        if label_sets is not None:
            remarks = assign_by_labels(self._assignment, self._merged, self._sort_key, request, label_sets)
            self.split.remarks += remarks
        else:
            self._allocate_classes(request)
        left_over = sorted(self._assignment.left_over.items())
        self.split.left_over = {self.split.folders[label]: count for label, count in left_over}

    def _allocate_classes(self, request: SplitRequest) -> None:
        units = self._assignment.allocate(self._merged, self._sort_key, request)
        largest, shared = Counter[int](), set[int]()
        for unit in units:
            counts = self._assignment.counts(unit) if len(unit) > 1 else {}
            for label, count in counts.items():
                largest[label] = max(largest[label], count)
            if len(counts) > 1:
                shared |= {*counts}
        shortages = {}
        for label, (folder, got) in enumerate(zip(self.split.folders, self._assignment.got, strict=True)):
            bound, shares = self._assignment.bound[label], label in shared
            if sentence := request.shortage(
                folder, got, bound=bound, largest_group=largest[label], shares_groups=shares
            ):
                shortages[folder] = sentence
        self.split.remarks += [*shortages.values()][:_MOST_REMARKS]
        if others := [repr(folder) for folder in [*shortages][_MOST_REMARKS:]]:
            self.split.remarks.append(f"Fewer than asked, likewise: {first_few(others, _MOST_NAMES)}.")

    def _sort_key(self, unit: Unit) -> tuple[bytes, str]:
        """Return a hash of the seed and the first name; in NFC, as macOS stores other forms than Linux."""
        first = min(unit, key=lambda place: name_key(self._images[place].name))
        label, name = self._assignment.labels[first], self._images[first].name
        assert label is not None  # every free image has a class
        # Not by the set of labels: a label that is corrected, or one more, would change the order.
        folder = self.split.folders[label] if self.split.label_sets is None else ""
        text = unicodedata.normalize("NFC", f"{self._seed}\0{folder}\0{name}")
        return hashlib.sha256(encode(text)).digest(), name

    def finish(self) -> Split:
        """Fill the lists, and remark on leaks, or on those of a random split."""
        split = self.split
        lists, labels = self._assignment.lists, self._assignment.labels
        for image, name, label in zip(self._images, lists, labels, strict=True):
            if name is not None and label is not None:
                split.lists[name].append(replace(image, label=label))
        for images in split.lists.values():
            # By shards first: a list is read in its order, and a shard is fetched as a whole.
            images.sort(key=lambda image: (*reading_order(image.path), image.label, name_key(image.name)))
        split.leaks = find_leaks(self._images, lists, self._groups)
        sizes = {name: len(images) for name, images in split.lists.items()}
        split.remarks += describe_leaks(split.leaks, sizes)
        if not split.leaks:
            self._estimate_random_leaks()
        return split

    def _estimate_random_leaks(self) -> None:
        """Compute the expected leaks of a random split of the same sizes; remark on them after the groups."""
        split, got = self.split, self._assignment.got
        groups = [
            self._assignment.counts([place for place in group.members if self._divided[place]])
            for group in self._merged
        ]
        if split.label_sets is not None:  # a random split would not divide each set of labels
            got = [sum(got, Counter[str]())]
            groups = [Counter({0: counts.total()}) for counts in groups]
        lists = {name: {label: own[name] for label, own in enumerate(got)} for name in PARTS}
        groups = [counts for counts in groups if counts.total() > 1]
        measured = {name: sum(lists[name].values()) for name in PARTS[1:] if any(lists[name].values())}
        if not groups or not measured:
            return
        totals = {label: own.total() for label, own in enumerate(got)}
        split.random_leaks = expected_leaks(groups, lists, totals)
        shares = " and ".join(
            _share_of(split.random_leaks[name], count, WORDS[name]) for name, count in measured.items()
        )
        only_copies = set(split.group_kinds) <= {*COPY_KINDS}
        split.remarks.insert(
            self._after_groups,
            f"A random split of these sizes would have put {'copies' if only_copies else 'copies or images'}"
            f"{'' if only_copies else ' of their group'} of {shares} pictures into training, on average.",
        )


def _share_of(number: float, count: int, words: str) -> str:
    return f"{'fewer than 1' if number < 0.5 else f'{round(number):,}'} of {count:,} {words}"
