"""The decoder and the preprocessing, on drawn pictures and, where there is one, a corpus of awkward files."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from pydantic import ValidationError
from support.waiting import hang_guard

from hubtune.data.images.decode import MAX_PIXELS, ImageError, decode
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.images.verify import check_ends, check_pixels


def pixels(path):
    return np.asarray(decode(path))


def from_content(path):
    """Decodes a file's bytes, under the name of a file that is not there."""
    decode(path.with_name("gone.jpg"), path.read_bytes())


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def refusal(path, check=decode):
    with pytest.raises(ImageError) as caught:
        check(path)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def quarters(width=48, height=32):
    """Red and green above blue and white: no two orientations look the same."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


# Orientation → how the stored pixels come from the upright ones (EXIF 2.32, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_pictures_come_out_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](quarters())))
    stored.save(path, exif=exif, **options)
    assert np.abs(pixels(path).astype(int) - quarters()).max() <= 2


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(quarters()).save(tmp_path / "a.png", exif=exif)
    assert (pixels(tmp_path / "a.png") == quarters()).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_metadata_do_not_hide_the_picture(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish")
    assert (pixels(tmp_path / "a.png") == quarters()).all()


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == [255, 0, 0]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    clear, half, full = ((0,) * (len(mode) - 1) + (alpha,) for alpha in (0, 128, 255))
    image = Image.new(mode, (3, 1))
    for x, colour in enumerate((clear, half, full)):
        image.putpixel((x, 0), colour)
    image.save(tmp_path / "a.png")
    assert np.abs(pixels(tmp_path / "a.png")[0, :, 0].astype(int) - [255, 127, 0]).max() <= 1


def test_a_transparent_palette_colour_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert pixels(tmp_path / "a.png").tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_one_bit_becomes_black_and_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    values = np.array([[0, 257, 1000, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    assert pixels(tmp_path / f"a{suffix}")[0, :, 0].tolist() == [0, 1, 4, 128, 255]


def test_sixteen_bits_with_white_as_zero_are_turned_round(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "a.tif", tiffinfo=tags)
    assert pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("values", [[0.0, 0.5, 1.0], [0.0, 127.5, 255.0], [0.0, 32767.5, 65535.0]])
def test_float_pictures_of_the_three_usual_ranges_are_scaled(tmp_path, values):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[np.nan, 1.0], [-1.0, 1.0], [0.0, 70000.0], [0.0, np.inf]])
@pytest.mark.parametrize("check", [decode, check_pixels])
def test_float_pictures_of_another_range_are_refused(tmp_path, values, check):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    expected = "damaged picture (its values are outside 0–1, 0–255 and 0–65535)"
    assert refusal(tmp_path / "a.tif", check) == expected


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_of_several_frames_the_first_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "red")]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options)
    assert (pixels(tmp_path / f"a{suffix}") == 255).all()
    assert check_pixels(tmp_path / f"a{suffix}").frames == 3


def test_of_a_camera_file_with_a_preview_the_picture_is_taken(tmp_path):
    Image.fromarray(quarters()).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))], quality=100
    )
    assert check_pixels(tmp_path / "a.jpg").format == "MPO"
    assert decode(tmp_path / "a.jpg").size == (48, 32)


def test_a_raw_file_whose_preview_alone_can_be_read_is_refused(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    Image.new("RGB", (16, 12)).save(tmp_path / "a.tif", tiffinfo=tags)
    (tmp_path / "a.tif").rename(tmp_path / "a.nef")
    expected = "a camera's raw file, of which only a preview can be read: convert it to JPEG"
    assert refusal(tmp_path / "a.nef") == refusal(tmp_path / "a.nef", check_ends) == expected


def test_a_bomb_is_refused_by_its_header_at_no_cost(tmp_path):
    Image.new("1", (11_000, 11_000)).save(tmp_path / "bomb.png")
    program = f"""
