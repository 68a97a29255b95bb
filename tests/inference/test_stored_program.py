"""A stored program starts without Paddle, says the same as a new engine, and is not used when damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen
from support.tiny_task import weight_arrays as load

import hubtune
from hubtune.inference import engine_interface, stored_program
from hubtune.inference.reference import REFERENCE_FILE
from hubtune.inference.stored_program import (
    delete_programs,
    find_program,
    find_stored,
    has_program,
    program_key,
    programs_folder,
    store_files,
    store_program,
)
from hubtune.storage.checked_folder import write_checked


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose model sees images of several shapes."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        data = draw_split(folder / "data", dict.fromkeys("abc", 6), validate=2)
        return train_frozen(smallnet(), data, folder / "run", fit="whole", size=64)


@pytest.fixture
def pictures(run):
    return [str(path) for path in sorted((run.path.parent / "data" / "pics").rglob("*.png"))]


def _predict_elsewhere(run, paths):
    """Predict in a new process; returns the scores, and whether Paddle was imported."""
    program = (
        "import sys, json, hubtune; model = hubtune.load_model(sys.argv[1])\n"
        "scores = [row.scores for row in model.predict(sys.argv[2:])]\n"
        "print(json.dumps([scores, 'paddle' in sys.modules]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(run.path), *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_second_process_predicts_without_paddle_and_the_same_to_the_bit(run, pictures):
    first = [row.scores for row in hubtune.load_model(run.path).predict(pictures)]
    assert len(list(programs_folder().iterdir())) == 1
    assert _predict_elsewhere(run, pictures) == [first, False]
    [folder] = programs_folder().iterdir()
    for damage in ("network.pdiparams", "shapes.json", "manifest.json"):
        content = (folder / damage).read_bytes()
        (folder / damage).write_bytes(content[:-9] + b"x" * 9)
        assert _predict_elsewhere(run, pictures) == [first, True]  # it is made again
        assert (folder / damage).read_bytes() == content
    assert _predict_elsewhere(run, pictures) == [first, False]


@pytest.mark.slow
def test_an_image_of_a_shape_that_was_not_checked_needs_paddle_once(run, pictures, told, monkeypatch):
    monkeypatch.setattr(stored_program, "CHECKED_SHAPES", 10**6)
    few = pictures[:1]
    expected = [row.scores for row in hubtune.load_model(run.path, engine="paddle").predict(pictures)]
    list(hubtune.load_model(run.path).predict(few))
    told.clear()
    assert [row.label for row in hubtune.load_model(run.path).predict(few)]
    assert "engine: openvino" not in told.messages  # from the stored program
    rows = list(hubtune.load_model(run.path).predict(pictures))
    for row, scores in zip(rows, expected, strict=True):
        assert row.scores == pytest.approx(scores, abs=1e-4)


def test_the_model_the_versions_and_the_processor_are_part_of_the_key(monkeypatch):
    keys = {program_key(b"one"), program_key(b"another")}
    monkeypatch.setattr(engine_interface, "version", lambda package: "9.9")
    keys.add(program_key(b"one"))
    monkeypatch.setattr(
        stored_program.cpu, "processor", lambda: stored_program.cpu.Processor("x", "another", ())
    )
    keys.add(program_key(b"one"))
    assert len(keys) == 4


def _save(path):
    for suffix in (".pdmodel", ".pdiparams"):
        path.with_suffix(suffix).write_bytes(b"x")


def test_a_cache_that_is_off_or_cannot_be_used_is_no_error_and_old_programs_go(tmp_path, monkeypatch):
    saved = []
    with monkeypatch.context() as patch:
        patch.setenv("HUBTUNE_CACHE_SIZE", "0")
        store_program("key", saved.append, {(1, 2, 3): True})
        assert not saved and not programs_folder().exists()
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
        store_program("key", _save, {(1, 2, 3): True})
        assert not has_program("key")

    def refuse(*_):
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_dir", refuse)
        assert not has_program("key")
        assert find_program("key") is None

    store_program("key", refuse, {(1, 2, 3): True})  # Paddle cannot save the network
    assert not has_program("key")
    monkeypatch.setattr(stored_program, "_MOST_PROGRAMS", 2)
    for number in range(4):
        store_program(f"key{number}", _save, {(1, 2, 3): True})
        os.utime(programs_folder() / f"key{number}" / "manifest.json", (number, number))
    assert sorted(folder.name for folder in programs_folder().iterdir()) == ["key2", "key3"]
    assert find_program("key2") is None  # no program that OpenVINO can read
    assert find_program("none") is None
    assert delete_programs() > 0
    assert not programs_folder().exists()
    assert delete_programs() == 0


def test_files_of_a_program_of_another_kind_are_found_whole_or_not_at_all():
    assert find_stored("key", "one") is None
    store_files("key", {"one": b"1", "two": b"2"})
    assert find_stored("key", "two", "one") == {"one": b"1", "two": b"2"}
    assert find_stored("key", "three") is None
    (programs_folder() / "key" / "one").write_bytes(b"x")
    assert find_stored("key", "one") is None


@pytest.mark.slow
def test_a_model_that_was_replaced_since_it_was_loaded_is_not_mixed_with_the_new_one(
    run, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr(stored_program, "CHECKED_SHAPES", 10**6)  # any new shape needs the network
    folder = tmp_path / "model"
    shutil.copytree(run.best_model, folder)
    old = [row.scores for row in hubtune.load_model(folder).predict(pictures[:1])]
    model = hubtune.load_model(folder)  # from its stored program
    card, weights = (folder / "model.json").read_bytes(), load(run.best_model)
    other = {name: values[::-1] if name == "head.0.bias" else values for name, values in weights.items()}
    other["head.0.weight"] = np.ascontiguousarray(weights["head.0.weight"][:, ::-1])
    reference = (folder / REFERENCE_FILE).read_bytes()
    files = {"model.json": card, "model.safetensors": save(other), REFERENCE_FILE: reference}
    write_checked(folder, files)
    wide = tmp_path / "wide.png"
    Image.fromarray(np.full((20, 90, 3), 90, np.uint8)).save(wide)
    with pytest.raises(
        hubtune.ModelError, match="holds another model than when it was loaded: load it again"
    ):
        list(model.predict([str(wide)]))
    assert [row.scores for row in hubtune.load_model(run.best_model).predict(pictures[:1])] == old
    assert [row.scores for row in hubtune.load_model(folder).predict(pictures[:1])] != old


def test_large_images_where_memory_is_short_are_left_to_the_engine_that_checks_it(monkeypatch):
    class Ring:
        count = 2

    program = stored_program.StoredProgram(Ring(), {(64, 64, 3): True, (32, 32, 3): False})
    image = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr(stored_program, "free_memory", lambda swap: 10**9)
    assert program.takes([image] * 50)
    assert not program.takes([image, np.zeros((32, 32, 3), np.uint8)])  # Paddle's values differ there
    assert not program.takes([np.zeros((32, 64, 3), np.uint8)])
    monkeypatch.setattr(stored_program, "free_memory", lambda swap: 2 * image.size * 1024)
    assert not program.takes([image] * 50)
