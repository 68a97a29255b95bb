"""Measurements of an image file."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from support.orientation import four_quarters, save_oriented

from hubtune.data.images.decode import ImageError
from hubtune.data.scan.inspect import inspect_image, measure_sharpness


@pytest.fixture
def photo():
    """Shapes with sharp edges on a shaded background."""
    random = np.random.default_rng(0)
    pixels = np.linspace(90, 170, 320)[None, :, None] * np.ones((240, 1, 3))
    for _ in range(40):
        top, left = random.integers(0, 200), random.integers(0, 280)
        pixels[top : top + 30, left : left + 30] = random.integers(0, 256, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def test_a_photo_is_measured(photo, tmp_path):
    photo.save(tmp_path / "a.jpg", quality=95)
    info = inspect_image(tmp_path / "a.jpg")
    luma = np.asarray(photo.convert("L")) / 255
    assert info.sha256 == hashlib.sha256((tmp_path / "a.jpg").read_bytes()).hexdigest()
    assert (info.format, info.mode, info.width, info.height) == ("JPEG", "RGB", 320, 240)
    assert (info.orientation, info.frames) == (1, 1)
    assert info.brightness == pytest.approx(luma.mean(), abs=0.01)
    assert info.contrast == pytest.approx(luma.std(), abs=0.02)
    assert info.darkest == pytest.approx(np.quantile(luma, 0.05), abs=0.04)
    assert info.brightest == pytest.approx(np.quantile(luma, 0.95), abs=0.04)


def test_the_size_is_upright_the_mode_that_of_the_file_and_frames_are_counted(tmp_path):
    save_oriented(tmp_path / "a.jpeg", four_quarters(60, 40), 6)
    frames = [Image.new("L", (8, 8), colour) for colour in (0, 128, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("I;16", (8, 8)).save(tmp_path / "a.png")
    infos = [inspect_image(tmp_path / f"a.{kind}") for kind in ("gif", "jpg", "png", "jpeg")]
    assert [(info.mode, info.frames) for info in infos[:3]] == [("P", 3), ("CMYK", 1), ("I;16", 1)]
    assert (infos[3].orientation, infos[3].width, infos[3].height) == (6, 60, 40)


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
    for height, width in ((1, 1), (2, 300), (17, 17)):
        assert np.isfinite(measure_sharpness(noise[:height, :width, 0].astype(np.uint8)))


def test_a_missing_file_and_a_film_are_refused_without_reading_the_film(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="no such file"):
        inspect_image(tmp_path / "gone.jpg")
    film = tmp_path / "film.jpg"
    with film.open("wb") as file:
        file.write(b"\0\0\0\x18ftypisom")
        file.truncate(3 * 2**30)  # sparse
    monkeypatch.setattr("hubtune.data.scan.inspect.read_content", pytest.fail)
    with pytest.raises(ImageError, match="not a picture, but a film"):
        inspect_image(film)
