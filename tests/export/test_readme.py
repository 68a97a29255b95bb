"""The README of an export says what was measured, and nothing else."""

from support.paddlehub import exportable_model

from hubtune.export.parity import Difference, Parity
from hubtune.export.readme import Facts, render_readme

FACTS = Facts(files={"net.bin": "the network"}, use=("python predict.py photo.jpg",), notes=("A note.",))
SAME = Difference(images=30, labels=0, scores=1.2e-7, similarity=None, worst=None)
PARITY = Parity(SAME, SAME, None, [], {"odd.tif": "ValueError: no"}, {"python": "3.11"})
METRICS = {"accuracy": 0.85, "interval": [0.775, 0.903], "count": 120, "loss": 0.4}


def test_it_has_the_figures_the_files_and_the_comparison():
    card = exportable_model().card.model_copy(update={"metrics": {"test": METRICS}})
    text = render_readme(card, FACTS, "ONNX", PARITY, {})
    assert "| test | 120 | 85.0 % | 77.5–90.3 % |\n" in text
    assert "| from image files, by `predict.py` | 30 | 0 | 1.2e-07 | 0.0001 |" in text
    assert "`predict.py` does not: odd.tif." in text
    assert "| `net.bin` | the network |" in text
    assert "A note." in text
    assert "its own head" not in text
    assert "similarity" not in text
    assert "\n\n\n" not in text


def test_without_figures_or_a_comparison_it_says_so():
    text = render_readme(exportable_model().card, FACTS, "PaddleHub", None, {})
    assert "Its accuracy was not measured." in text
    assert "It was not compared" in text
    assert "parity.json" not in text


def test_a_new_head_is_shown_beside_the_old_one():
    card = exportable_model().card.model_copy(
        update={"metrics": {"test": METRICS}, "similarity_threshold": 0.5, "temperature": 1.3}
    )
    text = render_readme(card, FACTS, "Paddle", PARITY, {"test": 0.9})
    assert "| test | 120 | 85.0 % | 77.5–90.3 % | 90.0 % |\n" in text
    assert "The head was solved again" in text
    assert "below 0.500" in text
    assert "A temperature of 1.30" in text
