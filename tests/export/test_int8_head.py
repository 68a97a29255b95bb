"""What depends on features in int8 is found as training found it, and nothing of the run changes."""

import shutil

import numpy as np
import pytest
from support.exports import trained_run
from support.split_folder import draw_faint_split
from support.tiny_task import train, train_frozen

import hubtune
from hubtune.errors import DataError, ModelError
from hubtune.export.int8 import quantized_model
from hubtune.export.int8_head import has_solved_head, require_images, training_context
from hubtune.inference.list_features import backbone_of_model
from hubtune.train.head_solver import HeadSolver

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_on_the_features_of_training_the_head_of_training_is_found(head, tmp_path):
    done = trained_run(tmp_path, settings={"head": head})
    model, before = hubtune.load_model(done.path), _contents(done.path)
    with training_context(done.path, model) as context:
        require_images(context)
        assert has_solved_head(context, model)
        assert context.folder.path != done.path
        backbone, blocks = backbone_of_model(model)
        solution = HeadSolver(context, backbone, blocks).solve_for(model.card.views)
    linear = model.classifier.head[0]
    np.testing.assert_allclose(solution.weight, linear.weight.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(solution.bias, linear.bias.numpy(), rtol=1e-4, atol=1e-6)
    assert _contents(done.path) == before


def test_a_head_that_was_trained_by_gradients_stays(tmp_path):
    data = draw_faint_split(tmp_path, difference=25)
    done = train(hubtune.Module("digitnet"), data, tmp_path / "run", hidden_units=[6], epochs=1)
    model = hubtune.load_model(done.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubtune.export.int8_accuracy.MOST_LOST", 1.0)
        with quantized_model(model, done.path, "openvino") as quantized:
            assert not quantized.accuracy.head_solved
            for name, values in model.classifier.state().items():
                np.testing.assert_array_equal(quantized.classifier.state()[name].numpy(), values.numpy())
            assert quantized.card.temperature == model.card.temperature
            assert quantized.reference is not None


def test_a_run_without_similarities_gets_none(tmp_path):
    data = draw_faint_split(tmp_path, difference=25)
    done = train_frozen(hubtune.Module("digitnet"), data, tmp_path / "run", reference=False)
    with quantized_model(hubtune.load_model(done.path), done.path, "openvino") as quantized:
        assert (quantized.reference, quantized.card.similarity_threshold) == (None, None)


def test_lists_of_other_classes_or_without_images_are_refused(run, tmp_path):
    model = hubtune.load_model(run.path)
    other = model.card.model_copy(update={"labels": ["x", "y", "z"]})
    stranger = hubtune.Model(model.classifier, other)
    with (
        pytest.raises(ModelError, match="have other classes than its model"),
        training_context(run.path, stranger),
    ):
        pass
    moved = shutil.copytree(run.path, tmp_path / "run")
    recipe = moved / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("validate_list.txt", "nowhere.txt"))
    with pytest.raises(DataError), training_context(moved, model) as context:
        require_images(context)
