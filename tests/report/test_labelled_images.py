"""Predictions become labelled images and a contact sheet."""

import pytest
from PIL import Image

from hubtune.errors import MachineError
from hubtune.inference.model import Prediction
from hubtune.report.labelled_images import save_labelled_images


def _row(path, label="cat", score=0.9):
    return Prediction(str(path), label, score, {label: score})


def test_readable_images_are_written_and_the_sheet_shows_all(tmp_path, draw_photos):
    pics = draw_photos(tmp_path / "pics", {"cat": 3})
    rows = [_row(path) for path in sorted((pics / "cat").iterdir())]
    rows.insert(1, Prediction("gone.jpg", None, None, {}, "no such file"))
    complete = save_labelled_images(tmp_path / "out", rows, ["cat"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("00001-000.jpg", "00003-001.jpg", "00004-002.jpg", "contact_sheet.png")
    ]
    assert complete
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 100


def test_equal_and_hostile_names_do_not_collide(tmp_path, draw_photos):
    pics = draw_photos(tmp_path / "pics", {"a": 1, "b": 1})
    odd = pics / "b" / ("x" * 200 + "虞.png")
    (pics / "b" / "000.png").rename(odd)
    rows = [_row(pics / "a" / "000.png"), _row(pics / "a" / "000.png"), _row(odd)]
    save_labelled_images(tmp_path / "out", rows, ["cat"])
    names = sorted(path.name for path in (tmp_path / "out").glob("*.jpg"))
    assert names == ["00001-000.jpg", "00002-000.jpg", f"00003-{'x' * 120}.jpg"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        save_labelled_images(tmp_path / "file", [_row("gone.jpg")], ["cat"])
