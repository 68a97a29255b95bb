"""Names of sources, and the places of their lists."""

from pathlib import Path

from hubtune.data.sources.naming import is_source, lists_folder, source_name


def test_a_source_has_a_name_and_a_folder_for_its_lists(tmp_path, monkeypatch):
    (tmp_path / "set" / "my.pics" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "set")
    for text, name, folder in (
        ("my.pics", "my.pics", "."),
        ("my.pics/", "my.pics", "."),
        ("../set/my.pics", "my.pics", "../set"),
        ("photos.zip", "photos", "photos-lists"),
        ("data/photos.tar.gz", "photos", "photos-lists"),
        ("labels.csv", "labels", "labels-lists"),
        ("s3://bucket/flowers", "flowers", "flowers-lists"),
        ("https://host/x/photos.tgz", "photos", "photos-lists"),
        ("../set/.zip", "pictures", "pictures-lists"),
        (".", "set", tmp_path),
        ("..", tmp_path.name, tmp_path.parent),
    ):
        assert is_source(text)
        assert (source_name(text), lists_folder(text)) == (name, Path(folder))
    assert not any(map(is_source, ("recipe.yaml", "flower", "missing/")))
