"""Engines give Paddle's values, whatever the network and the shape of the pictures."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn
from support.backbones import HEAVY, with_small_residuals
from support.network_walks import marks_of
from support.waiting import HANG_SECONDS

import hubtune
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.errors import MachineError, UsageError
from hubtune.inference import engine as engines
from hubtune.inference import engine_interface, openvino_program
from hubtune.inference.engine import start_engine
from hubtune.inference.engine_interface import TOLERANCES
from hubtune.inference.openvino_program import RequestRing
from hubtune.inference.program import Subnetwork
from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier

VIEW = Preprocessing()  # of which only mean and std matter here

# A program for all shapes; squeeze and excitation; hubtune's own; one a shape.
QUICK = ["mobilenet_v1_x0_25_imagenet", "mobilenet_v3_small_x0_35_imagenet", "smallnet"]
QUICK += ["paddle.vision:shufflenet_v2_x0_25"]
OWN_SIZE = [pytest.param(name, False, marks=marks_of(name, False)) for name in BACKBONES if name not in HEAVY]


@pytest.fixture(scope="module")
def network():
    paddle.seed(0)
    return nn.Sequential(nn.Conv2D(3, 4, 3), nn.Dropout(0.5))  # in training mode, which must not matter


def _start(network, sample, wanted="auto", forward=None):
    forward = forward or (lambda images: network(images).mean([2, 3]))
    return start_engine(Subnetwork(network, forward, VIEW), sample, wanted=wanted)


def _images(*sides):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*side, 3), np.uint8) for side in sides]


def _distance(values, expected):
    pairs = zip(values, expected, strict=True)
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)


@pytest.mark.parametrize(("name", "quick"), [*[(name, True) for name in QUICK], *OWN_SIZE])
def test_openvino_gives_paddles_values(name, quick, monkeypatch):
    record = BACKBONES[name]
    size, multiple = record.input_size, record.size_multiple
    if multiple is not None and quick:  # OpenVINO errs where a block of Swin has a single window: below 113
        size = 128 if record.name.startswith("swin") else max(32, 4 * multiple)
    pictures = _images((size, size), (size, size) if multiple is None else (size - multiple, size + multiple))
    paddle.seed(0)
    network = with_small_residuals(Classifier(record, 2), name)
    network.eval()
    expected = _start(network, [], wanted="paddle", forward=network.features).begin(pictures)()
    engine = _start(network, pictures[:1], wanted="openvino", forward=network.features)
    assert engine.name == "openvino"
    engine.begin(pictures)()  # a shape that is new is compared with Paddle
    monkeypatch.setattr(engines._Paddle, "begin", None)
    values = engine.begin(pictures)()
    assert [row.shape for row in values] == [(record.width,)] * 2
    assert _distance(values, expected) <= TOLERANCES["openvino"]
    # Where the network says the same of everything, this would hold for any engine.
    assert _distance(expected[:1], expected[1:]) > 2 * TOLERANCES["openvino"]


@pytest.mark.parametrize(
    ("fails", "reason"), [(False, "OpenVINO's values differ by"), (True, "OpenVINO cannot (")]
)
def test_a_shape_at_which_openvino_errs_or_fails_is_left_to_paddle(network, told, monkeypatch, fails, reason):
    def forward(images):
        # Traced with open sides, this is decided once.
        outputs = network(images).mean([2, 3])
        return outputs if fails or images.shape[3] == -1 or images.shape[3] > 20 else 2 * outputs

    begin = RequestRing.begin

    def fail(ring, arrays):
        if any(array.shape == small.shape for array in arrays):
            raise RuntimeError("Kernel after dilation has size\n(larger than the padded input)")
        return begin(ring, arrays)

    large, small = _images((32, 32), (16, 16))
    engine = _start(network, [large], wanted="openvino", forward=forward)
    expected = _start(network, [], wanted="paddle", forward=forward).begin([small, large, small])()
    if fails:
        monkeypatch.setattr(RequestRing, "begin", fail)
    assert _distance(engine.begin([small, large, small])(), expected) <= TOLERANCES["openvino"]
    assert engine.name == "openvino"
    assert f"Paddle runs pictures of 16×16, as {reason}" in told.text


@pytest.mark.parametrize("bound", [False, True], ids=["one program for all shapes", "one a shape"])
def test_values_are_paddles_whatever_the_mixture_of_shapes(network, monkeypatch, bound):
    def forward(images):
        maps = network(images)
        return (maps * paddle.ones(maps.shape[2:]) if bound else maps).mean([2, 3])

    monkeypatch.setattr(engines, "_MAX_PROGRAMS", 2)  # of three shapes, the third is left to Paddle
    pictures = _images((16, 16), (16, 24), (16, 16), (40, 16), (16, 24), (16, 16), (40, 16))
    engine = _start(network, pictures[:1], wanted="openvino", forward=forward)
    expected = _start(network, [], wanted="paddle", forward=forward).begin(pictures)()
    for _ in range(2):
        assert _distance(engine.begin(pictures)(), expected) < 1e-5
    assert engine.begin([])() == []


@pytest.mark.parametrize("wanted", ["openvino", "paddle"])
def test_pictures_begun_before_others_are_waited_for_keep_their_rows(network, wanted):
    first, second, third = _images(*[(16, 16), (16, 24)] * 5), _images(*[(24, 16)] * 3), []
    engine = _start(network, _images((16, 16)), wanted=wanted)
    alone = [[engine.begin([image])()[0] for image in some] for some in (first, second)]
    begun = [engine.begin(some) for some in (first, second, third)]
    assert begun[2]() == []
    for rows, expected in [(begun[1], alone[1]), (begun[0], alone[0]), (begun[0], alone[0])]:
        assert _distance(rows(), expected) <= 1e-6


def test_an_engine_that_is_dropped_at_once_does_not_hang(network):
    for number in range(20):
        waits = number % 2
        images = _images(*[(16, 16) if waits else (160, 160)] * 5)
        engine = _start(network, images[:1], wanted="openvino")
        pending = engine.begin(images)
        assert not waits or len(pending()) == 5
        del engine, pending


_SIGNALLED = """
import gc, os, signal
import numpy as np
from paddle import nn
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine import start_engine
from hubtune.inference.program import Subnetwork

