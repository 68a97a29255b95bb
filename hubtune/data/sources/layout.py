"""What the folders of a data set are: classes, or lists (training, validation, test) with classes in them.

Only names of folders and files are looked at. A reading is certain if no other one fits; where a second one
fits, :class:`DataError` names the option that settles it.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.listing import PART_OF_WORD, PARTS, WORDS, is_hidden, name_key, similar_names
from hubtune.data.sources.masks import IMAGE_WORDS, is_image_folder, is_mask_folder
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import DataError, UsageError
from hubtune.text import escaped, first_few

# What stands beside a list's name in names of folders, and says nothing: training_set, images_val, test1.
_NEUTRAL = frozenset("set sets data dataset folder dir split list new".split()) | IMAGE_WORDS
_TRAIN, _VALIDATE, _TEST = PARTS
_CHINESE = {"训练": _TRAIN, "验证": _VALIDATE, "测试": _TEST}
_CHINESE_END = re.compile("(集|集合|数据|数据集|样本|图片|图像)$")
_UNLABELLED = frozenset("pred predict prediction predictions unlabeled unlabelled".split())


class PartName(NamedTuple):
    """A folder's name read as that of a list: the list, and the rest of the name."""

    part: str
    rest: str


def read_part_name(name: str) -> PartName | None:
    """Read a folder's name as that of a list: ``train``, ``training_set``, ``seg_test``, ``测试集``.

    Example:
        >>> read_part_name("seg_train"), read_part_name("cats")
        (PartName(part='train', rest='seg'), None)
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    found, rest = [], []
    for word in (word.lower() for word in words):
        part = PART_OF_WORD.get(word) or _CHINESE.get(_CHINESE_END.sub("", word))
        for end in ("set", "data"):  # trainset, testdata
            part = part or PART_OF_WORD.get(word.removesuffix(end))
        if part:
            found.append(part)
        elif word not in _NEUTRAL:
            rest.append(word)
    return PartName(found[0], " ".join(rest)) if len(found) == 1 else None


@dataclass(frozen=True)
class Layout:
    """What the folders directly below a root are.

    Attributes:
        parts: list, one of :data:`~hubtune.data.listing.PARTS` → the folder with its class folders; without
            any, each folder is a class.
        passed_over: names of folders that are neither.
        remarks: what was taken for what, where it is not obvious; one sentence each.
    """

    parts: Mapping[str, Path] = field(default_factory=dict)
    passed_over: Sequence[str] = ()
    remarks: Sequence[str] = ()


SEPARATE_CURE = "or add --as-classes to keep them apart"
"""What settles the question of classes whose names hardly differ."""

PLAIN = Layout()
"""Each folder is a class."""


def read_layout(root: Path, settings: SourceSettings = AS_FOUND, *, skip: Path | None = None) -> Layout:
    """Decide what the folders below ``root`` are; the folder ``skip`` is ignored.

    Raises:
        DataError: if several readings fit, or none.
        UsageError: if a folder that a person named does not exist.
    """
    if settings.as_classes:
        return Layout()
    skipped = None if skip is None else skip.resolve()
    folders = [name for name in subfolders(root) if (root / name).resolve() != skipped]
    if settings.parts:
        return _given_parts(root, folders, settings.parts)
    lists = list_folders(folders)
    if lists:
        return _divided(root, folders, lists)
    _refuse_lone_part(root, folders)
    _refuse_masks(root, folders)
    _refuse_alike(root, folders)
    _refuse_outer(root, folders)
    return _without_copies(root, folders)


def list_folders(folders: Sequence[str]) -> dict[str, PartName]:
    """Return the folders that are called as lists, if there is one for training and another one."""
    named = {name: found for name in folders if (found := read_part_name(name))}
    rests = {found.rest for found in named.values() if found.part == _TRAIN}
    lists = {name: found for name, found in named.items() if found.rest in rests}
    return lists if len({found.part for found in lists.values()}) > 1 else {}


def _given_parts(root: Path, folders: Sequence[str], parts: Mapping[str, str]) -> Layout:
    for part, name in parts.items():
        if not (root / name).is_dir():
            raise UsageError(f"{root} has no folder {name!r} for the {WORDS[part]} list")
    tops = {name.split("/")[0] for name in parts.values()}
    in_parts_order = {part: root / parts[part] for part in PARTS if part in parts}
    return Layout(in_parts_order, [name for name in folders if name not in tops])


def _divided(root: Path, folders: Sequence[str], named: Mapping[str, PartName]) -> Layout:
    """Return the layout of a root with folders named as lists, if they hold class folders."""
    parts: dict[str, Path] = {}
    for name, found in named.items():
        if found.part in parts:
            other = parts[found.part].name
            cure = (
                f"say which counts with --parts {found.part}=FOLDER,…, or move the other away"
                if found.rest == named[other].rest
                else f"put the pictures of each class into {found.part}/CLASS, or add --as-classes"
            )
            raise DataError(f"{root} has both {other} and {name}: {cure}")
        parts[found.part] = root / name
    inner = {part: _class_root(folder) for part, folder in parts.items()}
    _refuse_masks(inner[_TRAIN], subfolders(inner[_TRAIN]))
    usual = all(name.lower() in PART_OF_WORD for name in named)
    if not usual and len(subfolders(inner[_TRAIN])) < 2:
        names = " and ".join(sorted(named, key=name_key))
        raise DataError(
            f"{names} in {root} are named like lists, but {parts[_TRAIN].name} has no class folders: put the "
            "pictures of each class into a folder of its own, name a table with their labels as the source, "
            "or add --as-classes if these are the classes"
        )
    others = [name for name in folders if name not in named]
    _refuse_unknown_parts(root, others, inner)
    taken = ", ".join(f"{parts[part].name} as the {WORDS[part]} list" for part in PARTS if part in parts)
    remarks = [] if usual else [f"{root.name or root}: {taken} (otherwise: --parts or --as-classes)."]
    return Layout({part: inner[part] for part in PARTS if part in inner}, others, remarks)


def _refuse_unknown_parts(root: Path, others: Sequence[str], parts: Mapping[str, Path]) -> None:
    """Refuse a folder beside the lists that has their classes, too: another list by another name."""
    classes = {*subfolders(parts[_TRAIN])}
    for name in others:
        if len(classes & {*subfolders(root / name)}) > 1:
            known = {part: folder.relative_to(root).as_posix() for part, folder in parts.items()}
            missing = [part for part in PARTS if part not in known] or ["test"]
            lists = ",".join(f"{part}={folder}" for part, folder in {**known, missing[-1]: name}.items())
            raise DataError(
                f"{root / name} has the classes of the training folder, too: if it is a list, "
                f"--parts {lists}; otherwise move it away"
            )


def _refuse_alike(root: Path, folders: Sequence[str]) -> None:
    """Refuse folders that hold folders of the same names: the lists of the same classes, or classes."""
    inner = {name: set(subfolders(root / name)) for name in folders}
    names = max(inner.values(), key=len, default=set())
    alike = [name for name, own in inner.items() if own and own <= names and not _has_images(root / name)]
    common = set[str]().union(*(inner[one] & inner[other] for one, other in combinations(alike, 2)))
    if len(folders) == len(alike) > 1:
        common = names
    if len(common) < 2 or any(read_part_name(name) or is_image_folder(name) for name in names):
        return
    # The list with the most pictures is likely the training list.
    train, *others = sorted(
        alike, key=lambda name: (read_part_name(name) is None, -_count_files(root / name))
    )
    raise DataError(
        f"{root}: {first_few(alike)} all hold folders such as {first_few(sorted(common, key=name_key))}, so "
        f"either may be the classes: --as-classes if {first_few(alike)} are, or --parts "
        f"train={train},test={others[0]} if they are lists; or give one of them: {root / train}"
    )


def _count_files(folder: Path) -> int:
    return sum(len(_stems(folder / name)) for name in subfolders(folder))


def _refuse_outer(root: Path, folders: Sequence[str]) -> None:
    """Refuse a folder whose classes are in ``images``, beside folders without pictures."""
    inner = [name for name in folders if is_image_folder(name) and len(subfolders(root / name)) > 1]
    if len(inner) == 1 < len(folders):
        others = [name for name in folders if name != inner[0]]
        if not any(_has_images(Path(place)) for name in others for place, _, _ in os.walk(root / name)):
            place = root / inner[0]
            raise DataError(
                f"{place} has the folders {first_few(subfolders(place))}, and the other folders of {root} "
                f"have no pictures: give {place} if these are the classes"
            )


def _class_root(folder: Path) -> Path:
    """Return the folder with the class folders of a list: its own, ``train/train`` or ``train/images``."""
    below, part = folder, read_part_name(folder.name)
    while len(names := subfolders(below)) == 1 and (
        names[0].lower() in IMAGE_WORDS or (part is not None and read_part_name(names[0]) == part)
    ):
        below = below / names[0]
    return below if subfolders(below) else folder


def _refuse_lone_part(root: Path, folders: Sequence[str]) -> None:
    """Refuse a folder named as the validation or test list, without a training folder, beside classes."""
    named = {name: found for name in folders if (found := read_part_name(name))}
    lone = [name for name, found in named.items() if found.part != _TRAIN and not found.rest]
    for name in folders:
        if name.lower() in _UNLABELLED and len(folders) > 2:
            raise DataError(
                f"{root / name} may hold pictures without a class, or be a class: move it away, or add "
                "--as-classes"
            )
    for name in folders:
        below = subfolders(root / name)
        is_list = name in named and named[name] == (_TRAIN, "") and not _has_images(root / name)
        if is_list and len(below) > 1 and len(folders) > 1:
            raise DataError(
                f"{root / name} holds folders such as {first_few(below)}: if they are the classes, --parts "
                f"train={name}; if {name} is a class, --as-classes"
            )
    if lone and len(folders) > 1:
        others = first_few([name for name in folders if name not in lone])
        beside = f", beside {others}," if others else ""
        raise DataError(
            f"{root / lone[0]}{beside} may hold pictures for the {WORDS[named[lone[0]].part]} "
            f"list, or be a class: add --test-dir {root / lone[0]}, or --as-classes"
        )


def _refuse_masks(root: Path, folders: Sequence[str]) -> None:
    """Refuse a data set for segmentation or detection: a folder of pictures, and one of masks or boxes."""
    masks = [name for name in folders if is_mask_folder(name)]
    image_folders = [name for name in folders if is_image_folder(name)]
    if not masks or not image_folders:
        return
    images = {stem for name in image_folders for stem in _stems(root / name)}
    alone = len(masks) + len(image_folders) == len(folders)
    if alone or any(stems and stems <= images for stems in (_stems(root / name) for name in masks)):
        both = [(name, classes) for name in image_folders if len(classes := subfolders(root / name)) > 1]
        names, folder = (first_few(both[0][1]), root / both[0][0]) if both else ("", root)
        choice = f"if the classes are {names}, give {folder}; otherwise " if both else ""
        raise DataError(
            f"{root} has pictures in {' and '.join(image_folders)} and masks or annotations in "
            f"{' and '.join(masks)}. hubtune learns what a whole picture shows: {choice}put the pictures of "
            "each class into a folder of its own, or add --as-classes if these folders are the classes"
        )


def _stems(folder: Path) -> set[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return {Path(entry.name).stem for entry in entries if not is_hidden(entry.name) and entry.is_file()}
    return set()


def _without_copies(root: Path, folders: Sequence[str]) -> Layout:
    """Return the layout of a folder per class, without a folder that repeats all the others."""
    everything = set(folders)
    for name in folders if len(folders) > 2 else ():
        below = set(subfolders(root / name))
        # Their number first: the sets of ten thousand folders would be compared ten thousand times.
        if len(below) >= len(folders) - 1 and everything - {name} <= below:
            remark = f"{root / name} holds the folders of the classes once more, and is passed over."
            return Layout(passed_over=[name], remarks=[remark])
    return Layout()


def check_names(names: Sequence[str], source: Path, cure: str) -> None:
    """Refuse classes whose names differ only in case, blanks or Unicode form.

    Raises:
        DataError: if there are two; the message names the ``cure``.
    """
    if pair := similar_names(names):
        one, other = (escaped(name) for name in pair)
        raise DataError(
            f"{source}: the classes '{one}' and '{other}' differ only in case, blanks or Unicode form: {cure}"
        )


def _has_images(folder: Path) -> bool:
    with suppress(OSError), os.scandir(folder) as entries:
        return any(Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file() for entry in entries)
    return False


def subfolders(folder: Path) -> list[str]:
    """Return the visible folders in a folder, and links to folders, sorted by name; none without access."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
    except OSError:
        return []
    return sorted(names, key=name_key)
