"""16-bit files that use fewer bits: their range is found, and they are scaled by it."""

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


def test_a_file_of_16_bits_is_scaled_by_its_bits_and_another_is_not(tmp_path):
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
    for content in (None, deep.read_bytes(), Image.open(deep)):
        assert np.asarray(view.read(deep, content)).max() == 255  # clipped, and not dark again


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
