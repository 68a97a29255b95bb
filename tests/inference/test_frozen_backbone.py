"""A frozen trunk's outputs are computed once for each picture, view, weights, engine and layer."""

import sqlite3

import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError
from hubtune.inference.feature_cache import FILE_NAME, FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone, Timing
from hubtune.inference.program import Subnetwork
from hubtune.train.views import mirrored

VIEW = Preprocessing(size=16, resize=20)
WIDE = Preprocessing(size=16, resize=24, fit="whole")


@pytest.fixture
def paths(tmp_path):
    random = np.random.default_rng(0)
    found = []
    for number in range(7):
        found.append(tmp_path / f"{number}.png")
        pixels = random.integers(0, 255, (24 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(found[-1])
    return found


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


class _Counted:
    """A small trunk that counts the pictures that it computes."""

    def __init__(self, folder, *, seed=0, limit=10**8, **options):
        paddle.seed(seed)
        self.network = nn.Conv2D(3, 5, 3)
        self.count = 0
        given = {"module": "small", "layer": "features", "wanted": "paddle", **options}
        self.trunk = FrozenBackbone(
            Subnetwork(self.network, self.forward, VIEW),
            self.network.state_dict(),
            cache=FeatureCache(folder, limit),
            **given,
        )

    def forward(self, images):
        if paddle.in_dynamic_mode():
            self.count += images.shape[0]
        return self.network(images).mean([2, 3])

    def rows(self, paths, views=(VIEW,), batch_size=3):
        """The outputs; what is computed for it, not for the check of the engine, is counted."""
        self.trunk.choose_engine(views, paths)
        self.count = 0
        return list(self.trunk.extract(views, paths, batch_size=batch_size, workers=2))


def _same(outputs, others):
    for output, other in zip(outputs, others, strict=True):
        assert output.path == other.path
        assert (output.error and output.error.reason) == (other.error and other.error.reason)
        if output.rows is None:
            assert other.rows is None
            continue
        for row, another in zip(output.rows, other.rows, strict=True):
            assert row.dtype == another.dtype
            assert row.tobytes() == another.tobytes()


@pytest.mark.parametrize("half", [False, True])
def test_the_second_time_nothing_is_computed_and_all_is_the_same_to_the_bit(paths, folder, half):
    views = [VIEW, mirrored(VIEW), WIDE]
    first = _Counted(folder, half=half)
    computed = first.rows(paths, views)
    assert first.count == 3 * len(paths)
    assert first.trunk.timing.seconds > 0
    assert all(row.dtype == (np.float16 if half else np.float32) for row in computed[0].rows)
    _same(first.rows(paths, views), computed)
    assert first.count == 0
    second = _Counted(folder, half=half)
    _same(second.rows(paths, views, batch_size=2), computed)
    assert second.count == 0
    assert second.trunk.timing is None


def test_outputs_are_what_the_network_says(paths, folder):
    counted = _Counted(folder)
    for _ in range(2):  # computed, and from the cache
        for output, path in zip(counted.rows(paths, [VIEW, WIDE]), paths, strict=True):
            for row, view in zip(output.rows, [VIEW, WIDE], strict=True):
                with paddle.no_grad():
                    image = paddle.to_tensor(view(Image.open(path).convert("RGB"))[None])
                    assert row == pytest.approx(counted.forward(image)[0].numpy(), abs=1e-6)


def test_openvino_computes_nothing_twice_either(paths, folder):
    computed = _Counted(folder, wanted="openvino").rows(paths)
    again = _Counted(folder, wanted="openvino")
    _same(again.rows(paths), computed)
    assert again.trunk.engine == "openvino"
    assert again.trunk.timing is None
    assert again.count == 0


def test_only_new_pictures_and_views_are_computed(paths, folder):
    _Counted(folder).rows(paths[:4])
    counted = _Counted(folder)
    assert len(counted.rows(paths)) == 7
    assert counted.count == 3
    counted.rows(paths, [VIEW, mirrored(VIEW)])
    assert counted.count == 7


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"layer": "before stage4"}, {"half": True}, {"wanted": "openvino"}, {"module": "other"}],
    ids=str,
)
def test_what_depends_on_other_facts_is_another_output(paths, folder, other):
    _Counted(folder).rows(paths)
    counted = _Counted(folder, **other)
    before = len(FeatureCache(folder).spaces())
    counted.rows(paths)
    assert counted.trunk.timing is not None
    assert len(FeatureCache(folder).spaces()) == before + 1


