"""Awkward files give the right pixels, computed here from the stored values, or are refused with a reason."""

import os

import numpy as np
import pytest
from PIL import Image
from support.hostile_files import assert_refused_without_memory
from support.orientation import STORED

from hubtune.data.images.decode import MAX_PIXELS, ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels

TOO_LARGE = f"too large (over {MAX_PIXELS:,} pixels)"
BOMBS = {
    "decompression_bomb.gif": TOO_LARGE,
    "reallybig.bmp": TOO_LARGE,
    "png_decompression_dos.png": "damaged picture (its metadata are too large)",
    "made/bomb_20000x20000_1bit.png": TOO_LARGE,
    "made/bomb_warn_11000x11000.png": f"too large (11,000 × 11,000 pixels; at most {MAX_PIXELS:,} are read)",
}
HEADER = "damaged picture (its header cannot be read)"
ENDS = "damaged picture (the file ends too early)"
REFUSED = {
    **BOMBS,
    **dict.fromkeys(("broken.png", "unknown_compression_method.png", "zero_width.gif"), HEADER),
    **dict.fromkeys(("truncated_image.png", "truncated_jpeg.jpg"), ENDS),
    **dict.fromkeys(("made/half_truncated.jpg", "made/header_only.jpg"), ENDS),
    **dict.fromkeys(("negative_size.ppm", "made/text_named.jpg"), "not a picture that can be read here"),
    "broken_data_stream.png": "damaged picture (its data cannot be decoded)",
    "made/html_error_page.jpg": "not a picture, but an HTML page",
    "made/zero_byte.jpg": "empty file (0 bytes)",
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
                expected = turn_upright(stored(image), orientation)
        assert picture.mode == "RGB"
        assert np.asarray(picture).shape == expected.shape, name
        assert np.abs(np.asarray(picture) - expected).max() <= 2, name
        decoded += 1
    assert (decoded, refused) == (64, 18)


def turn_upright(pixels, orientation):
    # 6 and 8 are each other's inverse; all others are their own.
    return STORED.get({6: 8, 8: 6}.get(orientation, orientation), STORED[1])(pixels)


def twelve_bits(path):
    """Two values of 12 bits in each three bytes, as TIFF 6.0 has them."""
    with Image.open(path) as image:
        offset, (width, height) = image.tag_v2[273][0], image.size
    rows = np.frombuffer(path.read_bytes()[offset:][: width * height * 3 // 2], np.uint8)
    first, second, third = rows.reshape(-1, 3).astype(int).T
    values = np.stack([first << 4 | second >> 4, (second & 15) << 8 | third], axis=1).reshape(height, width)
    return np.repeat(values[..., None] * 255 / 4095, 3, axis=2)


def test_cmyk_has_the_colours_of_the_picture_it_was_made_from(material):
    # Adobe's files store ink upside down; read plainly, they would be negatives.
    made = material / "awkward" / "made"
    one, other = (np.asarray(decode(made / name)).astype(int) for name in ("cmyk.jpg", "UPPER.JPG"))
    assert np.abs(one - other).mean() < 2
    word = np.asarray(decode(material / "awkward" / "pil_sample_cmyk.jpg"))[30:60, 10:90].reshape(-1, 3)
    assert word[word[:, 0].argmax()].tolist() >= [200, 0, 0]  # it says RED, in red
    assert word[:, 1:].max() < 130


def test_bombs_cost_no_memory_and_a_rotated_file_equals_its_upright_copy(material):
    root = material / "awkward"
    assert_refused_without_memory(root / name for name in BOMBS)
    upright = np.asarray(decode(root / "hopper.avif")).astype(int)
    for name in ("hopper_orientation_6.jpg", "hopper_orientation_8.jpg", "hopper_orientation_6.webp"):
        assert np.abs(np.asarray(decode(root / name)) - upright).mean() < 8, name
    plain = np.asarray(decode(root / "made" / "UPPER.JPG")).astype(int)
    assert np.abs(np.asarray(decode(root / "made" / "exif_invalid_9.jpg")) - plain).mean() < 8
    assert np.abs(np.asarray(decode(root / "made" / "exif6_flower.jpg")) - np.rot90(plain, -1)).mean() < 8
