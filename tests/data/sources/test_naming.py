"""Names of sources, and the places of their lists."""

from pathlib import Path

import pytest

from hubtune.data.sources.naming import is_source, lists_folder, source_name


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    (tmp_path / "set" / "my.pics" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "set")


@pytest.mark.parametrize(
    ("text", "name", "folder"),
    [
        ("my.pics", "my.pics", "."),
        ("my.pics/", "my.pics", "."),
        ("../set/my.pics", "my.pics", "../set"),
        ("photos.zip", "photos", "photos-lists"),
        ("data/photos.tar.gz", "photos", "photos-lists"),
        ("labels.csv", "labels", "labels-lists"),
        ("all.txt", "all", "all-lists"),
        ("s3://bucket/flowers", "flowers", "flowers-lists"),
        ("https://host/x/photos.tgz", "photos", "photos-lists"),
        ("../set/.zip", "pictures", "pictures-lists"),
    ],
)
def test_a_source_has_a_name_and_a_folder_for_its_lists(text, name, folder):
    assert is_source(text)
    assert source_name(text) == name
    assert lists_folder(text) == Path(folder)


def test_the_lists_of_the_current_folder_go_beside_it(tmp_path):
    assert (source_name("."), lists_folder(".")) == ("set", tmp_path)
    assert (source_name(".."), lists_folder("..")) == (tmp_path.name, tmp_path.parent)


@pytest.mark.parametrize("text", ["recipe.yaml", "flower", "missing/"])
def test_other_texts_are_not_sources(text):
    assert not is_source(text)
