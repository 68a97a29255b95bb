"""A frozen backbone's outputs are computed once for each image, view, weights, engine and layer."""

import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone, Timing
from hubtune.inference.program import Subnetwork
from hubtune.train.views import mirrored

VIEW = Preprocessing(size=16, resize=20)
WIDE = Preprocessing(size=16, resize=24, fit="whole")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


@pytest.fixture
def paths(tmp_path):
    random = np.random.default_rng(0)
    found = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(found):
        Image.fromarray(random.integers(0, 255, (24 + number, 30, 3), dtype=np.uint8)).save(path)
    return found


class _Counted:
    """A small backbone that counts the images that it computes."""

    def __init__(self, folder, *, seed=0, limit=10**8, **options):
        paddle.seed(seed)
        self.network = nn.Conv2D(3, 5, 3)
        self.count = 0
        given = {"module": "small", "layer": "features", "wanted": "paddle", **options}
        part, cache = Subnetwork(self.network, self.forward, VIEW), FeatureCache(folder, limit)
        self.backbone = FrozenBackbone(part, self.network.state_dict(), cache=cache, **given)

    def forward(self, images):
        if paddle.in_dynamic_mode():
            self.count += images.shape[0]
        return self.network(images).mean([2, 3])

    def rows(self, paths, views=(VIEW,), batch_size=3):
        """The outputs; what is computed for it, not for the check of the engine, is counted."""
        self.backbone.choose_engine(views, paths)
        self.count = 0
        return list(self.backbone.extract(views, paths, batch_size=batch_size, workers=2))


def _content(outputs):
    return [
        (output.path, output.error and output.error.reason, [row.tobytes() for row in output.rows or ()])
        for output in outputs
    ]


@pytest.mark.parametrize(
    ("options", "tolerance"), [({}, 1e-6), ({"half": True}, 1e-3), ({"wanted": "openvino"}, 1e-3)]
)
def test_the_second_time_nothing_is_computed_and_all_is_the_same_to_the_bit(
    paths, folder, options, tolerance
):
    views = [VIEW, mirrored(VIEW), WIDE]
    first = _Counted(folder, **options)
    computed = first.rows(paths, views)
    assert first.backbone.timing.seconds > 0
    assert options.get("wanted") == "openvino" or first.count == 3 * len(paths)
    second = _Counted(folder, **options)
    for counted, size in ((first, 3), (second, 2)):
        assert _content(counted.rows(paths, views, batch_size=size)) == _content(computed)
        assert counted.count == 0
    assert second.backbone.timing is None
    assert second.backbone.engine == options.get("wanted", "paddle")
    for output in computed:
        for row, view in zip(output.rows, views, strict=True):
            assert row.dtype == ("float16" if "half" in options else "float32")
            with paddle.no_grad():
                image = paddle.to_tensor(view(Image.open(output.path).convert("RGB"))[None])
                expected = first.forward(image)[0].numpy()
            assert row == pytest.approx(expected, abs=tolerance)


def test_only_new_images_and_views_are_computed(paths, folder):
    before = _Counted(folder).rows(paths[:4])
    counted = _Counted(folder)
    assert len(counted.rows(paths)) == 7
    assert counted.count == 3
    counted.rows(paths, [VIEW, mirrored(VIEW)])
    assert counted.count == 7
    # Another content is another image, and a copy the same.
    Image.open(paths[0]).transpose(Image.Transpose.ROTATE_180).save(paths[0])
    moved = paths[1].rename(paths[1].with_name("moved.png"))
    after = counted.rows([paths[0], moved, *paths[2:]])
    assert counted.count == 1
    assert after[0].rows[0].tobytes() != before[0].rows[0].tobytes()
    assert after[1].rows[0].tobytes() == before[1].rows[0].tobytes()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"layer": "before stage4"}, {"half": True}, {"wanted": "openvino"}, {"module": "other"}],
    ids=str,
)
def test_what_depends_on_other_facts_is_computed(paths, folder, other):
    _Counted(folder).rows(paths)
    counted = _Counted(folder, **other)
    counted.rows(paths)
    assert counted.backbone.timing is not None
    assert len(FeatureCache(folder).spaces()) == 2


def test_an_engine_that_was_asked_for_is_not_replaced_by_what_was_noted_of_auto(paths, folder):
    # OpenVINO cannot run it.
    part = Subnetwork(
        nn.Conv2D(3, 5, 3), lambda images: paddle.to_tensor(images.numpy().mean(axis=(2, 3))), VIEW
    )

    def backbone(wanted):
        cache = FeatureCache(folder, 10**8)
        return FrozenBackbone(part, {}, module="m", layer="l", wanted=wanted, cache=cache)

    assert len(list(backbone("auto").extract([VIEW], paths, batch_size=3, workers=1))) == 7
    assert backbone("auto").engine == "paddle"
    with pytest.raises(MachineError, match="cannot be run by openvino"):
        backbone("openvino").choose_engine([VIEW], paths)


def test_the_pace_that_was_measured_is_known_to_the_next_process(paths, folder):
    first = _Counted(folder).backbone
    assert first.recall_timing(VIEW) is None
    many = [*paths, *[path.with_name(f"copy {path.name}") for path in paths]]
    for path, copy in zip(paths, many[7:], strict=True):
        Image.open(path).rotate(90).save(copy)
    found = first.measure(VIEW, many, workers=2, check=lambda: None)
    assert found.seconds > 0 and 0 <= found.idle <= 1
    assert _Counted(folder).backbone.recall_timing(VIEW) == found
    assert _Counted(folder).backbone.recall_timing(WIDE) is None
    assert first.measure(VIEW, many, workers=2, check=lambda: None) is None  # all of them are in the cache
    # Where decoding is the limit, more pixels take little longer.
    assert Timing(0.1, 0.0).seconds_for(3) == pytest.approx(0.3)
    assert Timing(0.1, 0.9).seconds_for(3) == pytest.approx(0.12)
