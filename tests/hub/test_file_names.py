"""The files of a module's and of a model's folder have the documented names."""

from hubtune.hub.file_names import CODE_FILE, MODEL_FILE, MODULE_FILE, WEIGHTS_FILE
from hubtune.hub.new_module import write_skeleton


def test_folders_have_these_files(tmp_path):
    write_skeleton(tmp_path / "mine")
    assert {file.name for file in (tmp_path / "mine").iterdir()} == {MODULE_FILE, CODE_FILE}
    assert (MODULE_FILE, CODE_FILE) == ("module.yaml", "module.py")
    assert (MODEL_FILE, WEIGHTS_FILE) == ("model.json", "model.safetensors")
