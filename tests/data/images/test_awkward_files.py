"""A corpus of awkward files: each comes out with the right pixels, or is refused with a clear reason.

What is right is worked out here from the values as they are stored, not by the decoder under test.
"""

import io
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features

from hubtune.data.images.decode import MAX_PIXELS, ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels

BOMBS = {
    "decompression_bomb.gif": f"too large (over {MAX_PIXELS:,} pixels)",
    "reallybig.bmp": f"too large (over {MAX_PIXELS:,} pixels)",
    "png_decompression_dos.png": "damaged picture (its metadata are too large)",
    "made/bomb_20000x20000_1bit.png": f"too large (over {MAX_PIXELS:,} pixels)",
    "made/bomb_warn_11000x11000.png": f"too large (11,000 × 11,000 pixels; at most {MAX_PIXELS:,} are read)",
}
REFUSED = {
    **BOMBS,
    "broken.png": "damaged picture (its header cannot be read)",
    "broken_data_stream.png": "damaged picture (its data cannot be decoded)",
    "negative_size.ppm": "not a picture that can be read here",
    "truncated_image.png": "damaged picture (the file ends too early)",
    "truncated_jpeg.jpg": "damaged picture (the file ends too early)",
    "unknown_compression_method.png": "damaged picture (its header cannot be read)",
    "zero_width.gif": "damaged picture (its header cannot be read)",
    "made/half_truncated.jpg": "damaged picture (the file ends too early)",
    "made/header_only.jpg": "damaged picture (the file ends too early)",
    "made/html_error_page.jpg": "not a picture, but an HTML page",
    "made/text_named.jpg": "not a picture that can be read here",
    "made/zero_byte.jpg": "empty file (0 bytes)",
}
# Orientation → how the upright pixels come from the stored ones.
UPRIGHT = {
    3: lambda a: a[::-1, ::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    8: lambda a: np.rot90(a),
}


def corpus(material):
    """Each file with Pillow's own answer, ``None`` for a file it can decode."""
    root = material / "awkward"
    for line in (root / "OUTCOMES.tsv").read_text("utf-8").splitlines():
        # `name size …`: a name may hold spaces, but only its end is followed by a number.
        cuts = [cut for cut, letter in enumerate(line) if letter == " " and line[cut + 1 : cut + 2].isdigit()]
        name, outcome = next((line[:cut], line[cut:]) for cut in cuts if os.path.lexists(root / line[:cut]))
        yield name, root / name, outcome


def stored(image):
    """RGB from a picture's values as they are stored."""
    values = np.asarray(image).astype(float)
    hidden = image.info.get("transparency")
    alpha = np.ones(values.shape[:2])
    if image.mode == "P":
        index = np.asarray(image)
        colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
        values = colours[index].astype(float)
        if isinstance(hidden, bytes):
            alpha = np.array([*hidden, *[255] * 256])[index] / 255
        elif hidden is not None:
            alpha = (index != hidden).astype(float)
    elif image.mode == "CMYK":
        values = (255 - values[..., :3]) * (255 - values[..., 3:]) / 255
    elif image.mode in ("LA", "RGBA"):
        alpha, values = values[..., -1] / 255, values[..., :-1]
    elif image.mode == "I;16":
        if hidden is not None:
            alpha = (values != hidden).astype(float)
        values = values / 257
    elif image.mode == "1":
        values = values * 255
    values = values.reshape(*values.shape[:2], -1)
    laid = values * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.broadcast_to(laid, (*laid.shape[:2], 3))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Image size", "ignore:Palette images")
def test_every_file_of_the_corpus_has_the_right_pixels_or_a_reason(material):
    decoded = refused = 0
    for name, path, outcome in corpus(material):
        if name in REFUSED or not path.is_file() or name == "made/dangling_symlink.jpg":
            with pytest.raises(ImageError) as caught:
                decode(path)
            with pytest.raises(ImageError) as other:
                check_pixels(path)
            assert caught.value.reason == other.value.reason, name
            if name in REFUSED:
                assert caught.value.reason == REFUSED[name], name
            refused += 1
            continue
        assert "decode=ok" in outcome
        picture = decode(path)
        check_pixels(path)
        check_ends(path)
        with Image.open(path) as image:
            orientation = int(outcome.split("exif_o=")[1].split()[0].replace("None", "1"))
            if name == "12bit.cropped.tif":
                expected = twelve_bits(path)
            else:
                expected = UPRIGHT.get(orientation, lambda a: a)(stored(image))
        assert picture.mode == "RGB"
        assert np.asarray(picture).shape == expected.shape, name
        assert np.abs(np.asarray(picture) - expected).max() <= 2, name
        decoded += 1
    assert (decoded, refused) == (64, 18)


def twelve_bits(path):
    """Two values of 12 bits in each three bytes, as TIFF 6.0 has them."""
    with Image.open(path) as image:
        offset, (width, height) = image.tag_v2[273][0], image.size
    rows = np.frombuffer(path.read_bytes()[offset:][: width * height * 3 // 2], np.uint8)
    first, second, third = rows.reshape(-1, 3).astype(int).T
    values = np.stack([first << 4 | second >> 4, (second & 15) << 8 | third], axis=1).reshape(height, width)
    return np.repeat(values[..., None] * 255 / 4095, 3, axis=2)


def test_cmyk_has_the_colours_of_the_picture_it_was_made_from(material):
    """Adobe's files store ink upside down; read plainly, they would be negatives."""
    one, other = (
        np.asarray(decode(material / "awkward" / "made" / name)).astype(int)
        for name in ("cmyk.jpg", "UPPER.JPG")
    )
    assert np.abs(one - other).mean() < 2
    word = np.asarray(decode(material / "awkward" / "pil_sample_cmyk.jpg"))[30:60, 10:90].reshape(-1, 3)
    assert word[word[:, 0].argmax()].tolist() >= [200, 0, 0]  # it says RED, in red
    assert word[:, 1:].max() < 130


def test_a_turned_picture_is_that_of_its_unturned_copy(material):
    root = material / "awkward"
    upright = np.asarray(decode(root / "hopper.avif")).astype(int)
    for name in ("hopper_orientation_6.jpg", "hopper_orientation_8.jpg", "hopper_orientation_6.webp"):
        assert np.abs(np.asarray(decode(root / name)) - upright).mean() < 8, name
    plain = np.asarray(decode(root / "made" / "UPPER.JPG")).astype(int)
    assert np.abs(np.asarray(decode(root / "made" / "exif_invalid_9.jpg")) - plain).mean() < 8
    assert np.abs(np.asarray(decode(root / "made" / "exif6_flower.jpg")) - np.rot90(plain, -1)).mean() < 8


def test_bombs_of_the_corpus_are_refused_at_no_cost(material):
    assert_refused_at_no_cost([material / "awkward" / name for name in BOMBS])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks, width=1, height=1):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (width + 1) * height)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


def test_bombs_in_metadata_and_headers_cost_nothing(tmp_path):
    bomb = zlib.compress(bytes(100_000_000))
    zeros = io.BytesIO()
    Image.new("L", (1, 1)).save(zeros, "JPEG")
    huge = bytearray(zeros.getvalue())
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"  # height and width
    files = {
        "text.png": png(chunk(b"zTXt", b"Comment\0\0" + bomb)),
        "profile.png": png(chunk(b"iCCP", b"profile\0\0" + bomb)),
        "huge.jpg": bytes(huge),
        "huge.png": png()[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + png()[24:],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert_refused_at_no_cost([tmp_path / name for name in files])


def assert_refused_at_no_cost(paths):
    """Each file is refused by every reader, with few calls and less than 20 MB."""
    if sys.platform != "linux":
        pytest.skip("peak memory is counted in KiB on Linux only")
    program = """
import json, resource, sys, warnings
from support.waiting import CallCount
warnings.simplefilter("ignore")
from hubtune.data.images.decode import Image, ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels
Image.init()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = []
for path in sys.argv[1:]:
    before, refused = peak(), 0
    with CallCount() as work:
        for check in (decode, check_pixels, check_ends):
            try:
                check(path)
            except ImageError:
                refused += 1
    found.append([refused, work.calls, peak() - before])
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = json.loads(done.stdout)
    for path, (refused, calls, mebibytes) in zip(paths, found, strict=True):
        assert refused == 3, path
        assert calls < 20_000, path
        assert mebibytes < 20, path


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot write AVIF")
def test_avif_is_read(tmp_path):
    Image.new("RGB", (16, 16), (200, 30, 60)).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert np.abs(np.asarray(decode(tmp_path / "a.avif")).astype(int) - [200, 30, 60]).max() <= 2


def test_of_an_icon_the_largest_picture_is_taken(tmp_path):
    Image.new("RGBA", (64, 64), (0, 0, 255, 128)).save(tmp_path / "a.ico", sizes=[(16, 16), (64, 64)])
    pixels = np.asarray(decode(tmp_path / "a.ico")).astype(int)
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels - [127, 127, 255]).max() <= 1


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_what_an_animation_does_with_later_frames_does_not_matter(tmp_path, suffix):
    """Frames that are disposed of, smaller than the first, or blended over it."""
    first = Image.new("RGBA", (16, 12), (255, 0, 0, 255))
    first.paste((0, 0, 0, 0), (0, 0, 8, 12))
    later = [Image.new("RGBA", (16, 12), (0, 255, 0, 255)), Image.new("RGBA", (16, 12), (0, 0, 0, 0))]
    options = {".gif": {"disposal": 2}, ".png": {"disposal": 2, "blend": 1}, ".webp": {"lossless": True}}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=later, **options[suffix])
    expected = np.full((12, 16, 3), 255)
    expected[:, 8:] = [255, 0, 0]
    assert np.abs(np.asarray(decode(tmp_path / f"a{suffix}")) - expected).max() <= 2
    assert check_pixels(tmp_path / f"a{suffix}").frames == 3


def test_a_tiff_whose_pages_go_in_a_circle_is_read(tmp_path):
    Image.new("L", (4, 4), 90).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    [start] = struct.unpack_from("<I", content, 4)
    [entries] = struct.unpack_from("<H", content, start)
    struct.pack_into("<I", content, start + 2 + 12 * entries, start)
    (tmp_path / "a.tif").write_bytes(content)
    assert (np.asarray(decode(tmp_path / "a.tif")) == 90).all()
    assert check_pixels(tmp_path / "a.tif").frames == 1
