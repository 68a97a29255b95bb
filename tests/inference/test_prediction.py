"""A prediction's fields are also read like those of a dict, and a notebook shows it with its image."""

from dataclasses import replace

import pytest
from support.images import noise_image
from support.notebooks import CellHtml
from support.pages import HOSTILE

from hubtune.inference.prediction import Prediction, Predictions


def test_fields_are_read_by_their_names():
    row = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert row["label"] == row.label == "cat"
    assert (row["known"], row["rejected"]) == (None, False)
    with pytest.raises(KeyError):
        row["colour"]


def test_a_row_for_json_has_what_is_known_and_asked_for():
    row = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert row.as_dict() == {"path": "a.png", "label": "cat", "score": 0.75, "error": None}
    assert row.as_dict(top=2)["top"] == [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
    judged = replace(row, known=False, similarity=0.1, nearest="dog", nearest_image="d.png")
    document = judged.as_dict(scores=True)
    assert document["scores"] == row.scores and "top" not in document
    assert (document["known"], document["nearest_image"], document["rejected"]) == (False, "d.png", False)


@pytest.fixture
def row(tmp_path):
    noise_image().save(tmp_path / "a.png")
    scores = {"cat": 0.625, "dog": 0.25, "owl": 0.075, "fox": 0.05}
    return Prediction(str(tmp_path / "a.png"), "cat", 0.625, scores)


def test_a_notebook_shows_the_image_and_the_highest_scores(row):
    shown = CellHtml(row._repr_html_())
    assert [image.get("title") for image in shown.all("img")] == [row.path]
    assert [(cells[0], cells[-1]) for cells in shown.rows] == [
        ("cat", "62.5 %"),
        ("dog", "25.0 %"),
        ("owl", "7.5 %"),
    ]
    assert shown.strong == ["cat"]
    assert shown.text.startswith("a.png") and not shown.alerts


def test_a_notebook_shows_why_an_image_has_no_label(row, tmp_path):
    gone = Prediction(str(tmp_path / "gone.png"), None, None, {}, "no such file")
    shown = CellHtml(gone._repr_html_())
    assert shown.alerts == ["no such file"] and not shown.all("img") and "no picture" in shown.text
    unlike = replace(row, known=False, similarity=0.1)
    assert CellHtml(unlike._repr_html_()).alerts == ["unlike the training pictures"]
    rejected = replace(unlike, label=None, score=None, rejected=True)
    shown = CellHtml(rejected._repr_html_())
    assert shown.alerts == ["no label: unlike the training pictures"] and not shown.strong
    memory = replace(row, path="images[0]")
    assert not CellHtml(memory._repr_html_()).all("img")


def test_a_notebook_shows_all_labels_of_an_image(row):
    several = replace(row, label=None, score=None)
    given = replace(several, labels=dict([*row.scores.items()]))
    assert CellHtml(given._repr_html_()).strong == [*row.scores]
    none = CellHtml(replace(several, labels={})._repr_html_())
    assert len(none.rows) == 3 and "no label reaches its threshold" in none.text


def test_a_notebook_escapes_names_of_files_and_classes(row):
    hostile = Prediction(f"pics/{HOSTILE}\x1b", HOSTILE, 1.0, {HOSTILE: 1.0}, "\udcff" + HOSTILE)
    assert "<script>" in CellHtml(hostile._repr_html_()).text


def test_a_list_of_predictions_is_a_list_that_a_notebook_shows_up_to_a_limit(row):
    rows = Predictions([row] * 30)
    assert rows == [row] * 30 and rows[0] is row
    assert (type(rows[1:3]), len(rows[1:3])) == (Predictions, 2)
    shown = CellHtml(rows._repr_html_())
    assert len(shown.all("img")) == 24 and shown.text.endswith("and 6 more")
    assert "more" not in CellHtml(rows[:24]._repr_html_()).text
    assert CellHtml(Predictions()._repr_html_()).text == ""
    assert Predictions([None])._repr_html_() is None
