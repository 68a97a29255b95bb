"""A file with the listing of a bucket takes the place of requests, whatever tool wrote it."""

import gzip
import json

import pytest
from click.testing import CliRunner
from support.images import draw_tree
from support.object_service import FaultyProxy, use_endpoint

from hubtune.cli.scan import command
from hubtune.data.sources.listing_file import read_listing_file
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, UsageError

ETAG = "0123456789abcdef0123456789abcdef"
ROWS = [("pics/a b/1.png", 10), ("pics/c/2.png", 20), ("other/3.png", 30), ("pics/c/", 0)]
TEXTS = {
    "table": "Key,Size,ETag\n" + "".join(f"{key},{size},{ETAG}\n" for key, size in ROWS),
    "inventory": "".join(
        f'"bucket","{key.replace(" ", "+")}","{size}","2026-01-01T00:00:00.000Z","{ETAG}"\n'
        for key, size in ROWS
    ),
    "aws": json.dumps(
        {
            "Contents": [
                {"Key": key, "Size": size, "ETag": f'"{ETAG}"', "LastModified": "x"} for key, size in ROWS
            ]
        }
    ),
    "lines": "".join(json.dumps({"key": key, "size": size, "etag": ETAG}) + "\n" for key, size in ROWS),
    "rclone": json.dumps(
        [{"Path": key[5:], "Name": "x", "Size": size, "IsDir": False, "ETag": ETAG} for key, size in ROWS[:2]]
        + [{"Path": "c", "Name": "c", "Size": -1, "IsDir": True}]
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("packed", [False, True])
def test_listings_of_all_tools_give_the_objects_below_the_address(tmp_path, kind, packed):
    content = TEXTS[kind].encode()
    (tmp_path / "listing").write_bytes(gzip.compress(content) if packed else content)
    objects = read_listing_file(tmp_path / "listing", "s3://bucket/pics")
    assert {name: (item.where, item.size, item.token) for name, item in objects.items()} == {
        "a b/1.png": ("bucket/pics/a b/1.png", 10, f'"{ETAG}"'),
        "c/2.png": ("bucket/pics/c/2.png", 20, f'"{ETAG}"'),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no object"),
        ("a,b\n1,2\n", "is no listing of a bucket"),
        ("key\npics/1.png\n", "no size"),
        ("key,size\npics/1.png,big\n", "is no listing"),
        ('"other","pics/1.png","5"\n', "not the bucket bucket"),
        ("[[1]]", "is no listing"),
        ("{", "is no listing"),
        ("\x1f\x8b", "is no listing"),
    ],
)
def test_what_is_no_listing_is_one_sentence(tmp_path, text, message):
    (tmp_path / "listing").write_text(text)
    with pytest.raises(DataError, match=message):
        read_listing_file(tmp_path / "listing", "s3://bucket/pics")
    with pytest.raises(DataError, match="cannot be read"):
        read_listing_file(tmp_path / "nothing", "s3://bucket/pics")


def test_a_bucket_with_a_listing_is_not_listed(bucket, tmp_path, moto_endpoint, monkeypatch):
    folder = draw_tree(tmp_path / "pics", {"a": 3, "b": 3})
    lines = ["key,size"]
    for path in sorted(folder.rglob("*.png")):
        key = f"pics/{path.relative_to(folder).as_posix()}"
        bucket.client.upload_file(str(path), bucket.name, key)
        lines.append(f"{key},{path.stat().st_size}")
    (tmp_path / "listing.csv").write_text("\n".join(lines[:-1]))  # without the last one
    settings = SourceSettings(listing=tmp_path / "listing.csv")
    asked = []

    def watch(method, path, number):
        asked.append(path)

    with FaultyProxy(moto_endpoint, watch) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        assert len(open_source(bucket.at("pics"), settings=settings).files) == 5
    assert not [path for path in asked if "list-type" in path]
    with pytest.raises(UsageError, match="--listing is for pictures in a bucket"):
        open_source(folder, settings=settings)
    with pytest.raises(UsageError, match="contradict"):
        SourceSettings(listing=tmp_path / "listing.csv", no_list=True)
    use_endpoint(monkeypatch, moto_endpoint)
    arguments = [bucket.at("pics"), "--listing", str(tmp_path / "listing.csv"), "--json"]
    result = CliRunner().invoke(command, arguments)
    assert json.loads(result.stdout)["classes"], result.output
