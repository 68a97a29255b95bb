"""What a run gives: the same seed the same model, and warnings of combinations that rarely make sense."""

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, weight_bytes

import hubtune


@pytest.fixture
def data(tmp_path):
    return draw_split(tmp_path / "data", {"a": 16, "b": 16, "c": 16})


@pytest.fixture(scope="module")
def module():
    return smallnet()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(module, data, tmp_path):
    one, same, other = (
        weight_bytes(train(module, data, tmp_path / name, epochs=1, **options))
        for name, options in (("one", {}), ("same", {"workers": 5}), ("other", {"seed": 1}))
    )
    assert one == same
    assert one != other


def test_a_batch_larger_than_the_data_makes_an_epoch_a_single_step(module, data, tmp_path):
    run = train(module, data, tmp_path / "run", batch_size=500)
    assert "an epoch is a single step" in (run.path / "train.log").read_text()
    assert (run.path / "checkpoints" / "step-2").is_dir()


def test_without_validation_the_last_model_is_kept(module, data, tmp_path):
    (data / "validate_list.txt").unlink()
    run = train(module, data, tmp_path / "run")
    assert run.validate is None
    assert run.best_step == 6
    assert run.test.count == 12
    assert "no validation list: the model of the last step is kept" in (run.path / "train.log").read_text()


def test_a_validation_list_without_a_readable_image_counts_as_none(module, data, tmp_path):
    for example in hubtune.ListDataset(data).examples("validate"):
        example.path.write_bytes(b"")
    run = train(module, data, tmp_path / "run", max_bad="50%")
    assert run.validate is None
    assert run.best_step == 6
    assert "none of the 12 validate pictures can be read" in (run.path / "train.log").read_text()