import resource, warnings
warnings.simplefilter("ignore")
from PIL import ImageFile
from hubtune.data.images.decode import Image, ImageError, decode
from hubtune.data.images.verify import check_pixels
Image.init()
ImageFile.ImageFile.load = None  # no pixel is decoded
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for check in (decode, check_pixels):
    try:
        check({str(tmp_path / "bomb.png")!r})
    except ImageError as error:
        print(error.reason)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
"""
    if sys.platform != "linux":
        pytest.skip("peak memory is counted in KiB on Linux only")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = f"too large (11,000 × 11,000 pixels; at most {MAX_PIXELS:,} are read)"
    assert done.stdout.splitlines() == [expected, expected]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file (0 bytes)"),
        (b" \n<!DOCTYPE html><html>", "not a picture, but an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture, but an SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "not a picture, but a PostScript file"),
        (b"PK\x03\x04rest", "not a picture, but a zip archive"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "not a picture, but a Git LFS pointer, not the file itself: run `git lfs pull`",
        ),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "a HEIC picture, which cannot be read here: convert it to JPEG",
        ),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "not a picture, but a film"),
        (b"\xff\x0a" + b"\1" * 60, "a JPEG XL picture, which cannot be read here: convert it to JPEG or PNG"),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged picture (its header cannot be read)"),
        (b"just some words", "not a picture that can be read here"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a picture that can be read here"),
    ],
)
@pytest.mark.parametrize("check", [decode, check_ends, check_pixels])
def test_what_is_no_picture_is_named(tmp_path, content, reason, check):
    (tmp_path / "a.jpg").write_bytes(content)
    assert refusal(tmp_path / "a.jpg", check) == reason
    with pytest.raises(ImageError) as caught:
        from_content(tmp_path / "a.jpg")
    assert str(caught.value) == f"{tmp_path / 'gone.jpg'}: {reason}"


def test_a_picture_is_read_from_its_bytes_alone(tmp_path):
    Image.fromarray(noise(20, 30)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    gone = tmp_path / "gone.jpg"
    assert (np.asarray(decode(gone, content)) == pixels(tmp_path / "a.jpg")).all()
    view = Preprocessing(size=8, resize=8)
    assert (
        preprocess_views(gone, [view], content)[0] == preprocess_views(tmp_path / "a.jpg", [view])[0]
    ).all()
    with pytest.raises(ImageError) as caught:
        decode(gone, content[:-100])
    assert str(caught.value) == f"{gone}: damaged picture (the file ends too early)"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("check", [decode, check_pixels])
def test_a_truncated_picture_is_refused_and_not_filled_with_grey(tmp_path, suffix, check):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path, check) == "damaged picture (the file ends too early)"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif"])
def test_a_file_that_ends_too_early_is_known_by_its_end(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    whole = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.delattr("hubtune.data.images.verify.check_pixels")  # a whole file is not decoded
        check_ends(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged picture" in refusal(path, check_ends)
    path.write_bytes(whole + b"what some cameras write behind a picture")
    check_ends(path)


@pytest.mark.parametrize("check", [decode, check_ends, check_pixels])
def test_what_is_not_a_file_is_refused(tmp_path, check):
    assert refusal(tmp_path / "gone.jpg", check) == "no such file"
    assert refusal(tmp_path, check) == "is a folder"
    long = refusal(tmp_path / ("x" * 300), check)
    assert long in ("cannot be read (File name too long)", "no such file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
@pytest.mark.parametrize("check", [decode, check_ends, check_pixels])
def test_a_named_pipe_is_refused_without_waiting(tmp_path, check):
    os.mkfifo(tmp_path / "a.jpg")
    with hang_guard():
        assert refusal(tmp_path / "a.jpg", check) == "not a regular file"


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")
def test_links_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "a.jpg").symlink_to("gone.jpg")
    (tmp_path / "b.jpg").symlink_to("b.jpg")
    assert refusal(tmp_path / "a.jpg") == "link to a file that is not there"
    assert refusal(tmp_path / "b.jpg").startswith("cannot be read (")


def test_no_file_stays_open(tmp_path):
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(noise(8, 8)).save(good)
    bad.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    program = f"""
