"""Files that are none, or have no end, are refused; `make faults` tries it on the commands."""

import os

import pytest

from hubtune.data.lists import read_label_lines
from hubtune.data.sources.table import is_table, read_table
from hubtune.data.splits.files import read_groups
from hubtune.errors import HubtuneError
from hubtune.storage.checked_folder import integrity_error
from hubtune.storage.regular_file import read_json, read_regular


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda file: file.symlink_to("/dev/zero"),
        lambda file: file.touch() or os.truncate(file, 2**40),
    ],
)
def test_no_reader_waits_or_reads_without_end(tmp_path, make):
    for name in ("x.csv", "split.json", "manifest.json"):
        make(tmp_path / name)
    for read in (read_label_lines, read_table, read_regular, read_json):
        with pytest.raises((OSError, HubtuneError)):
            read(tmp_path / "x.csv")
    assert (is_table(tmp_path / "x.csv"), read_groups(tmp_path)) == (False, {})
    assert integrity_error(tmp_path) is not None
