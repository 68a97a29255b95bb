"""16-bit files that use fewer bits: their range is found, and they are scaled by it."""

import io

import numpy as np
import pytest
from PIL import Image

from hubtune.data.images.bit_depth import common_bits, describe_bits
from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.images.verify import check_ends, check_pixels, find_bits

DEPTHS = {0: 9, 255: 9, 511: 9, 512: 10, 1023: 10, 4095: 12, 4096: 13, 16384: 15, 65535: 16}


def save(path, values):
    Image.fromarray(np.asarray(values)).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2"])
def test_the_largest_value_says_how_many_bits_are_used(tmp_path, suffix):
    options = {"irreversible": False} if suffix == ".jp2" else {}
    for top, bits in DEPTHS.items():
        path = tmp_path / f"{top}{suffix}"
        Image.fromarray(np.full((40, 40), top, np.uint16)).save(path, **options)
        assert check_ends(path) == check_pixels(path).bits == bits, top
    assert find_bits([*tmp_path.iterdir(), tmp_path / "gone.png"]) == 16
    for values in (np.zeros((4, 4), np.uint8), np.float32([[0.5]]), np.int32([[70]])):
        assert check_ends(save(tmp_path / "a.tif", values)) == 0


def test_a_file_of_16_bits_is_scaled_by_its_bits_and_another_is_not(tmp_path, told):
    levels = np.arange(256, dtype=np.uint16)[None]
    deep = save(tmp_path / "deep.png", np.rint(levels * (4095 / 255)).astype(np.uint16))
    plain = save(tmp_path / "plain.png", levels.astype(np.uint8))
    for channels in (1, 3, 4):
        expected = np.asarray(decode(plain, channels=channels))
        for path in (deep, plain):
            assert (np.asarray(decode(path, channels=channels, bits=12)) == expected).all()
    assert np.asarray(decode(deep)).max() == 16
    assert (np.asarray(check_pixels(deep).small.convert("L")) == levels).all()  # by its own bits

    view = Preprocessing(size=16, resize=16, fit="stretch", channels=1, bits=10)
    for _ in range(2):
        assert (np.asarray(view.read(deep)) == np.asarray(view.read("bytes", deep.read_bytes()))).all()
        assert np.asarray(view.read(deep)).max() == 255  # clipped, and not dark again
    view.read(plain)
    for values in (2000, 3000, 2000):  # images in memory may have the same name
        image = Image.fromarray(np.full((9, 9), values, np.uint16))
        content = io.BytesIO()
        image.save(content, "PNG")
        view.read("images[0]", image)
        view.read("images[1]", content.getvalue())
    assert (told.text.count("images[0] uses 11 bits"), told.text.count("images[1] uses 11 bits")) == (2, 1)
    cut = "uses 12 bits, but the model scales pictures of 16 bits by 2^10: brighter values are cut off"
    assert told.text.count(f"{deep} {cut}") == 1


def test_one_range_holds_all_images_and_is_described(tmp_path):
    assert [common_bits(used) for used in ([], [0, 0], [0, 12, 9], [16, 9])] == [16, 16, 12, 16]
    assert describe_bits([0, 12, 9]) == "2 pictures of 16 bits use only 12 bits: they are scaled by 2^12"
    assert describe_bits([0, 9]) == "1 picture of 16 bits uses only 9 bits: it is scaled by 2^9"
    assert describe_bits([0, 16, 9]) is describe_bits([0]) is None


def test_the_range_is_a_part_of_the_preprocessing_and_absent_where_it_is_the_whole(tmp_path):
    assert "bits" not in Preprocessing().model_dump() and Preprocessing(bits=12).model_dump()["bits"] == 12
    for view in (Preprocessing(), Preprocessing(bits=12)):
        assert Preprocessing.model_validate_json(view.model_dump_json()) == view
    assert Preprocessing(bits=12).description == "crop 224 12 bits"