from hubtune.data.images.decode import ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels
for check in (decode, check_ends, check_pixels):
    check({str(good)!r})
    try:
        check({str(bad)!r})
    except ImageError:
        pass
"""
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


def place(image, **how):
    return np.asarray(Preprocessing(**how).fit_image(image)).astype(int)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (17, 93), (49, 50)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_crop_equals_resizing_first_and_cropping_then(size, interpolation):
    width, height = size
    smooth = Image.fromarray(noise(height // 4 + 1, width // 4 + 1)).resize(size, Image.Resampling.BICUBIC)
    factor = 40 / min(size)
    wide, high = round(width * factor), round(height * factor)
    whole = smooth.resize((wide, high), Image.Resampling[interpolation.upper()])
    left, top = (wide - 32) // 2, (high - 32) // 2
    expected = np.asarray(whole.crop((left, top, left + 32, top + 32))).astype(int)
    got = place(smooth, size=32, resize=40, interpolation=interpolation)
    assert np.abs(got - expected).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch", "stretch_crop"])
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (4000, 2), (1, 1)])
@pytest.mark.parametrize("antialias", [True, False])
def test_extreme_shapes_are_arranged_without_swelling(fit, size, antialias, monkeypatch):
    resize, areas = Image.Image.resize, []

    def noted(image, sides, *given, **options):
        areas.append(sides[0] * sides[1])
        return resize(image, sides, *given, **options)

    monkeypatch.setattr(Image.Image, "resize", noted)
    how = {"size": 224, "resize": 256, "fit": fit, "antialias": antialias}
    got = place(Image.new("RGB", size, (10, 200, 30)), **how)
    assert max(areas, default=0) <= 224 * 20_000
    whole = {(1, 1): (256, 256), (1, 20_000): (256, 64), (20_000, 1): (64, 256), (4000, 2): (64, 256)}
    assert got.shape == (*(whole[size] if fit == "whole" else (224, 224)), 3)
    assert (got[(got.shape[0] - 1) // 2, (got.shape[1] - 1) // 2] == [10, 200, 30]).all()


def test_crop_of_any_size_stays_inside_the_picture():
    for side in range(1, 400):
        assert place(Image.new("RGB", (side, side + 3)), size=7, resize=7).shape == (7, 7, 3)


def test_pad_keeps_all_and_fills_with_the_mean_colour():
    got = place(Image.new("RGB", (100, 50), (255, 0, 0)), size=40, fit="pad", mean=(0.2, 0.4, 0.6))
    assert (got[10:30] == [255, 0, 0]).all()
    assert (got[:10] == [51, 102, 153]).all() and (got[30:] == [51, 102, 153]).all()


def test_stretch_ignores_the_aspect():
    got = place(Image.fromarray(quarters(200, 40)), size=20, fit="stretch")
    assert got[2, 2].tolist() == [255, 0, 0] and got[17, 17].tolist() == [255, 255, 255]


@pytest.mark.parametrize("antialias", [True, False])
def test_stretch_crop_is_the_centre_of_a_larger_stretch(antialias):
    image = Image.fromarray(noise(90, 130))
    whole = place(image, size=48, fit="stretch", antialias=antialias)
    got = place(image, size=30, resize=48, fit="stretch_crop", antialias=antialias)
    # Pillow cuts its box to a 256th of a pixel.
    assert np.abs(got - whole[9:39, 9:39]).max() <= (2 if antialias else 0)


def test_stretch_does_not_heed_resize():
    image = Image.fromarray(noise(50, 70))
    one, other = (place(image, size=20, resize=resize, fit="stretch") for resize in (20, 256))
    assert (one == other).all()


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        # By cv2.resize of OpenCV 4.6 with INTER_LINEAR.
        (3, [7, 90, 22]),
        (5, [2, 124, 90, 165, 12]),
        (11, [0, 5, 27, 148, 160, 90, 195, 194, 50, 17, 7]),
    ],
)
def test_without_antialias_pixels_are_those_of_opencv(side, expected):
    line = np.repeat(np.uint8([[0, 10, 200, 90, 255, 30, 7]])[..., None], 3, axis=2)
    tall = np.repeat(line, side, axis=0)
    got = place(Image.fromarray(tall), size=side, fit="stretch", antialias=False)
    assert got[0, :, 0].tolist() == expected


def test_without_antialias_an_enlarged_picture_is_opencvs_at_its_edges_too():
    rows = [[4, 166, 155, 161, 239], [171, 219, 195, 44, 5], [76, 103, 31, 134, 157]]
    rows += [[117, 251, 243, 176, 224], [184, 96, 124, 18, 91]]
    image = Image.fromarray(np.repeat(np.uint8(rows)[..., None], 3, axis=2))
    got = place(image, size=6, fit="stretch", antialias=False)[..., 0]
    # By cv2.resize of OpenCV 5.0; interpolating between the two outermost rows alone would give 126 and 181.
    assert got[0].tolist() == [4, 125, 160, 157, 180, 239]
    assert got[5].tolist() == [184, 118, 112, 80, 36, 91]


@pytest.mark.parametrize(
    ("size", "shape"), [((640, 480), (192, 256)), ((480, 640), (256, 192)), ((333, 500), (256, 168))]
)
def test_whole_keeps_the_aspect_in_steps_of_eight(size, shape):
    assert place(Image.new("RGB", size), resize=256, fit="whole").shape == (*shape, 3)


def test_input_is_normalised_channel_first_float32():
    image = Image.new("RGB", (50, 50), (0, 128, 255))
    got = Preprocessing(size=8, resize=8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))(image)
    assert got.dtype == np.float32 and got.shape == (3, 8, 8) and got.flags.c_contiguous
    assert np.allclose(got[:, 0, 0], [-1, (128 / 255 - 0.25) / 0.25, 0.5], atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"std": (1, 0, 1)},
        {"fit": "squash"},
        {"size": 300, "resize": 200},
        {"fit": "stretch_crop", "resize": 200},
        {"antialias": False, "interpolation": "bicubic"},
    ],
)
def test_impossible_preprocessing_is_refused(wrong):
    with pytest.raises(ValidationError):
        Preprocessing(**wrong)


def test_preprocessing_survives_being_stored():
    one = Preprocessing(size=299, resize=320, fit="pad", interpolation="bicubic", mean=(0.5, 0.5, 0.5))
    assert Preprocessing.model_validate_json(one.model_dump_json()) == one


def test_pixels_do_not_depend_on_the_order_in_which_pillow_resizes():
    """Pillow 12 and 13 give different pixels for these; the sums are of both, by our own two passes."""
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in ((320, 240), (240, 320))]
    sums = [
        hashlib.sha256(np.asarray(Preprocessing().fit_image(Image.fromarray(each)))).hexdigest()[:8]
        for each in pixels
    ]
    assert sums == ["4866106e", "c7fbd19c"]


def detailed(width, height):
    """Edges and gradients of all sizes down to a few pixels, as photos have them."""
    layers = [
        np.asarray(
            Image.fromarray(noise(height // step + 2, width // step + 2, seed=step)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        ).astype(float)
        for step in (4, 16, 64)
    ]
    return np.clip(0.25 * layers[0] + 0.35 * layers[1] + 0.4 * layers[2], 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "how", "expected"),
    [
        ((4000, 3000), {}, 4),
        ((3000, 4000), {"size": 299, "resize": 320}, 4),
        ((4096, 8192), {}, 8),
        ((40_000, 1024), {}, 2),  # the short side decides
        ((1023, 4000), {}, 1),
        ((4000, 3000), {"antialias": False}, 1),
        ((4000, 3000), {"fit": "whole", "resize": 256}, 4),  # 192 high, and 3000 // 8 is less than twice that
        ((4096, 100), {"fit": "whole", "resize": 256}, 1),  # no less than 32 high
        ((3600, 3000), {"fit": "pad"}, 8),
        ((3600, 3000), {"fit": "stretch"}, 4),
        ((4096, 4096), {"fit": "stretch_crop"}, 8),
        ((1, 1), {"fit": "whole"}, 1),
    ],
)
def test_a_jpeg_is_decoded_at_no_less_than_twice_its_size_in_the_input(size, how, expected):
    assert Preprocessing(**how).reduction(*size) == expected


@pytest.mark.parametrize("orientation", STORED)
def test_decoding_at_reduced_size_changes_next_to_nothing(tmp_path, orientation):
    """Sides that no reduction divides: the last pixels of the reduced picture lie partly outside it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = detailed(537, 521)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    stored.save(tmp_path / "a.jpg", quality=95, exif=exif)
    for how in ({"fit": "stretch"}, {"resize": 64}, {"fit": "whole", "resize": 64}, {"fit": "pad"}):
        view = Preprocessing(**{"size": 64, **how})
        assert view.reduction(537, 521) == 4
        seen = np.asarray(view.read(tmp_path / "a.jpg")).astype(int)
        full = np.asarray(view.fit_image(decode(tmp_path / "a.jpg"))).astype(int)
        assert seen.shape == full.shape
        assert 0 < np.abs(seen - full).mean() < 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_what_promises_exact_values_is_not_decoded_at_reduced_size(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # a TIFF's sides change when it is decoded
    Image.fromarray(detailed(600, 500)).save(path, exif=exif)
    view = Preprocessing(size=32, resize=32, fit="stretch", antialias=suffix != ".jpg")
    assert (view.normalise(preprocess_views(path, [view])[0]) == view(decode(path))).all()


def test_of_a_camera_file_with_a_preview_the_picture_is_looked_at(tmp_path):
    image = Image.fromarray(detailed(600, 500))
    image.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (40, 40))])
    view = Preprocessing(size=32, resize=32)
    seen = np.asarray(view.read(tmp_path / "a.jpg")).astype(int)
    assert np.abs(seen - np.asarray(view.fit_image(image)).astype(int)).mean() < 2


