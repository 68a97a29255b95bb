"""Engines give Paddle's values, whatever the network and the shape of the pictures."""

import csv
import json
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from support.waiting import HANG_SECONDS

import hubtune
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import MachineError
from hubtune.inference import engine as engines
from hubtune.inference.engine import TOLERANCES, LazyEngine, start_engine
from hubtune.inference.program import Subnetwork
from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier
from hubtune.runs.callbacks import Callback

VIEW = Preprocessing()
"""Of which only mean and std matter here."""

SCORES = 1e-4
"""How far probabilities of OpenVINO may be from those of Paddle."""

# A program for all shapes; one a shape; squeeze and excitation; attention; hubtune's own.
QUICK = {
    "smallnet",
    "mobilenet_v1_x0_25_imagenet",
    "mobilenet_v3_small_x0_35_imagenet",
    "paddle.vision:shufflenet_v2_x0_25",  # a program a shape
}


@pytest.fixture(scope="module")
def network():
    paddle.seed(0)
    return nn.Conv2D(3, 4, 3)


def _images(*sides):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*side, 3), np.uint8) for side in sides]


def _forbid_paddle(monkeypatch):
    def run(self, arrays):
        raise AssertionError("Paddle ran in place of OpenVINO")

    monkeypatch.setattr(engines._Paddle, "begin", run)


def _distance(values, expected):
    return max(
        np.abs(one - other).max() / np.abs(other).max() for one, other in zip(values, expected, strict=True)
    )


def _sides(record, *, quick):
    """The record's own size, and another that is no square; small ones where it does not matter."""
    size, multiple = record.input_size, record.size_multiple
    if multiple is None:
        return [(size, size), (size, size)]
    if quick:
        # OpenVINO errs where a shifted block of Swin has a single window: below 113 pixels.
        size = 128 if record.name.startswith("swin") else max(32, 4 * multiple)
    return [(size, size), (size - multiple, size + multiple)]


def _agrees_with_paddle(record, monkeypatch, *, quick):
    paddle.seed(0)
    network = Classifier(record, 2)
    pictures = _images(*_sides(record, quick=quick))
    network.eval()
    expected = start_engine(Subnetwork(network, network.features, VIEW), [], wanted="paddle").begin(
        pictures
    )()
    engine = start_engine(Subnetwork(network, network.features, VIEW), pictures[:1], wanted="openvino")
    assert engine.name == "openvino"
    engine.begin(pictures)()  # a shape that is new is held against Paddle
    _forbid_paddle(monkeypatch)
    values = engine.begin(pictures)()
    assert [row.shape for row in values] == [(record.width,)] * 2
    assert _distance(values, expected) <= TOLERANCES["openvino"]
    # Where the network says the same of everything, this would hold for any engine.
    assert _distance(expected[:1], expected[1:]) > 2 * TOLERANCES["openvino"]


def test_a_shape_at_which_openvino_errs_is_left_to_paddle(network, told):
    def forward(images):
        # Traced with open sides, this is decided once.
        outputs = network(images).mean([2, 3])
        return outputs if images.shape[3] == -1 or images.shape[3] > 20 else 2 * outputs

    large, small = _images((32, 32), (16, 16))
    engine = start_engine(Subnetwork(network, forward, VIEW), [large], wanted="openvino")
    expected = start_engine(Subnetwork(network, forward, VIEW), [], wanted="paddle").begin(
        [small, large, small]
    )()
    assert _distance(engine.begin([small, large, small])(), expected) <= TOLERANCES["openvino"]
    assert engine.name == "openvino"
    assert "Paddle runs pictures of 16×16, as OpenVINO's values differ by" in told.text


def test_a_shape_that_openvino_cannot_run_is_left_to_paddle(network, told, monkeypatch):
    large, small = _images((32, 32), (16, 16))
    forward = lambda images: network(images).mean([2, 3])  # noqa: E731
    engine = start_engine(Subnetwork(network, forward, VIEW), [large], wanted="openvino")
    begin = engines._RequestRing.begin

    def fail(ring, arrays):
        if any(array.shape == small.shape for array in arrays):
            raise RuntimeError("Kernel after dilation has size\n(larger than the padded input)")
        return begin(ring, arrays)

    monkeypatch.setattr(engines._RequestRing, "begin", fail)
    expected = start_engine(Subnetwork(network, forward, VIEW), [], wanted="paddle").begin([large, small])()
    assert _distance(engine.begin([large, small])(), expected) <= TOLERANCES["openvino"]
    assert "Paddle runs pictures of 16×16, as OpenVINO cannot" in told.text


