"""Preprocessing: where pixels go, what they become, and that views do not depend on each other."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from support.images import noise_image
from support.orientation import STORED, four_quarters, save_oriented

from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.errors import UsageError

FITS = ["crop", "whole", "pad", "stretch", "stretch_crop"]


def fit(image, **settings):
    return np.asarray(Preprocessing(**settings).fit_image(image)).astype(int)


def photo(width, height):
    """Edges and gradients of all sizes down to a few pixels, as photos have them."""
    layers = []
    for step in (4, 16, 64):
        small = noise_image(width // step + 2, height // step + 2, seed=step)
        layers.append(small.resize((width, height), Image.Resampling.BICUBIC))
    return np.average(layers, axis=0, weights=(0.25, 0.35, 0.4)).astype(np.uint8)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (17, 93), (49, 50)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_crop_equals_resizing_first_and_cropping_then(size, interpolation):
    width, height = size
    smooth = noise_image(width // 4 + 1, height // 4 + 1).resize(size, Image.Resampling.BICUBIC)
    factor = 40 / min(size)
    wide, high = round(width * factor), round(height * factor)
    whole = smooth.resize((wide, high), Image.Resampling[interpolation.upper()])
    left, top = (wide - 32) // 2, (high - 32) // 2
    expected = np.asarray(whole.crop((left, top, left + 32, top + 32))).astype(int)
    assert np.abs(fit(smooth, size=32, resize=40, interpolation=interpolation) - expected).max() <= 2
    for side in range(1, 100):  # no rounding leads out of the image
        assert fit(Image.new("RGB", (side, side + 3)), size=7, resize=7).shape == (7, 7, 3)


@pytest.mark.parametrize("how", FITS)
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (4000, 2), (1, 1)])
@pytest.mark.parametrize("antialias", [True, False])
def test_extreme_shapes_keep_their_colour_without_swelling(how, size, antialias, monkeypatch):
    resize, areas = Image.Image.resize, []

    def record(image, sides, *rest, **options):
        areas.append(sides[0] * sides[1])
        return resize(image, sides, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", record)
    got = fit(Image.new("RGB", size, (10, 200, 30)), size=224, resize=256, fit=how, antialias=antialias)
    whole = {(1, 1): (256, 256), (1, 20_000): (256, 64), (20_000, 1): (64, 256), (4000, 2): (64, 256)}
    assert got.shape == (*(whole[size] if how == "whole" else (224, 224)), 3)
    assert (got[(got.shape[0] - 1) // 2, (got.shape[1] - 1) // 2] == [10, 200, 30]).all()
    assert max(areas, default=0) <= 224 * 20_000


def test_each_fit_keeps_what_it_promises():
    got = fit(Image.new("RGB", (100, 50), (255, 0, 0)), size=40, fit="pad", mean=(0.2, 0.4, 0.6))
    assert (got[10:30] == [255, 0, 0]).all()
    assert (got[:10] == [51, 102, 153]).all() and (got[30:] == [51, 102, 153]).all()  # the mean colour
    image = Image.fromarray(four_quarters(200, 40))
    got = fit(image, size=20, resize=256, fit="stretch")
    assert got[2, 2].tolist() == [255, 0, 0] and got[17, 17].tolist() == [255, 255, 255]
    assert (got == fit(image, size=20, resize=20, fit="stretch")).all()
    for size, shape in {(640, 480): (192, 256), (480, 640): (256, 192), (333, 500): (256, 168)}.items():
        assert fit(Image.new("RGB", size), resize=256, fit="whole").shape == (*shape, 3)  # steps of eight
    image = noise_image(130, 90)
    for antialias, most in ((True, 2), (False, 0)):  # Pillow rounds its box to a 256th of a pixel
        whole = fit(image, size=48, fit="stretch", antialias=antialias)
        got = fit(image, size=30, resize=48, fit="stretch_crop", antialias=antialias)
        assert np.abs(got - whole[9:39, 9:39]).max() <= most


def test_without_antialias_pixels_are_those_of_opencv():
    line = np.repeat(np.uint8([[0, 10, 200, 90, 255, 30, 7]])[..., None], 3, axis=2)
    # By cv2.resize of OpenCV 4.6 with INTER_LINEAR.
    for expected in ([7, 90, 22], [2, 124, 90, 165, 12], [0, 5, 27, 148, 160, 90, 195, 194, 50, 17, 7]):
        image = Image.fromarray(np.repeat(line, len(expected), axis=0))
        assert fit(image, size=len(expected), fit="stretch", antialias=False)[0, :, 0].tolist() == expected
    rows = [[4, 166, 155, 161, 239], [171, 219, 195, 44, 5], [76, 103, 31, 134, 157]]
    rows += [[117, 251, 243, 176, 224], [184, 96, 124, 18, 91]]
    image = Image.fromarray(np.repeat(np.uint8(rows)[..., None], 3, axis=2))
    got = fit(image, size=6, fit="stretch", antialias=False)[..., 0]
    # By OpenCV 5.0, also at the edges: interpolating between the two outermost rows would give 126 and 181.
    assert got[0].tolist() == [4, 125, 160, 157, 180, 239]
    assert got[5].tolist() == [184, 118, 112, 80, 36, 91]


def test_input_is_normalised_float32_with_channels_first():
    image = Image.new("RGB", (50, 50), (0, 128, 255))
    got = Preprocessing(size=8, resize=8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))(image)
    assert got.dtype == np.float32 and got.shape == (3, 8, 8) and got.flags.c_contiguous
    assert np.allclose(got[:, 0, 0], [-1, (128 / 255 - 0.25) / 0.25, 0.5], atol=1e-6)


def test_impossible_settings_are_refused_and_another_size_keeps_the_share_that_the_crop_cuts_off():
    for settings, words in (
        ({"size": 300, "resize": 200}, "resize 200 is smaller than the crop of 300"),
        ({"fit": "stretch_crop", "resize": 200}, "resize 200 is smaller than the crop of 224"),
        ({"antialias": False, "interpolation": "bicubic"}, "goes with bilinear only, not with bicubic"),
    ):
        with pytest.raises(ValidationError, match=words):
            Preprocessing(**settings)
    sizes = [Preprocessing(size=224, resize=256).override("m", size=size) for size in (112, 160, 448)]
    assert [(view.size, view.resize) for view in sizes] == [(112, 128), (160, 183), (448, 512)]
    words = r"^size: 4096 does not go with m: Input should be less than or equal"
    with pytest.raises(UsageError, match=words):
        Preprocessing(size=32, resize=256).override("m", size=4096)


def test_pixels_do_not_depend_on_the_order_in_which_pillow_resizes():
    """Pillow 12 and 13 give different pixels for these; the hashes are of our own two passes, in both."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, shape, np.uint8) for shape in ((320, 240, 3), (240, 320, 3))]
    fitted = [np.asarray(Preprocessing().fit_image(Image.fromarray(pixels))) for pixels in images]
    assert [hashlib.sha256(pixels).hexdigest()[:8] for pixels in fitted] == ["4866106e", "c7fbd19c"]


