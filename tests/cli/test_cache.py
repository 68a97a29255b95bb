"""`hubtune cache …` as a person types it."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hubtune.cli.split import command as split_command
from hubtune.inference.feature_cache import FeatureCache
from hubtune.text import format_bytes


def key(number):
    return hashlib.sha256(str(number).encode()).digest()


def store(count, days_ago=0, **facts):
    """Store features of some images, and return the cache's file."""
    cache = FeatureCache()
    with cache.space(facts) as space:
        for number in range(count):
            space.put(key(number), np.full(1200, number, np.float32))
    change(
        "UPDATE batches SET used = ? WHERE id = (SELECT max(id) FROM batches)", time.time() - days_ago * 86400
    )
    return cache.database.file


def change(statement, *values):
    """Change the file behind the cache's back."""
    with sqlite3.connect(FeatureCache().database.file) as database:
        database.execute(statement, values)
    database.close()


@pytest.fixture
def file():
    """The file of a cache with an old space and a new one."""
    view = {"fit": "whole", "resize": 288, "size": 224, "mirror": True}
    store(20, 60, module="resnet50_imagenet", layer="features", view="crop 224", engine="openvino")
    return store(500, module="xception71_imagenet", layer="stage4", view=view, engine="paddle")


def test_an_empty_cache_says_so(run_here):
    listed = run_here("cache", "ls")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "No features are stored yet" in listed.stderr
    assert "0 bytes of at most 10 GB" in listed.stderr
    verified = run_here("cache", "verify")
    assert (verified.returncode, verified.stdout) == (0, "")
    assert "nothing to verify" in verified.stderr
    assert run_here("cache", "prune").stdout == "0 bytes freed\n"


def test_ls_shows_the_last_used_space_first_and_the_size_of_weights(run_here, file, monkeypatch):
    listed = run_here("cache", "ls")
    assert listed.returncode == 0
    assert [re.split(r"  +", line) for line in listed.stdout.splitlines()] == [
        ["module", "layer", "view", "engine", "pictures", "size", "last used"],
        ["xception71_imagenet", "stage4", "whole 288 mirrored", "paddle", "500", "2.4 MB", "just now"],
        ["resnet50_imagenet", "features", "crop 224", "openvino", "20", "96 kB", "60 days ago"],
    ]
    assert f"features  {format_bytes(file.stat().st_size)} of at most 10 GB" in listed.stderr
    assert "weights" not in listed.stderr
    weights = Path(os.environ["HUBTUNE_HOME"]) / "weights" / "x-0123456789.pdparams"
    weights.parent.mkdir()
    weights.write_bytes(b"x" * 2_000_000)
    listed = run_here("cache", "ls")
    assert "weights   2 MB" in listed.stderr and "hubtune hub prune" in listed.stderr

    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "5GB")
    document = json.loads(run_here("cache", "ls", "--json").stdout)
    assert (document["schema_version"], document["limit"]) == (1, 5_000_000_000)
    assert (document["folder"], document["bytes"]) == (str(file.parent), file.stat().st_size)
    assert document["weights"]["bytes"] == 2_000_000
    new, old = document["spaces"]
    assert (len(old["name"]), old["description"]["engine"]) == (64, "openvino")
    assert (old["pictures"], new["pictures"]) == (20, 500)
    assert (old["bytes"], new["bytes"]) == (20 * 4800, 500 * 4800)
    assert old["last_used"] < new["last_used"]


def test_ls_shows_a_space_whose_description_is_damaged(run_here, file):
    change("UPDATE batches SET description = CAST(x'ff7b' AS BLOB) WHERE id = 1")
    row = run_here("cache", "ls").stdout.splitlines()[-1].split()
    assert row[:2] == ["?", "20"]


def test_prune_removes_what_was_not_used_for_some_time(run_here, file):
    size = file.stat().st_size
    dry = json.loads(run_here("cache", "prune", "--older-than", "30d", "--dry-run", "--json").stdout)
    assert (dry["removed"], dry["dry_run"], file.stat().st_size) == (1, True, size)
    done = json.loads(run_here("cache", "prune", "--older-than", "30d", "--json").stdout)
    assert (done["removed"], done["dry_run"]) == (1, False)
    assert done["bytes"] == done["bytes_of"]["features"] == size - file.stat().st_size
    assert done["bytes"] == pytest.approx(dry["bytes"], rel=0.1) == pytest.approx(20 * 4800, rel=0.2)
    assert [space.images for space in FeatureCache().spaces()] == [500]
    assert run_here("cache", "prune", "--older-than", "30d").stdout == "0 bytes freed\n"


def test_prune_keeps_a_size_and_the_limit_of_what_was_used_last(run_here, file, monkeypatch):
    assert run_here("cache", "prune").stdout == "0 bytes freed\n"
    run_here("cache", "prune", "--keep", f"{file.stat().st_size // 1000 - 1}kB")
    assert [space.images for space in FeatureCache().spaces()] == [500]
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "1MB")
    assert json.loads(run_here("cache", "prune", "--json").stdout)["removed"] == 1
    assert FeatureCache().spaces() == []


