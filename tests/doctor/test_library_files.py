"""A library that is cut off is noticed before it would end the process."""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from PIL import _imaging

from hubtune.doctor.library_files import CutOffLibraries, cut_off_libraries_refused, is_cut_off

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs libraries of Linux")


def test_a_library_is_cut_off_wherever_it_ends(tmp_path):
    whole = Path(_imaging.__file__).read_bytes()
    file = tmp_path / "x.so"
    assert not is_cut_off(Path(_imaging.__file__)) and not is_cut_off(tmp_path / "gone.so")
    for count in (10, 64, 1000, 50_000, len(whole) // 2, len(whole) - 100):
        file.write_bytes(whole[:count])
        assert is_cut_off(file), count
    for other in (b"", b"MZ another system's", b"\x7fELF\x01\x01" + bytes(100)):
        file.write_bytes(other)
        assert not is_cut_off(file)


def test_the_hook_refuses_it_and_leaves_others_alone(tmp_path):
    (tmp_path / f"_imaging{EXTENSION_SUFFIXES[0]}").write_bytes(b"\x7fELF\x02\x01")
    with pytest.raises(ImportError, match="is cut off") as refused:
        CutOffLibraries.find_spec("PIL._imaging", [str(tmp_path)])
    assert refused.value.name == "PIL._imaging"
    assert CutOffLibraries.find_spec("other._imaging", [str(tmp_path)]) is None
    own = str(Path(_imaging.__file__).parent)
    assert CutOffLibraries.find_spec("PIL._imaging", [own]).origin == _imaging.__file__


def test_the_hook_is_used_while_a_block_runs():
    before = [*sys.meta_path]
    with cut_off_libraries_refused():
        assert sys.meta_path == [CutOffLibraries, *before]
    assert sys.meta_path == before
