"""Predictions become labelled images and a contact sheet."""

import pytest
from PIL import Image

from hubtune.errors import MachineError
from hubtune.inference.prediction import Prediction
from hubtune.report.labelled_images import save_labelled_images


def _row(path, label="cat", score=0.9):
    return Prediction(str(path), label, score, {label: score})


def test_images_are_written_and_names_do_not_collide_and_the_sheet_shows_all(tmp_path, draw_photos):
    pics = draw_photos(tmp_path / "pics", {"a": 1, "b": 1})
    (pics / "b" / "000.png").rename(pics / "b" / ("x" * 200 + "虞.png"))
    plain, odd = sorted(pics.rglob("*.png"))
    rows = [_row(plain), Prediction("gone.jpg", None, None, {}, "no such file"), _row(plain), _row(odd)]
    assert save_labelled_images(tmp_path / "out", rows, ["cat"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("00001-000.jpg", "00003-000.jpg", f"00004-{'x' * 120}.jpg", "contact_sheet.png")
    ]
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 100
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        save_labelled_images(tmp_path / "file", [_row("gone.jpg")], ["cat"])
