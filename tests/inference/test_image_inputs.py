"""Images in memory: named by their place, or refused with what is taken."""

import io

import numpy as np
import pytest
from PIL import Image

from hubtune.errors import UsageError
from hubtune.inference.image_inputs import read_inputs


def _closed(file):
    file.close()
    return file


REFUSED = {
    "a single path": ("a.jpg", r"even for one: \['a.jpg'\]"),
    "single bytes": (b"GIF8", r"even for one: \[image\]"),
    "a single image": (Image.new("L", (2, 2)), r"even for one: \[image\]"),
    "a single array": (np.zeros((4, 4, 3), np.uint8), r"even for one: \[image\]"),
    "a float array": ([np.zeros((4, 4, 3), np.float32)], r"images\[0\] is .* float32 and shape \[4, 4, 3\]"),
    "floats to 1": ([np.ones((4, 4, 3), np.float32)], r"give \(255 \* array\)\.round\(\)\.astype\('uint8'\)"),
    "floats to 255": ([np.full((4, 4, 3), 9.0)], r"give array\.round\(\)\.astype\('uint8'\)"),
    "channels first": (["a.jpg", np.zeros((3, 5, 5), np.uint8)], r"give array.transpose\(1, 2, 0\)"),
    "a batch in a list": ([np.zeros((1, 4, 5, 3), np.uint8)], r"shape \[1, 4, 5, 3\]: give array\[0\]"),
    "a file of text": ([io.StringIO("GIF8")], r"images\[0\] is a file of text: open it with 'rb'"),
    "a file opened as text": (
        [io.TextIOWrapper(io.BytesIO(b"\xff\xd8"), "utf-8")], r"images\[0\] is a file of text: open it with"
    ),
    "a closed file": ([_closed(io.BytesIO(b"GIF8"))], r"images\[0\] is a file that is closed: read"),
    "an array without axes": ([np.array(3)], r"images\[0\] is an array of int64 and shape \[\]: give paths"),
    "a single file": (io.BytesIO(b"GIF8"), r"even for one: \[image\]"),
    "an address": (["s3://b/a.jpg"], r"images\[0\] is an address, s3://b/a.jpg: fetch it"),
    "an empty array": ([np.zeros((0, 4, 3), np.uint8)], r"shape \[0, 4, 3\]: give paths, bytes"),
    "nothing": ([None], r"images\[0\] is a NoneType"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_an_image_is_refused_with_what_is_taken(case):
    images, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        read_inputs(images)


def test_arrays_become_images_of_their_mode_and_a_batch_is_a_list(tmp_path):
    shapes = {(4, 5): "L", (4, 5, 1): "L", (4, 5, 3): "RGB", (4, 5, 4): "RGBA"}
    arrays = [np.zeros(shape, np.uint8) for shape in shapes]
    inputs = read_inputs([*arrays, np.zeros((4, 5), np.uint16), tmp_path / "a.jpg", b"x", io.BytesIO(b"y")])
    assert [each.content.mode for each in inputs[:5]] == [*shapes.values(), "I;16"]
    assert [each.name for each in inputs] == [
        *(f"images[{number}]" for number in range(5)), str(tmp_path / "a.jpg"), "images[6]", "images[7]",
    ]  # fmt: skip
    assert [each.content for each in inputs[5:]] == [None, b"x", b"y"]
    assert len(read_inputs(np.zeros((7, 4, 5, 3), np.uint8))) == 7
