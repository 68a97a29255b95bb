"""The decoder on drawn images: right pixels, or a clear reason."""

import io
import struct
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from support.hostile_files import assert_refused_without_memory
from support.images import noise_image
from support.orientation import STORED, four_quarters, save_oriented

from hubtune.data.images.decode import MAX_PIXELS, ImageError, decode, open_image
from hubtune.data.images.verify import check_ends, check_pixels
from hubtune.errors import MachineError

CHECKS = (decode, check_ends, check_pixels)
CUT = "damaged picture (the file ends too early)"


def pixels(path, **options):
    return np.asarray(decode(path, **options)).astype(int)


def refusal(path, *checks):
    """Return the reason why all readers refuse a file."""
    reasons = set()
    for check in checks or CHECKS:
        with pytest.raises(ImageError) as caught:
            check(path)
        assert caught.value.path == str(path)
        assert str(caught.value) == f"{path}: {caught.value.reason}"
        reasons.add(caught.value.reason)
    [reason] = reasons
    return reason


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_upright(tmp_path, orientation, suffix):
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    save_oriented(tmp_path / f"a{suffix}", four_quarters(), orientation, **options)
    assert np.abs(pixels(tmp_path / f"a{suffix}") - four_quarters()).max() <= 2


def test_cmyk_becomes_rgb_and_transparency_is_laid_on_white(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == [255, 0, 0]).all()
    for mode in ("RGBA", "LA"):
        image = Image.new(mode, (3, 1))
        for x, alpha in enumerate((0, 128, 255)):
            image.putpixel((x, 0), (0,) * (len(mode) - 1) + (alpha,))
        image.save(tmp_path / "a.png")
        assert np.abs(pixels(tmp_path / "a.png")[0, :, 0] - [255, 127, 0]).max() <= 1
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "a.png", transparency=0)
    assert pixels(tmp_path / "a.png").tolist() == [[[255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize(
    ("values", "suffix", "options", "expected"),
    [
        (np.array([[False, True]]), ".png", {}, [0, 255]),
        (np.uint16([[0, 257, 1000, 32768, 65535]]), ".png", {}, [0, 1, 4, 128, 255]),
        (np.uint16([[0, 257, 1000, 32768, 65535]]), ".tif", {}, [0, 1, 4, 128, 255]),
        (np.uint16([[0, 65535]]), ".tif", {"tiffinfo": {262: 0}}, [255, 0]),  # "white is zero"
        *((np.float32([[0, top / 2, top]]), ".tif", {}, [0, 128, 255]) for top in (1, 255, 65535)),
        *(
            (np.float32([values]), ".tif", {}, None)
            for values in ([np.nan, 1], [-1, 1], [0, 70000], [0, np.inf])
        ),
    ],
)
def test_other_depths_are_scaled_to_8_bits_or_refused_for_their_range(
    tmp_path, values, suffix, options, expected
):
    Image.fromarray(values).save(tmp_path / f"a{suffix}", **options)
    if expected is None:
        reason = "damaged picture (its values are outside 0–1, 0–255 and 0–65535)"
        assert refusal(tmp_path / "a.tif", decode, check_pixels) == reason
        return
    for channels in (1, 3, 4):
        got = pixels(tmp_path / f"a{suffix}", channels=channels)
        assert got.reshape(1, len(expected), -1)[0, :, 0].tolist() == expected


def test_one_channel_is_the_luma_and_four_are_those_in_the_file(tmp_path):
    colours, image = noise_image(90, 60), noise_image(mode="RGBA")
    colours.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", channels=1).tobytes() == colours.convert("L").tobytes()
    Image.fromarray(np.full((2, 2), 257 * 80, np.uint16)).save(tmp_path / "a.png", transparency=257 * 80)
    assert {*decode(tmp_path / "a.png").tobytes(), *decode(tmp_path / "a.png", channels=1).tobytes()} == {255}
    assert decode(tmp_path / "a.png", channels=4).tobytes() == bytes((80, 80, 80, 0)) * 4
    for name in ("a.png", "a.tif", "a.webp", "unexplained.tif"):  # which does not say what the fourth is
        saved = Image.merge("RGBX", image.split()) if name == "unexplained.tif" else image
        saved.save(tmp_path / name, **({"lossless": True, "exact": True} if "webp" in name else {}))
        assert (pixels(tmp_path / name, channels=4) == np.asarray(image)).all()
    for mode in ("RGB", "L", "CMYK", "P", "1"):
        noise_image().convert(mode).save(tmp_path / "a.tif")
        four = pixels(tmp_path / "a.tif", channels=4)
        assert (four[..., 3] == 255).all()
        assert (four[..., :3] == pixels(tmp_path / "a.tif")).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    """Whatever later frames do: they may be disposed of, or blended over the first."""
    first = Image.new("RGBA", (16, 12), (255, 0, 0, 255))
    first.paste((0, 0, 0, 0), (0, 0, 8, 12))
    later = [Image.new("RGBA", (16, 12), (0, 255, 0, 255)), Image.new("RGBA", (16, 12), (0, 0, 0, 0))]
    options = {".gif": {"disposal": 2}, ".png": {"disposal": 2, "blend": 1}, ".webp": {"lossless": True}}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=later, **options.get(suffix, {}))
    expected = np.full((12, 16, 3), 255)
    expected[:, 8:] = [255, 0, 0]
    assert np.abs(pixels(tmp_path / f"a{suffix}") - expected).max() <= 2
    assert check_pixels(tmp_path / f"a{suffix}").frames == 3


def test_a_raw_file_whose_preview_alone_can_be_read_is_refused(tmp_path):
    Image.new("RGB", (16, 12)).save(tmp_path / "a.tif", tiffinfo={254: 1})
    (tmp_path / "a.tif").rename(tmp_path / "a.nef")
    assert (
        refusal(tmp_path / "a.nef") == "a camera's raw file: convert it to JPEG, for instance with darktable"
    )


HEIC = "a HEIC picture: run `pip install pillow-heif` to read it, or convert it to JPEG"
HAS_HEIF = find_spec("pillow_heif") is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file (0 bytes)"),
        (b" \n<!DOCTYPE html><html>", "not a picture, but an HTML page"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "damaged picture (its header cannot be read)" if HAS_HEIF else HEIC,
        ),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged picture (its header cannot be read)"),
        (b"just some words", "not a picture that can be read here"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a picture that can be read here"),
    ],
)
def test_a_file_that_is_not_an_image_is_named(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    assert refusal(tmp_path / "a.jpg") == reason
    assert refusal(tmp_path / "gone.jpg", lambda path: decode(path, content)) == reason


@pytest.mark.skipif(not HAS_HEIF, reason="pillow-heif is not installed")
def test_heic_is_read_where_pillow_heif_is_installed(tmp_path):
    Image.new("RGB", (64, 48), (200, 40, 40)).save(tmp_path / "a.heic", quality=100)
    assert (np.abs(pixels(tmp_path / "a.heic") - [200, 40, 40]) <= 3).all()
    assert check_pixels(tmp_path / "a.heic").format == "HEIF"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_truncated_image_is_refused_and_not_filled_with_grey_in_a_file_or_in_memory(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    noise_image(64, 64).save(path)
    content, whole = path.read_bytes(), pixels(path)
    path.write_bytes(content[: len(content) // 2])
    assert refusal(path, decode, check_pixels) == CUT
    path.unlink()
    assert (np.asarray(decode(path, content)) == whole).all()
    assert refusal(path, lambda path: decode(path, content[: len(content) // 2])) == CUT


@pytest.mark.parametrize(("free", "kind"), [(10**7, MachineError), (10**10, ImageError), (None, ImageError)])
def test_memory_that_has_run_out_is_not_the_fault_of_the_image(tmp_path, monkeypatch, free, kind):
    noise_image().save(tmp_path / "a.png")
    monkeypatch.setattr("hubtune.data.images.decode.free_memory", lambda **_: free)
    with pytest.raises(kind, match=r"memory") as error, open_image(tmp_path / "a.png"):
        raise MemoryError
    assert ("48 × 32 pixels" in str(error.value)) == (kind is MachineError)


def test_paths_without_a_file_are_refused(tmp_path):
    assert refusal(tmp_path / "gone.jpg") == "no such file"
    assert refusal(tmp_path) == "is a folder"
    assert refusal(tmp_path / ("x" * 300)) in ("cannot be read (File name too long)", "no such file")


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*chunks):
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def test_decompression_bombs_cost_no_memory(tmp_path):
    bomb = zlib.compress(bytes(100_000_000))
    zeros = io.BytesIO()
    Image.new("L", (1, 1)).save(zeros, "JPEG")
    huge = bytearray(zeros.getvalue())
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"  # height and width
    Image.new("1", (11_000, 11_000)).save(tmp_path / "pixels.png")
    for name, content in {
        "text.png": _png((b"zTXt", b"Comment\0\0" + bomb)),
        "profile.png": _png((b"iCCP", b"profile\0\0" + bomb)),
        "huge.jpg": bytes(huge),
        "huge.png": _png()[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + _png()[24:],
    }.items():
        (tmp_path / name).write_bytes(content)
    assert_refused_without_memory(sorted(tmp_path.iterdir()))
    expected = f"too large (11,000 × 11,000 pixels; at most {MAX_PIXELS:,} are read)"
    with pytest.warns(Image.DecompressionBombWarning):
        assert refusal(tmp_path / "pixels.png", decode) == expected