@pytest.mark.parametrize("orientation", STORED)
def test_decoding_at_reduced_size_changes_next_to_nothing(tmp_path, orientation):
    """Sides that no reduction divides: the last pixels of the reduced image lie partly outside it."""
    save_oriented(tmp_path / "a.jpg", photo(537, 521), orientation, quality=95)
    for settings in ({"fit": "stretch"}, {"resize": 64}, {"fit": "whole", "resize": 64}, {"fit": "pad"}):
        view = Preprocessing(**{"size": 64, **settings})
        assert view.reduction(537, 521) == 4
        reduced = np.asarray(view.read(tmp_path / "a.jpg")).astype(int)
        full = np.asarray(view.fit_image(decode(tmp_path / "a.jpg"))).astype(int)
        assert reduced.shape == full.shape
        assert 0 < np.abs(reduced - full).mean() < 1


def test_a_view_does_not_depend_on_the_others(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(photo(640, 480)).save(path)
    small = Preprocessing(size=48, resize=56)
    views = [small, small.model_copy(update={"mirror": True}), Preprocessing(size=224), small]
    views += [Preprocessing(size=224, mirror=True), Preprocessing(fit="whole", resize=60, mirror=True)]
    alone = [preprocess_views(path, [view])[0] for view in views]
    assert [view.reduction(640, 480) for view in views] == [4, 4, 1, 4, 1, 4]
    for one, other, view in zip(alone, preprocess_views(path, views), views, strict=True):
        assert (one == other).all()
        assert (one == np.asarray(view.read(path))).all()
        assert (one == preprocess_views("gone.jpg", [view], path.read_bytes())[0]).all()


@pytest.mark.parametrize("how", FITS)
def test_a_mirrored_view_is_the_plain_one_reversed(how):
    image = noise_image(90, 61)
    plain = Preprocessing(size=24, resize=32, fit=how)
    mirrored = plain.model_copy(update={"mirror": True})
    assert (np.asarray(mirrored.fit_image(image)) == np.asarray(plain.fit_image(image))[:, ::-1]).all()
    first, second = preprocess_views(image, [mirrored, plain])
    assert first.dtype == np.uint8 and first.flags.c_contiguous
    assert (first == second[:, ::-1]).all() and (plain.normalise(second) == plain(image)).all()
    assert (mirrored(image) == mirrored.normalise(first)).all()


def small_view(channels, **settings):
    return Preprocessing.model_validate({"size": 32, "resize": 36, "channels": channels, **settings})


def test_channels_do_not_affect_each_other_and_padding_and_opacity_become_zero():
    image = noise_image(90, 60, mode="RGBA")
    for settings in ({}, {"fit": "stretch"}, {"antialias": False}, {"interpolation": "lanczos"}):
        [four] = preprocess_views(image, [small_view(4, **settings)])
        colours = Image.fromarray(np.asarray(image)[..., :3])
        assert (four[..., :3] == preprocess_views(colours, [small_view(3, **settings)])[0]).all()
        for channels in (1, 3):
            [grey] = preprocess_views(image.getchannel("A"), [small_view(channels, **settings)])
            assert (four[..., 3:] == grey).all()
    wide = Image.new("RGBA", (90, 30), (250, 250, 250, 250))
    for channels in (1, 3, 4):
        view = small_view(channels, fit="pad")
        border = view.normalise(preprocess_views(wide, [view])[0])[:, 0]
        assert border.shape == (channels, 32)
        assert np.abs(border).max() < 0.5 / 255 / 0.2
    normalised = small_view(4).normalise(np.array([[[0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8))
    assert abs(normalised[3, 0, 0]) < 1e-5
    assert normalised[3, 0, 1] < 10 * normalised[:3].min() < 0