@pytest.mark.parametrize("name", sorted(QUICK))
def test_openvino_gives_paddles_values(name, monkeypatch):
    _agrees_with_paddle(BACKBONES[name], monkeypatch, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_openvino_gives_paddles_values_for_every_backbone_at_its_own_size(name, monkeypatch):
    _agrees_with_paddle(BACKBONES[name], monkeypatch, quick=False)


def test_one_program_serves_all_shapes_where_it_can(network, monkeypatch):
    made = _count_programs(monkeypatch)
    _run_in_order(network, lambda images: network(images).mean([2, 3]), _many_shapes())
    assert made == [(None, None)]


def test_a_program_a_shape_is_made_where_there_is_none_for_all(network, monkeypatch):
    monkeypatch.setattr(engines, "_MAX_PROGRAMS", 2)
    made = _count_programs(monkeypatch)
    pictures = _many_shapes()
    engine = _run_in_order(network, lambda images: _bound_to_a_shape(network, images), pictures)
    # Of three shapes, the third is left to Paddle.
    assert made == [(None, None), (16, 16), (16, 24)]
    engine.begin(pictures)()
    assert len(made) == 3


def _bound_to_a_shape(network, images):
    maps = network(images)
    return (maps * paddle.ones(maps.shape[2:])).mean([2, 3])


def _many_shapes():
    return _images((16, 16), (16, 24), (16, 16), (40, 16), (16, 24), (16, 16), (40, 16))


def _count_programs(monkeypatch):
    made = []
    save_program = engines.save_program

    def save(part, path, *sides, **options):
        made.append(sides)
        save_program(part, path, *sides, **options)

    monkeypatch.setattr(engines, "save_program", save)
    return made


def _run_in_order(network, forward, pictures):
    engine = start_engine(Subnetwork(network, forward, VIEW), pictures[:1], wanted="openvino")
    assert engine.name == "openvino"
    expected = start_engine(Subnetwork(network, forward, VIEW), [], wanted="paddle").begin(pictures)()
    assert _distance(engine.begin(pictures)(), expected) < 1e-5
    for image, row in zip(pictures, expected, strict=True):
        assert _distance(engine.begin([image])(), [row]) < 1e-5
    assert engine.begin([])() == []
    return engine


@pytest.mark.parametrize("wanted", ["openvino", "paddle"])
def test_pictures_begun_before_others_are_waited_for_keep_their_rows(network, wanted):
    first, second, third = _images(*[(16, 16), (16, 24)] * 5), _images(*[(24, 16)] * 3), []
    engine = start_engine(
        Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), _images((16, 16)), wanted=wanted
    )
    alone = [[engine.begin([image])()[0] for image in some] for some in (first, second)]
    begun = [engine.begin(some) for some in (first, second, third)]
    for rows, expected in [(begun[1], alone[1]), (begun[2], []), (begun[0], alone[0]), (begun[0], alone[0])]:
        found = rows()
        assert len(found) == len(expected)
        assert not found or _distance(found, expected) <= 1e-6


def test_an_engine_that_is_dropped_with_pictures_begun_does_not_hang(network):
    for _ in range(20):
        engine = start_engine(
            Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), _images((16, 16)), wanted="openvino"
        )
        engine.begin(_images(*[(160, 160)] * 5))
        del engine


