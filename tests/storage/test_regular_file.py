"""Files that are none, or have no end, are refused wherever hubtune reads a file from outside."""

import json
import os
from pathlib import Path

import pytest

from hubtune.data.list_files import read_labels, read_list
from hubtune.data.sources.table import is_table, read_table
from hubtune.data.splits.class_names import read_display_names
from hubtune.data.splits.files import read_groups
from hubtune.errors import HubtuneError
from hubtune.storage.checked_folder import integrity_error
from hubtune.storage.regular_file import open_regular, read_json, read_regular

READERS = (
    lambda file: read_list(file, Path(), ["a"]), lambda file: read_display_names(file, ["a", "b"]),
    read_labels, read_table, read_regular, read_json, open_regular,
)  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "sparse"])
def test_no_reader_waits_or_reads_without_end(tmp_path, kind):
    for name in ("x.csv", "split.json", "manifest.json"):
        file = tmp_path / name
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "zero":
            file.symlink_to("/dev/zero")
        elif kind == "folder":
            file.mkdir()
        else:
            file.touch()
            os.truncate(file, 2**40)
    for read in READERS if kind != "sparse" else READERS[:-1]:
        with pytest.raises((OSError, HubtuneError)):
            read(tmp_path / "x.csv")
    assert not is_table(tmp_path / "x.csv")
    assert read_groups(tmp_path) == {}
    assert integrity_error(tmp_path) is not None


def test_a_document_is_read_up_to_its_limit(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps([1]))
    assert (read_json(file), read_regular(file, 3)) == ([1], b"[1]")
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_regular(file, 2)
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested"):
        read_json(file)
