"""What a notebook shows of a split has limits, and names what is beyond them."""

from pathlib import Path

from support.images import noise_image
from support.notebooks import CellHtml
from support.pages import HOSTILE

from hubtune.data.listing import Excluded
from hubtune.data.splits.split_view import ListedClass, describe_counts, describe_left_out
from hubtune.notebook.html import document

TOTALS = {"train": 1200, "left_over": 0}


def _shown(parts):
    return CellHtml(str(document(*parts)))


def test_images_are_taken_from_the_whole_class(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path in paths:
        noise_image(8, 8).save(path)
    shown = _shown(describe_counts("class", [ListedClass(HOSTILE, [10, 0], paths)], TOTALS, [0, 0]))
    assert [image.get("title") for image in shown.all("img")] == [f"{n}.png" for n in (0, 2, 4, 6, 8)]
    assert shown.rows[0][:3] == ["class", "train", "left over"]
    assert shown.rows[1][:3] == [HOSTILE, "10", "0"]


def test_many_classes_are_counted_and_images_without_a_label_have_a_row():
    classes = [ListedClass(f"c{number}", [60, 0], []) for number in range(1021)]
    shown = _shown(describe_counts("label", classes, TOTALS, [3, 0]))
    assert [row[0] for row in shown.rows[-4:]] == ["c19", "and 1,001 more", "(no label)", "total"]
    assert shown.rows[-1][:2] == ["total", "1,200"] and shown.strong[-1] == "total"
    assert not _shown(describe_counts("class", [], {"train": 0}, [0])).all("img")


def test_files_that_are_left_out_are_named_by_reason_and_remarks_follow():
    left_out = [Excluded(Path(f"{number}.png"), f"reason {number % 7} <") for number in range(70)]
    shown = _shown(describe_left_out(left_out, [HOSTILE, *map(str, range(11))]))
    [alert] = shown.alerts
    assert alert.startswith("70 files left out") and "reason 0 <: 0.png, 7.png, 14.png and 7 more" in alert
    assert "reason 5" not in alert and alert.endswith("and 2 more")
    assert shown.text.endswith("8 and 2 more")
    assert describe_left_out([], []) == []
