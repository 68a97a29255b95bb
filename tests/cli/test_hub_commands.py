"""`hubtune hub …` as a person types it."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from download_server import Server, page, serving, whole
from safetensors.numpy import save

from hubtune.cli import main as command_line
from hubtune.hub import cache, other_caches
from hubtune.models import catalog

NAME = "paddle.vision:shufflenet_v2_x0_25"
Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, where the network is forbidden."""

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["hubtune", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            command_line.main()
        out, err = capsys.readouterr()
        return SimpleNamespace(code=exit.value.code, out=out, err=err)

    return run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the weights of the catalog's only module, without a published sum."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(cache, "PAUSE_SECONDS", 0.0)
    with serving() as running:
        entry = catalog.BY_NAME[NAME]
        weights = replace(entry.weights, url=running.url, md5=None, top1=54.0)
        entry = replace(entry, weights=weights)
        monkeypatch.setitem(catalog.BY_NAME, NAME, entry)
        monkeypatch.setattr(catalog, "PRETRAINED", (entry,))
        running.plan = [whole(content())]
        yield running


def content(num_classes: int = 1000) -> bytes:
    network = catalog.BACKBONES[NAME].build(num_classes=num_classes)
    return save({key: np.ones(value.shape, np.float32) for key, value in network.state_dict().items()})


def test_list_shows_every_module_without_network(run: Run) -> None:
    shown = run("hub", "list")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].split() == ["module", "also", "parameters", "input", "top-1", "weights"]
    assert len(lines) == 1 + len(catalog.PRETRAINED) + 1
    names = [line.split()[0] for line in lines[1:]]
    assert names == [*(entry.name for entry in catalog.PRETRAINED), "digitnet"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("xception", {"xception41_imagenet", "xception65_imagenet", "xception71_imagenet"}),
        ("Xception7?", {"xception71_imagenet"}),
        ("xception7*", {"xception71_imagenet"}),
        ("digit", {"digitnet"}),
    ],
)
def test_list_takes_a_part_of_a_name_or_a_pattern(run: Run, pattern: str, expected: set[str]) -> None:
    assert {line.split()[0] for line in run("hub", "list", pattern).out.splitlines()[1:]} == expected


def test_list_of_nothing_suggests(run: Run) -> None:
    shown = run("hub", "list", "xeption71_imagenet")
    assert (shown.code, shown.out) == (4, "")
    assert "Did you mean 'xception71_imagenet'?" in shown.err


def test_list_and_show_as_json(run: Run) -> None:
    entry = json.loads(run("hub", "list", "xception71", "--json").out)["modules"][0]
    assert entry["name"] == "xception71_imagenet"
    assert entry["aliases"] == ["Xception71"]
    assert entry["parameters"] == 37_678_496
    assert entry["weights"]["file"] is None
    shown = json.loads(run("hub", "show", "Xception71", "--json").out)
    assert shown == {**entry, "schema_version": 1, "stages": shown["stages"]}
    assert shown["stages"] == ["stem", "stage1", "stage2", "stage3", "head"]


def test_show_says_that_weights_without_a_sum_are_not_verified(run: Run) -> None:
    assert "weights not verified" in run("hub", "show", "Xception71").out
    assert "weights not verified" not in run("hub", "show", "paddle.vision:resnet18").out


def test_show_of_an_unknown_name_suggests(run: Run) -> None:
    shown = run("hub", "show", "Xception72")
    assert shown.code == 4
    assert "There is no module 'Xception72'. Did you mean 'Xception71'?" in shown.err


def test_show_tells_a_weights_file_and_a_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content(7))
    assert NAME in run("hub", "show", tmp_path / "w.safetensors").out
    assert run("hub", "new", tmp_path / "mine").code == 0
    refused = run("hub", "show", tmp_path / "mine")
    assert refused.code == 4
    assert "--trust-code" in refused.err
    assert "stem, stage1, stage2, stage3, head" in run("hub", "show", tmp_path / "mine", "--trust-code").out


