"""Masks, annotations and other versions of images, told by the names of files and folders."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

IMAGE_WORDS = frozenset("image images imgs img jpegimages pictures pics photos".split())
"""Words in the names of folders that hold images of any class."""

_MASKS = frozenset(
    "mask masks annotation annotations annots label labels groundtruth gt segmentation segmentationclass "
    "segmentationobject bboxes xml xmls json imagesets".split()
)
_MASK_WORD = "(?:mask|masks|seg|segmentation|gt|groundtruth|annotation)"
_MASK_NAME = re.compile(rf"(.+?)[ _-]{_MASK_WORD}(?:[ _-]?\d+)?|{_MASK_WORD}[ _-](.+)", re.IGNORECASE)


def is_image_folder(name: str) -> bool:
    """Whether a folder is called as one of images of any class."""
    return bool(IMAGE_WORDS.intersection(re.findall(r"[a-z]+", name.lower())))


def is_mask_folder(name: str) -> bool:
    """Whether a folder is called as one of masks or annotations."""
    return name.lower() in _MASKS


def find_masks(files: Iterable[Path], root: Path) -> list[Path]:
    """Return the files in the class folders below ``root`` that are named as masks of others.

    Such are ``a_mask.png`` and ``mask_a.png`` beside ``a.png``, and those in a folder ``masks`` beside a
    folder ``images``.
    """
    files = list(files)
    stems = {(file.parent, file.stem) for file in files}
    beside_images = {file.parent.parent for file in files if is_image_folder(file.parent.name)} - {root}
    masks = []
    for file in files:
        folder, found = file.parent, _MASK_NAME.fullmatch(file.stem)
        named = found is not None and (folder, found[1] or found[2]) in stems
        if named or (is_mask_folder(folder.name) and folder.parent in beside_images):
            masks.append(file)
    return masks


def find_versions(files: Sequence[Path]) -> tuple[int, str, str] | None:
    """Return how many files are named as half of the others with the same word added, and two such names.

    They may be masks by another word, or copies: ``1_label.png`` or ``1.png`` beside ``1.jpg``.
    """
    known = {(file.parent, file.stem): file.name for file in reversed(files)}
    pairs: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        words = re.findall(r"[ _-][^\W\d_]+(?=$|[ _-][^\W\d_]+$)", file.stem)
        if (twin := known[file.parent, file.stem]) != file.name:
            pairs.setdefault(file.suffix.lower(), []).append((file.name, twin))
        for added in {"".join(words[-1:]), "".join(words)} - {""}:
            if other := known.get((file.parent, file.stem.removesuffix(added))):
                pairs.setdefault(added.lower(), []).append((file.name, other))
    versions = max(pairs.values(), key=len, default=[])
    if len(versions) < 3 or 3 * len(versions) < len(files):
        return None
    return len(versions), *versions[0]
