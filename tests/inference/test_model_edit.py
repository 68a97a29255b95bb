"""Classes are renamed, merged and dropped without training, with the scores that follow."""

import json

import numpy as np
import pytest
from support.multi_label import draw_label_lists
from support.split_folder import draw_split
from support.tiny_task import smallnet, train

import hubtune
from hubtune.errors import ModelError, UsageError
from hubtune.inference.model_edit import edit_model

CLASSES = {"cat": 8, "dog": 8, "bird": 8, "fish": 8}


@pytest.fixture(scope="module", params=["frozen", "default"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = draw_split(folder / "data", CLASSES, validate=1, test=1)
    settings = {"strategy": "frozen"} if request.param == "frozen" else {"hidden_units": [6]}
    return train(smallnet(), data, folder / "run", **settings)


def scores(model, images, **options):
    loaded = hubtune.load_model(model, **options)
    rows = [*loaded.predict(images)]
    return loaded.labels, np.array([[row.scores[name] for name in loaded.labels] for row in rows]), rows


@pytest.fixture
def images(run):
    return sorted((run.path.parent / "data" / "pics").rglob("*.png"))[:10]


@pytest.mark.slow
def test_a_merged_class_has_the_sum_of_its_parts(run, images, tmp_path):
    labels, before, _ = scores(run.path, images)
    edit_model(run.path, tmp_path / "new", rename={"bird": "Vogel"}, merge={"cat": "pet", "dog": "pet"})
    names, now, rows = scores(tmp_path / "new", images)
    assert set(names) == {"pet", "Vogel", "fish"}
    of = dict(zip(labels, before.T, strict=True))
    expected = {"pet": of["cat"] + of["dog"], "Vogel": of["bird"], "fish": of["fish"]}
    single_view = len(hubtune.load_model(run.path).card.views) == 1
    for name, column in zip(names, now.T, strict=True):
        # With several views, whose logits are averaged, the sums are those in each view.
        np.testing.assert_allclose(column, expected[name], atol=1e-5 if single_view else 0.2)
    np.testing.assert_allclose(scores(tmp_path / "new", images, engine="paddle")[1], now, atol=1e-5)
    assert {row.nearest for row in rows} <= {*names, None}


def test_without_a_class_the_others_keep_their_proportions(run, images, tmp_path):
    labels, before, _ = scores(run.path, images)
    card = edit_model(run.path, tmp_path / "new", drop=["dog"])
    assert card.merged == [] and card.metrics == {}
    names, now, _ = scores(tmp_path / "new", images)
    kept = before[:, [labels.index(name) for name in names]]
    np.testing.assert_allclose(now, kept / kept.sum(axis=1, keepdims=True), atol=1e-5)


def test_other_names_change_nothing_else(run, images, tmp_path):
    edit_model(run.path, tmp_path / "new", rename={"dog": "cat", "cat": "dog"})
    old, new = (json.loads((each / "model.json").read_text()) for each in (run.best_model, tmp_path / "new"))
    swap = {"dog": "cat", "cat": "dog"}
    assert new == {**old, "labels": [swap.get(name, name) for name in old["labels"]]}
    np.testing.assert_array_equal(scores(run.path, images)[1], scores(tmp_path / "new", images)[1])


def test_a_changed_model_can_be_changed_again_and_trained_on(run, tmp_path):
    edit_model(run.path, tmp_path / "one", merge={"cat": "pet", "dog": "pet"})
    edit_model(tmp_path / "one", tmp_path / "two", merge={"pet": "animal", "bird": "animal"})
    card = edit_model(tmp_path / "two", tmp_path / "three", rename={"animal": "Tier"})
    assert sorted(map(len, card.merged)) == [1, 3]
    with pytest.raises(UsageError, match="Fewer than two classes would be left"):
        edit_model(tmp_path / "three", tmp_path / "four", drop=["fish"])
    head = hubtune.Module(tmp_path / "one").head
    assert sorted(len(outputs) for outputs in head.outputs) == [1, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": ["dgo"]}, "has no class 'dgo'. Did you mean 'dog'?"),
        ({"drop": ["dog"], "rename": {"dog": "x"}}, "Class 'dog' is named twice"),
        ({"rename": {"dog": "cat"}}, "Two classes would be called 'cat': to make them one, merge them"),
        ({"drop": ["dog", "cat", "bird"]}, "Fewer than two classes would be left"),
        ({"drop": "dog"}, "Give drop a list of classes, even for one: ['dog']"),
        ({"rename": {"dog": " "}}, "' ' cannot be the name of a class: give one line of text"),
        ({"rename": {"dog": "a\nb"}}, "'a\\nb' cannot be the name of a class: give one line of text"),
        ({"merge": {"dog": 3}}, "3 cannot be the name of a class: give one line of text"),
        ({"rename": {3: "x"}}, "The model has no class '3'"),
    ],
)
def test_mistakes_get_a_sentence_and_write_nothing(run, tmp_path, changes, message):
    with pytest.raises(UsageError) as caught:
        edit_model(run.path, tmp_path / "new", **changes)
    assert message in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_places_are_checked_first(run, tmp_path):
    with pytest.raises(ModelError, match="There is no model in"):
        edit_model(tmp_path, tmp_path / "new", drop=["dog"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(UsageError, match="there is there already"):
        edit_model(run.path, tmp_path / "there", drop=["dog"])


def test_a_model_in_a_bucket_is_fetched(run, tmp_path, monkeypatch):
    monkeypatch.setattr("hubtune.inference.model_edit.local_model", {"s3://b/runs/x": run.path}.__getitem__)
    assert "dog" not in edit_model("s3://b/runs/x", tmp_path / "new", drop=["dog"]).labels


@pytest.mark.slow
def test_labels_of_a_multi_label_model_are_renamed_and_dropped_and_not_merged(tmp_path):
    data = draw_label_lists(tmp_path / "data", 60)
    run = train(smallnet(), data, tmp_path / "run", strategy="frozen")
    pictures = sorted((data / "pics").glob("*.png"))[:10]
    _, before, _ = scores(run.path, pictures)
    card = edit_model(run.path, tmp_path / "new", rename={"wide": "breit"}, drop=["green"])
    names, now, rows = scores(tmp_path / "new", pictures)
    assert names == card.labels == ["red", "blue", "breit"]
    np.testing.assert_allclose(now, before[:, [0, 2, 3]], atol=1e-6)
    old = hubtune.load_model(run.path).card.thresholds
    assert card.thresholds == [old[0], old[2], old[3]]
    assert all(row.known is not None for row in rows)
    with pytest.raises(ModelError, match="probabilities of its labels do not add up"):
        edit_model(run.path, tmp_path / "merged", merge={"red": "warm", "green": "warm"})
