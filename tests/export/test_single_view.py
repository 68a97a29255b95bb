"""A new head for one view: when it is solved, and when that is refused."""

import pytest
from support.exports import trained_run
from support.paddlehub import exportable_model
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train

import hubtune
from hubtune.errors import ModelError
from hubtune.export.single_view import single_view_model
from hubtune.inference.model import Model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


def test_a_model_with_one_cropped_view_stays_as_it_is():
    model = exportable_model(fit="crop")
    with single_view_model(model, None, "Paddle") as same:
        assert same is model


def test_the_head_is_solved_again_for_a_stretched_view(run):
    model = hubtune.load_model(run.path)
    with single_view_model(model, run.path, "Paddle") as solved:
        assert [view.description for view in solved.card.views] == ["stretch 40"]
        assert solved.labels == model.labels
        assert solved.reference is not None
        again = solved.classifier.state_dict()["head.0.weight"].numpy()
    with single_view_model(model, run.path, "Paddle") as solved:
        assert (solved.classifier.state_dict()["head.0.weight"].numpy() == again).all()
    assert sorted(path.name for path in run.path.parent.iterdir() if path.is_dir()) == ["pics", "run"]


def test_the_run_of_that_head_is_not_the_newest_one_of_the_user(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with single_view_model(hubtune.load_model(run.path), run.path, "Paddle"):
        pass
    assert [*tmp_path.iterdir()] == []


def test_a_model_folder_alone_cannot_get_a_new_head(run):
    model = hubtune.load_model(run.best_model)
    with (
        pytest.raises(ModelError, match=r"the model's own is whole 40, whole 40 mirrored.* Export the run"),
        single_view_model(model, None, "Paddle"),
    ):
        pass


@pytest.mark.slow
def test_a_network_that_was_trained_for_another_view_is_refused(tmp_path):
    data = draw_faint_split(tmp_path)
    run = train(smallnet(), data, tmp_path / "run", strategy=hubtune.DefaultFinetuneStrategy(), fit="pad")
    model = hubtune.load_model(run.path)
    with (
        pytest.raises(ModelError, match=r"was trained for pad 32: train it again with -o data.fit=crop"),
        single_view_model(model, run.path, "Paddle"),
    ):
        pass


def test_without_the_training_pictures_it_is_refused_and_says_so(tmp_path):
    run = trained_run(tmp_path)
    model = hubtune.load_model(run.path)
    (tmp_path / "pics").rename(tmp_path / "elsewhere")
    with (
        pytest.raises(ModelError, match=r"on the training pictures of .*run, which cannot be used"),
        single_view_model(model, run.path, "Paddle"),
    ):
        pass


def test_a_view_without_antialiasing_is_not_one_of_the_format():
    model = exportable_model(fit="crop", antialias=False)
    with (
        pytest.raises(ModelError, match="looks at a picture in one way"),
        single_view_model(model, None, "Paddle"),
    ):
        pass
    assert isinstance(model, Model)
