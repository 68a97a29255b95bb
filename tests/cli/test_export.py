"""``hubtune export``."""

import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.model_card import ModelCard
from hubtune.inference.model_folder import write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


@pytest.fixture
def model(here):
    names = {"architecture": "smallnet", "module": "smallnet", "module_sha256": None, "strategy": "scratch"}
    view = Preprocessing(size=32, resize=32)
    card = ModelCard(**names, labels=["a", "b"], preprocessing=view, step=1, metrics={})
    write_model(here / "model", Classifier(find("smallnet").backbone, 2), card)


def test_export_writes_a_module_named_as_its_folder_or_as_told(model, here, run_here, assert_refused):
    assert_refused(
        ("export model --format paddlehub -o my-fruit", 2, "cannot use the name 'my-fruit'"),
        ("export model --format paddlehub -o model", 2, "is not empty: name a new folder"),
        ("export model --format torch -o fruit", 2, "'torch' is not 'paddlehub'"),
        ("export nowhere --format paddlehub -o fruit", 4, "There is no run or model nowhere"),
    )
    assert [path.name for path in here.iterdir()] == ["model"]
    done = run_here("export", "model", "--format", "paddlehub", "-o", "fruit")
    assert (done.returncode, done.stdout) == (0, "PaddleHub module fruit written to fruit\n")
    use = "Use it: hub install fruit; then, elsewhere: hub run fruit --input_path PHOTO\n"
    assert done.stderr == use
    assert 'name="fruit"' in (here / "fruit/module.py").read_text()
    run_here("export", "model", "--format", "paddlehub", "-o", "other-folder", "--name", "pears")
    assert 'name="pears"' in (here / "other-folder/module.py").read_text()
