"""Grey pictures, pictures of four channels and other sizes through the main job."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.callbacks import AtAdvance, press_ctrl_c
from support.tiny_task import smallnet, train, weight_bytes

import hubtune
from hubtune.errors import StoppedError
from hubtune.recipe.load import make_recipe

STRATEGIES = ("frozen", "last_stage", "from_frozen", "default_finetune", "scratch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes of grey pictures that differ in brightness."""
    base = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for number in range(48):
        pixels = random.integers(0, 150, (40, 44), dtype=np.uint8) + np.uint8(60 * (number % 2))
        Image.fromarray(pixels).save(base / f"{number}.png")
    for name, numbers in {"train": range(24), "validate": range(24, 36), "test": range(36, 48)}.items():
        (base / f"{name}_list.txt").write_text("".join(f"{n}.png {n % 2}\n" for n in numbers))
    (base / "label_list.txt").write_text("dark\nbright\n")
    return base


@pytest.fixture(scope="module")
def module():
    return hubtune.Module("digitnet")


def _run(module, data, tmp_path, *, strategy, name="run", **options):
    defaults = {"augment": "flip", "learning_rate": None}
    module = smallnet() if strategy == "scratch" else module
    return train(module, data, tmp_path / name, strategy=strategy, **{**defaults, **options})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "channels"), [*((name, 1) for name in STRATEGIES), ("frozen", 4), ("from_frozen", 4)]
)
def test_every_strategy_makes_a_model_that_stores_its_channels(module, data, tmp_path, strategy, channels):
    run = _run(module, data, tmp_path, strategy=strategy, channels=channels)
    model = hubtune.load_model(run.path)
    assert {view.channels for view in model.card.views} == {channels}
    assert json.loads((run.best_model / "model.json").read_text())["preprocessing"]["channels"] == channels
    dataset = hubtune.ListDataset(data)
    assert model.evaluate(dataset, "test").accuracy == run.test.accuracy
    files = [data / "1.png", data / "2.png"]
    by_paddle = hubtune.load_model(run.path, engine="paddle").predict(files)
    for one, other in zip(model.predict(files), by_paddle, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_a_resumed_run_ends_with_the_same_weights(module, data, tmp_path, channels):
    options = {"channels": channels, "size": 24, "strategy": "default_finetune"}
    whole = _run(module, data, tmp_path, name="whole", **options)
    with pytest.raises(StoppedError):
        _run(module, data, tmp_path, callback=AtAdvance(3, press_ctrl_c), **options)
    for other, message in (
        ({"channels": 3}, f"channels was {channels} and is now 3"),
        ({"size": 28}, "size was 24 and is now 28"),
    ):
        with pytest.raises(hubtune.UsageError, match=f"data.{message}"):
            _run(module, data, tmp_path, resume=True, **{**options, **other})
    resumed = _run(module, data, tmp_path, resume=True, **options)
    assert weight_bytes(resumed) == weight_bytes(whole)


def _warnings(told):
    return [record.getMessage() for record in told.records if "fourth channel" in record.getMessage()]


@pytest.mark.slow
def test_a_strategy_that_cannot_learn_the_fourth_channel_warns(module, data, tmp_path, told):
    freezing = [{"match": "stem", "frozen": True}, {"match": "*"}]
    for number, strategy in enumerate(("frozen", "last_stage", freezing)):
        _run(module, data, tmp_path, name=str(number), strategy=strategy, channels=4, epochs=1)
        assert len(_warnings(told)) == number + 1
    assert _warnings(told)[0] == (
        "strategy frozen does not train the first layer, whose weights for the fourth channel start at zero: "
        "it will not be seen. Strategy default_finetune learns it"
    )
    for strategy, channels in (("default_finetune", 4), (freezing, 1)):
        _run(module, data, tmp_path, strategy=strategy, channels=channels, epochs=1)
    assert len(_warnings(told)) == 3


def test_classes_that_differ_in_the_fourth_channel_alone_are_learned(module, data, tmp_path):
    random = np.random.default_rng(0)
    base = shutil.copytree(data, tmp_path / "four", ignore=shutil.ignore_patterns("*.png"))
    for number in range(48):
        pixels = random.integers(0, 256, (40, 44, 4), dtype=np.uint8)
        pixels[..., 3] = 255
        pixels[8:30, 8:30, 3] = 255 * (number % 2)
        Image.fromarray(pixels).save(base / f"{number}.png")
    options = {"strategy": "default_finetune", "epochs": 8, "learning_rate": 1e-3, "size": 24}
    assert _run(module, base, tmp_path, channels=4, **options).test.accuracy > 0.9


@pytest.mark.slow
def test_the_size_is_that_of_the_input_and_of_all_views(module, data, tmp_path):
    own = module.preprocessing
    for fit in (None, "crop"):
        run = _run(module, data, tmp_path, name=str(fit), strategy="frozen", fit=fit, size=48)
        views = hubtune.load_model(run.path).card.views
        for view in views:
            assert view.size == 48
            assert view.fit == "whole" or view.resize == round(own.resize * 48 / own.size)
        assert fit is None or views[0].fit == fit
    assert module.preprocessing == own


def test_sizes_and_channels_that_the_network_cannot_take_are_refused_before_weights_are_fetched(
    module, data, tmp_path
):
    only, multiples = "takes pictures of 224×224 only: remove size", "takes sizes that are multiples of 14"
    for name, size, message in (
        ("alexnet_imagenet", 160, f"does not go with {{}}, which {only}"),
        ("dinov2_vits14", 160, f"does not go with {{}}, which {multiples}: take 154 or 168"),
    ):
        given = {"data": {"base": data, "size": size}, "module": name, "run": tmp_path / "run"}
        with pytest.raises(hubtune.UsageError) as caught:
            hubtune.ImageClassifierTask.from_recipe(hubtune.Recipe.model_validate(given))
        assert str(caught.value) == f"size: {size} {message.format(name)}"
    assert not (tmp_path / "run").exists()
    for size in (16, 24, 32, 500):
        module.check_size(size)
    with pytest.raises(hubtune.UsageError, match=r"^size: 16 is too small for .*1_1: take 32 or more$"):
        hubtune.Module("paddle.vision:squeezenet1_1", weights=None).check_size(16)
    (tmp_path / "module.yaml").write_text(
        "name: m\narchitecture: smallnet\nlicence: MIT\npreprocessing: {size: 32, resize: 36, channels: 1}\n"
    )
    with pytest.raises(hubtune.ModelError, match=r"gives pictures of 1 channels, and modules take 3"):
        hubtune.Module(tmp_path, weights=None)
    for value, shown in ((2, "the number 2"), (True, "true"), ("grey", "the text 'grey'")):
        with pytest.raises(hubtune.UsageError, match=rf"data.channels must be one of 1, 3, 4, not {shown}"):
            make_recipe({"data": {"base": "x", "channels": value}, "module": "m"})
