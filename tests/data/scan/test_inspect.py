"""Measurements of an image file."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from support.orientation import four_quarters, save_oriented

from hubtune.data.images.decode import ImageError
from hubtune.data.scan.inspect import SIDE, inspect_image, measure_sharpness


@pytest.fixture
def photo():
    """Shapes with sharp edges on a shaded background."""
    random = np.random.default_rng(0)
    pixels = np.linspace(90, 170, 320)[None, :, None] * np.ones((240, 1, 3))
    for _ in range(40):
        top, left = random.integers(0, 200), random.integers(0, 280)
        pixels[top : top + 30, left : left + 30] = random.integers(0, 256, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def test_a_photo_is_measured_wherever_it_lies(photo, tmp_path):
    (tmp_path / "other").mkdir()
    files = [tmp_path / "a.jpg", tmp_path / "other" / "b.jpg"]
    for file in files:
        photo.save(file, quality=95)
    info = inspect_image(files[0])
    luma = np.asarray(photo.convert("L")) / 255
    assert info.sha256 == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert (info.format, info.mode, info.width, info.height) == ("JPEG", "RGB", 320, 240)
    assert (info.orientation, info.frames) == (1, 1)
    assert info.brightness == pytest.approx(luma.mean(), abs=0.01)
    assert info.contrast == pytest.approx(luma.std(), abs=0.02)
    assert info.darkest == pytest.approx(np.quantile(luma, 0.05), abs=0.04)
    assert info.brightest == pytest.approx(np.quantile(luma, 0.95), abs=0.04)
    assert isinstance(info.fingerprint, bytes)
    assert inspect_image(files[1]) == info


def test_the_size_is_upright_the_mode_that_of_the_file_and_frames_are_counted(tmp_path):
    save_oriented(tmp_path / "a.jpeg", four_quarters(60, 40), 6)
    frames = [Image.new("L", (8, 8), colour) for colour in (0, 128, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("I;16", (8, 8)).save(tmp_path / "a.png")
    infos = [inspect_image(tmp_path / f"a.{kind}") for kind in ("gif", "jpg", "png", "jpeg")]
    assert [(info.mode, info.frames) for info in infos[:3]] == [("P", 3), ("CMYK", 1), ("I;16", 1)]
    assert (infos[3].orientation, infos[3].width, infos[3].height) == (6, 60, 40)


@pytest.mark.parametrize(
    ("size", "expected"), [((1600, 1200), (256, 192)), ((100, 80), (100, 80)), ((4000, 2), (256, 1))]
)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_fingerprints_are_of_images_of_one_size_and_never_of_enlarged_ones(
    tmp_path, monkeypatch, size, expected, kind
):
    images = []
    monkeypatch.setattr(
        "hubtune.data.scan.inspect.compute_fingerprint",
        lambda image: images.append((image.mode, image.size)) or b"",
    )
    Image.new("CMYK" if kind == "jpg" else "RGBA", size).save(tmp_path / f"a.{kind}")
    inspect_image(tmp_path / f"a.{kind}")
    assert images == [("RGB", expected)]
    assert max(expected) <= SIDE


def test_blurred_images_differ_from_sharp_ones_of_low_contrast(photo, tmp_path):
    noise = np.random.default_rng(0).normal(0, 8, (240, 320, 3))
    changed = {
        "sharp": photo,
        "pale": ImageEnhance.Contrast(photo).enhance(0.3),
        "noisy": Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype("uint8")),
        "blurred": photo.filter(ImageFilter.GaussianBlur(4)),
        "enlarged": photo.resize((40, 30)).resize((320, 240), Image.Resampling.BICUBIC),
    }
    for name, image in changed.items():
        image.save(tmp_path / f"{name}.jpg", quality=85)
        sharpness = inspect_image(tmp_path / f"{name}.jpg").sharpness
        assert sharpness < 0.45 if name in ("blurred", "enlarged") else sharpness > 0.6, name


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (3, 3), (17, 17), (256, 3)])
def test_sharpness_of_images_of_any_shape_is_finite(shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.isfinite(measure_sharpness(values))
    assert measure_sharpness(np.full(shape, 7, np.uint8)) == 0.0


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        inspect_image(tmp_path / "gone.jpg")


def test_a_large_file_that_is_not_an_image_is_not_read(tmp_path, monkeypatch):
    film = tmp_path / "film.jpg"
    with film.open("wb") as file:
        file.write(b"\0\0\0\x18ftypisom")
        file.truncate(3 * 2**30)  # sparse
    monkeypatch.setattr("hubtune.data.scan.inspect.read_content", pytest.fail)
    with pytest.raises(ImageError, match="not a picture, but a film"):
        inspect_image(film)
