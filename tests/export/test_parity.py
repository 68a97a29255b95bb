"""The comparison of an export with hubtune: what it measures, and what it refuses."""

import json

import numpy as np
import pytest
from support.paddlehub import exportable_model

from hubtune.errors import CheckFailedError, MachineError
from hubtune.export.drawn_images import draw_images
from hubtune.export.parity import Difference, Parity, compare_export

SAME = Difference(images=3, labels=0, scores=1e-6, similarity=1e-6, worst="a.jpg")


def _parity(**differences):
    return Parity(**{"pixels": SAME, "files": SAME, "resized": None, "other_pixels": [], **differences})


def _difference(**changes):
    return Difference(**{**vars(SAME), **changes})


def test_equal_answers_pass():
    _parity().check()
    _parity(pixels=None, resized=_difference(scores=0.019, labels=1)).check()
    _parity(resized=_difference(scores=0.5)).check(judge_resized=False)


@pytest.mark.parametrize(
    "differences, message",
    [
        ({"files": _difference(labels=1)}, "from image files, 1 of 3 pictures get another label"),
        ({"pixels": _difference(scores=2e-4)}, "given the same pixels, 0 of 3 .* up to 0.0002, where 0.0001"),
        ({"pixels": _difference(scores=float("nan"))}, "given the same pixels"),
        ({"files": _difference(similarity=1e-3)}, r"from image files.*most for a.jpg"),
        ({"resized": _difference(scores=0.03)}, "as the format's own code resizes them, .* up to 0.03"),
    ],
)
def test_other_answers_are_refused(differences, message):
    with pytest.raises(CheckFailedError, match=message):
        _parity(**differences).check()


def test_the_record_has_what_was_allowed():
    written = json.loads(json.dumps(_parity(resized=SAME, versions={"python": "3"}).as_dict()))
    assert (written["tolerance"], written["resized_tolerance"]) == (1e-4, 0.02)
    assert written["files"] == vars(SAME)
    assert "resized_tolerance" not in _parity().as_dict()


# A script as an export has it, whose answers are made up.
SCRIPT = """
import numpy as np

def arrange(path):
    return np.zeros((32, 32, 3), np.uint8)

def run(pixels):
    return {"scores": np.tile(np.array([SCORES], np.float32), (len(pixels), 1))}

def predict(path):
    if path.endswith("tiny.png"):
        raise ValueError("too small")
    return {"path": path, "label": "pear, ripe", "score": 1.0, "scores": dict(zip(LABELS, SCORES))}
"""


def _script(labels, scores):
    return f"LABELS = {labels!r}\nSCORES = {scores!r}\n{SCRIPT}"


def test_what_differs_is_measured(tmp_path):
    model, images = exportable_model(fit="stretch"), draw_images(tmp_path)
    (tmp_path / "export").mkdir()
    (tmp_path / "export/predict.py").write_text(_script(model.labels, [0.0, 0.0, 1.0]), encoding="utf-8")
    parity = compare_export(tmp_path / "export", model, images)
    expected = np.array([[row.scores[label] for label in model.labels] for row in model.predict(images)])
    largest = np.abs(expected - [0.0, 0.0, 1.0]).max(axis=1)
    assert parity.pixels.images == len(images)
    assert parity.files.images == len(images) - 1
    assert parity.unread == {"tiny.png": "ValueError: too small"}
    assert parity.pixels.scores == pytest.approx(largest.max(), abs=1e-6)
    assert parity.pixels.labels == (expected.argmax(axis=1) != 2).sum() > 0
    assert parity.pixels.similarity is None
    assert len(parity.other_pixels) == len(images) - 1
    assert parity.versions["numpy"] == np.__version__


def test_answers_that_are_no_numbers_are_refused(tmp_path):
    model, images = exportable_model(fit="stretch"), draw_images(tmp_path)[:2]
    script = _script(model.labels, [0.0, 0.0, 1.0]).replace("[SCORES]", "[[0.0, float('nan'), 1.0]]")
    (tmp_path / "export").mkdir()
    (tmp_path / "export/predict.py").write_text(script, encoding="utf-8")
    with pytest.raises(CheckFailedError, match="given the same pixels"):
        compare_export(tmp_path / "export", model, images).check()


def test_an_image_of_another_kind_counts_as_another_answer(tmp_path):
    model, images = exportable_model(fit="stretch"), draw_images(tmp_path)[:2]
    [row, _] = model.predict(images)
    script = f"def predict(path):\n    return {{'path': path, 'scores': {row.scores!r}, 'known': True}}\n"
    (tmp_path / "export").mkdir()
    (tmp_path / "export/predict.py").write_text(script, encoding="utf-8")
    assert compare_export(tmp_path / "export", model, images).files.labels == 2


def test_a_script_that_fails_is_named_with_its_reason(tmp_path):
    model, images = exportable_model(), draw_images(tmp_path)[:1]
    (tmp_path / "export").mkdir()
    (tmp_path / "export/predict.py").write_text("raise RuntimeError('no such file')")
    with pytest.raises(MachineError, match=r"could not be run .*: RuntimeError: no such file"):
        compare_export(tmp_path / "export", model, images)