def test_a_picture_with_another_content_is_another_picture_and_a_copy_the_same(paths, folder):
    before = _Counted(folder).rows(paths)
    Image.open(paths[0]).transpose(Image.Transpose.ROTATE_180).save(paths[0])
    paths[1].rename(paths[1].with_name("moved.png"))
    counted = _Counted(folder)
    after = counted.rows([paths[0], paths[1].with_name("moved.png"), *paths[2:]])
    assert counted.count == 1
    assert after[0].rows[0].tobytes() != before[0].rows[0].tobytes()
    assert after[1].rows[0].tobytes() == before[1].rows[0].tobytes()


def test_damaged_outputs_are_computed_again(paths, folder):
    computed = _Counted(folder).rows(paths)
    with sqlite3.connect(folder / FILE_NAME) as database:
        database.execute("UPDATE entries SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE id > 3")
    database.close()
    counted = _Counted(folder)
    _same(counted.rows(paths), computed)
    assert 0 < counted.count < len(paths)


def test_without_a_cache_all_is_computed_each_time(paths, folder):
    expected = _Counted(folder / "kept").rows(paths)
    for _ in range(2):
        counted = _Counted(folder / "none", limit=0)
        _same(counted.rows(paths), expected)
        assert counted.count == len(paths)
    assert not (folder / "none").exists()


def test_unreadable_pictures_are_named_each_time(paths, folder):
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    paths[5].unlink()
    for number in range(2):
        counted = _Counted(folder)
        outputs = counted.rows(paths, [VIEW, WIDE])
        assert [place for place, output in enumerate(outputs) if output.rows is None] == [2, 5]
        assert outputs[2].error.reason == "damaged picture (the file ends too early)"
        assert outputs[5].error.reason == "no such file"
        assert counted.count == (0 if number else 10)


def test_what_was_computed_before_a_stop_is_kept(paths, folder):
    counted = _Counted(folder)
    outputs = counted.trunk.extract([VIEW], paths, batch_size=2, workers=1)
    for _ in range(4):
        next(outputs)
    outputs.close()
    again = _Counted(folder)
    again.rows(paths)
    assert again.count <= len(paths) - 4


def test_an_engine_that_was_asked_for_is_not_replaced_by_what_was_noted_of_auto(paths, folder):
    def untraceable(images):
        return paddle.to_tensor(images.numpy().mean(axis=(2, 3)))

    def trunk(wanted):
        network = nn.Conv2D(3, 5, 3)
        return FrozenBackbone(
            Subnetwork(network, untraceable, VIEW),
            {},
            module="m",
            layer="l",
            wanted=wanted,
            cache=FeatureCache(folder, 10**8),
        )

    one = trunk("auto")
    assert len(list(one.extract([VIEW], paths, batch_size=3, workers=1))) == 7
    assert one.engine == "paddle"
    assert trunk("auto").engine == "paddle"  # known from before
    other = trunk("openvino")
    with pytest.raises(MachineError, match="cannot be run by openvino"):
        other.choose_engine([VIEW], paths)


def test_the_pace_that_was_measured_is_known_to_the_next_process(paths, folder):
    first = _Counted(folder)
    assert first.trunk.recall_timing(VIEW) is None
    many = [*paths, *[path.with_name(f"copy {path.name}") for path in paths]]
    for path, copy in zip(paths, many[7:], strict=True):
        Image.open(path).rotate(90).save(copy)
    found = first.trunk.measure(VIEW, many, workers=2)
    assert found.seconds > 0
    assert 0 <= found.idle <= 1
    assert _Counted(folder).trunk.recall_timing(VIEW) == found
    assert _Counted(folder).trunk.recall_timing(WIDE) is None
    assert first.trunk.measure(VIEW, many, workers=2) is None  # all of them are in the cache


def test_where_decoding_is_the_limit_more_pixels_take_little_longer():
    assert Timing(0.1, 0.0).seconds_for(3) == pytest.approx(0.3)
    assert Timing(0.1, 0.9).seconds_for(3) == pytest.approx(0.12)
