"""What exports are compared on: images of the run, the same every time."""

import pytest
from support.exports import trained_run
from support.paddlehub import exportable_model

import hubtune
from hubtune.errors import ModelError
from hubtune.export.comparison import proof_images, run_of, write_format


def test_images_are_those_of_the_validation_list_that_are_there(tmp_path):
    run = trained_run(tmp_path)
    model = hubtune.load_model(run.path)
    assert run_of(model) == run.path
    listed = [entry.path for entry in hubtune.ListDataset(tmp_path).examples("validate")]
    listed[0].unlink()
    found = proof_images(run.path, model)
    assert {path.resolve() for path in found} == {path.resolve() for path in listed[1:]}
    assert found == proof_images(run.path, model)
    assert proof_images(None, model) == []


def test_a_model_in_memory_is_in_no_run():
    assert run_of(exportable_model()) is None


def test_a_network_that_cannot_be_traced_is_a_sentence(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr("hubtune.export.openvino.save_openvino", fails)
    with pytest.raises(ModelError, match=r"smallnet cannot be saved in this format \(RuntimeError: no such"):
        write_format("openvino", exportable_model(), tmp_path, "name")
