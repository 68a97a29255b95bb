"""A stored listing saves the next one; a damaged one is made again."""

import pytest
from support.images import draw_tree

from hubtune.data.sources.bucket_listing import LISTED, load_listing, save_listing
from hubtune.data.sources.open import open_source
from hubtune.data.sources.remote import Object
from hubtune.data.sources.settings import SourceSettings


def test_a_listing_comes_back_and_a_damaged_one_does_not(tmp_path):
    objects = {name: Object(name, f"b/{name}", 3, '"tag"') for name in ("a/1.png", "b\n2.png")}
    save_listing(tmp_path, objects, None)
    assert load_listing(tmp_path) == (objects, None)
    content = (tmp_path / LISTED).read_bytes()
    for damaged in (b"", b"{}", content[:-5], b"[]\n" + content):
        (tmp_path / LISTED).write_bytes(damaged)
        assert load_listing(tmp_path) is None
    assert load_listing(tmp_path / "nothing") is None


def test_a_bucket_is_not_listed_again_if_that_is_not_wanted(bucket, tmp_path, monkeypatch):
    folder = draw_tree(tmp_path / "pics", {"a": 3, "b": 3})
    for path in folder.rglob("*.png"):
        bucket.client.upload_file(str(path), bucket.name, f"pics/{path.relative_to(folder).as_posix()}")
    settings = SourceSettings(no_list=True)
    first = open_source(bucket.at("pics"), settings=settings)  # there is no listing yet
    bucket.client.upload_file(str(path), bucket.name, "pics/a/new.png")
    assert len(open_source(bucket.at("pics"), settings=settings).files) == len(first.files) == 6
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # everything is there
    assert len(open_source(bucket.at("pics"), settings=settings).files) == 6


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("hubtune.data.sources.mirror.PAUSE_SECONDS", 0.01)
