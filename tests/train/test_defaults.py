"""Default recipes: what is trained on images without a recipe, and where."""

from pathlib import Path

import paddle
import pytest
from support.split_folder import draw_split

from hubtune.errors import UsageError
from hubtune.train.defaults import default_recipe, default_run_folder, read_recipe


@pytest.fixture
def pics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_split(tmp_path, {"a": 6, "b": 6})
    return "pics"


def test_on_a_cpu_the_backbone_stays_frozen_and_on_a_gpu_the_whole_network_is_trained(pics, monkeypatch):
    recipe = default_recipe(pics, [])
    assert (recipe.module.name, recipe.strategy.name) == ("paddle.vision:mobilenet_v2", "frozen")
    assert (Path(recipe.data.base), recipe.run) == (Path(), "runs/pics")
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    recipe = default_recipe(pics, [])
    assert (recipe.module.name, recipe.strategy.name) == ("resnet50_imagenet", "default_finetune")
    recipe = default_recipe(pics, ["module.name=digitnet", "strategy=scratch", "run=runs/x"])
    assert (recipe.module.name, recipe.strategy.name, recipe.run) == ("digitnet", "scratch", "runs/x")


def test_a_run_is_named_after_its_recipe_or_its_source_unless_that_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("data: {base: pics}\nmodule: digitnet\n")
    assert read_recipe("mine.yaml", []).run == "runs/mine"
    assert read_recipe("mine.yaml", ["run=runs/other"]).run == "runs/other"
    with pytest.raises(
        UsageError, match=r"^There is no nothing: give a recipe \(.*\), a folder of pictures, or"
    ):
        read_recipe("nothing", [])
    assert default_run_folder("photos.tar.gz") == Path("runs/photos")
    assert default_run_folder(str(tmp_path / "pics")) == Path("runs/pics")
    (tmp_path / "pics" / "cat").mkdir(parents=True)
    for inside, source, folder in (("pics", ".", "../runs/pics"), ("pics/cat", "..", "../../runs/pics")):
        monkeypatch.chdir(tmp_path / inside)
        assert default_run_folder(source) == Path(folder)
