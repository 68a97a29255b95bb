"""`hubtune hub …` as a person types it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save
from support.download_server import Server, page, serving, whole

from hubtune.hub import weights_cache
from hubtune.hub.other_caches import files_of_paddle, files_of_paddlehub
from hubtune.models import catalog

NAME = "paddle.vision:shufflenet_v2_x0_25"
Run = Callable[..., SimpleNamespace]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the weights of the catalog's only module, without a published sum."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hubtune.hub.weights_cache.PAUSE_SECONDS", 0.0)
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


def test_list_shows_every_module_without_network(run_here: Run) -> None:
    shown = run_here("hub", "list")
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
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
def test_list_takes_a_part_of_a_name_or_a_pattern(run_here: Run, pattern: str, expected: set[str]) -> None:
    assert {line.split()[0] for line in run_here("hub", "list", pattern).stdout.splitlines()[1:]} == expected


def test_list_of_nothing_suggests(run_here: Run) -> None:
    shown = run_here("hub", "list", "xeption71_imagenet")
    assert (shown.returncode, shown.stdout) == (4, "")
    assert "Did you mean 'xception71_imagenet'?" in shown.stderr


def test_list_and_show_as_json(run_here: Run) -> None:
    entry = json.loads(run_here("hub", "list", "xception71", "--json").stdout)["modules"][0]
    assert entry["name"] == "xception71_imagenet"
    assert entry["aliases"] == ["Xception71"]
    assert entry["parameters"] == 37_678_496
    assert entry["weights"]["file"] is None
    shown = json.loads(run_here("hub", "show", "Xception71", "--json").stdout)
    assert shown == {**entry, "schema_version": 1, "stages": shown["stages"]}
    assert shown["stages"] == ["stem", "stage1", "stage2", "stage3", "head"]


def test_show_says_that_weights_without_a_sum_are_not_verified(run_here: Run) -> None:
    assert "weights not verified" in run_here("hub", "show", "Xception71").stdout
    assert "weights not verified" not in run_here("hub", "show", "paddle.vision:resnet18").stdout


def test_show_of_an_unknown_name_suggests(run_here: Run) -> None:
    shown = run_here("hub", "show", "Xception72")
    assert shown.returncode == 4
    assert "There is no module 'Xception72'. Did you mean 'Xception71'?" in shown.stderr


def test_show_tells_a_weights_file_and_a_folder(run_here: Run, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content(7))
    assert NAME in run_here("hub", "show", tmp_path / "w.safetensors").stdout
    assert run_here("hub", "new", tmp_path / "mine").returncode == 0
    refused = run_here("hub", "show", tmp_path / "mine")
    assert refused.returncode == 4
    assert "--trust-code" in refused.stderr
    assert (
        "stem, stage1, stage2, stage3, head"
        in run_here("hub", "show", tmp_path / "mine", "--trust-code").stdout
    )


def test_pull_fetches_what_offline_work_then_needs(
    run_here: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = run_here("hub", "pull", NAME)
    assert pulled.returncode == 0, pulled.stderr
    file = Path(pulled.stdout.split()[-1])
    assert file == weights_cache.cache_path(server.url)
    assert file.read_bytes() == content()
    assert run_here("hub", "list", NAME).stdout.splitlines()[-1].endswith("on this machine")
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert json.loads(run_here("hub", "pull", NAME, "--json").stdout)["modules"][0]["file"] == str(file)
    assert len(server.requests) == 1


def test_pull_of_what_is_no_weights_says_so(run_here: Run, server: Server) -> None:
    server.plan = [page]
    refused = run_here("hub", "pull", NAME)
    assert refused.returncode == 5
    assert "an HTML page" in refused.stderr
    assert run_here("hub", "list", NAME).stdout.splitlines()[-1].endswith("to fetch")


def test_pull_of_a_file_for_another_network_is_refused(run_here: Run, server: Server) -> None:
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run_here("hub", "pull", NAME)
    assert refused.returncode == 4
    assert f"it does not hold the tensors of {NAME}" in refused.stderr
    assert run_here("hub", "list", NAME).stdout.splitlines()[-1].endswith("to fetch")
    server.plan = [whole(content())]
    assert run_here("hub", "pull", NAME).returncode == 0


def test_pull_names_unknown_modules_before_any_download(run_here: Run, server: Server) -> None:
    assert run_here("hub", "pull", NAME, "nonesuch").returncode == 4
    assert run_here("hub", "pull", NAME, "smallnet").returncode == 4
    assert not server.requests


def test_verify_finds_a_changed_file_and_prune_removes_it(run_here: Run, server: Server) -> None:
    assert run_here("hub", "verify").returncode == 0
    run_here("hub", "pull", NAME)
    sound = run_here("hub", "verify")
    assert (sound.returncode, sound.stdout.split()[:2]) == (0, ["ok", NAME])

    file = weights_cache.cache_path(server.url)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = run_here("hub", "verify")
    assert (found.returncode, found.stdout.split()[:2]) == (8, ["DAMAGED", NAME])
    assert "1 of 1 weights files are damaged" in found.stderr

    assert str(file) in run_here("hub", "prune", "--dry-run").stdout
    assert file.exists()
    assert str(file) in run_here("hub", "prune").stdout
    assert not file.exists()
    assert run_here("hub", "verify").returncode == 0
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run_here("hub", "pull", NAME)  # the sum of the first file still holds
    assert "is not the file that was first used" in refused.stderr


def test_prune_removes_interrupted_downloads_and_named_modules_only(run_here: Run, server: Server) -> None:
    run_here("hub", "pull", NAME)
    file = weights_cache.cache_path(server.url)
    part = file.with_name("Other-1234567890.pdparams.part")
    part.write_bytes(b"half")
    assert json.loads(run_here("hub", "prune", "--json").stdout)["removed"] == [
        {"file": str(part), "bytes": 4}
    ]
    assert file.exists()
    assert len(json.loads(run_here("hub", "prune", NAME, "--json").stdout)["removed"]) == 2  # with its record
    assert not file.exists()
    refused = run_here("hub", "prune", NAME, "--all")
    assert refused.returncode == 2
    run_here("hub", "pull", NAME)
    assert len(json.loads(run_here("hub", "prune", "--all", "--json").stdout)["removed"]) == 2
    assert {other.suffix for other in file.parent.iterdir()} == {".lock"}


def test_import_puts_a_file_in_the_place_of_a_download(
    run_here: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    file = tmp_path / "w.safetensors"
    file.write_bytes(content())
    done = run_here("hub", "import", file, "--as", NAME)
    assert done.returncode == 0, done.stderr
    assert run_here("hub", "pull", NAME).returncode == 0
    assert run_here("hub", "verify").stdout.startswith("ok")
    assert not server.requests


def test_import_refuses_what_is_not_the_modules_weights(
    run_here: Run, server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(content(7))
    assert "has a head of 7 classes, not of 1,000" in run_here("hub", "import", file, "--as", NAME).stderr
    file.write_bytes(save({"x": np.ones(3, np.float32)}))
    assert run_here("hub", "import", file, "--as", NAME).returncode == 4
    assert run_here("hub", "import", tmp_path / "none", "--as", NAME).returncode == 4
    assert run_here("hub", "import", file, "--as", "smallnet").returncode == 4
    assert run_here("hub", "list", NAME).stdout.splitlines()[-1].endswith("to fetch")


def test_import_refuses_a_file_without_the_published_sum(run_here: Run, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(content())
    refused = run_here("hub", "import", file, "--as", NAME)  # as it is in the catalog, with Paddle's md5
    assert refused.returncode == 4
    assert re.search(r"cannot be the official weights of .*: it has the md5 \w+ instead of", refused.stderr)


def test_new_writes_no_folder_over_another(run_here: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run_here("hub", "new", tmp_path / "mine").returncode == 0
    refused = run_here("hub", "new", tmp_path / "mine")
    assert refused.returncode == 2
    assert "exists already" in refused.stderr


def test_verify_as_json_is_one_document_even_with_damage(run_here: Run, server: Server) -> None:
    run_here("hub", "pull", NAME)
    file = weights_cache.cache_path(server.url)
    file.write_bytes(b"x")
    found = run_here("hub", "verify", "--json")
    assert found.returncode == 8
    document = json.loads(found.stdout)
    assert document["damaged"] == 1
    assert document["files"][0]["file"] == str(file)


def test_another_programs_damaged_file_is_merely_not_used(run_here: Run, server: Server) -> None:
    other = Path.home() / ".paddleclas" / "weights" / server.url.rpartition("/")[2]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    found = run_here("hub", "verify")
    assert found.returncode == 0
    assert found.stdout.startswith("not used")
    assert run_here("hub", "pull", NAME).returncode == 0


def test_another_programs_locked_cache_breaks_nothing(run_here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", locked)
        patch.setattr(Path, "glob", locked)
        shown = [*files_of_paddle("https://example.com/w"), *files_of_paddlehub("m")]
    assert shown == []


def test_pull_as_json_says_what_was_pulled_and_what_not(run_here: Run, server: Server) -> None:
    server.plan = [page]
    failed = run_here("hub", "pull", NAME, "--json")
    document = json.loads(failed.stdout)
    assert (failed.returncode, document["modules"], document["failures"][0]["name"]) == (5, [], NAME)


def test_import_does_not_replace_what_was_first_used_without_a_word(
    run_here: Run, server: Server, tmp_path: Path
) -> None:
    run_here("hub", "pull", NAME)
    network = catalog.BACKBONES[NAME].build(num_classes=1000)
    other = {key: np.zeros(value.shape, np.float32) for key, value in network.state_dict().items()}
    (tmp_path / "w.safetensors").write_bytes(save(other))
    refused = run_here("hub", "import", tmp_path / "w.safetensors", "--as", NAME)
    assert refused.returncode == 4
    assert f"`hubtune hub prune {NAME}`" in refused.stderr
    run_here("hub", "prune", NAME)
    assert run_here("hub", "import", tmp_path / "w.safetensors", "--as", NAME).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("hub", "pull", "digitnet"), 4, "comes with hubtune"),
        (("hub", "show", "densenet121_imagenet"), 4, "Did you mean 'paddle.vision:densenet121'"),
        (("hub", "show", ""), 4, "There is no module ''"),
        (("hub", "show", "~nobody-here/x"), 4, "There is no module"),
        (("hub", "show", "x" * 300), 5, "cannot be used"),
        (("hub", "new", "bad\udcff"), 2, "is no name for a module"),
        (("hub", "new", "x" * 300), 5, "cannot be"),
    ],
)
def test_odd_names_get_a_sentence(run_here: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = run_here(*arguments)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert re.search(said, refused.stderr)
