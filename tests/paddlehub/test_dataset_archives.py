"""A data set of a script's own is fetched as PaddleHub fetched it."""

import pytest
from support.archives import tarred
from support.download_server import serving, whole
from support.split_folder import draw_split

import hubtune.paddlehub as hub
from hubtune.errors import DataError
from hubtune.paddlehub.dataset_archives import data_home, find_dataset_folder


def test_a_script_fetches_its_own_data_set(tmp_path):
    content = tarred(draw_split(tmp_path / "mine", {"a": 4, "b": 4}, validate=1, test=1), "mine").read_bytes()
    with serving() as server:
        server.plan = [whole(content)]

        class Mine(hub.BaseCVDataset):
            def __init__(self):
                base = self._download_dataset(str(data_home() / "mine"), f"{server.base}/mine.tar.gz")
                super().__init__(base, "train_list.txt", label_list_file="label_list.txt")

        assert Mine().get_labels() == ["a", "b"]


def test_what_is_no_archive_is_refused(tmp_path):
    data_home().mkdir(parents=True)
    (data_home() / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x\.tar\.gz is no zip or tar archive"):
        find_dataset_folder(data_home() / "x", "https://example.org/x.tar.gz")
