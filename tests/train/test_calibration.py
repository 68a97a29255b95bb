"""A trained model gets a temperature only where that helps, and features of training images."""

import numpy as np
import pytest
from safetensors.numpy import load_file

import hubtune
from hubtune.data.listing import ImageEntry
from hubtune.evaluation.calibration import TemperatureFit
from hubtune.hub.model_card import read_card
from hubtune.inference.reference import REFERENCE_FILE, read_reference
from hubtune.train import calibration
from hubtune.train.calibration import MOST_IMAGES, choose_images

FAINT = {"each": 16, "validate": 5, "test": 4}
DEFAULTS = {"epochs": 1, "strategy": "default_finetune"}


def _fits(monkeypatch, applies):
    seen = []

    def fit(logits, truth, groups):
        seen.append((logits, truth, groups))
        return TemperatureFit(5.0, (4.0, 6.0), 2.0, 1.0, applies)

    monkeypatch.setattr(calibration, "fit_temperature", fit)
    return seen


def _arrays(run):
    return load_file(run.best_model / "model.safetensors")


def test_a_temperature_is_folded_into_the_head_and_changes_no_answer(run, monkeypatch):
    seen = _fits(monkeypatch, applies=False)
    without = run("without", hidden_units=[5])
    with monkeypatch.context() as patch:
        _fits(patch, applies=True)
        divided = run("with", hidden_units=[5])
    [(logits, truth, groups)] = seen
    assert logits.shape == (15, 3)
    assert sorted(truth.tolist()) == [0] * 5 + [1] * 5 + [2] * 5
    assert len(groups) == 15
    assert read_card(without.best_model).temperature is None
    assert read_card(divided.best_model).temperature == 4.0
    before, after = _arrays(without), _arrays(divided)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {
        "head.2.weight",
        "head.2.bias",
    }
    np.testing.assert_allclose(after["head.2.weight"] * 4, before["head.2.weight"], rtol=1e-6)
    for name in ("validate", "test"):
        old, new = getattr(without, name), getattr(divided, name)
        assert new.accuracy == old.accuracy
        assert new.loss != old.loss
    # The figures of the run are those of the model that predicts.
    model = hubtune.load_model(divided.path)
    lists = hubtune.ListDataset(without.path.parent / "data")
    assert model.evaluate(lists, "validate").loss == pytest.approx(divided.validate.loss, abs=1e-5)
    assert model.evaluate(lists, "test").loss == pytest.approx(divided.test.loss, abs=1e-5)


def test_solved_heads_and_runs_without_validation_images_get_none(run, monkeypatch):
    seen = _fits(monkeypatch, applies=True)
    assert read_card(run("solved", strategy="frozen").best_model).temperature is None
    assert seen == []


def test_overconfident_scores_are_found_on_real_validation_images(run):
    # Without training, scores are nearly equal: nothing is to be gained.
    card = read_card(run("short").best_model)
    assert card.temperature is None


@pytest.mark.parametrize("strategy", ["frozen", "default_finetune"])
def test_training_images_are_recognised_and_others_are_not(run, strategy, tmp_path):
    done = run(strategy, strategy=strategy)
    reference = read_reference(done.best_model / REFERENCE_FILE, 3)
    assert len(reference.names) == 3 * 7
    assert np.bincount(reference.labels).tolist() == [7, 7, 7]
    model = hubtune.load_model(done.path)
    lists = hubtune.ListDataset(tmp_path / "data")
    paths = [example.path for example in lists.examples("train")]
    for row, example in zip(model.predict(paths), lists.examples("train"), strict=True):
        assert (row.known, row.nearest_image) == (True, example.path.name)
        assert row.nearest == model.labels[example.label]
        assert row.similarity == pytest.approx(1.0, abs=1e-3)
    validation = [row.known for row in model.predict([each.path for each in lists.examples("validate")])]
    assert sum(validation) >= 0.95 * len(validation) - 1
    stripes = np.zeros((32, 48, 3), np.uint8)
    stripes[::2] = 255
    [row] = model.predict([stripes], reject=True)
    assert (row.label, row.score, row.rejected, row.known) == (None, None, True, False)
    assert row.nearest in model.labels


def test_without_validation_images_training_images_give_the_threshold(run, data, tmp_path):
    (data / "validate_list.txt").unlink()
    done = run("alone", strategy="frozen")
    card = read_card(done.best_model)
    assert card.similarity_threshold is not None
    assert card.similarity_threshold < 1


@pytest.mark.slow
def test_a_model_without_a_reference_says_so_when_it_should_reject(run):
    done = run("off", strategy="frozen", reference=False)
    assert not (done.best_model / REFERENCE_FILE).exists()
    assert read_card(done.best_model).schema_version == 2
    model = hubtune.load_model(done.path)
    [row] = model.predict([np.zeros((32, 48, 3), np.uint8)])
    assert (row.known, row.similarity, row.nearest) == (None, None, None)
    with pytest.raises(hubtune.ModelError, match="no features of training images to reject others by"):
        model.predict([np.zeros((32, 48, 3), np.uint8)], reject=True)


def _entry(number, label, sha256):
    return ImageEntry(path=f"{number}.jpg", label=label, name=f"{number}.jpg", sha256=sha256)


def test_images_are_chosen_by_their_content_the_same_number_of_each_class():
    many = [_entry(n, 0, f"{n * 7919 % 10007:05}") for n in range(MOST_IMAGES * 2)]
    few = [_entry(n, 1, f"{n:05}") for n in range(100)]
    chosen = choose_images([*many, *few])
    assert len(chosen) == MOST_IMAGES
    assert [entry.label for entry in chosen].count(1) == 100
    reversed_order = choose_images([*few[::-1], *many[::-1]])
    assert [entry.sha256 for entry in reversed_order] == [entry.sha256 for entry in chosen]
    copies = [_entry(0, 0, "a"), _entry(1, 0, "a"), _entry(2, 1, "a"), _entry(3, 1, "")]
    assert [entry.path for entry in choose_images(copies)] == ["0.jpg", "2.jpg"]


class _KilledError(BaseException):
    """Ends a run where a process is killed."""


@pytest.mark.parametrize(
    ("strategy", "point"),
    [
        ("default_finetune", "hubtune.train.calibration._with_reference"),
        pytest.param("default_finetune", "hubtune.train.run._test", marks=pytest.mark.slow),
        pytest.param("last_stage", "hubtune.runs.folder.RunFolder.write_result", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_after_its_temperature_is_resumed_to_the_same_model(run, monkeypatch, strategy, point):
    seen, options = _fits(monkeypatch, applies=True), {"strategy": strategy, "engine": "paddle", "epochs": 2}
    whole = run("whole", **options)
    fits = len(seen)

    def kill(*_, **__):
        raise _KilledError

    with monkeypatch.context() as patch, pytest.raises(_KilledError):
        patch.setattr(point, kill)
        run("killed", **options)
    resumed = run("killed", resume=True, **options)
    assert len(seen) == 2 * fits  # never applied a second time
    files = [file.relative_to(whole.best_model) for file in whole.best_model.iterdir()]
    for file in files:
        assert (resumed.best_model / file).read_bytes() == (whole.best_model / file).read_bytes(), file
    assert (resumed.path / "result.json").read_bytes() == (whole.path / "result.json").read_bytes()
