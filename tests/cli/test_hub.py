"""`hubtune hub …` as a person types it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from support.download_server import page, serving, whole

from hubtune.hub import weights_cache
from hubtune.hub.other_caches import files_of_paddle, files_of_paddlehub
from hubtune.models import catalog

NAME = "paddle.vision:shufflenet_v2_x0_25"
PUBLISHED = catalog.BY_NAME[NAME]


@pytest.fixture
def server(monkeypatch):
    """A server that has the weights of the catalog's only module, without a published sum."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hubtune.hub.weights_cache.PAUSE_SECONDS", 0.0)
    with serving() as running:
        entry = replace(PUBLISHED, weights=replace(PUBLISHED.weights, url=running.url, md5=None, top1=54.0))
        monkeypatch.setitem(catalog.BY_NAME, NAME, entry)
        monkeypatch.setattr(catalog, "PRETRAINED", (entry,))
        running.plan = [whole(content())]
        yield running


def content(num_classes=1000):
    network = catalog.BACKBONES[NAME].build(num_classes=num_classes)
    return save({key: np.ones(value.shape, np.float32) for key, value in network.state_dict().items()})


def state_of(run_here):
    """The last column of the module's row in the list."""
    return run_here("hub", "list", NAME).stdout.splitlines()[-1].split("  ")[-1]


def test_list_shows_every_module_without_network_or_those_of_a_pattern(run_here):
    def listed(*pattern):
        done = run_here("hub", "list", *pattern)
        heading, *lines = done.stdout.splitlines()
        assert heading.split() == ["module", "also", "parameters", "input", "top-1", "weights"]
        return [line.split()[0] for line in lines]

    assert listed() == [*(entry.name for entry in catalog.PRETRAINED), "digitnet"]
    assert listed("Xception7?") == ["xception71_imagenet"]
    assert listed("digit") == ["digitnet"]
    shown = run_here("hub", "list", "xeption71_imagenet")
    assert (shown.returncode, shown.stdout) == (4, "")
    assert "Did you mean 'xception71_imagenet'?" in shown.stderr


def test_list_and_show_as_json(run_here):
    entry = json.loads(run_here("hub", "list", "xception71", "--json").stdout)["modules"][0]
    assert (entry["name"], entry["aliases"]) == ("xception71_imagenet", ["Xception71"])
    assert (entry["parameters"], entry["weights"]["file"]) == (37_678_496, None)
    shown = json.loads(run_here("hub", "show", "Xception71", "--json").stdout)
    assert shown == {**entry, "schema_version": 1, "stages": shown["stages"]}
    assert shown["stages"] == ["stem", "stage1", "stage2", "stage3", "head"]


def test_show_describes_a_name_a_weights_file_and_a_folder(run_here, tmp_path):
    assert "weights not verified" in run_here("hub", "show", "Xception71").stdout
    assert "weights not verified" not in run_here("hub", "show", "paddle.vision:resnet18").stdout
    (tmp_path / "w.safetensors").write_bytes(content(7))
    assert NAME in run_here("hub", "show", tmp_path / "w.safetensors").stdout
    (tmp_path / "mine").mkdir()
    assert run_here("hub", "new", tmp_path / "mine").returncode == 0
    refused = run_here("hub", "new", tmp_path / "mine")
    assert refused.returncode == 2 and "exists already" in refused.stderr
    refused = run_here("hub", "show", tmp_path / "mine")
    assert refused.returncode == 4 and "--trust-code" in refused.stderr
    shown = run_here("hub", "show", tmp_path / "mine", "--trust-code").stdout
    assert "stem, stage1, stage2, stage3, head" in shown


def test_pull_fetches_what_offline_work_then_needs(run_here, server, monkeypatch):
    pulled = run_here("hub", "pull", NAME)
    assert pulled.returncode == 0, pulled.stderr
    file = Path(pulled.stdout.split()[-1])
    assert file == weights_cache.cache_path(server.url)
    assert file.read_bytes() == content()
    assert state_of(run_here) == "on this machine"
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert json.loads(run_here("hub", "pull", NAME, "--json").stdout)["modules"][0]["file"] == str(file)
    assert len(server.requests) == 1


def test_pull_refuses_a_page_and_a_file_for_another_network(run_here, server):
    server.plan = [page, page]
    refused = run_here("hub", "pull", NAME)
    assert refused.returncode == 5 and "an HTML page" in refused.stderr
    failed = run_here("hub", "pull", NAME, "--json")
    document = json.loads(failed.stdout)
    assert (failed.returncode, document["modules"], document["failures"][0]["name"]) == (5, [], NAME)
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run_here("hub", "pull", NAME)
    assert refused.returncode == 4
    assert f"it does not hold the tensors of {NAME}" in refused.stderr
    assert state_of(run_here) == "to fetch"
    server.plan = [whole(content())]
    assert run_here("hub", "pull", NAME).returncode == 0