def test_prune_all_removes_all_features_and_notes(run_here, file):
    FeatureCache().put_note({"a": 1}, {"b": 2})
    assert json.loads(run_here("cache", "prune", "--all", "--json").stdout)["removed"] == 3
    assert FeatureCache().note({"a": 1}) is None
    assert FeatureCache().spaces() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--all", "--keep", "1GB"), "Give --all, or --older-than and --keep, not both"),
        (("--older-than", "30"), "--older-than '30' is not a time: write 12h, 30d or 8w"),
        (("--keep", "lots"), "--keep 'lots' is not a size: write 10GB, 500MB or 1.5GiB"),
    ],
)
def test_options_and_limits_that_make_no_sense_are_refused(run_here, monkeypatch, options, message):
    refused = run_here("cache", "prune", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "abc")
    refused = run_here("cache", "ls")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: HUBTUNE_CACHE_SIZE: 'abc' is not a size: write 10GB")


def test_verify_removes_damaged_rows(run_here, file):
    assert run_here("cache", "verify").returncode == 0
    change("UPDATE entries SET data = CAST(x'07' || substr(data, 2) AS BLOB) WHERE id IN (3, 4)")
    found = json.loads(run_here("cache", "verify", "--json").stdout)
    assert found["damaged"] == 2
    assert [(row["rows"], row["damaged_rows"], row["removed_rows"]) for row in found["spaces"]] == [
        (500, 0, 0),
        (20, 2, 2),
    ]
    change("UPDATE entries SET shape = NULL WHERE id = 5")
    found = run_here("cache", "verify")
    assert found.returncode == 8
    assert found.stdout.splitlines() == [
        "ok       xception71_imagenet  stage4  whole 288 mirrored  paddle  500 rows",
        "DAMAGED  resnet50_imagenet  features  crop 224  openvino  18 rows: 1 damaged",
    ]
    assert "Damaged: 1, removed: 1. What is damaged is computed again when it is needed" in found.stderr
    assert run_here("cache", "verify").returncode == 0


def test_verify_says_what_it_could_not_remove_and_replaces_a_file_without_rows(run_here, file, monkeypatch):
    change("UPDATE entries SET shape = NULL WHERE id = 5")
    connect = sqlite3.connect

    def read_only(file, **options):
        return connect(f"file:{file}?mode=ro", uri=True, **options)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", read_only)
        found = run_here("cache", "verify")
    assert found.returncode == 8
    assert "Damaged: 1, removed: 0." in found.stderr
    assert "The rest cannot be removed now. Check the disk" in found.stderr
    file.write_bytes(b"<html>" * 1000)
    found = run_here("cache", "verify")
    assert found.returncode == 8
    assert "The file was damaged as a whole, and is replaced by an empty one" in found.stderr
    assert run_here("cache", "verify").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells that it is not there")
@pytest.mark.parametrize("action", ["ls", "prune", "verify"])
def test_a_place_that_cannot_be_used_is_told(run_here, tmp_path, monkeypatch, action):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    refused = run_here("cache", action)
    assert refused.returncode == 5
    assert "features cannot be used (Not a directory): set HUBTUNE_HOME to a folder" in refused.stderr
    assert "No features are kept yet" not in refused.stderr


@pytest.fixture
def photos(tmp_path, draw_photos, monkeypatch):
    """The unpacked pictures of an archive that was split."""
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "pics", {"cat": 3, "dog": 3}, size=8)
    shutil.make_archive("photos", "zip", "pics")
    split_photos()
    [folder] = (Path(os.environ["HUBTUNE_HOME"]) / "data" / "unpacked").glob("photos-*/")
    return folder


def split_photos():
    assert CliRunner().invoke(split_command, ["photos.zip", "--force"]).exit_code == 0


def test_scan_results_are_listed_and_go_with_all_but_pictures_stay(run_here, photos):
    home = Path(os.environ["HUBTUNE_HOME"])
    looks, pictures = home / "scan.sqlite", sum(file.stat().st_size for file in photos.rglob("*.*"))
    size = looks.stat().st_size
    document = json.loads(run_here("cache", "ls", "--json").stdout)
    assert document["data"] == {"folder": str(home / "data"), "bytes": pictures}
    assert document["looks"] == {"file": str(looks), "bytes": size}
    listed = run_here("cache", "ls").stderr
    assert "\nscans     " in listed and "\ndata      " in listed
    assert json.loads(run_here("cache", "prune", "--all", "--dry-run", "--json").stdout)["bytes"] == size
    assert looks.exists()
    assert json.loads(run_here("cache", "prune", "--all", "--json").stdout)["bytes"] == size
    assert not looks.exists()
    assert len(list(photos.rglob("*.png"))) == 6


def test_unpacked_pictures_go_only_when_asked_for_and_come_back(run_here, photos):
    size = sum(file.stat().st_size for file in photos.rglob("*.*"))
    unfinished = photos.with_name("other-1234567890.part")  # of a process that was killed
    unfinished.mkdir()
    (unfinished / "x").write_bytes(b"x" * 7)
    assert json.loads(run_here("cache", "prune", "--json").stdout)["bytes"] == 0
    told = json.loads(run_here("cache", "prune", "--data", "--dry-run", "--json").stdout)
    assert told["bytes_of"] == {"features": 0, "looks": 0, "data": size + 7}
    assert photos.exists()
    assert json.loads(run_here("cache", "prune", "--data", "--json").stdout)["bytes"] == size + 7
    assert not photos.exists() and not unfinished.exists()
    lists = Path("photos-lists/train_list.txt").read_text()
    split_photos()
    assert Path("photos-lists/train_list.txt").read_text() == lists
    assert len(list(photos.rglob("*.png"))) == 6
