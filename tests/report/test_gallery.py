"""The pictures of a page: the most important first, within a limit of bytes."""

import numpy as np
from support.reports import answers_for, draw_images

from hubtune.report import gallery
from hubtune.report.gallery import Gallery, order_by_interest


def test_sure_mistakes_come_first_then_unsure_right_answers_and_unreadable_images_never():
    answers = answers_for(
        "abcdef", [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, -1, 0], confidence=[0.6, 0.9, 0.5, 0.8, 0.9, 0.7]
    )
    assert order_by_interest(answers) == [3, 0, 2, 5, 1]
    assert order_by_interest(answers_for("", [], [])) == []


def test_a_picture_has_its_name_its_file_and_a_thumbnail(tmp_path):
    paths = draw_images(tmp_path / "a b", 2)
    shown = Gallery(paths, {str(paths[1]): b"map"})
    figure = shown.figure(str(paths[1]), heat_map=True)
    assert (figure.name, figure.address) == ("001.jpg", paths[1].as_uri())
    assert figure.source.startswith("data:image/webp;base64,")
    assert figure.heat_map == "data:image/webp;base64,bWFw"
    assert shown.figure(paths[1]).heat_map is shown.figure(paths[0], heat_map=True).heat_map is None
    assert (str(paths[0]) in shown, str(tmp_path / "gone.jpg") in shown, shown.empty) == (True, False, False)


def test_pictures_that_are_gone_have_a_name_only(tmp_path):
    shown = Gallery([tmp_path / "x\u202e.jpg"], {})
    figure = shown.figure(tmp_path / "x\u202e.jpg")
    assert (figure.name, figure.source, shown.empty) == ("x\\u202e.jpg", None, True)
    assert Gallery([], {}).empty


def test_the_first_pictures_fit_into_the_limits_and_later_ones_are_left_out(tmp_path, monkeypatch):
    paths = draw_images(tmp_path, 6)
    sizes = np.cumsum([len(Gallery([path], {}).figure(path).source) for path in paths])
    monkeypatch.setattr(gallery, "MOST_BYTES", int(sizes[2]))
    assert [str(path) in Gallery(paths, {}) for path in paths] == [True] * 3 + [False] * 3
    assert Gallery([paths[0]] * 4, {}).figure(paths[0]).source  # named twice, made once
    monkeypatch.setattr(gallery, "MOST_IMAGES", 2)
    assert [str(path) in Gallery(paths, {}) for path in paths] == [True] * 2 + [False] * 4
    monkeypatch.setattr(gallery, "MOST_BYTES", 5_000)
    assert Gallery(paths, {"x": b"0" * 5_000}).empty
