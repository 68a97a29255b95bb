"""`hubtune cache …` as a person types it."""

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from hubtune.cli.split import command as split_command
from hubtune.inference.feature_cache import FeatureCache

Run = Callable[..., SimpleNamespace]


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def keep(count: int, days_ago: float = 0, **facts: object) -> Path:
    """Keep pictures under some facts, and return the folder of the space."""
    with FeatureCache().space(facts) as space:
        for number in range(count):
            space.put(key(number), np.full(256, number, np.float32))
    for file in space.folder.glob("*.npy"):
        os.utime(file, (time.time() - days_ago * 86400,) * 2)
    return space.folder


@pytest.fixture
def spaces() -> tuple[Path, Path]:
    """The folders of an old space and a new one."""
    old = keep(20, 60, module="resnet50_imagenet", layer="features", view="crop 224", engine="openvino")
    view = {"fit": "whole", "resize": 288, "size": 224, "mirror": True}
    return old, keep(2500, module="xception71_imagenet", layer="stage4", view=view, engine="paddle")


def test_an_empty_cache_is_told_in_words(run_here: Run) -> None:
    listed = run_here("cache", "ls")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "No features are kept yet" in listed.stderr
    assert "0 bytes of at most 10 GB" in listed.stderr
    verified = run_here("cache", "verify")
    assert (verified.returncode, verified.stdout) == (0, "")
    assert "nothing to verify" in verified.stderr
    assert run_here("cache", "prune").stdout == "0 bytes freed\n"


def test_ls_tells_what_is_kept_the_last_used_first(run_here: Run, spaces: tuple[Path, Path]) -> None:
    listed = run_here("cache", "ls")
    assert listed.returncode == 0
    assert [line.split("  ") for line in map(_squeezed, listed.stdout.splitlines())] == [
        ["module", "layer", "view", "engine", "pictures", "size", "last used"],
        ["xception71_imagenet", "stage4", "whole 288, mirrored", "paddle", "2,500", "2.7 MB", "just now"],
        ["resnet50_imagenet", "features", "crop 224", "openvino", "20", "21.5 kB", "60 days ago"],
    ]
    assert "features  2.7 MB of at most 10 GB" in listed.stderr
    assert "weights" not in listed.stderr


def test_ls_counts_a_picture_once_that_two_processes_computed(run_here: Run) -> None:
    keep(3, module="m")
    with FeatureCache().space({"module": "m"}) as space:
        space.put(key(2), np.ones(256, np.float32))
        space.put(key(3), np.ones(256, np.float32))
    [row] = json.loads(run_here("cache", "ls", "--json").stdout)["spaces"]
    assert row["pictures"] == 4


def test_ls_tells_the_size_of_weights_and_how_to_remove_them(
    run_here: Run, spaces: tuple[Path, Path]
) -> None:
    folder = Path(os.environ["HUBTUNE_HOME"]) / "weights"
    folder.mkdir()
    (folder / "x-0123456789.pdparams").write_bytes(b"x" * 2_000_000)
    listed = run_here("cache", "ls")
    assert "weights   2 MB" in listed.stderr
    assert "hubtune hub prune" in listed.stderr
    assert json.loads(run_here("cache", "ls", "--json").stdout)["weights"]["bytes"] == 2_000_000


def test_ls_as_json_has_whole_figures(
    run_here: Run, spaces: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "5GB")
    document = json.loads(run_here("cache", "ls", "--json").stdout)
    assert document["schema_version"] == 1
    assert document["limit"] == 5_000_000_000
    assert document["bytes"] == sum(row["bytes"] for row in document["spaces"])
    new, old = document["spaces"]
    assert old["name"] == spaces[0].name
    assert old["description"]["engine"] == "openvino"
    assert (old["pictures"], new["pictures"]) == (20, 2500)
    assert old["bytes"] == sum(file.stat().st_size for file in spaces[0].glob("*.npy"))
    assert old["last_used"] < new["last_used"]


def test_ls_shows_a_space_whose_description_is_damaged(run_here: Run, spaces: tuple[Path, Path]) -> None:
    (spaces[0] / "space.json").write_bytes(b"\xff{")
    row = run_here("cache", "ls").stdout.splitlines()[-1].split()
    assert row[:2] == ["?", "20"]


def test_prune_removes_what_was_not_used_for_some_time(run_here: Run, spaces: tuple[Path, Path]) -> None:
    told = run_here("cache", "prune", "--older-than", "30d", "--dry-run")
    assert told.stdout == "21.5 kB would be freed\n"
    assert spaces[0].exists()
    assert run_here("cache", "prune", "--older-than", "30d").stdout == "21.5 kB freed\n"
    assert [space.exists() for space in spaces] == [False, True]
    assert run_here("cache", "prune", "--older-than", "30d").stdout == "0 bytes freed\n"


def test_prune_keeps_so_much_of_what_was_used_last(run_here: Run, spaces: tuple[Path, Path]) -> None:
    assert run_here("cache", "prune", "--keep", "2.67MB").stdout == "21.5 kB freed\n"
    assert [space.exists() for space in spaces] == [False, True]
    assert run_here("cache", "prune", "--keep", "1MB").stdout == "2.7 MB freed\n"
    assert not spaces[1].exists()


def test_prune_without_options_removes_only_what_is_of_no_use(
    run_here: Run, spaces: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = spaces[1] / "left.values.npy"
    left.write_bytes(b"x" * 5000)
    os.utime(left, (0, 0))
    [spoiled] = spaces[0].glob("*.values.npy")
    spoiled.write_bytes(b"x")
    removed = json.loads(run_here("cache", "prune", "--json").stdout)
    assert (removed["removed"], removed["dry_run"]) == (2, False)
    assert not spaces[0].exists()
    assert not left.exists()
    assert len(list(spaces[1].glob("*.npy"))) == 2
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "1MB")
    assert run_here("cache", "prune").stdout == "2.7 MB freed\n"


