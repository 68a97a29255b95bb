"""``hubtune export``."""

import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.model_folder import ModelCard, write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


@pytest.fixture
def model(tmp_path):
    names = {"architecture": "smallnet", "module": "smallnet", "module_sha256": None, "strategy": "scratch"}
    view = Preprocessing(size=32, resize=32)
    card = ModelCard(**names, labels=["a", "b"], preprocessing=view, step=1, metrics={})
    write_model(tmp_path / "model", Classifier(find("smallnet").backbone, 2), card)
    return tmp_path / "model"


def test_export_writes_a_module_named_as_its_folder_or_as_told(model, tmp_path, run_here):
    done = run_here("export", model, "--format", "paddlehub", "-o", tmp_path / "fruit")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"PaddleHub module fruit written to {tmp_path / 'fruit'}\n"
    use = f"Use it: hub install {tmp_path / 'fruit'}; then, elsewhere: hub run fruit --input_path PHOTO\n"
    assert done.stderr == use
    assert 'name="fruit"' in (tmp_path / "fruit/module.py").read_text()
    run_here("export", model, "--format", "paddlehub", "-o", tmp_path / "other-folder", "--name", "pears")
    assert 'name="pears"' in (tmp_path / "other-folder/module.py").read_text()


@pytest.mark.parametrize(
    "options, code, message",
    [
        (["MODEL", "--format", "paddlehub", "-o", "my-fruit"], 2, "cannot use the name 'my-fruit'"),
        (["MODEL", "--format", "paddlehub", "-o", "MODEL"], 2, "is not empty: name a new folder"),
        (["MODEL", "--format", "torch", "-o", "fruit"], 2, "'torch' is not 'paddlehub'"),
        (["nowhere", "--format", "paddlehub", "-o", "fruit"], 4, "There is no run or model nowhere"),
    ],
)
def test_export_refuses_in_a_sentence_and_writes_nothing(options, code, message, model, tmp_path, run_here):
    given = [str(model) if option == "MODEL" else option for option in options]
    done = run_here("export", *given, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
