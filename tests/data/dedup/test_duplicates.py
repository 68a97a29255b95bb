"""Copies are found whatever was done to them, and similar images are not taken for copies."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance
from sklearn.datasets import load_digits
from support.copies import COPIES, LANCZOS, as_jpeg, draw_shapes, save_entry
from support.images import noise_image

from hubtune.data.dedup import duplicates
from hubtune.data.dedup.duplicates import find_bursts, find_groups
from hubtune.data.listing import NO_CLASS, ImageEntry


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return [save_entry(draw_shapes(seed), folder / f"{seed}.png") for seed in range(12)]


@pytest.fixture
def save(tmp_path):
    """Saves images as entries."""
    return lambda *images: [
        save_entry(image, tmp_path / f"{number}.png") for number, image in enumerate(images)
    ]


def groups_of(images):
    return [(group.kind, group.members) for group in find_groups(images)]


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_found(change, originals, save):
    copies = save(*(COPIES[change](draw_shapes(seed)) for seed in range(6)))
    assert groups_of([*originals, *copies]) == [("near", (seed, 12 + seed)) for seed in range(6)]


def test_equal_bytes_are_a_kind_of_their_own_and_copies_of_copies_are_in_the_same_group(originals, save):
    copies = save(draw_shapes(3), draw_shapes(5).resize((200, 150)))
    assert groups_of([*originals, *copies]) == [("equal", (3, 12)), ("near", (5, 13))]
    once = as_jpeg(draw_shapes(2).rotate(12), 60)
    shades = [ImageEnhance.Brightness(draw_shapes(7)).enhance(0.6 + 0.04 * step) for step in range(12)]
    copies = save(once, once.rotate(12), *shades)
    assert groups_of([*originals, *copies]) == [("near", (2, 12, 13)), ("near", (7, *range(14, 26)))]


def cap(colour):
    image = Image.new("RGB", (400, 300), (225, 225, 235))
    ImageDraw.Draw(image).ellipse((130, 80, 270, 220), fill=colour, outline=(60, 60, 60), width=4)
    return image


def digits(count, side):
    values = (load_digits().images[:count] * 15).astype(np.uint8)
    return [Image.fromarray(each).resize((side, side), LANCZOS) for each in values]


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([], id="nothing"),
        pytest.param([draw_shapes(seed) for seed in range(12)], id="different images"),
        pytest.param([cap((30, 120, 60)), cap((200, 80, 20))], id="a shape in other colours"),
        pytest.param([Image.new("RGB", (64 + n, 64), (255 - n,) * 3) for n in range(4)], id="blank images"),
        pytest.param([noise_image(96, 96, seed=seed) for seed in range(6)], id="noise"),
        *(pytest.param(digits(120, side), id=f"digits of {side} pixels") for side in (8, 28, 64)),
    ],
)
def test_images_that_look_alike_are_not_copies(images, save):
    assert find_groups(save(*images)) == []


def test_copies_of_enlarged_digits_are_found(save):
    originals = digits(20, 80)
    copies = [as_jpeg(originals[index].convert("RGB").rotate(5 + index), 60) for index in range(4)]
    assert groups_of(save(*originals, *copies)) == [("near", (index, 20 + index)) for index in range(4)]


def test_results_are_cached_until_images_or_search_change(originals, save, monkeypatch, tmp_path):
    searches = []
    search = duplicates._search
    monkeypatch.setattr(
        duplicates, "_search", lambda infos, *more: searches.append(len(infos)) or search(infos, *more)
    )
    copy, other = save(as_jpeg(draw_shapes(1), 50), draw_shapes(20))
    assert groups_of([*originals, copy]) == [("near", (1, 12))]
    assert groups_of([copy, *originals, copy]) == [("near", (0, 2, 13))]
    assert searches == [13]
    find_groups([*originals, copy, other])
    monkeypatch.setattr(duplicates, "VERSION", 99)
    assert groups_of([*originals, copy]) == [("near", (1, 12))]
    assert searches == [13, 14, 13]

    # Images that were not inspected are compared by hash
    images = [ImageEntry(tmp_path / name, NO_CLASS, name, sha256) for name, sha256 in ("a1", "b2", "c1")]
    assert groups_of(images) == [("equal", (0, 2))]


def test_images_of_one_object_are_a_burst():
    random = np.random.default_rng(0)
    common = random.uniform(5, 6, 64)  # what all images share makes none of them similar
    objects = random.normal(0, 1, (40, 64))
    frames = objects[[3, 3, 9]] + random.normal(0, 0.2, (3, 64))
    rows = np.concatenate([objects, np.full((1, 64), np.nan), frames]) + common
    bursts = [(group.kind, group.members) for group in find_bursts(rows.astype(np.float32))]
    assert bursts == [("burst", (3, 41, 42)), ("burst", (9, 43))]
    assert find_bursts(np.ones((12, 64), np.float32)) == []  # too few to know what they share