def test_prune_all_removes_all(run_here: Run, spaces: tuple[Path, Path]) -> None:
    FeatureCache().keep_note({"a": 1}, {"b": 2})
    assert run_here("cache", "prune", "--all").stdout == "2.7 MB freed\n"
    assert FeatureCache().note({"a": 1}) is None
    assert FeatureCache().size() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--older-than", "soon"), "--older-than 'soon' is no time: write 12h, 30d or 8w"),
        (("--keep", "much"), "--keep 'much' is no size: write 10GB, 500MB or 1.5GiB"),
        (("--all", "--keep", "1GB"), "Give --all, or --older-than and --keep, not both"),
    ],
)
def test_prune_refuses_what_it_does_not_understand(
    run_here: Run, spaces: tuple[Path, Path], options: tuple[str, ...], message: str
) -> None:
    refused = run_here("cache", "prune", *options)
    assert refused.returncode == 2
    assert refused.stderr == f"Error: {message}\n"
    assert all(space.exists() for space in spaces)


def test_verify_reads_all_and_removes_what_is_damaged(run_here: Run, spaces: tuple[Path, Path]) -> None:
    sound = run_here("cache", "verify")
    assert sound.returncode == 0
    assert {line.split()[0] for line in sound.stdout.splitlines()} == {"ok"}
    [spoiled] = spaces[0].glob("*.values.npy")
    content = bytearray(spoiled.read_bytes())
    content[-1] ^= 1
    spoiled.write_bytes(content)

    found = run_here("cache", "verify")
    assert found.returncode == 8
    states = {line.split()[1]: line for line in found.stdout.splitlines()}
    assert states["xception71_imagenet"].startswith("ok")
    assert states["resnet50_imagenet"].startswith("DAMAGED")
    assert states["resnet50_imagenet"].endswith("20 rows: 1 damaged")
    assert found.stderr == (
        "Damaged files: 1, removed: 1; their 19 good rows stay, in new files. What is damaged is computed "
        "again when it is needed\n"
    )
    assert not spoiled.exists()
    again = json.loads(run_here("cache", "verify", "--json").stdout)
    assert again["damaged"] == 0
    assert sorted(space["rows"] for space in again["spaces"]) == [19, 2500]


def test_verify_says_what_it_could_not_mend(
    run_here: Run, spaces: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    [spoiled] = spaces[0].glob("*.values.npy")
    spoiled.write_bytes(spoiled.read_bytes()[:-1] + b"x")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    found = run_here("cache", "verify")
    assert found.returncode == 8
    assert "Damaged files: 1, removed: 0. What" in found.stderr
    assert "Not to be read or written now, and left as they are: 1. Check the disk" in found.stderr
    assert spoiled.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells that it is not there")
@pytest.mark.parametrize("action", ["ls", "prune", "verify"])
def test_a_place_that_cannot_be_used_is_told(
    run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    refused = run_here("cache", action)
    assert refused.returncode == 5
    assert "features cannot be used (Not a directory): set HUBTUNE_HOME to a folder" in refused.stderr
    assert "No features are kept yet" not in refused.stderr


def test_a_size_that_is_none_is_refused(run_here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "abc")
    refused = run_here("cache", "ls")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: HUBTUNE_CACHE_SIZE: 'abc' is no size: write 10GB")


def _squeezed(line: str) -> str:
    """Columns two blanks apart, whatever their width."""
    while "   " in line:
        line = line.replace("   ", "  ")
    return line


@pytest.fixture
def photos(tmp_path: Path, draw_photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The unpacked pictures of an archive that was split."""
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "pics", {"cat": 3, "dog": 3}, size=8)
    shutil.make_archive("photos", "zip", "pics")
    split_photos()
    [folder] = (Path(os.environ["HUBTUNE_HOME"]) / "data" / "unpacked").glob("photos-*/")
    return folder


def split_photos() -> None:
    assert CliRunner().invoke(split_command, ["photos.zip", "--force"]).exit_code == 0


def test_ls_tells_what_scans_noted_and_what_was_unpacked(run_here: Run, photos: Path) -> None:
    home = Path(os.environ["HUBTUNE_HOME"])
    size = sum(file.stat().st_size for file in photos.rglob("*.*"))
    document = json.loads(run_here("cache", "ls", "--json").stdout)
    assert document["data"] == {"folder": str(home / "data"), "bytes": size}
    assert document["looks"] == {
        "file": str(home / "scan.sqlite"),
        "bytes": (home / "scan.sqlite").stat().st_size,
    }
    told = run_here("cache", "ls").stderr
    assert "\nlooks     " in told and "\ndata      " in told


def test_prune_all_removes_what_scans_noted_but_no_pictures(run_here: Run, photos: Path) -> None:
    looks = Path(os.environ["HUBTUNE_HOME"]) / "scan.sqlite"
    size = looks.stat().st_size
    assert json.loads(run_here("cache", "prune", "--all", "--dry-run", "--json").stdout)["bytes"] == size
    assert looks.exists()
    assert json.loads(run_here("cache", "prune", "--all", "--json").stdout)["bytes"] == size
    assert not looks.exists()
    assert len(list(photos.rglob("*.png"))) == 6


def test_unpacked_pictures_go_only_when_asked_for_and_come_back(run_here: Run, photos: Path) -> None:
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