network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.AdaptiveAvgPool2D(1), nn.Flatten())
part, pictures = Subnetwork(network, network, Preprocessing()), [np.zeros((16, 16, 3), np.uint8)]
engines = [start_engine(part, pictures, wanted="openvino") for _ in range(3)]
signal.signal(signal.SIGINT, lambda *given: print("handled", flush=True))
while engines:
    engines.pop(0).begin(pictures)()
    gc.collect()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_is_handled_after_engines_have_come_and_gone():
    options = {"capture_output": True, "text": True, "timeout": HANG_SECONDS}
    done = subprocess.run([sys.executable, "-c", _SIGNALLED], **options)
    assert (done.returncode, done.stdout) == (0, "handled\n" * 3), done.stderr


def test_what_cannot_be_traced_is_run_by_paddle_unless_openvino_was_asked_for(network, told):
    def untraceable(images):
        return paddle.to_tensor(images.numpy().mean(axis=(2, 3)))

    pictures = _images((16, 16))
    engine = _start(network, pictures, forward=untraceable)
    assert (engine.name, engine.begin(pictures)()[0].shape) == ("paddle", (3,))
    assert "Paddle runs this network, as openvino cannot (" in told.text
    refused = r"(?s)^This network cannot be run by openvino \(.*\): use --engine auto or paddle$"
    with pytest.raises(MachineError, match=refused):
        _start(network, pictures, wanted="openvino", forward=untraceable)


def test_without_openvino_or_bfloat16_what_was_asked_for_is_refused(network, monkeypatch):
    pictures = _images((16, 16))
    with monkeypatch.context() as patched:
        patched.setattr(engine_interface, "find_spec", lambda name: None)
        assert _start(network, pictures).name == "paddle"
        for wanted in ("openvino", "openvino-bf16"):
            with pytest.raises(MachineError, match=r"is not installed: .*pip install .*--engine paddle"):
                _start(network, pictures, wanted=wanted)
    old = SimpleNamespace(get_property=lambda device, name: ["FP32", "INT8"])
    monkeypatch.setattr(engine_interface, "openvino_core", lambda: old)
    with pytest.raises(MachineError, match="has no bfloat16 arithmetic: use --engine openvino"):
        _start(network, pictures, wanted="openvino-bf16")


@pytest.mark.parametrize(
    ("wanted", "factor", "difference"), [("auto", 1.01, "1.0e-02"), ("openvino", np.nan, "inf")]
)
def test_an_engine_with_other_values_is_not_used(network, monkeypatch, told, wanted, factor, difference):
    begin = engines._OpenVINO.begin

    def changed(engine, arrays):
        rows = begin(engine, arrays)
        return lambda: [row * factor for row in rows()]

    monkeypatch.setattr(engines._OpenVINO, "begin", changed)
    assert _start(network, _images((16, 16)), wanted=wanted).name == "paddle"
    assert (
        f"openvino is not used: on 1 pictures its values differ from Paddle's by up to {difference} of the "
        "largest, more than 0.0001"
    ) in told.messages


HAS_BF16 = "BF16" in openvino_program.openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_BF16, reason="this processor has no bfloat16 arithmetic")
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
    assert name == "openvino-bf16" and 1e-3 < coarse <= 0.1  # less than that would be float32
    name, exact = distance(coarse / 2)
    assert name == "openvino" and exact <= TOLERANCES["openvino"]


def test_a_network_in_float32_is_not_run_by_the_engine_for_int8(network):
    with pytest.raises(UsageError, match="is for models that were fine-tuned with it"):
        _start(network, [], wanted="openvino-int8")
