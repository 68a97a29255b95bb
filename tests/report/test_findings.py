"""What a report has beside the figures: heat maps of mistakes, suspect labels, and a learning curve."""

import io
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.images import draw_marked_tree
from support.multi_label import LABELS, draw_labelled, write_label_lists
from support.reports import answers_for
from support.split_folder import write_lists
from support.tiny_task import smallnet, train, train_frozen

import hubtune
from hubtune.data.audit.issues import LabelIssue
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.inference.feature_table import Table
from hubtune.inference.label_ranking import DecisionIssue
from hubtune.inference.subset_accuracy import SubsetAccuracy
from hubtune.report import findings
from hubtune.report.findings import (
    find,
    fit_sizes,
    is_suspect,
    is_suspect_decision,
    measure_learning_curve,
)
from hubtune.train.data_checks import hash_images


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A frozen and a trained run, on classes that differ in brightness; one image of a is labelled b."""
    folder = tmp_path_factory.mktemp("findings")

    def tint(pixels, name):
        pixels += 40 * ("abc".index(name) - 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        pics = draw_marked_tree(folder / "data" / "pics", dict.fromkeys("abc", 30), tint)
        shutil.move(pics / "a" / "000.png", pics / "c" / "wrong.png")
        data = write_lists(pics, validate=3, test=6)
        frozen = train_frozen(smallnet(), data, folder / "frozen")
        trained = train(smallnet(), data, folder / "trained", epochs=1, learning_rate=1e-7)
    return frozen, trained, hubtune.ListDataset(data)


def _find(run, dataset, **options):
    model = hubtune.load_model(run.path)
    entries = hash_images(dataset.examples("train"), lambda: None)
    return model, find(model, entries, {}, model.evaluate(dataset, "test"), **options)


@pytest.mark.slow
def test_a_solved_head_has_suspect_labels_and_a_curve(runs):
    run, _, dataset = runs
    entries = dataset.examples("train")
    model, found = _find(run, dataset)
    wrong = [entry for entry in entries if entry.path.name == "wrong.png"]
    names = [suspect.path.name for suspect in found.label_issues]
    assert names[:1] == (["wrong.png"] if wrong else names[:1])
    for suspect in found.label_issues:
        assert suspect.own < suspect.other_probability
        assert {suspect.label, suspect.other} <= set(model.labels)
    assert found.similarity_threshold == model.card.similarity_threshold
    assert found.labels_sampled is None
    images = [point.images for point in found.learning_curve.points]
    assert images == sorted(images)
    assert images[-1] == pytest.approx(len(entries) / 3)
    assert all(point.low <= point.accuracy <= point.high for point in found.learning_curve.points)
    gain, low, high = found.learning_curve.gain
    assert low <= gain <= high


def test_mistakes_are_explained_and_a_trained_model_has_no_curve(runs):
    _, run, dataset = runs
    model, found = _find(run, dataset)
    evaluation = model.evaluate(dataset, "test")
    wrong = [
        path
        for path, right in zip(evaluation.answers.paths, evaluation.answers.correct, strict=True)
        if not right
    ]
    assert wrong
    assert {*found.heat_maps} <= {*wrong}
    assert len(found.heat_maps) == min(len(wrong), 12)
    image = Image.open(io.BytesIO(next(iter(found.heat_maps.values()))))
    assert (image.format, image.size) == ("WEBP", (48, 32))
    assert found.label_issues is None
    assert found.learning_curve is None


@pytest.mark.slow
def test_many_training_images_are_represented_by_a_sample(runs, monkeypatch):
    run, _, dataset = runs
    monkeypatch.setattr(findings, "_MOST_ROWS", 30)
    _, found = _find(run, dataset)
    assert found.learning_curve.points[-1].images == pytest.approx(10, abs=0.5)
    assert found.labels_sampled == 30


def test_images_that_are_gone_leave_no_findings(runs, tmp_path):
    run, _, dataset = runs
    model = hubtune.load_model(run.path)
    entries = [replace(entry, path=tmp_path / entry.path.name) for entry in dataset.examples("train")]
    found = find(model, entries, {}, None)
    assert (dict(found.heat_maps), found.label_issues, found.learning_curve) == ({}, None, None)


def test_the_gain_of_more_images_is_that_of_larger_numbers():
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3
    rows = 0.35 * random.standard_normal((3, 40))[labels] + random.standard_normal((240, 40))
    keys = [f"{number:03}" for number in range(240)]
    table = Table(rows.astype(np.float32), labels, np.ones(240), keys, [40])
    curve = measure_learning_curve(table, ["a", "b", "c"])
    gain, low, high = curve.gain
    assert 0 < gain < 0.25
    assert low <= gain <= high
    assert len(curve.weakest) <= 2
    # Of a sample, it is that of all images.
    assert measure_learning_curve(table, ["a", "b", "c"], 0.1).gain[0] < gain / 2
    assert measure_learning_curve(table.take(np.arange(3)), ["a", "b", "c"]) is None


def test_the_law_is_that_of_the_larger_sizes():
    def measured(images, error):
        return SubsetAccuracy(images, [1 - error] * 3, 1000.0, np.array([1 - error]))

    larger = [measured(size, size**-0.5) for size in (16, 32, 64)]
    law = fit_sizes([*(measured(size, 0.5) for size in (1, 2, 4, 8)), *larger])
    assert law.predict(256)[0] == pytest.approx(1 / 16, abs=0.005)
    assert fit_sizes(larger[:2]).predict(64)[0] == pytest.approx(1 / 8, abs=0.01)
    assert fit_sizes(larger[:1]) is None
    assert fit_sizes([]) is None


@pytest.mark.parametrize(
    ("own", "other", "suspect"), [(0.01, 0.9, True), (0.03, 0.9, False), (0.01, 0.7, False)]
)
def test_only_labels_that_are_very_improbable_are_suspect(own, other, suspect):
    assert is_suspect(LabelIssue(0, own, 1, other)) is suspect


def test_pictures_of_16_bits_are_drawn_as_the_model_sees_them(tmp_path, monkeypatch):
    file = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 2000, np.uint16)).save(file)
    monkeypatch.setattr(findings, "map_shares", lambda *_: ((), True))
    view = hubtune.Preprocessing(bits=12)
    card = SimpleNamespace(preprocessing=view, views=[view])
    evaluation = evaluate_answers(answers_for([file], [0], [1]), ["a", "b"])
    [content] = findings._heat_maps(SimpleNamespace(card=card, labels=["a", "b"]), evaluation).values()
    assert np.asarray(Image.open(io.BytesIO(content))).mean() == pytest.approx(2000 / 16, abs=3)


@pytest.mark.slow
def test_a_multi_label_model_has_suspect_labels_and_maps_of_wrong_ones_and_no_curve(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "home"))
    paths, truth = draw_labelled(tmp_path / "data", 100)
    planted = truth.copy()
    for place, label in ((0, 0), (1, 1), (90, 0), (95, 1)):  # two in training, two in the test list
        planted[place, label] ^= True
    data = write_label_lists(tmp_path / "data", paths, planted)
    run = train_frozen(hubtune.Module("digitnet"), data, tmp_path / "run")
    model, dataset = hubtune.load_model(run.path), hubtune.ListDataset(data)
    entries = hash_images(dataset.examples("train"), lambda: None)
    evaluation = model.evaluate(dataset, "test")
    found = find(model, entries, {}, evaluation, dataset.label_sets)
    wrong = [*np.array(evaluation.answers.paths)[~evaluation.answers.correct]]
    assert {*found.heat_maps} == {*wrong} and 0 < len(wrong) <= 12
    assert found.label_issues is found.learning_curve is None
    assert all(issue.label in model.labels for issue in found.decision_issues)
    named = {(issue.path.name, issue.label, issue.is_given) for issue in found.decision_issues}
    assert named & {("000.png", LABELS[0], planted[0, 0]), ("001.png", LABELS[1], planted[1, 1])}
    assert found.labels_sampled is None


@pytest.mark.parametrize(
    ("is_given", "probability", "share", "suspect"),
    [
        (True, 0.03, 0.5, True),
        (True, 0.06, 0.5, False),
        (True, 0.03, 0.05, False),
        (False, 0.97, 0.05, True),
        (False, 0.9, 0.05, False),
    ],
)
def test_only_labels_that_say_the_opposite_of_a_sure_answer_are_suspect(
    is_given, probability, share, suspect
):
    assert is_suspect_decision(DecisionIssue(0, 1, is_given, probability, share)) is suspect
