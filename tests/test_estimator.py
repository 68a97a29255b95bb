"""The classifier for scikit-learn: its own checks, images of all kinds, pipelines and folds."""

import io
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.images import draw_tree

import hubtune
from hubtune.errors import DataError, UsageError


@parametrize_with_checks([hubtune.ImageClassifier()])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def images(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"ant": 12, "bee": 12})
    paths = sorted(map(str, pics.glob("*/*.png")))
    return paths, [Path(path).parent.name for path in paths]


@pytest.fixture
def classifier():
    return hubtune.ImageClassifier("digitnet")


@pytest.mark.slow
def test_answers_are_those_of_the_model_for_images_of_all_kinds(images, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    paths, labels = images
    classifier.fit(paths, labels)
    assert classifier.classes_.tolist() == ["ant", "bee"] and classifier.score(paths, labels) == 1.0
    scores = classifier.predict_proba(paths)
    rows = [*classifier.model_.predict(paths)]
    assert [row.label for row in rows] == classifier.predict(paths).tolist()
    assert scores.tolist() == [[row.scores[label] for label in ("ant", "bee")] for row in rows]
    pictures = [Image.open(path).convert("RGB").resize((40, 32)) for path in paths]
    paths = [str(tmp_path / f"{place:02}.png") for place in range(24)]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    scores = classifier.fit(paths, labels).predict_proba(paths)
    contents = []
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, "PNG")
        contents.append(file.getvalue())
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    for own in (pictures, contents, arrays, [*arrays], np.array(paths), [*map(Path, paths)]):
        other = clone(classifier).fit(own, labels)
        assert other.predict_proba(own).tolist() == scores.tolist()
    features = classifier.transform(paths)
    assert features.shape == (24, classifier._n_features_out)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-5)
    assert classifier.get_feature_names_out()[0] == "imageclassifier0"
    assert not [*(tmp_path / "temporary").iterdir()]


@pytest.mark.slow
def test_a_pickle_has_the_model(images, classifier):
    paths, labels = images
    stored = pickle.dumps(classifier.fit(paths, labels))
    again = pickle.loads(stored)
    assert again.predict_proba(paths).tolist() == classifier.predict_proba(paths).tolist()
    assert pickle.dumps(again) == stored  # also after it has predicted


@pytest.mark.slow
def test_it_works_in_pipelines_and_folds_with_groups(images, classifier):
    paths, labels = images
    groups = [number // 2 for number in range(len(paths))]
    folds = GroupKFold(3)
    assert cross_val_score(classifier, paths, labels, groups=groups, cv=folds).shape == (3,)
    pipeline = make_pipeline(classifier, LogisticRegression())
    assert cross_val_score(pipeline, paths, labels, cv=3).mean() > 0.8


@pytest.mark.slow
def test_features_are_enough_for_the_head(images, classifier):
    paths, labels = images
    features = classifier.fit(paths, labels).transform(paths)
    head = hubtune.ImageClassifier().fit(features, labels)
    assert head.score(features, labels) == 1.0 and head.transform(features).tolist() == features.tolist()
    with pytest.raises(AttributeError, match="has no network"):
        head.model_  # noqa: B018
    with pytest.raises(ValueError, match="was fitted to features"):
        head.predict(paths)
    with pytest.raises(ValueError, match="was fitted to images"):
        classifier.predict(features)


def test_other_strategies_keep_images_for_validation_and_a_run_can_be_kept(images, tmp_path):
    paths, _ = images
    run = tmp_path / "run"
    settings = {"epochs": 1, "batch_size": 8}
    classifier = hubtune.ImageClassifier(
        "digitnet", strategy="default_finetune", settings=settings, run=str(run)
    )
    classifier.fit(paths, [number % 2 for number in range(24)])
    assert classifier.classes_.tolist() == [0, 1] and classifier.predict(paths).dtype.kind == "i"
    assert hubtune.load_model(run).labels == ["0", "1"]
    assert '"validate": 3' in (run / "result.json").read_text()


def test_what_cannot_be_learned_or_read_is_refused(images, classifier, tmp_path):
    paths, labels = images
    with pytest.raises(ValueError, match="24 pictures have 3 labels"):
        classifier.fit(paths, labels[:3])
    with pytest.raises(ValueError, match="All of y is one class, 'ant'"):
        classifier.fit(paths[:3], labels[:3])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"x")
    with pytest.raises(DataError, match=r"broken.png"):
        classifier.fit([*paths, broken], [*labels, "ant"])
    classifier.fit(paths, labels)
    with pytest.raises(DataError, match=r"1 picture cannot be read .*broken.png.*: leave them out"):
        classifier.predict([paths[0], str(broken)])
    with pytest.raises(UsageError, match=r"255 \* array"):
        classifier.predict(np.zeros((2, 32, 32, 3)))