def test_a_view_does_not_depend_on_the_others(tmp_path, monkeypatch):
    Image.fromarray(detailed(640, 480)).save(tmp_path / "a.jpg")
    small = Preprocessing(size=48, resize=56)
    views = [small, small.model_copy(update={"mirror": True}), Preprocessing(size=224), small]
    views += [Preprocessing(size=224, mirror=True), Preprocessing(fit="whole", resize=60, mirror=True)]
    alone = [preprocess_views(tmp_path / "a.jpg", [view])[0] for view in views]
    opened = []
    monkeypatch.setattr(Image, "open", lambda *a, _open=Image.open, **k: opened.append(a) or _open(*a, **k))
    together = preprocess_views(tmp_path / "a.jpg", views)
    assert [view.reduction(640, 480) for view in views] == [4, 4, 1, 4, 1, 4]
    assert len(opened) == 2
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch", "stretch_crop"])
def test_a_mirrored_view_is_the_plain_one_turned_round(fit):
    image = Image.fromarray(noise(61, 90))
    plain = Preprocessing(size=24, resize=32, fit=fit)
    mirrored = plain.model_copy(update={"mirror": True})
    assert (np.asarray(mirrored.fit_image(image)) == np.asarray(plain.fit_image(image))[:, ::-1]).all()
    first, second = preprocess_views(image, [mirrored, plain])
    assert first.dtype == np.uint8 and first.flags.c_contiguous
    assert (first == second[:, ::-1]).all() and (plain.normalise(second) == plain(image)).all()
    assert (mirrored(image) == mirrored.normalise(first)).all()


def test_what_is_read_is_what_is_looked_at(tmp_path):
    Image.fromarray(detailed(400, 300)).save(tmp_path / "a.jpg")
    view = Preprocessing(size=64, resize=72, mirror=True)
    assert (
        np.asarray(view.read(tmp_path / "a.jpg")) == preprocess_views(tmp_path / "a.jpg", [view])[0]
    ).all()