def test_pull_names_unknown_modules_before_any_download(run_here, server):
    assert run_here("hub", "pull", NAME, "nonesuch").returncode == 4
    assert run_here("hub", "pull", NAME, "smallnet").returncode == 4
    assert not server.requests


def test_verify_finds_a_changed_file_and_prune_removes_it(run_here, server):
    assert run_here("hub", "verify").returncode == 0
    run_here("hub", "pull", NAME)
    sound = run_here("hub", "verify")
    assert (sound.returncode, sound.stdout.split()[:2]) == (0, ["ok", NAME])

    file = weights_cache.cache_path(server.url)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = run_here("hub", "verify")
    assert (found.returncode, found.stdout.split()[:2]) == (8, ["DAMAGED", NAME])
    assert "1 of 1 weights files are damaged" in found.stderr
    document = json.loads(run_here("hub", "verify", "--json").stdout)
    assert (document["damaged"], document["files"][0]["file"]) == (1, str(file))

    assert str(file) in run_here("hub", "prune", "--dry-run").stdout
    assert file.exists()
    assert str(file) in run_here("hub", "prune").stdout
    assert not file.exists()
    assert run_here("hub", "verify").returncode == 0
    server.plan = [whole(save({"x": np.ones(3, np.float32)}))]
    refused = run_here("hub", "pull", NAME)  # the sum of the first file still holds
    assert "is not the file that was first used" in refused.stderr


def test_prune_removes_interrupted_downloads_and_named_modules_only(run_here, server):
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
    assert run_here("hub", "prune", NAME, "--all").returncode == 2
    run_here("hub", "pull", NAME)
    assert len(json.loads(run_here("hub", "prune", "--all", "--json").stdout)["removed"]) == 2
    assert {other.suffix for other in file.parent.iterdir()} == {".lock"}


def test_import_puts_a_file_in_the_place_of_a_download(run_here, server, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    file = tmp_path / "w.safetensors"
    file.write_bytes(content())
    done = run_here("hub", "import", file, "--as", NAME)
    assert done.returncode == 0, done.stderr
    assert run_here("hub", "pull", NAME).returncode == 0
    assert run_here("hub", "verify").stdout.startswith("ok")
    assert not server.requests


def test_import_refuses_what_is_not_the_modules_weights(run_here, server, tmp_path, monkeypatch):
    file = tmp_path / "w.safetensors"
    file.write_bytes(content(7))
    assert "has a head of 7 classes, not of 1,000" in run_here("hub", "import", file, "--as", NAME).stderr
    file.write_bytes(save({"x": np.ones(3, np.float32)}))
    assert run_here("hub", "import", file, "--as", NAME).returncode == 4
    assert run_here("hub", "import", tmp_path / "none", "--as", NAME).returncode == 4
    assert run_here("hub", "import", file, "--as", "smallnet").returncode == 4
    assert state_of(run_here) == "to fetch"
    file.write_bytes(content())
    monkeypatch.setitem(catalog.BY_NAME, NAME, PUBLISHED)  # with Paddle's md5
    refused = run_here("hub", "import", file, "--as", NAME)
    assert refused.returncode == 4
    assert re.search(r"cannot be the official weights of .*: it has the md5 \w+ instead of", refused.stderr)


def test_another_programs_damaged_file_is_merely_not_used(run_here, server):
    other = Path.home() / ".paddleclas" / "weights" / server.url.rpartition("/")[2]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    found = run_here("hub", "verify")
    assert found.returncode == 0
    assert found.stdout.startswith("not used")
    assert run_here("hub", "pull", NAME).returncode == 0


def test_another_programs_locked_cache_breaks_nothing(run_here, monkeypatch):
    def locked(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", locked)
        patch.setattr(Path, "glob", locked)
        shown = [*files_of_paddle("https://example.com/w"), *files_of_paddlehub("m")]
    assert shown == []


def test_import_does_not_replace_what_was_first_used_without_a_word(run_here, server, tmp_path):
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
        (("hub", "show", "Xception72"), 4, "There is no module 'Xception72'. Did you mean 'Xception71'?"),
        (("hub", "show", "densenet121_imagenet"), 4, "Did you mean 'paddle.vision:densenet121'"),
        (("hub", "show", ""), 4, "There is no module ''"),
        (("hub", "show", "~nobody-here/x"), 4, "There is no module"),
        (("hub", "show", "x" * 300), 5, "cannot be used"),
        (("hub", "new", "bad\udcff"), 2, "is no name for a module"),
        (("hub", "new", "x" * 300), 5, "cannot be"),
    ],
)
def test_odd_names_get_a_sentence(run_here, arguments, code, said):
    refused = run_here(*arguments)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert re.search(said, refused.stderr)
