"""The quick look at JPEG files accepts only what Pillow opens, and leaves all else to it."""

import io
import os

import pytest
from PIL import Image

from hubtune.data.images.jpeg_header import is_plain_jpeg
from hubtune.data.images.verify import check_ends


def _jpeg(mode="RGB", size=(40, 30), **options):
    file = io.BytesIO()
    Image.new(mode, size, 90).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def is_plain(tmp_path):
    def check(content):
        (tmp_path / "a.jpg").write_bytes(content)
        return is_plain_jpeg(tmp_path / "a.jpg")

    return check


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + bytes(9000)}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_files_are_accepted(is_plain, tmp_path, mode, options):
    assert is_plain(_jpeg(mode, **options))
    assert check_ends(tmp_path / "a.jpg") == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff",
        b"no picture at all, but long enough to look like one",
        _jpeg()[:-2],
        _jpeg()[:200],
        _jpeg() + b"more",
        _jpeg("CMYK"),
        _jpeg(exif=b"Exif\0\0" + bytes(65000), icc_profile=bytes(60000)),  # a header that is too long
        _jpeg().replace(b"\xff\xe0", b"\xff\xc9", 1),  # arithmetic coding
        _jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c", 1),  # 12 bits
    ],
)
def test_all_else_is_left_to_pillow(is_plain, content):
    assert not is_plain(content)


def test_several_images_in_one_file_are_left_to_pillow(is_plain):
    file = io.BytesIO()
    second = Image.new("RGB", (8, 8))
    Image.new("RGB", (40, 30)).save(file, "MPO", save_all=True, append_images=[second])
    assert not is_plain(file.getvalue())


def test_what_is_not_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert not is_plain_jpeg(tmp_path / "pipe.jpg")
    assert not is_plain_jpeg(tmp_path)
    assert not is_plain_jpeg(tmp_path / "none.jpg")


def test_real_photos_agree_with_pillow(material):
    files = [path for path in material.rglob("*") if path.is_file() and is_plain_jpeg(path)]
    assert len(files) > 100
    assert {check_ends(path) for path in files} == {0}
