"""Masks and other versions of images are told by names; ordinary names are not taken for them."""

from pathlib import Path

import pytest

from hubtune.data.sources.masks import find_masks, find_versions, is_image_folder, is_mask_folder

ROOT = Path("set")


def _paths(text):
    return [ROOT / name for name in text.split()]


@pytest.mark.parametrize(
    ("files", "masks"),
    [
        ("a/1.png a/1_mask.png a/1_mask_1.png", "a/1_mask.png a/1_mask_1.png"),
        ("a/1.jpg a/mask_1.png a/seg-1.png", "a/mask_1.png a/seg-1.png"),
        ("a/images/1.png a/masks/1.png a/masks/2.png", "a/masks/1.png a/masks/2.png"),
        ("mask/1.png no_mask/1.png", ""),
        ("a/mask_1.png a/mask_2.png", ""),
        ("images/1.png masks/1.png", ""),  # of the root itself: these may be classes
    ],
)
def test_masks_are_files_named_as_those_of_others(files, masks):
    assert find_masks(_paths(files), ROOT) == _paths(masks)


@pytest.mark.parametrize(
    ("files", "versions"),
    [
        ("a/1.jpg a/2.jpg a/3.jpg a/1_gray.jpg a/2_gray.jpg a/3_gray.jpg", (3, "1_gray.jpg", "1.jpg")),
        ("a/1.jpg a/2.jpg a/3.jpg a/1.png a/2.png a/3.png", (3, "1.png", "1.jpg")),
        ("a/1.jpg a/2.jpg a/3.jpg a/1_gray.jpg", None),
        ("a/cat_1.jpg a/cat_2.jpg a/cat_3.jpg", None),
    ],
)
def test_many_files_named_as_others_with_the_same_addition_are_versions(files, versions):
    assert find_versions(_paths(files)) == versions


def test_folders_of_images_and_of_masks_are_known_by_their_words():
    assert (
        is_image_folder("JPEGImages") and is_image_folder("train_images") and not is_image_folder("imagery")
    )
    assert is_mask_folder("Annotations") and not is_mask_folder("with_mask")
