"""Curves are in VisualDL's and TensorBoard's files, each point once, whatever became of the run."""

import importlib.util
import sys
from pathlib import Path

import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.evaluation.metrics import Metrics
from hubtune.train.curve_logger import FOLDER, CurveWriter

_PACKAGES = {"visualdl": "visualdl", "tensorboard": "tensorboardX"}


@pytest.fixture(params=_PACKAGES)
def name(request):
    package = _PACKAGES[request.param]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")
    return request.param


def _curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The points that a viewer finds: tag → (step, value), as they stand in the files."""
    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted((run / FOLDER).iterdir()):
        for tag, step, value in (_visualdl if "vdlrecords" in file.name else _tensorboard)(file):
            found.setdefault(tag, []).append((step, round(value, 5)))
    return found


def _visualdl(file):
    from visualdl.proto.record_pb2 import Record
    from visualdl.reader.record_reader import RecordReader

    for message in RecordReader(str(file)).get_all():
        for value in Record.FromString(message).values:
            if value.WhichOneof("one_value") == "value":
                yield value.tag, value.id, value.value


def _tensorboard(file):
    import struct

    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    content, start = file.read_bytes(), 0
    while start < len(content):
        size, size_sum = struct.unpack_from("<QI", content, start)
        message = content[start + 12 : start + 12 + size]
        [message_sum] = struct.unpack_from("<I", content, start + 12 + size)
        assert (size_sum, message_sum) == (masked_crc32c(content[start : start + 8]), masked_crc32c(message))
        event = Event.FromString(message)
        yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)
        start += 16 + size


def _uninstall(package, monkeypatch):
    for module in [*sys.modules]:
        if module.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)


def _train(writer, steps, *, every=3, total=9):
    for step in steps:
        writer.stepped(step, total, loss=1 / step, accuracy=step / 10, rate=1e-3)
        if step % every == 0:
            _validate(writer, step)


def _validate(writer, step):
    writer.evaluated("validate", Metrics(step / 20, 2 / (step + 1), 10, (0.0, 1.0)), step=step, best=False)


def _test(writer, step):
    writer.evaluated("test", Metrics(0.5, 0.7, 10, (0.0, 1.0)), step=step, best=False)


def _undisturbed(name, folder):
    folder.mkdir()
    writer = CurveWriter(name)
    writer.opened(folder)
    _train(writer, range(1, 10))
    _test(writer, 6)
    return _curves(folder)


def _resumed(name, run):
    writer = CurveWriter(name)
    writer.opened(run)
    return writer


def test_each_step_evaluation_and_the_test_is_a_point(name, tmp_path):
    curves = _undisturbed(name, tmp_path / "run")
    assert set(curves) == {
        *("train/loss", "train/accuracy", "train/learning_rate"),
        *("validate/loss", "validate/accuracy", "test/loss", "test/accuracy"),
    }
    assert curves["train/loss"] == [(step, round(1 / step, 5)) for step in range(1, 10)]
    assert curves["train/learning_rate"] == [(step, 0.001) for step in range(1, 10)]
    assert curves["validate/accuracy"] == [(3, 0.15), (6, 0.3), (9, 0.45)]
    assert (curves["test/loss"], curves["test/accuracy"]) == ([(6, 0.7)], [(6, 0.5)])


def test_a_point_is_in_the_file_at_once(name, tmp_path):
    writer = _resumed(name, tmp_path)
    for step in (1, 2, 3):
        writer.stepped(step, 9, loss=0.5, accuracy=0.5, rate=1e-3)
        assert len(_curves(tmp_path)["train/loss"]) == step


def test_a_step_without_readable_pictures_has_no_loss(name, tmp_path):
    _resumed(name, tmp_path).stepped(1, 9, loss=None, accuracy=None, rate=1e-3)
    assert _curves(tmp_path) == {"train/learning_rate": [(1, 0.001)]}


@pytest.mark.parametrize("checkpoint", [0, 1, 3, 5, 6, 8])
def test_killed_and_resumed_curves_equal_undisturbed_ones(name, tmp_path, checkpoint):
    expected = _undisturbed(name, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    _train(_resumed(name, run), range(1, 9))
    second = _resumed(name, run)
    _train(second, range(checkpoint + 1, 10))
    _test(second, 6)
    assert _curves(run) == expected


def test_an_evaluation_that_is_made_up_for_is_there_once(name, tmp_path):
    expected = _undisturbed(name, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    first = _resumed(name, run)
    _train(first, range(1, 6))
    first.stepped(6, 9, loss=1 / 6, accuracy=0.6, rate=1e-3)  # stopped while it was evaluated
    second = _resumed(name, run)
    _validate(second, 6)
    _train(second, [7])  # killed before a checkpoint
    third = _resumed(name, run)
    _validate(third, 6)
    _train(third, range(7, 10))
    _test(third, 6)
    assert _curves(run) == expected


def test_a_test_that_is_made_again_keeps_the_training(name, tmp_path):
    expected = _undisturbed(name, tmp_path / "run")
    _test(_resumed(name, tmp_path / "run"), 6)
    assert _curves(tmp_path / "run") == expected


def test_a_solved_head_that_is_solved_anew_begins_anew(name, tmp_path):
    first = _resumed(name, tmp_path)
    _validate(first, 0)
    _train(first, [1, 2])
    _validate(_resumed(name, tmp_path), 0)
    assert set(_curves(tmp_path)) == {"validate/loss", "validate/accuracy"}
    assert _curves(tmp_path)["validate/accuracy"] == [(0, 0.0)]


def test_a_file_that_a_kill_cut_short_is_read_up_to_there(name, tmp_path):
    expected = _undisturbed(name, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    _train(_resumed(name, run), range(1, 6))
    [file] = (run / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    second = _resumed(name, run)
    _train(second, range(5, 10))
    _test(second, 6)
    assert _curves(run) == expected


def test_another_programs_files_stay(name, tmp_path):
    (tmp_path / FOLDER).mkdir()
    others = [tmp_path / FOLDER / file for file in ("vdlrecords.1700000000.log", "notes.txt")]
    for file in others:
        file.write_bytes(b"")
    for _ in range(2):
        _train(_resumed(name, tmp_path), [1])
    assert all(file.exists() for file in others)
    assert len([*(tmp_path / FOLDER).iterdir()]) == 3


def test_both_write_into_one_folder(tmp_path):
    for package in _PACKAGES.values():
        pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    for name in _PACKAGES:
        _train(_resumed(name, tmp_path), [1])
    assert _curves(tmp_path)["train/loss"] == [(1, 1.0), (1, 1.0)]


def test_visualdl_itself_shows_the_curves_of_a_resumed_run(tmp_path):
    pytest.importorskip("visualdl", reason="visualdl is not installed: pip install visualdl")
    from visualdl.reader.reader import LogReader
    from visualdl.utils.string_util import decode_tag

    _train(_resumed("visualdl", tmp_path), [1, 2, 3])
    _train(_resumed("visualdl", tmp_path), [3, 4])
    reader = LogReader(str(tmp_path))
    curves = reader.data_manager.get_reservoir("scalar")
    points = curves.get_items(str(tmp_path / FOLDER), decode_tag("train/loss"))
    assert [point.id for point in points] == [1, 2, 3, 4]


def test_tensorboard_itself_shows_the_curves_of_a_resumed_run(tmp_path):
    for package in ("tensorboardX", "tensorboard"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _train(_resumed("tensorboard", tmp_path), [1, 2, 3])
    _train(_resumed("tensorboard", tmp_path), [3, 4])
    shown = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert [point.step for point in shown.Scalars("train/loss")] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", _PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, name):
    package = _PACKAGES[name]
    _uninstall(package, monkeypatch)
    with pytest.raises(MachineError, match=rf"cannot be used here \(.*{package}.*\): pip install {package}$"):
        CurveWriter(name)


def test_an_unknown_writer_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError) as refused:
        CurveWriter("tensorbord")
    assert str(refused.value) == (
        "There is no writer 'tensorbord' of curves: it may be visualdl or tensorboard. "
        "Did you mean 'tensorboard'?"
    )


def test_a_folder_that_cannot_be_written_is_said(name, tmp_path):
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(MachineError, match=f"{FOLDER} cannot be written"):
        _train(_resumed(name, tmp_path), [1])


def test_the_command_line_refuses_a_missing_package_before_any_work(
    run_here, tmp_path, monkeypatch, draw_photos
):
    _uninstall("tensorboardX", monkeypatch)
    pics = draw_photos(tmp_path / "pics", {"a": 4, "b": 4})
    done = run_here("finetune", pics, "--log", "tensorboard", cwd=tmp_path)
    assert done.returncode == MachineError.exit_code
    assert done.stderr.startswith("Error: tensorboardX cannot be used here")
    assert done.stderr.rstrip().endswith("pip install tensorboardX")
    assert [path.name for path in tmp_path.iterdir()] == ["pics"]


def test_the_command_line_writes_curves_into_the_run(run_here, tmp_path, name, draw_photos):
    draw_photos(tmp_path / "pics", {"a": 8, "b": 8})
    run_here("split", "pics", "--val", "3", "--test", "3", cwd=tmp_path)
    done = run_here(
        *("finetune", "pics", "--log", name, "-o", "module.name=smallnet", "-o", "module.weights=none"),
        *("-o", "strategy=scratch", "-o", "train.epochs=2", "-o", "train.batch_size=4", "-o", "run=run"),
    )
    assert done.returncode == 0, done.stderr
    curves = _curves(tmp_path / "run")
    assert [step for step, _ in curves["train/loss"]] == [*range(1, len(curves["train/loss"]) + 1)]
    assert len(curves["validate/accuracy"]) == 2
    assert len(curves["test/accuracy"]) == 1