def test_pull_fetches_what_offline_work_then_needs(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = run("hub", "pull", NAME)
    assert pulled.code == 0, pulled.err
    file = Path(pulled.out.split()[-1])
    assert file == cache.cached(server.url)
    assert file.read_bytes() == content()
    assert run("hub", "list", NAME).out.splitlines()[-1].endswith("on this machine")
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert json.loads(run("hub", "pull", NAME, "--json").out)["modules"][0]["file"] == str(file)
    assert len(server.requests) == 1


def test_pull_of_what_is_no_weights_says_so(run: Run, server: Server) -> None:
    server.plan = [page]
    refused = run("hub", "pull", NAME)
    assert refused.code == 5
    assert "an HTML page" in refused.err
    assert run("hub", "list", NAME).out.splitlines()[-1].endswith("to fetch")


def test_pull_of_a_file_for_another_network_is_refused(run: Run, server: Server) -> None:
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run("hub", "pull", NAME)
    assert refused.code == 4
    assert f"it does not hold the tensors of {NAME}" in refused.err
    assert run("hub", "list", NAME).out.splitlines()[-1].endswith("to fetch")
    server.plan = [whole(content())]
    assert run("hub", "pull", NAME).code == 0


def test_pull_names_unknown_modules_before_any_download(run: Run, server: Server) -> None:
    assert run("hub", "pull", NAME, "nonesuch").code == 4
    assert run("hub", "pull", NAME, "smallnet").code == 4
    assert not server.requests


def test_verify_finds_a_changed_file_and_prune_removes_it(run: Run, server: Server) -> None:
    assert run("hub", "verify").code == 0
    run("hub", "pull", NAME)
    sound = run("hub", "verify")
    assert (sound.code, sound.out.split()[:2]) == (0, ["ok", NAME])

    file = cache.cached(server.url)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = run("hub", "verify")
    assert (found.code, found.out.split()[:2]) == (8, ["DAMAGED", NAME])
    assert "1 of 1 weights files are damaged" in found.err

    assert str(file) in run("hub", "prune", "--dry-run").out
    assert file.exists()
    assert str(file) in run("hub", "prune").out
    assert not file.exists()
    assert run("hub", "verify").code == 0
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run("hub", "pull", NAME)  # the sum of the first file still holds
    assert "is not the file that was first fetched from there" in refused.err


def test_prune_removes_interrupted_downloads_and_named_modules_only(run: Run, server: Server) -> None:
    run("hub", "pull", NAME)
    file = cache.cached(server.url)
    part = file.with_name("Other-1234567890.pdparams.part")
    part.write_bytes(b"half")
    assert json.loads(run("hub", "prune", "--json").out)["removed"] == [{"file": str(part), "bytes": 4}]
    assert file.exists()
    assert len(json.loads(run("hub", "prune", NAME, "--json").out)["removed"]) == 2  # with its record
    assert not file.exists()
    refused = run("hub", "prune", NAME, "--all")
    assert refused.code == 2
    run("hub", "pull", NAME)
    assert len(json.loads(run("hub", "prune", "--all", "--json").out)["removed"]) == 2
    assert {other.suffix for other in file.parent.iterdir()} == {".lock"}


def test_import_puts_a_file_in_the_place_of_a_download(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    file = tmp_path / "w.safetensors"
    file.write_bytes(content())
    done = run("hub", "import", file, "--as", NAME)
    assert done.code == 0, done.err
    assert run("hub", "pull", NAME).code == 0
    assert run("hub", "verify").out.startswith("ok")
    assert not server.requests


def test_import_refuses_what_is_not_the_modules_weights(run: Run, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(content(7))
    assert "has a head of 7 classes, not of 1,000" in run("hub", "import", file, "--as", NAME).err
    file.write_bytes(save({"x": np.ones(3, np.float32)}))
    assert run("hub", "import", file, "--as", NAME).code == 4
    assert run("hub", "import", tmp_path / "none", "--as", NAME).code == 4
    assert run("hub", "import", file, "--as", "smallnet").code == 4
    assert run("hub", "list", NAME).out.splitlines()[-1].endswith("to fetch")


def test_import_refuses_a_file_without_the_published_sum(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(content())
    refused = run("hub", "import", file, "--as", NAME)  # as it is in the catalog, with Paddle's md5
    assert refused.code == 4
    assert re.search(r"cannot be the official weights of .*: it has the md5 \w+ instead of", refused.err)


def test_new_writes_no_folder_over_another(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run("hub", "new", tmp_path / "mine").code == 0
    refused = run("hub", "new", tmp_path / "mine")
    assert refused.code == 2
    assert "exists already" in refused.err


def test_verify_as_json_is_one_document_even_with_damage(run: Run, server: Server) -> None:
    run("hub", "pull", NAME)
    file = cache.cached(server.url)
    file.write_bytes(b"x")
    found = run("hub", "verify", "--json")
    assert found.code == 8
    document = json.loads(found.out)
    assert document["damaged"] == 1
    assert document["files"][0]["file"] == str(file)


def test_another_programs_damaged_file_is_merely_not_used(run: Run, server: Server) -> None:
    other = Path.home() / ".paddleclas" / "weights" / server.url.rpartition("/")[2]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    found = run("hub", "verify")
    assert found.code == 0
    assert found.out.startswith("not used")
    assert run("hub", "pull", NAME).code == 0


def test_another_programs_locked_cache_breaks_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", locked)
        patch.setattr(Path, "glob", locked)
        shown = [*other_caches.downloaded("https://example.com/w"), *other_caches.of_paddlehub_module("m")]
    assert shown == []


def test_pull_as_json_says_what_was_pulled_and_what_not(run: Run, server: Server) -> None:
    server.plan = [page]
    failed = run("hub", "pull", NAME, "--json")
    document = json.loads(failed.out)
    assert (failed.code, document["modules"], document["failures"][0]["name"]) == (5, [], NAME)


def test_import_does_not_replace_what_was_first_used_without_a_word(
    run: Run, server: Server, tmp_path: Path
) -> None:
    run("hub", "pull", NAME)
    network = catalog.BACKBONES[NAME].build(num_classes=1000)
    other = {key: np.zeros(value.shape, np.float32) for key, value in network.state_dict().items()}
    (tmp_path / "w.safetensors").write_bytes(save(other))
    refused = run("hub", "import", tmp_path / "w.safetensors", "--as", NAME)
    assert refused.code == 4
    assert f"`hubtune hub prune {NAME}`" in refused.err
    run("hub", "prune", NAME)
    assert run("hub", "import", tmp_path / "w.safetensors", "--as", NAME).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("hub", "pull", "digitnet"), 4, "comes with hubtune"),
        (("hub", "show", ""), 4, "There is no module ''"),
        (("hub", "show", "~nobody-here/x"), 4, "There is no module"),
        (("hub", "show", "x" * 300), 5, "cannot be used"),
        (("hub", "new", "bad\udcff"), 2, "is no name for a module"),
        (("hub", "new", "x" * 300), 5, "cannot be"),
    ],
)
def test_odd_names_get_a_sentence(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = run(*arguments)
    assert (refused.code, refused.out) == (code, "")
    assert re.search(said, refused.err)
