"""The folder that one's own module starts from works as it is."""

import pytest

import hubtune
from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.hub.new_module import write_skeleton


def test_the_skeleton_is_a_working_module(tmp_path):
    folder = tmp_path / "it's mine"
    write_skeleton(folder)
    before = sorted(folder.iterdir())
    module = hubtune.Module(folder, weights=None, trust_code=True)
    assert [stage.name for stage in module.stages] == ["stem", "stage1", "stage2", "stage3", "head"]
    assert module.code == (folder / "module.py").read_bytes()
    assert 'name: "it\'s mine"' in (folder / "module.yaml").read_text()
    assert sorted(folder.iterdir()) == before
    with pytest.raises(ModelError, match="No official weights"):
        hubtune.Module(folder, trust_code=True)


def test_nothing_is_overwritten(mine, tmp_path):
    (tmp_path / "file").touch()
    for name, kind, message in (
        ("file", UsageError, "exists already: name a new folder"),
        (mine.name, UsageError, "exists already: name a new folder"),
        ("a\nb", UsageError, "is no name for a module"),
        ("file/mine", MachineError, "cannot be written"),
    ):
        with pytest.raises(kind, match=message):
            write_skeleton(tmp_path / name)
