"""Checks of files: by name, by their ends, and of all their bytes."""

import numpy as np
import pytest
from PIL import Image
from support.images import noise_image
from support.orientation import four_quarters, save_oriented

from hubtune.data.images.decode import ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels, is_image


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif"])
def test_a_file_that_ends_too_early_is_noticed_at_its_end(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    noise_image(64, 64).save(path)
    content = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.delattr("hubtune.data.images.verify.check_pixels")  # a complete file is not decoded
        check_ends(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match="damaged picture"):
        check_ends(path)
    path.write_bytes(content + b"what some cameras append to a photo")
    check_ends(path)


def test_a_jpeg_is_reduced_to_no_less_than_the_side_asked_for_and_a_preview_is_not_the_photo(tmp_path):
    save_oriented(tmp_path / "a.jpg", np.asarray(noise_image(480, 640)), 6)
    for side, size in ((1, (60, 80)), (200, (240, 320)), (700, (480, 640))):
        *facts, small = check_pixels(tmp_path / "a.jpg", side=side)
        assert small.size == size
        assert facts == ["JPEG", "RGB", 480, 640, 6, 1, 0]
    preview = Image.new("RGB", (4, 4))
    Image.fromarray(four_quarters()).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    assert check_pixels(tmp_path / "a.jpg").format == "MPO"
    assert decode(tmp_path / "a.jpg").size == (48, 32)


def test_files_without_an_image_suffix_are_recognised_by_their_first_bytes(tmp_path):
    noise_image().save(tmp_path / "photo", "PNG")
    contents = {"cut": (tmp_path / "photo").read_bytes()[:20], "live": b"\0\0\0\x18ftypheic"}
    contents |= {"empty": b"", "notes.txt": b"notes", "all.zip": b"PK\3\4", "a.mp4": b"\0\0\0\x18ftypisom"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert {path.name for path in tmp_path.iterdir() if is_image(path)} == {"photo", "cut", "live"}
    assert is_image(tmp_path / "gone.JPG") and is_image(tmp_path / "gone")
