"""Runs are compared on one list, which they share or which is named."""

import json

import pytest
from safetensors.numpy import load, save
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train, train_frozen

import hubtune
from hubtune.evaluation.comparison import compare
from hubtune.storage.checked_folder import write_checked


@pytest.fixture
def runs(tmp_path):
    """Two runs on the same drawn lists; ``runs.data`` is their folder."""
    data, module = draw_faint_split(tmp_path / "data", each=12, validate=3, test=3), smallnet()
    first = train_frozen(module, data, tmp_path / "first", settings={"views": 1}, engine="paddle")
    second = train(module, data, tmp_path / "second", epochs=1, engine="paddle")
    return data, first, second


def test_each_model_is_measured_on_the_list_and_answers_are_paired(runs):
    data, first, second = runs
    steps = []
    found = hubtune.compare_runs(
        [first.path, second.path], engine="paddle", progress=lambda *step: steps.append(step)
    )
    assert found.list_name == "test" and found.list_file == str(data / "test_list.txt")
    assert [evaluation.accuracy for evaluation in found.evaluations] == [
        first.test.accuracy,
        second.test.accuracy,
    ]
    assert steps == [(number, 18) for number in range(1, 19)]
    answers = [evaluation.answers for evaluation in found.evaluations]
    assert found.pairs == [(0, 1, compare(*answers))]
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [run["run"] for run in document["runs"]] == [str(first.path), str(second.path)]
    pair = document["pairs"][0]
    assert pair["difference"] == pytest.approx(first.test.accuracy - second.test.accuracy)
    assert pair["sentence"] == found.pairs[0][2].describe(str(first.path), str(second.path))

    # Classes in another order are matched by name.
    other = _with_classes(second.best_model, data.parent / "turned", ["c", "a", "b"], [2, 0, 1])
    turned = hubtune.compare_runs([first.path, other], on=str(data / "test_list.txt"), engine="paddle")
    assert turned.evaluations[1].labels == ("c", "a", "b")
    assert turned.list_name is None
    assert turned.pairs[0][2] == found.pairs[0][2]

    # The same lists elsewhere are the same lists; others are refused unless one is named.
    _change_manifest(second.path, lambda manifest: manifest["lists"].update(test="0" * 64))
    with pytest.raises(hubtune.DataError, match=r"different test lists.*--on LIST"):
        hubtune.compare_runs([first.path, second.path])
    assert (
        hubtune.compare_runs([first.path, second.path], on="validate", engine="paddle").list_name
        == "validate"
    )
    _change_manifest(second.path, lambda manifest: manifest["lists"].pop("test"))
    with pytest.raises(hubtune.DataError, match="has no test list"):
        hubtune.compare_runs([first.path, second.path])


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    data, first, second = runs
    for folders in ([first.path], [first.path, first.path], []):
        with pytest.raises(hubtune.UsageError, match="two or more different runs"):
            hubtune.compare_runs(folders)
    with pytest.raises(hubtune.UsageError, match="a model without lists"):
        hubtune.compare_runs([first.path, second.best_model])
    with pytest.raises(hubtune.ModelError, match="There is no run or model"):
        hubtune.compare_runs([first.path, tmp_path / "gone"])
    _with_classes(second.best_model, tmp_path / "other", ["a", "b", "d"], [0, 1, 2])
    with pytest.raises(hubtune.ModelError, match=r"other has other classes .*: c, d\)"):
        hubtune.compare_runs([first.path, tmp_path / "other"], on=str(data / "test_list.txt"))
    for file in (data / "pics").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(hubtune.DataError, match="has no readable picture"):
        hubtune.compare_runs([first.path, second.path], engine="paddle")


def _change_manifest(run, change):
    manifest = json.loads((run / "manifest.json").read_text())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))


def _with_classes(model, folder, labels, order):
    """Write a model whose outputs are in another order, with these names."""
    card = {**json.loads((model / "model.json").read_text()), "labels": labels}
    tensors = load((model / "model.safetensors").read_bytes())
    for name in ("head.0.weight", "head.0.bias"):
        tensors[name] = tensors[name][..., order].copy()
    files = {path.name: path.read_bytes() for path in model.iterdir() if path.name != "manifest.json"}
    changed = {"model.json": json.dumps(card).encode(), "model.safetensors": save(tensors)}
    write_checked(folder, {**files, **changed})
    return folder
