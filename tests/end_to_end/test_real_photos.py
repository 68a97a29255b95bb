"""The main job on real photos with real weights; needs the material that is not part of the project."""

import random
import shutil

import pytest
from support.split_folder import write_lists
from support.tiny_task import train

import hubtune

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trashnet(material, tmp_path_factory):
    """A base folder with lists of 20 training, 10 validation and 20 test photos a class."""
    base = tmp_path_factory.mktemp("trashnet")
    for folder in (material / "trashnet").iterdir():
        if folder.is_dir():
            shutil.copytree(folder, base / "pics" / folder.name)
    return write_lists(base / "pics", validate=10, test=20, train=20)


@pytest.fixture(scope="module")
def module(material):
    file = material / "weights" / "mobilenetv2_1.0_imagenet.safetensors"
    return hubtune.Module("paddle.vision:mobilenet_v2", file)


@pytest.fixture(scope="module")
def run(trashnet, module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "frozen"
    return train(module, trashnet, folder, strategy=hubtune.FrozenStrategy())


def test_awkward_files_score_the_same_in_any_batch(run, material):
    model = hubtune.load_model(run.path)
    files = [str(path) for path in sorted((material / "awkward").rglob("*")) if path.is_file()]
    whole = {row.path: row for row in model.predict(files, batch_size=64)}
    assert list(whole) == files
    shuffled = random.Random(0).sample(files, len(files))
    for order, batch_size in ((files, 1), (shuffled, 7), (shuffled, 64)):
        rows = list(model.predict(order, batch_size=batch_size))
        assert [row.path for row in rows] == order
        for row in rows:
            expected = whole[row.path]
            assert row.error == expected.error
            assert row.scores == pytest.approx(expected.scores, abs=1e-6)
    for path in files[::9]:
        (row,) = model.predict([path])
        assert row.scores == pytest.approx(whole[path].scores, abs=1e-6)


def test_a_frozen_backbone_names_rubbish_and_predicting_a_list_agrees_with_evaluate(run, trashnet):
    # By hand 0.79 with 80 training photos a class; here are 20.
    assert run.test.count == 120 and run.test.accuracy > 0.55
    model = hubtune.load_model(run.path)
    dataset = hubtune.ListDataset(trashnet)
    examples = dataset.examples("test")
    metrics = model.evaluate(dataset, "test", batch_size=7)
    rows = list(model.predict([example.path for example in examples], batch_size=64))
    truth = [dataset.label_list[example.label] for example in examples]
    right = sum(row.label == label for row, label in zip(rows, truth, strict=True))
    assert metrics.accuracy == right / len(examples) == run.test.accuracy
    assert metrics.loss == pytest.approx(run.test.loss, abs=1e-6)


def test_pdparams_and_safetensors_give_the_same_network(material, module):
    file = material / "weights" / "mobilenetv2_1.0_imagenet.pdparams"
    other = hubtune.Module("paddle.vision:mobilenet_v2", file)
    state = module.network.state_dict()
    for name, tensor in other.network.state_dict().items():
        assert (tensor.numpy() == state[name].numpy()).all(), name
