"""Images at addresses are fetched once, and keep their addresses as names."""

from pathlib import Path

import pytest
from support.download_server import serving, status, whole
from support.object_service import make_bucket, running_moto, use_endpoint

from hubtune.data.sources.remote_images import fetch_images
from hubtune.errors import DataError
from hubtune.storage.address import name_of


@pytest.fixture
def bucket(monkeypatch):
    with running_moto() as endpoint:
        use_endpoint(monkeypatch, endpoint)
        client = make_bucket("photos")
        for key in ("pics/b.jpg", "pics/a/c.png", "pics/notes.md", "one.jpg"):
            client.put_object(Bucket="photos", Key=key, Body=key.encode())
        yield client


def contents(images):
    return {name_of(image): Path(image).read_bytes() for image in images}


def test_an_image_on_a_web_server_is_fetched_once(monkeypatch):
    with serving() as server:
        address = f"{server.base}/cats/a%20b.jpg"
        server.plan = [whole(b"photo")]
        assert contents(fetch_images(address)) == {address: b"photo"}
        monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
        assert contents(fetch_images(address)) == {address: b"photo"}


def test_blanks_and_other_scripts_in_an_address_are_encoded():
    with serving() as server:
        server.plan = [whole(b"photo")]
        address = f"{server.base}/my cats/猫.jpg"
        assert contents(fetch_images(address)) == {address: b"photo"}
        assert server.requests[0].path == "/my%20cats/%E7%8C%AB.jpg"


def test_an_image_that_is_not_there_is_a_file_that_is_not_there(told):
    with serving() as server:
        server.plan = [status(404)]
        [image] = fetch_images(f"{server.base}/gone.jpg")
        assert name_of(image) == f"{server.base}/gone.jpg"
        assert not Path(image).exists()
        assert "gone.jpg cannot be fetched: the server answers 404" in told.text


def test_a_folder_in_a_bucket_and_an_object(bucket):
    assert contents(fetch_images("s3://photos/pics/")) == {
        "s3://photos/pics/a/c.png": b"pics/a/c.png",
        "s3://photos/pics/b.jpg": b"pics/b.jpg",
    }
    assert contents(fetch_images("s3://photos/one.jpg")) == {"s3://photos/one.jpg": b"one.jpg"}
    with pytest.raises(DataError, match="There is nothing at s3://photos/none/"):
        fetch_images("s3://photos/none/")


def test_lists_and_archives_are_named():
    with serving() as server:
        server.plan = [whole(b"PK\5\6" + bytes(18))]
        for name in ("list.txt", "table.csv", "pics.zip"):
            with pytest.raises(DataError, match=f"{name} is a list, a table or an archive"):
                fetch_images(f"{server.base}/{name}")
