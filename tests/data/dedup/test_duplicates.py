"""Near-duplicates: copies are found whatever was done to them, and like pictures are not taken for copies."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from sklearn.datasets import load_digits

from hubtune.data.dedup.duplicates import find_bursts, find_groups
from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan import scan_cache
from hubtune.data.scan.inspect import inspect_image

LANCZOS = Image.Resampling.LANCZOS


def drawn(seed, size=(400, 300)):
    """A picture of shapes on a plain ground, unlike that of any other seed."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(random.integers(190, 235, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        w, h = random.uniform(20, 90, 2)
        colour = tuple(random.integers(20, 200, 3).tolist())
        shape = (draw.ellipse, draw.rectangle)[random.integers(2)]
        shape((x - w, y - h, x + w, y + h), fill=colour, outline=tuple(c // 2 for c in colour), width=5)
    noise = random.normal(0, 4, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(0.7)
    )


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def cropped(image, share, right, down):
    width, height = image.size
    x, y = right * (1 - share) * width, down * (1 - share) * height
    return image.crop((round(x), round(y), round(x + share * width), round(y + share * height)))


COPIES = {
    "half the size": lambda image: image.resize((200, 150), LANCZOS),
    "a thumbnail": lambda image: image.resize((80, 60), LANCZOS),
    "stretched to a square": lambda image: image.resize((224, 224), LANCZOS),
    "JPEG of quality 25": lambda image: jpeg(image, 25),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "80 % of the sides, centre": lambda image: cropped(image, 0.8, 0.5, 0.5),
    "80 % of the sides, corner": lambda image: cropped(image, 0.8, 0, 1),
    "90 % of the sides, edge": lambda image: cropped(image, 0.9, 1, 0.3),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "rotated by 5°": lambda image: image.rotate(5, Image.Resampling.BILINEAR),
    "rotated by -10°, enlarged": lambda image: image.rotate(-10, Image.Resampling.BILINEAR, expand=True),
    "in grey": lambda image: image.convert("L"),
    "mirrored, a corner of 80 %": lambda image: cropped(ImageOps.mirror(image), 0.8, 0, 1),
    "upside down, a corner of 80 %": lambda image: cropped(ImageOps.flip(image), 0.8, 1, 1),
    "mirrored, cropped, JPEG": lambda image: jpeg(ImageOps.mirror(cropped(image, 0.88, 0.2, 0.8)), 60),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


def saved(image, path):
    image.save(path)
    facts = inspect_image(path)
    return ImageEntry(path, NO_CLASS, path.name, facts.sha256, info=facts)


@pytest.fixture(scope="module")
def originals(folder):
    return [saved(drawn(seed), folder / f"{seed}.png") for seed in range(12)]


def groups_of(images):
    return [(group.kind, group.members) for group in find_groups(images)]


def test_different_pictures_make_no_group(originals):
    assert find_groups(originals) == []


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_found(change, originals, folder):
    copies = [
        saved(COPIES[change](drawn(seed)), folder / f"{seed} {change.replace('%', '')}.png")
        for seed in range(6)
    ]
    assert groups_of([*originals, *copies]) == [("near", (seed, 12 + seed)) for seed in range(6)]


@pytest.mark.parametrize("kept", range(3))
def test_like_pictures_that_are_no_copies_are_let_go_at_any_step(kept, folder, monkeypatch):
    """Whether none of the candidates is left after the first, the second or the last look."""
    from hubtune.data.dedup import candidates, registration

    monkeypatch.setattr(candidates, "_ALIKE", -1.0)
    levels = [
        (side, steps, -1.0 if place < kept else 2.0)
        for place, (side, steps, _) in enumerate(registration._LEVELS)
    ]
    monkeypatch.setattr(registration, "_LEVELS", levels)
    images = [saved(drawn(seed), folder / f"{seed} at step {kept}.png") for seed in range(3)]
    assert find_groups(images) == []


def test_equal_bytes_are_a_kind_of_their_own(originals, folder):
    again = saved(drawn(3), folder / "3 again.png")
    near = saved(drawn(5).resize((200, 150)), folder / "5 small.png")
    assert groups_of([*originals, again, near]) == [("equal", (3, 12)), ("near", (5, 13))]


def test_a_copy_of_a_copy_is_of_the_same_group(originals, folder):
    once = jpeg(drawn(2).rotate(12), 60)
    twice = once.rotate(12)
    members = [*originals, saved(once, folder / "once.png"), saved(twice, folder / "twice.png")]
    assert groups_of(members) == [("near", (2, 12, 13))]


def test_many_copies_of_one_picture_are_one_group(originals, folder):
    many = [
        saved(ImageEnhance.Brightness(drawn(7)).enhance(0.6 + 0.04 * number), folder / f"7 {number}.png")
        for number in range(12)
    ]
    assert groups_of([*originals, *many]) == [("near", (7, *range(12, 24)))]


def test_the_same_shape_in_another_colour_is_another_thing(folder):
    def cap(colour):
        image = Image.new("RGB", (400, 300), (225, 225, 235))
        draw = ImageDraw.Draw(image)
        draw.ellipse((130, 80, 270, 220), fill=colour, outline=(60, 60, 60), width=4)
        return image

    caps = [
        saved(cap((30, 120, 60)), folder / "green.png"),
        saved(cap((200, 80, 20)), folder / "orange.png"),
        saved(cap((30, 120, 60)).resize((320, 240)), folder / "green, small.png"),
    ]
    assert groups_of(caps) == [("near", (0, 2))]


def test_blank_pictures_are_not_copies_of_one_another(folder):
    white = [
        saved(Image.new("RGB", (64 + number, 64), (255 - number,) * 3), folder / f"white {number}.png")
        for number in range(4)
    ]
    assert find_groups(white) == []


@pytest.mark.parametrize("side", [8, 28, 64])
def test_written_digits_are_not_copies_of_one_another(side, folder):
    digits = load_digits()
    written = [
        Image.fromarray((digits.images[place] * 15).astype(np.uint8)).resize((side, side), LANCZOS)
        for place in range(120)
    ]
    images = [saved(image, folder / f"digit {place} {side}.png") for place, image in enumerate(written)]
    assert find_groups(images) == []


def test_copies_of_enlarged_digits_are_found(folder):
    digits = load_digits()
    written = [
        Image.fromarray((digits.images[place] * 15).astype(np.uint8)).resize((80, 80), LANCZOS)
        for place in range(20)
    ]
    copies = [jpeg(written[place].convert("RGB").rotate(5 + place), 60) for place in range(4)]
    images = [
        saved(image, folder / f"large digit {place}.png") for place, image in enumerate([*written, *copies])
    ]
    assert groups_of(images) == [("near", (place, 20 + place)) for place in range(4)]


def test_what_was_found_is_kept_until_a_picture_comes_or_the_search_changes(originals, folder, monkeypatch):
    from hubtune.data.dedup import duplicates

    searches = []
    search = duplicates._search
    monkeypatch.setattr(duplicates, "_search", lambda facts: searches.append(len(facts)) or search(facts))
    copy = saved(jpeg(drawn(1), 50), folder / "1 kept.png")
    found = groups_of([*originals, copy])
    assert found == [("near", (1, 12))]
    assert groups_of([copy, *originals, copy]) == [("near", (0, 2, 13))]
    assert searches == [13]
    find_groups([*originals, copy, saved(drawn(20), folder / "20.png")])
    monkeypatch.setattr(duplicates, "VERSION", 99)
    assert groups_of([*originals, copy]) == found
    assert searches == [13, 14, 13]


def test_noise_of_its_own_makes_no_copy(folder):
    noise = [
        saved(
            Image.fromarray(np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)),
            folder / f"noise {seed}.png",
        )
        for seed in range(6)
    ]
    assert find_groups(noise) == []


def test_pictures_that_were_not_looked_at_are_compared_by_their_sums(folder):
    triples = (("a", "1"), ("b", "2"), ("c", "1"))
    images = [ImageEntry(folder / name, NO_CLASS, name, sum_) for name, sum_ in triples]
    assert groups_of(images) == [("equal", (0, 2))]


def test_pictures_of_one_thing_are_a_burst():
    random = np.random.default_rng(0)
    common = random.uniform(5, 6, 64)  # what all pictures have in common makes none alike
    things = random.normal(0, 1, (40, 64))
    frames = things[[3, 3, 9]] + random.normal(0, 0.2, (3, 64))
    unreadable = np.full((1, 64), np.nan)
    rows = np.concatenate([things, unreadable, frames]) + common
    found = [(group.kind, group.members) for group in find_bursts(rows.astype(np.float32))]
    assert found == [("burst", (3, 41, 42)), ("burst", (9, 43))]


def test_of_few_pictures_no_burst_can_be_told():
    assert find_bursts(np.ones((12, 64), np.float32)) == []


def test_no_pictures_no_groups():
    assert find_groups([]) == []


def test_the_search_through_cells_finds_what_comparing_all_finds(originals, folder, monkeypatch):
    from hubtune.data.dedup import candidates

    copies = [
        saved(cropped(drawn(seed), 0.85, 0.9, 0.1), folder / f"{seed} in cells.png") for seed in range(8)
    ]
    members = [*originals, *copies]
    expected = groups_of(members)
    scan_cache.delete_scan_cache()
    monkeypatch.setattr(candidates, "_ALL_WITH_ALL", 10)
    monkeypatch.setattr(candidates, "_PER_CELL", 3)
    assert groups_of(members) == expected == [("near", (seed, 12 + seed)) for seed in range(8)]
