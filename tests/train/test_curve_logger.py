"""Curves are in VisualDL's and TensorBoard's files, each point once, whatever became of the run."""

import re
import sys

import pytest
from support.commands import options

from hubtune.errors import MachineError, UsageError
from hubtune.evaluation.metrics import Metrics
from hubtune.runs.folder import CURVES
from hubtune.train.curve_logger import CurveWriter

_PACKAGES = {"visualdl": "visualdl", "tensorboard": "tensorboardX"}


@pytest.fixture(params=_PACKAGES)
def name(request):
    pytest.importorskip(_PACKAGES[request.param])
    return request.param


def _curves(run):
    found = {}
    for file in sorted((run / CURVES).iterdir()):
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


TEST = ("test", 6)


def _training(first, last):
    return [each for n in range(first, last + 1) for each in ((n, ("validate", n)) if n % 3 == 0 else (n,))]


def _write(name, run, *events, **tags):
    """Write the events of one process: numbers of steps, and names of lists with the step."""
    run.mkdir(exist_ok=True)
    writer = CurveWriter(name, **tags)
    writer.opened(run)
    for event in events:
        if isinstance(event, int):
            writer.stepped(event, 9, loss=1 / event, accuracy=event / 10, rate=1e-3)
        else:
            metrics = Metrics(event[1] / 20, 2 / (event[1] + 1), 10, (0.0, 1.0))
            writer.evaluated(event[0], metrics, step=event[1], best=False)
    return writer


def test_each_step_evaluation_and_the_test_is_a_point_in_the_file_at_once(name, tmp_path):
    _write(name, tmp_path / "whole", *_training(1, 9), TEST)
    curves = _curves(tmp_path / "whole")
    assert len(curves) == 7
    assert curves["train/loss"] == [(step, round(1 / step, 5)) for step in range(1, 10)]
    assert curves["train/learning_rate"] == [(step, 0.001) for step, _ in curves["train/accuracy"]]
    assert curves["validate/accuracy"] == [(3, 0.15), (6, 0.3), (9, 0.45)]
    assert (curves["test/loss"], curves["test/accuracy"]) == ([(6, 0.28571)], [(6, 0.3)])
    writer = _write(name, tmp_path / "run")
    writer.stepped(1, 9, loss=None, accuracy=None, rate=1e-3)  # a step without readable pictures
    assert _curves(tmp_path / "run") == {"train/learning_rate": [(1, 0.001)]}
    for step in (2, 3):
        writer.stepped(step, 9, loss=0.5, accuracy=0.5, rate=1e-3)
        assert len(_curves(tmp_path / "run")["train/loss"]) == step - 1


def test_tags_may_have_another_form(name, tmp_path):
    def tag_of(group, figure):
        return f"{figure}_{group}"

    _write(name, tmp_path / "run", *_training(1, 4), tag_of=tag_of)
    _write(name, tmp_path / "run", *_training(4, 9), TEST, tag_of=tag_of)
    _write(name, tmp_path / "whole", *_training(1, 9), TEST)
    whole = {tag_of(*tag.split("/")): points for tag, points in _curves(tmp_path / "whole").items()}
    assert _curves(tmp_path / "run") == whole


@pytest.mark.parametrize(
    "processes",
    [
        *([_training(1, 8), [*_training(saved + 1, 9), TEST]] for saved in (0, 3, 5, 8)),
        # Stopped while it was evaluated, then killed before a checkpoint.
        [[*_training(1, 5), 6], [("validate", 6), 7], [("validate", 6), *_training(7, 9), TEST]],
        [[*_training(1, 9), TEST], [TEST]],  # the test is made again
        [_training(1, 5), "cut", [*_training(5, 9), TEST]],  # a kill cut the file short
        [[("validate", 0), 1, 2], [("validate", 0)], [*_training(1, 9), TEST]],  # the head is solved again
    ],
)
def test_killed_and_resumed_curves_equal_undisturbed_ones(name, tmp_path, processes):
    other = tmp_path / "run" / CURVES / "vdlrecords.1700000000.log"
    other.parent.mkdir(parents=True)
    other.touch()
    for events in processes:
        if events == "cut":
            [file] = other.parent.glob("*hubtune*")
            file.write_bytes(file.read_bytes()[:-5])
        else:
            _write(name, tmp_path / "run", *events)
    other.unlink()  # a file of another program stays
    curves = _curves(tmp_path / "run")
    if processes[0][0] == ("validate", 0):
        assert (curves["validate/loss"].pop(0), curves["validate/accuracy"].pop(0)) == ((0, 2.0), (0, 0.0))
    _write(name, tmp_path / "whole", *_training(1, 9), TEST)
    assert curves == _curves(tmp_path / "whole")


def test_wrong_names_missing_packages_and_unwritable_folders_are_named(
    run_here, tmp_path, monkeypatch, draw_photos
):
    with pytest.raises(UsageError, match=r"it may be visualdl or tensorboard\. Did you mean 'tensorboard'\?"):
        CurveWriter("tensorbord")
    draw_photos(tmp_path / "new" / "pics", {"a": 4, "b": 4})
    for name, package in _PACKAGES.items():
        with monkeypatch.context() as patch:
            for module in [each for each in sys.modules if each.partition(".")[0] == package]:
                patch.delitem(sys.modules, module)
            patch.setitem(sys.modules, package, None)
            done = run_here("finetune", "pics", "--log", name, cwd=tmp_path / "new")
        assert done.returncode == MachineError.exit_code
        assert re.match(f"Error: {package} cannot be used here .* pip install {package}$", done.stderr, re.I)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pics"]  # no work was begun
    (tmp_path / CURVES).write_text("a file")
    pytest.importorskip("tensorboardX")
    with pytest.raises(MachineError, match=f"{CURVES} cannot be written"):
        _write("tensorboard", tmp_path, 1)


def test_the_command_line_writes_curves_into_the_run(run_here, tmp_path, name, draw_photos):
    draw_photos(tmp_path / "pics", {"a": 8, "b": 8})
    settings = options("module.name=smallnet", "module.weights=none", "strategy=scratch")
    settings += options("run=run", "train.epochs=2", "train.batch_size=4")
    done = run_here("finetune", "pics", "--log", name, *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    curves = _curves(tmp_path / "run")
    assert [step for step, _ in curves["train/loss"]] == [*range(1, len(curves["train/loss"]) + 1)]
    assert (len(curves["validate/accuracy"]), len(curves["test/accuracy"])) == (2, 1)
