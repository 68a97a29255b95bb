"""Folders of part files: what is finished, what does not belong together, and what is damaged."""

import json
import shutil

import pytest

from hubtune.data.sharding import ImageShard
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.inference.part_files import PartFolder

COMMON = {
    "command": "predict",
    "model_sha256": "ab",
    "options": {"top": 1},
    "pictures": 4,
    "names_sha256": "cd",
}


@pytest.fixture
def parts(tmp_path):
    """A folder of two finished parts, of two rows each."""
    folder = PartFolder(tmp_path)
    for index in range(2):
        record = {**COMMON, "hubtune": "1", "positions": [index, index + 2]}
        folder.write(ImageShard(index, 2), f"rows {index}".encode(), ".csv", record)
    return folder


def _change(parts, index, **changes):
    file = parts.folder / f"part-0000{index}-of-00002.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_finished_part_is_found_and_all_are_read_in_order(parts):
    found = parts.find(ImageShard(1, 2), COMMON, ".csv")
    assert found.file.read_bytes() == b"rows 1"
    assert [part.record["shard"] for part in parts.read_all("predict")] == [0, 1]


def test_what_is_damaged_counts_as_not_finished(parts, told):
    (parts.folder / "part-00001-of-00002.csv").write_bytes(b"rows 2")
    assert parts.find(ImageShard(1, 2), COMMON, ".csv") is None
    assert "it was changed or cut after it was written; it is made again" in told.text
    with pytest.raises(
        DataError, match=r"00001-of-00002.csv: it was changed or cut .* run --shard 1/2 again"
    ):
        parts.read_all("predict")
    (parts.folder / "part-00000-of-00002.json").write_text("{")
    assert parts.find(ImageShard(0, 2), COMMON, ".csv") is None
    with pytest.raises(DataError, match=r"00000-of-00002.json: it is damaged; run --shard 0/2 again"):
        parts.read_all("predict")
    (parts.folder / "part-00000-of-00002.json").unlink()
    with pytest.raises(DataError, match=r"1 of 2 parts in .* is not finished: run --shard 0/2 again"):
        parts.read_all("predict")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": "x"}, "another model"),
        ({"options": {"top": 2}}, "other options"),
        ({"pictures": 5}, "another number of pictures"),
        ({"names_sha256": "x"}, "pictures of other names"),
        ({"command": "embed"}, "another command"),
    ],
)
def test_parts_of_another_result_are_refused(parts, change, message):
    with pytest.raises(UsageError, match=f"{message} than this command has"):
        parts.find(ImageShard(1, 2), COMMON | change, ".csv")
    (parts.folder / "part-00001-of-00002.json").unlink()
    with pytest.raises(UsageError, match=f"{message} than this command has"):  # by the other part
        parts.find(ImageShard(1, 2), COMMON | change, ".csv")
    parts.write(ImageShard(1, 2), b"", ".csv", {**COMMON, **change, "positions": [1, 3]})
    with pytest.raises(DataError, match=f"00001-of-00002.csv was made with {message} than part-00000"):
        parts.read_all("predict")


def test_another_format_number_of_parts_or_command_is_refused(parts):
    with pytest.raises(UsageError, match="another format"):
        parts.find(ImageShard(1, 2), COMMON, ".npz")
    with pytest.raises(
        UsageError, match=r"has a part of 2, part-00000-of-00002.json, and --shard 0/3 is one"
    ):
        parts.find(ImageShard(0, 3), COMMON, ".csv")
    with pytest.raises(UsageError, match="written by hubtune predict"):
        parts.read_all("embed")
    record = parts.folder / "part-00000-of-00002.json"
    shutil.copy(record, parts.folder / "part-00000-of-00003.json")
    with pytest.raises(DataError, match="has parts of 2 and of 3 shards"):
        parts.read_all("predict")


def test_each_picture_must_be_in_one_part_and_other_versions_are_named(parts, told):
    _change(parts, 1, hubtune="2")
    parts.read_all("predict")
    assert "The parts are of different versions of hubtune: 1, 2" in told.text
    _change(parts, 1, positions=[0, 3])
    with pytest.raises(DataError, match="do not hold each picture once"):
        parts.read_all("predict")


def test_a_folder_without_parts_and_one_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match="has no finished part"):
        PartFolder(tmp_path / "none").read_all("predict")
    with pytest.raises(MachineError, match="cannot be written"):
        PartFolder(tmp_path / "none").write(ImageShard(0, 1), b"", ".csv", {})
