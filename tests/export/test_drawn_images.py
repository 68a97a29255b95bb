"""Drawn images: every kind that programs read differently, the same every time."""

from PIL import Image

from hubtune.data.images.decode import decode
from hubtune.export.drawn_images import draw_images


def test_they_are_the_same_every_time_and_all_can_be_read(tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "first").mkdir()
    first, again = draw_images(tmp_path / "first"), draw_images(tmp_path / "again")
    assert [path.name for path in first] == [path.name for path in again]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert decode(one).mode == "RGB"


def test_all_modes_formats_and_an_orientation_are_among_them(tmp_path):
    opened = [Image.open(path) for path in draw_images(tmp_path)]
    assert {"RGB", "L", "I;16", "RGBA", "P", "CMYK"} <= {image.mode for image in opened}
    assert {"JPEG", "PNG", "GIF"} == {image.format for image in opened}
    assert any(image.getexif().get(0x0112) == 6 for image in opened)
    assert min(min(image.size) for image in opened) == 1
    for image in opened:
        image.close()
