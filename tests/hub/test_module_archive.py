"""A module folder in an archive: unpacked once for its content, and run only with permission."""

import tarfile
import zipfile

import pytest
from support.archives import tarred, zipped

import hubtune
from hubtune.errors import ModelError
from hubtune.hub.module_archive import unpack_module


def test_an_archive_is_a_module_as_its_folder_is(mine):
    expected = {
        name: tensor.shape
        for name, tensor in hubtune.Module(mine, None, trust_code=True).network.state_dict().items()
    }
    for archive in (tarred(mine, "mine"), zipped(mine)):
        with pytest.raises(ModelError, match=r"has code of its own \(module\.py\).*add --trust-code"):
            hubtune.Module(archive, None)
        module = hubtune.Module(archive, None, trust_code=True)
        assert {name: tensor.shape for name, tensor in module.network.state_dict().items()} == expected


def test_the_content_decides_whether_it_is_unpacked_again(mine, tmp_path):
    archive = tarred(mine)
    first = unpack_module(archive)
    assert unpack_module(archive.rename(tmp_path / archive.name.replace("mine", "moved"))) != first
    (mine / "module.yaml").write_text((mine / "module.yaml").read_text() + "description: another\n")
    second = unpack_module(tarred(mine))
    assert second != first and first.is_dir()
    assert unpack_module(tarred(mine)).is_dir()


def test_other_archives_and_files_are_no_modules_and_hostile_ones_refused(mine, tmp_path):
    (tmp_path / "deep" / "a" / "b").mkdir(parents=True)
    (tmp_path / "deep" / "a" / "b" / "module.py").touch()
    assert unpack_module(tarred(tmp_path / "deep", "deep")) is None
    (tmp_path / "notes.tar.gz").write_bytes(b"nothing")
    assert unpack_module(tmp_path / "notes.tar.gz") is None
    assert unpack_module(mine / "module.py") is None
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr("module.py", "")
        archive.writestr("../outside.py", "")
    with pytest.raises(ModelError, match=r"is not unpacked: the name '\.\./outside\.py' in it leads out"):
        unpack_module(tmp_path / "hostile.zip")
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        archive.add(mine / "module.yaml", "module.yaml")
        link = tarfile.TarInfo("module.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ModelError, match=r"module\.py cannot be read"):
        hubtune.Module(tmp_path / "link.tar", None, trust_code=True)
