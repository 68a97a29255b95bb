"""Exports that are compared again: what is noticed, and that nothing of a changed one is run."""

import json
import shutil

import pytest

import hubtune
from hubtune.errors import CheckFailedError, ModelError
from hubtune.export.recheck import prove_export
from hubtune.storage.atomic import sha256_of

WEIGHTS = {"onnx": "model.onnx", "openvino": "model.bin", "paddle": "inference.json"}


@pytest.mark.parametrize(
    "form", ["openvino", *(pytest.param(form, marks=pytest.mark.slow) for form in ("onnx", "paddle"))]
)
def test_an_export_is_proved_again_and_each_changed_file_noticed(form, exported, run, tmp_path):
    model = hubtune.load_model(run.path)
    folder = shutil.copytree(exported(form).folder, tmp_path / "copy")
    assert prove_export(folder, model).files.labels == 0
    weights = folder / WEIGHTS[form]
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    (folder / "labels.txt").unlink()
    named = ", ".join(sorted(["labels.txt", weights.name]))
    with pytest.raises(CheckFailedError, match=rf"{named} changed or missing. Export the model again"):
        prove_export(folder, model)


@pytest.mark.parametrize("name", ["numpy.py", "PIL/__init__.py"])
def test_code_that_was_added_to_an_export_is_not_run(name, exported, run, tmp_path):
    folder = shutil.copytree(exported("openvino").folder, tmp_path / "copy")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(CheckFailedError, match=rf"has {name.split('/')[0]}, which its scripts could import"):
        prove_export(folder, hubtune.load_model(run.path))
    assert not (tmp_path / "ran").exists()


def _forge(folder, name, old, new):
    """Change a file, and its checksum in the record."""
    file = folder / name
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))
    record = json.loads((folder / "parity.json").read_text())
    record["sha256"][name] = sha256_of(file)
    (folder / "parity.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("predict.py", b"import json", b"import json; open('was_run', 'w').close()"),
        ("arrange.py", b"BILINEAR", b"BICUBIC"),
        ("preprocessing.json", b'"similarity_threshold": 0.', b'"similarity_threshold": 0.1'),
        ("labels.txt", b"a\nb", b"b\na"),
    ],
)
def test_scripts_and_settings_of_others_are_refused_and_not_run(name, old, new, exported, run, tmp_path):
    folder = shutil.copytree(exported("openvino").folder, tmp_path / "copy")
    _forge(folder, name, old, new)
    with pytest.raises(CheckFailedError, match=rf"is not an export of this model .*: {name} differ"):
        prove_export(folder, hubtune.load_model(run.path))
    assert not [*tmp_path.rglob("was_run")]


def test_another_folder_is_not_taken_for_an_export(run, tmp_path):
    model = hubtune.load_model(run.path)
    for folder in (tmp_path, tmp_path / "nowhere", run.path):
        with pytest.raises(ModelError, match="cannot be checked: name a folder that hubtune export wrote"):
            prove_export(folder, model)