_SIGNALLED = """
import gc, os, signal
import numpy as np
from paddle import nn
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine import start_engine
from hubtune.inference.program import Subnetwork

network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.AdaptiveAvgPool2D(1), nn.Flatten())
pictures = [np.zeros((16, 16, 3), np.uint8)]
part = Subnetwork(network, network, Preprocessing())
engines = [start_engine(part, pictures, wanted="openvino") for _ in range(3)]
signal.signal(signal.SIGINT, lambda *given: print("handled", flush=True))
while engines:
    engines.pop(0).begin(pictures)()
    gc.collect()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_is_handled_after_engines_have_come_and_gone():
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED], capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert (done.returncode, done.stdout) == (0, "handled\n" * 3), done.stderr


def test_a_part_normalises_pictures_as_the_preprocessing_does_to_the_bit():
    view = Preprocessing(mean=(0.1, 0.45, 0.4), std=(0.3, 0.224, 2.5))
    pictures = np.stack(_images((40, 30), (40, 30)))
    part = Subnetwork(nn.Identity(), lambda images: images, view)
    assert np.array_equal(
        part(paddle.to_tensor(pictures)).numpy(), np.stack([*map(view.normalise, pictures)])
    )


def test_a_program_can_be_dropped_at_once_and_does_not_hang(network):
    [*pictures] = _images(*[(16, 16)] * 5)
    for _ in range(20):
        engine = start_engine(
            Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), pictures[:1], wanted="openvino"
        )
        assert len(engine.begin(pictures)()) == 5
        del engine


def test_the_mode_of_the_network_does_not_matter():
    paddle.seed(0)
    network = nn.Sequential(nn.Conv2D(3, 8, 3), nn.Dropout(0.5), nn.AdaptiveAvgPool2D(1), nn.Flatten())
    network.train()
    pictures = _images((16, 16), (16, 16))
    engine = start_engine(Subnetwork(network, network, VIEW), pictures, wanted="openvino")
    assert engine.name == "openvino"
    assert np.array_equal(engine.begin(pictures)()[0], engine.begin(pictures)()[0])


def test_what_cannot_be_traced_is_run_by_paddle_with_a_word(network, told):
    pictures = _images((16, 16))
    engine = start_engine(Subnetwork(network, _untraceable, VIEW), pictures)
    assert engine.name == "paddle"
    assert engine.begin(pictures)()[0].shape == (3,)
    assert "Paddle runs this network, as openvino cannot (" in told.text


def test_what_cannot_be_traced_is_refused_where_openvino_was_asked_for(network):
    with pytest.raises(
        MachineError,
        match=r"(?s)^This network cannot be run by openvino \(.*\): use --engine auto or paddle$",
    ):
        start_engine(Subnetwork(network, _untraceable, VIEW), _images((16, 16)), wanted="openvino")
    assert MachineError.exit_code == 5


def _untraceable(images):
    return paddle.to_tensor(images.numpy().mean(axis=(2, 3)))


def test_without_openvino_paddle_is_taken_unless_it_was_asked_for(network, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    pictures = _images((16, 16))
    assert start_engine(Subnetwork(network, network, VIEW), pictures).name == "paddle"
    for wanted in ("openvino", "openvino-bf16"):
        with pytest.raises(MachineError, match=r"openvino is not installed: pip install .*--engine paddle"):
            start_engine(Subnetwork(network, network, VIEW), pictures, wanted=wanted)


def _change_openvino(monkeypatch, change):
    begin = engines._OpenVINO.begin

    def changed(engine, arrays):
        rows = begin(engine, arrays)
        return lambda: [change(row) for row in rows()]

    monkeypatch.setattr(engines._OpenVINO, "begin", changed)


def test_an_engine_with_other_values_is_not_used(network, monkeypatch, told):
    _change_openvino(monkeypatch, lambda row: row * 1.01)
    pictures = _images((16, 16))
    for wanted in ("auto", "openvino"):
        told.clear()
        engine = start_engine(
            Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), pictures, wanted=wanted
        )
        assert engine.name == "paddle"
        [record] = [record for record in told.records if record.levelname == "WARNING"]
        assert record.getMessage() == (
            "openvino is not used: on 1 pictures its values differ from Paddle's by up to 1.0e-02 of the "
            "largest, more than 0.0001"
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_engine_whose_values_are_no_numbers_is_not_used(network, monkeypatch, told, value):
    _change_openvino(monkeypatch, lambda row: row + value)
    engine = start_engine(Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), _images((16, 16)))
    assert engine.name == "paddle"
    assert "openvino is not used" in told.text


def test_mixed_precision_on_a_cpu_is_refused(network):
    with pytest.raises(MachineError, match="Mixed precision needs a GPU"):
        start_engine(Subnetwork(network, network, VIEW), _images((16, 16)), wanted="paddle-amp")


def _has_bf16():
    return "BF16" in engines._openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class _OldProcessor:
    def get_property(self, device, name):
        return ["FP32", "INT8"]


def test_bfloat16_is_refused_where_the_processor_has_none(network, monkeypatch):
    monkeypatch.setattr(engines, "_openvino_core", _OldProcessor)
    with pytest.raises(
        MachineError, match="This processor has no bfloat16 arithmetic: use --engine openvino"
    ):
        start_engine(Subnetwork(network, network, VIEW), _images((16, 16)), wanted="openvino-bf16")


@pytest.mark.skipif(not _has_bf16(), reason="this processor has no bfloat16 arithmetic")
def test_bfloat16_beyond_its_tolerance_gives_way_to_float32(network, monkeypatch, told):
    monkeypatch.setitem(TOLERANCES, "openvino-bf16", 1e-6)
    pictures = _images((32, 32), (32, 32))
    engine = start_engine(
        Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), pictures, wanted="openvino-bf16"
    )
    assert engine.name == "openvino"
    assert "openvino-bf16 is not used: on 2 pictures" in told.text


@pytest.mark.slow
@pytest.mark.skipif(not _has_bf16(), reason="this processor has no bfloat16 arithmetic")
def test_bfloat16_is_held_against_paddle_on_photos(material, monkeypatch):
    weights = material / "weights" / "mobilenetv2_1.0_imagenet.safetensors"
    module = hubtune.Module("paddle.vision:mobilenet_v2", weights=weights)
    photos = sorted((material / "trashnet").glob("*/*.jpg"))[::40][:8]
    pictures = [array for photo in photos for array in preprocess_views(photo, [module.preprocessing])]
    part = Subnetwork(module.network, module.features, module.preprocessing)
    expected = start_engine(part, [], wanted="paddle").begin(pictures)()

    def distance(tolerance):
        monkeypatch.setitem(TOLERANCES, "openvino-bf16", tolerance)
        engine = start_engine(part, pictures, wanted="openvino-bf16")
        return engine.name, _distance(engine.begin(pictures)(), expected)

    name, coarse = distance(0.1)
    assert name == "openvino-bf16"
    assert 1e-3 < coarse <= 0.1  # less than that would be float32
    name, exact = distance(coarse / 2)
    assert name == "openvino"
    assert exact <= TOLERANCES["openvino"]


def test_a_lazy_engine_starts_with_its_first_pictures(network, told):
    engine = LazyEngine(Subnetwork(network, lambda x: network(x).mean([2, 3]), VIEW), "auto")
    assert engine.name == "auto"
    assert not told.records
    assert len(engine.begin(_images((16, 16), (16, 24)))()) == 2
    assert engine.name == "openvino"
    assert "engine: openvino" in told.text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of pictures of many shapes, which the model sees whole."""
    from support.images import draw_tree

    folder = tmp_path_factory.mktemp("engines")
    pics = draw_tree(folder / "data" / "pics", {"a": 10, "b": 10, "c": 10}, noise=120.0)
    write_split(
        make_split(scan_classes(pics), SplitRequest(validate=SplitSize(2), test=SplitSize(4))),
        pics.parent,
        {"seed": 0},
        force=True,
    )
    config = hubtune.RunConfig(
        strategy=hubtune.FrozenStrategy(), fit="whole", checkpoint_dir=folder / "run", engine="paddle"
    )
    task = hubtune.ImageClassifierTask(
        hubtune.Module("smallnet", weights=None), hubtune.ListDataset(pics.parent), config
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        return task.finetune_and_eval(observer=Callback())


@pytest.fixture
def mixed(run, tmp_path):
    """Readable and unreadable pictures of different shapes."""
    paths = sorted((run.path.parent / "data" / "pics").rglob("*.png"))[::3]
    broken, text = tmp_path / "broken.png", tmp_path / "text.png"
    broken.write_bytes(paths[0].read_bytes()[:200])
    text.write_text("no picture")
    return [str(text), *map(str, paths[:4]), str(broken), *map(str, paths[4:])]


def test_predict_says_the_same_with_every_engine(run, mixed, run_here):
    def rows(engine):
        done = run_here(*("predict", *mixed, "--model", run.path, "--json", "--scores", "--engine", engine))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rows"]

    expected, found = rows("paddle"), rows("openvino")
    assert [row["path"] for row in found] == mixed
    assert [row["error"] for row in found] == [row["error"] for row in expected]
    assert sum(row["error"] is not None for row in found) == 2
    for row, other in zip(found, expected, strict=True):
        assert row["label"] == other["label"]
        for label, score in (row["scores"] or {}).items():
            assert score == pytest.approx(other["scores"][label], abs=SCORES)


def test_a_loaded_model_says_the_same_with_every_engine_and_batch(run, mixed):
    expected = list(hubtune.load_model(run.path, engine="paddle").predict(mixed))
    model = hubtune.load_model(run.path, engine="openvino")
    single = [row for path in mixed for row in model.predict([path])]
    for rows in (single, list(model.predict(mixed, batch_size=3)), list(model.predict(mixed))):
        assert [row.error for row in rows] == [row.error for row in expected]
        for row, other in zip(rows, expected, strict=True):
            assert row.scores == pytest.approx(other.scores, abs=SCORES)


def test_openvino_scores_a_picture_the_same_to_the_bit_whatever_the_batch(run, mixed):
    model = hubtune.load_model(run.path, engine="openvino")
    single = [row.scores for path in mixed for row in model.predict([path])]
    assert [row.scores for row in model.predict(mixed)] == single


def test_evaluate_measures_the_same_with_every_engine(run, run_here, monkeypatch):
    def figures(engine):
        done = run_here("evaluate", run.path, "--json", "--engine", engine)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    expected = figures("paddle")
    assert expected["loss"] == pytest.approx(run.test.loss, abs=1e-6)
    assert expected["accuracy"] == run.test.accuracy
    found = figures("openvino")
    assert found["accuracy"] == expected["accuracy"]
    assert found["loss"] == pytest.approx(expected["loss"], abs=SCORES)


def test_embed_writes_the_same_with_every_engine(mixed, run_here, tmp_path):
    def arrays(engine):
        file = tmp_path / f"{engine}.npz"
        done = run_here("embed", *mixed, "--module", "digitnet", "-o", file, "--engine", engine)
        assert done.returncode == 0, done.stderr
        return np.load(file)

    expected, found = arrays("paddle"), arrays("openvino")
    assert list(found["paths"]) == mixed
    assert list(found["errors"]) == list(expected["errors"])
    bad = found["errors"] != ""
    assert bad.sum() == 2
    assert np.isnan(found["features"][bad]).all()
    assert _distance(found["features"][~bad], expected["features"][~bad]) <= TOLERANCES["openvino"]


def test_classify_says_the_same_with_every_engine(mixed, run_here, tmp_path):
    def rows(engine):
        file = tmp_path / f"{engine}.csv"
        done = run_here(
            *("classify", *mixed, "--module", "digitnet", "--csv", file, "--scores", "--engine", engine)
        )
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(file.open()))

    expected, found = rows("paddle"), rows("openvino")
    assert [row["path"] for row in found] == mixed
    for row, other in zip(found, expected, strict=True):
        assert (row["label"], row["error"]) == (other["label"], other["error"])
        for label in "0123456":
            assert float(row[label] or -1) == pytest.approx(float(other[label] or -1), abs=SCORES)


@pytest.mark.parametrize("command", ["predict", "evaluate", "embed", "classify"])
def test_engines_that_cannot_be_had_are_refused_in_a_sentence(run, mixed, run_here, command):
    given = {
        "predict": [*mixed, "--model", run.path],
        "evaluate": [run.path],
        "embed": [*mixed, "--module", "digitnet", "-o", "features.npz"],
        "classify": [*mixed, "--module", "digitnet"],
    }[command]
    done = run_here(command, *given, "--engine", "tensorrt")
    assert done.returncode == 2
    assert (
        "'tensorrt' is not one of 'auto', 'openvino', 'openvino-bf16', 'paddle', 'paddle-amp'" in done.stderr
    )
    done = run_here(command, *given, "--engine", "paddle-amp")
    assert done.returncode == MachineError.exit_code
    assert "Mixed precision needs a GPU" in done.stderr
    assert "Traceback" not in done.stderr
